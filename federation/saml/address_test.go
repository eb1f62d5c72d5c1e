package saml

import (
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
)

func TestAddress_ItsPartsAreAttributesAndItIsPromisedAsOne(t *testing.T) {
	var told federation.Delivery
	w := newWorld(t, func(c *Config) {
		c.Attributes = map[string]string{"givenName": "given_name", "sn": "family_name", "code": "postal_code", "town": "locality"}
		c.Delivered = func(d federation.Delivery) { told = d }
	})
	for name, tt := range map[string]struct {
		code, town []string
		want       identity.Residence
		dropped    []string
	}{
		"a commune":          {[]string{"69100"}, []string{"Villeurbanne"}, "69266", nil},
		"none":               {nil, nil, "", nil},
		"two codes":          {[]string{"69100", "69001"}, []string{"Lyon"}, "", []string{"address: several_values"}},
		"more than a text":   {[]string{"69100"}, []string{notText}, "", []string{"address: wrong_type"}},
		"a town and no code": {nil, []string{"Villeurbanne"}, "", []string{"address: malformed"}},
	} {
		given := attributes{"givenName": {"Ada"}, "sn": {"Martin"}, "code": tt.code, "town": tt.town}
		id, dropped, err := w.p.identity(given)
		if err != nil || id.Residence != tt.want || !slices.Equal(identity.Reasons(dropped), tt.dropped) {
			t.Errorf("%s: %q, %v, %v", name, id.Residence, dropped, err)
		}
		w.p.delivered(given)
		if !slices.Contains(told.Promised, identity.AddressClaim) || slices.Contains(told.Sent, identity.AddressClaim) != (tt.code != nil) || slices.Contains(told.Promised, "locality") {
			t.Errorf("%s: told %v", name, told)
		}
	}
}
