package policies

import (
	"slices"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// Offer says which of the providers a client's visitors may choose, in the order
// given. A provider that the policy does not allow is left out; one that cannot
// reach the level is shown as too weak. When none can be chosen the second result
// is the answer for the service: unmet_authentication_requirements (OpenID
// Connect Core Error Code unmet_authentication_requirements 1.0), or
// unauthorized_client when the client has no policy. It is pure.
func (t *Table) Offer(c *clients.Client, req protocol.AuthRequest, ps []ProviderFacts) ([]Offer, protocol.ErrorCode) {
	p, ok := t.Policy(c)
	if !ok {
		return nil, protocol.UnauthorizedClient
	}
	level := requiredACR(p, req)
	var offers []Offer
	reachable := false
	for _, idp := range ps {
		if len(p.AllowProviders) > 0 && !slices.Contains(p.AllowProviders, idp.ID) || slices.Contains(p.DenyProviders, idp.ID) {
			continue
		}
		o := Offer{ID: idp.ID, TooWeak: !idp.MaxACR.Reaches(level)}
		reachable = reachable || !o.TooWeak
		offers = append(offers, o)
	}
	if !reachable {
		return nil, protocol.UnmetAuthentication
	}
	return offers, ""
}

// RequiredACR is the level that a sign-in must reach for this request: the
// stronger of what the policy and the request demand, eidas1 when neither does.
// Without a policy it is a level that nothing reaches.
func (t *Table) RequiredACR(c *clients.Client, req protocol.AuthRequest) protocol.ACR {
	p, ok := t.Policy(c)
	if !ok {
		return ""
	}
	return requiredACR(p, req)
}

// requiredACR fails closed: a level that is not one of ours is reached by nobody,
// where StrongerACR alone would count it as no demand at all.
func requiredACR(p *Policy, req protocol.AuthRequest) protocol.ACR {
	required := protocol.EIDAS1
	for _, demand := range []protocol.ACR{p.MinACR, req.MinACR} {
		if demand == "" {
			continue
		}
		if !demand.Known() {
			return ""
		}
		required = protocol.StrongerACR(required, demand)
	}
	return required
}
