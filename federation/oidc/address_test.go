package oidc

import (
	"encoding/json"
	"testing"

	"github.com/voussoir-id/voussoir/identity"
)

func TestAddress_IsAnObjectOfTexts_OIDCCore5_1_1(t *testing.T) {
	p := &Provider{sources: map[string]string{"address": "address"}}
	type read struct {
		address identity.Address
		rule    identity.Rule
	}
	home := identity.Address{PostalCode: "69100", Locality: "Villeurbanne", Country: "FR"}
	for raw, want := range map[string]read{
		`{"postal_code":"69100","locality":"Villeurbanne","country":"FR","street_address":"1 rue X"}`: {home, ""},
		`{"postal_code":"69100","locality":"Villeurbanne","locality":"Lyon"}`:                         {rule: identity.WrongType}, // twice
		`{"postal_code":69100,"locality":"Villeurbanne"}`:                                             {rule: identity.WrongType},
		`{"formatted":"1 rue X, 69100 Villeurbanne"}`:                                                 {},
		`"69100 Villeurbanne"`: {rule: identity.WrongType}, `[]`: {rule: identity.WrongType}, `null`: {},
	} {
		address, rule := p.address(object{}, object{"address": json.RawMessage(raw)})
		if got := (read{address, rule}); got != want {
			t.Errorf("%s: %+v, want %+v", raw, got, want)
		}
	}
}

func TestAddress_TwoThatDifferAreNoneAndNoReasonToRefuse(t *testing.T) {
	p := &Provider{sources: map[string]string{"address": "address"}}
	lyon, spelt := `{"postal_code":"69001","locality":"Lyon"}`, `{ "locality": "L\u0079on", "postal_code": "69001" }`
	for other, want := range map[string]identity.Rule{spelt: "", `{"postal_code":"69100","locality":"Villeurbanne"}`: identity.SeveralValues, lyon: "", `7`: identity.WrongType} {
		token, info := object{"address": json.RawMessage(lyon)}, object{"address": json.RawMessage(other)}
		out, err := p.merge(token, info)
		if _, rule := p.address(token, info); err != nil || out["address"] != nil || rule != want {
			t.Errorf("%s: %q, %v", other, rule, err)
		}
	}
}
