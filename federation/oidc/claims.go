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

// emailVerified is the one boolean among the claims that we read.
const emailVerified = "email_verified"

// fields are the claims that we take from a provider; every other one is dropped
// unread, given_name_array and roles among them.
func fields() []string {
	return []string{
		"given_name", "family_name", "birthdate", "gender", "birthplace", "birthcountry",
		"preferred_username", "email", emailVerified, "address",
	}
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
		case field == "address" && a != nil && b != nil && residence(a) != residence(b):
			// Not worth a sign-in: where she lives is not known.
		case field == "address" && a != nil && b != nil:
			out[field] = a // one object may be spelt in two ways
		case a != nil && b != nil && !same(a, b):
			return nil, p.failf(federation.Invalid, "ID token and userinfo do not agree on %s", field)
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

// read makes an identity of the merged claims; identity itself judges the texts.
func (p *Provider) read(claims object) (identity.Identity, error) {
	id := identity.Identity{Civil: p.cfg.Civil, Provider: p.cfg.ID, AsOf: p.cfg.Now().UTC()}
	for field, dst := range map[string]*string{
		"given_name":   &id.Pivot.GivenName,
		"family_name":  &id.Pivot.FamilyName,
		"birthdate":    &id.Pivot.Birthdate,
		"gender":       &id.Pivot.Gender,
		"birthplace":   &id.Pivot.Birthplace,
		"birthcountry": &id.Pivot.Birthcountry,
	} {
		var err error
		if *dst, _, err = claims.text(field); err != nil {
			return identity.Identity{}, p.failf(federation.BadIdentity, "%s is not a string", field)
		}
	}
	id.PreferredUsername, _, _ = claims.text("preferred_username") // not a string: as if absent
	id.Email, _, _ = claims.text("email")
	id.Residence = residence(claims["address"])
	// Only true is true: "true", 1 and silence are not (nobody is linked or trusted
	// by e-mail here, but services may do so on our word).
	verified, err := claims.flag(emailVerified)
	id.EmailVerified = err == nil && verified && id.Email != ""
	return id, nil
}

// residence is the commune of an address (OpenID Connect Core section 5.1.1); the
// rest of it is dropped. What cannot be read is as if absent.
func residence(raw json.RawMessage) identity.Residence {
	members, err := protocol.Object(raw)
	if err != nil {
		return ""
	}
	o, a := object(members), identity.Address{}
	for name, dst := range map[string]*string{"postal_code": &a.PostalCode, "locality": &a.Locality, "country": &a.Country} {
		if *dst, _, err = o.text(name); err != nil {
			return ""
		}
	}
	return a.Residence()
}

// withoutMalformedExtras leaves out a malformed usage name, e-mail address or
// amr: a typing error in a mailbox must not lock a citizen out of her taxes. The
// service sees that the claim is missing. The civil identity gets no such mercy.
func (p *Provider) withoutMalformedExtras(id identity.Identity) identity.Identity {
	bad := func(part identity.Identity) bool {
		part.AsOf = id.AsOf
		_, err := p.cfg.Check(part)
		return err != nil
	}
	if bad(identity.Identity{PreferredUsername: id.PreferredUsername}) {
		id.PreferredUsername = ""
	}
	if bad(identity.Identity{Email: id.Email}) {
		id.Email, id.EmailVerified = "", false
	}
	if bad(identity.Identity{AMR: id.AMR}) {
		id.AMR = nil
	}
	return id
}

// amr is informative (OpenID Connect Core section 2): if it is no list of
// strings, there is none.
func amr(token object) []string {
	if raw := token["amr"]; len(raw) == 0 || raw[0] != '[' {
		return nil
	}
	list, err := token.texts("amr")
	if err != nil {
		return nil
	}
	return list
}
