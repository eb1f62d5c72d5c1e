package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// fields are the claims that we take from a provider; every other one is dropped
// unread, given_name_array and roles among them.
func fields() []string {
	facts := identity.Facts()
	out := make([]string, len(facts))
	for i, c := range facts {
		out[i] = string(c)
	}
	return out
}

// notClaims are members with a meaning of their own: mapping one of them to a
// fact about a person can only be a mistake.
func notClaims() []string {
	return []string{"", "iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "acr", "amr", "auth_time", "at_hash", "c_hash", "sid"}
}

// configureClaims turns the operator's map around: field to the one claim it comes from.
func (p *Provider) configureClaims() error {
	p.sources = map[string]string{}
	for source, field := range p.cfg.Claims {
		switch {
		case !slices.Contains(fields(), field):
			return errors.New("claims: unknown name " + field)
		case slices.Contains(notClaims(), source):
			return errors.New("claims: " + source + " is not about a person")
		case p.sources[field] != "":
			return errors.New("claims: two claims are mapped to " + field)
		}
		p.sources[field] = source
	}
	for _, field := range fields() {
		if p.sources[field] == "" {
			p.sources[field] = field
		}
	}
	return nil
}

// merge collects the mapped claims, by our names. The ID token and userinfo
// mostly do not carry the same ones; where they do and differ, neither can be
// believed. null counts as absent.
func (p *Provider) merge(token, info object) (object, error) {
	out := object{}
	for field, source := range p.sources {
		a, b := given(token, source), given(info, source)
		switch {
		case protocol.Claim(field) == identity.AddressClaim: // see address
		case a != nil && b != nil && !same(a, b):
			return nil, p.because(federation.ReasonIdentity, "ID token and userinfo do not agree on %s", field)
		case a != nil:
			out[field] = a
		case b != nil:
			out[field] = b
		}
	}
	return out, nil
}

func given(o object, name string) json.RawMessage {
	if raw := o[name]; raw != nil && !bytes.Equal(raw, []byte("null")) {
		return raw
	}
	return nil
}

// same compares values rather than spellings: "é" may be written "\u00e9".
func same(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y string
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

// sent is what the merged claims say: what is of another type than it must be is
// named, and the rest is for identity to judge.
func sent(claims, token object) identity.Sent {
	out := identity.Sent{Texts: map[protocol.Claim]string{}}
	unread := func(c protocol.Claim) {
		out.Unread = append(out.Unread, identity.Flaw{Claim: c, Rule: identity.WrongType})
	}
	for _, c := range identity.Facts() {
		if c == identity.EmailVerified || c == identity.AddressClaim {
			continue
		}
		text, _, err := claims.text(string(c))
		if err != nil {
			unread(c)
		}
		out.Texts[c] = text
	}
	var err error
	// Only true is true: "true", 1 and silence are not (nobody is linked or trusted
	// by e-mail here, but services may do so on our word).
	if out.Verified, err = claims.flag(string(identity.EmailVerified)); err != nil {
		unread(identity.EmailVerified)
	}
	if given(token, "amr") != nil { // informative (OpenID Connect Core section 2)
		if out.AMR, err = token.texts("amr"); err != nil || token["amr"][0] != '[' {
			unread(protocol.AMR)
		}
	}
	return out
}

// address reads an address (OpenID Connect Core section 5.1.1). One object may be
// spelt in two ways, and two that differ are not worth a sign-in: nobody can say
// which is hers.
func (p *Provider) address(token, info object) (identity.Address, identity.Rule) {
	source := p.sources[string(identity.AddressClaim)]
	a, inToken, rule := postal(given(token, source))
	b, inInfo, also := postal(given(info, source))
	switch {
	case rule != "" || also != "":
		return identity.Address{}, identity.WrongType
	case inToken && inInfo && a != b:
		return identity.Address{}, identity.SeveralValues
	case inToken:
		return a, ""
	}
	return b, ""
}

// postal is the part of an address that we look at; false: there is none.
func postal(raw json.RawMessage) (identity.Address, bool, identity.Rule) {
	var a identity.Address
	if raw == nil {
		return a, false, ""
	}
	members, err := protocol.Object(raw)
	if err != nil {
		return a, false, identity.WrongType
	}
	o := object(members)
	for name, dst := range map[string]*string{"postal_code": &a.PostalCode, "locality": &a.Locality, "country": &a.Country} {
		if *dst, _, err = o.text(name); err != nil {
			return identity.Address{}, false, identity.WrongType
		}
	}
	return a, true, ""
}
