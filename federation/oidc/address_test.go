package oidc

import (
	"encoding/json"
	"testing"

	"github.com/voussoir-id/voussoir/identity"
)

func TestResidence_OfAnAddress_OIDCCore5_1_1(t *testing.T) {
	for raw, want := range map[string]identity.Residence{
		`{"postal_code":"69100","locality":"Villeurbanne","country":"FR","street_address":"1 rue X"}`: "69266",
		`{"postal_code":"69100","locality":"Villeurbanne","locality":"Lyon"}`:                         "", // twice
		`{"postal_code":69100,"locality":"Villeurbanne"}`:                                             "",
		`{"formatted":"1 rue X, 69100 Villeurbanne"}`:                                                 "",
		`"69100 Villeurbanne"`: "", `[]`: "", `null`: "", ``: "",
	} {
		if got := residence(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestMerge_TwoAddressesThatDisagreeAreNoneAndNoReasonToRefuse(t *testing.T) {
	p := &Provider{sources: map[string]string{"address": "address"}}
	lyon, spelt := `{"postal_code":"69001","locality":"Lyon"}`, `{ "locality": "LYON", "postal_code": "69001" }`
	for other, want := range map[string]identity.Residence{spelt: "69123", `{"postal_code":"69100","locality":"Villeurbanne"}`: "", lyon: "69123"} {
		out, err := p.merge(object{"address": json.RawMessage(lyon)}, object{"address": json.RawMessage(other)})
		if err != nil || residence(out["address"]) != want {
			t.Errorf("%s: %q, %v", other, residence(out["address"]), err)
		}
	}
}
