package policies

import (
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestOffer(t *testing.T) {
	weak := ProviderFacts{ID: "post", MaxACR: protocol.EIDAS1}
	strong := ProviderFacts{ID: "tax", MaxACR: protocol.EIDAS2}
	tests := []struct {
		name   string
		policy Policy
		asked  protocol.ACR
		want   []Offer
		code   protocol.ErrorCode
	}{
		{"offers every provider where nothing is demanded", Policy{}, "", []Offer{{ID: "post"}, {ID: "tax"}}, ""},
		{"shows a provider that is too weak for the policy", Policy{MinACR: protocol.EIDAS2}, "", []Offer{{ID: "post", TooWeak: true}, {ID: "tax"}}, ""},
		{"shows a provider that is too weak for the request", Policy{MinACR: protocol.EIDAS1}, protocol.EIDAS2, []Offer{{ID: "post", TooWeak: true}, {ID: "tax"}}, ""},
		{"never lowers the policy's level to what was asked", Policy{MinACR: protocol.EIDAS2}, protocol.EIDAS1, []Offer{{ID: "post", TooWeak: true}, {ID: "tax"}}, ""},
		{"leaves out what the policy does not allow", Policy{AllowProviders: []protocol.ProviderID{"post"}}, "", []Offer{{ID: "post"}}, ""},
		{"leaves out what the policy denies", Policy{DenyProviders: []protocol.ProviderID{"tax"}}, "", []Offer{{ID: "post"}}, ""},
		{"denies even what it allows", Policy{AllowProviders: []protocol.ProviderID{"post", "tax"}, DenyProviders: []protocol.ProviderID{"tax"}}, "", []Offer{{ID: "post"}}, ""},
		{"has an answer for the service when no provider reaches the level", Policy{}, protocol.EIDAS3, nil, protocol.UnmetAuthentication},
		{"does not count a strong provider that the policy forbids", Policy{AllowProviders: []protocol.ProviderID{"post"}}, protocol.EIDAS2, nil, protocol.UnmetAuthentication},
		{"lets nobody reach a level that does not exist", Policy{MinACR: "eidas9"}, "", nil, protocol.UnmetAuthentication},
		{"has an answer for the service when the allowed providers are gone", Policy{AllowProviders: []protocol.ProviderID{"bank"}}, "", nil, protocol.UnmetAuthentication},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.policy.ID = "p"
			got, code := NewTable(&tt.policy).Offer(&clients.Client{Policy: "p"}, protocol.AuthRequest{MinACR: tt.asked}, []ProviderFacts{weak, strong})
			if !slices.Equal(got, tt.want) || code != tt.code {
				t.Errorf("Offer = %v, %q, want %v, %q", got, code, tt.want, tt.code)
			}
		})
	}
	t.Run("offers nothing to a client without a policy", func(t *testing.T) {
		got, code := NewTable().Offer(&clients.Client{Policy: "p"}, protocol.AuthRequest{}, []ProviderFacts{weak})
		if got != nil || code != protocol.UnauthorizedClient {
			t.Errorf("Offer = %v, %q", got, code)
		}
	})
}

func TestRequiredACR(t *testing.T) {
	tests := []struct {
		name          string
		policy, asked protocol.ACR
		want          protocol.ACR
	}{
		{"is the lowest when nobody demands one", "", "", protocol.EIDAS1},
		{"is the policy's", protocol.EIDAS2, "", protocol.EIDAS2},
		{"is the request's", protocol.EIDAS1, protocol.EIDAS3, protocol.EIDAS3},
		{"is reached by nobody when it does not exist", "eidas9", protocol.EIDAS1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := NewTable(&Policy{ID: "p", MinACR: tt.policy})
			if got := table.RequiredACR(&clients.Client{Policy: "p"}, protocol.AuthRequest{MinACR: tt.asked}); got != tt.want {
				t.Errorf("RequiredACR = %q, want %q", got, tt.want)
			}
		})
	}
}
