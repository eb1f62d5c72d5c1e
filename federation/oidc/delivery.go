package oidc

import (
	"slices"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// delivered tells of the claims of a verified answer, before its identity is judged:
// an operator wants to see most of all what is missing from those that are refused.
func (p *Provider) delivered(m *metadata, token, info object) {
	if p.cfg.Delivered == nil {
		return
	}
	var d federation.Delivery
	for _, field := range fields() {
		source := p.sources[field]
		if p.promises(m, field, source) {
			d.Promised = append(d.Promised, protocol.Claim(field))
		}
		if given(token, source) != nil || given(info, source) != nil {
			d.Sent = append(d.Sent, protocol.Claim(field))
		}
	}
	if p.cfg.ACR.Default == "" { // without an acr a sign-in then has no level
		d.Promised = append(d.Promised, federation.ACRClaim)
	}
	if given(token, "acr") != nil {
		d.Sent = append(d.Sent, federation.ACRClaim)
	}
	p.cfg.Delivered(d)
}

// promises reports whether a claim can be expected of the provider: it gives a civil
// identity, and the claim is one of its six facts; or we ask for it, by a scope or by
// a name of the provider's own in our configuration, and its metadata does not leave
// it out of claims_supported.
func (p *Provider) promises(m *metadata, field, source string) bool {
	if p.cfg.Schema.Civil && slices.Contains(protocol.Scope("identite_pivot").Claims(), protocol.Claim(field)) {
		return true
	}
	_, mapped := p.cfg.Claims[source]
	asked := mapped || slices.ContainsFunc(p.cfg.Scopes, func(scope string) bool { return standsFor(scope, field) })
	return asked && (m.claims == nil || slices.Contains(m.claims, source))
}

// standsFor reports whether a scope asks for a claim (OpenID Connect Core section 5.4,
// and FranceConnect's scopes).
func standsFor(scope, field string) bool {
	if scope == "email" && protocol.Claim(field) == identity.EmailVerified {
		return true
	}
	if scope == "address" && protocol.Claim(field) == identity.AddressClaim {
		return true
	}
	return slices.Contains(protocol.Scope(scope).Claims(), protocol.Claim(field))
}
