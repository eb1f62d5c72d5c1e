package config

import (
	"maps"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// emailVerified is a flag of the provider's and no fact about a person.
const emailVerified = "email_verified"

// address is where a person lives, of which only the commune is kept.
const (
	address    = "address"
	postalCode = "postal_code" // its parts, which are attributes of a SAML provider
	locality   = "locality"
)

// identity: each claim once, and none that can never come.
func (c *checker) identity(p *Provider, path string) {
	path += ".identity"
	taken := map[string]string{}
	if p.CivilIdentity {
		for _, claim := range identityClaims() {
			if protocol.Claim(claim).Civil() {
				taken[claim] = "civil_identity"
			}
		}
	}
	c.claimsOnce(path+".required", p.Identity.Required, taken, "required")
	c.claimsOnce(path+".optional", p.Identity.Optional, taken, "optional")
	for i, claim := range p.Identity.Required {
		at := index(path+".required", i)
		switch {
		case !c.ok(at):
		case claim == emailVerified:
			c.add(at, "whether an e-mail address is verified is no fact about a person, and often it is not", "optional: [email, email_verified]")
		case slices.Contains(identityClaims(), claim) && !c.canCome(p, claim):
			attributes := claim + ": its attribute there"
			if claim == address {
				attributes = "postal_code: its attribute there, locality: likewise"
			}
			c.add(at, "nothing of this provider becomes "+quote(claim)+", so nobody could sign in", "claims: { "+attributes+" }, or remove it")
		}
	}
	if at := path + ".optional"; slices.Contains(p.Identity.Optional, emailVerified) && !slices.Contains(append(p.Identity.Optional, p.Identity.Required...), string(protocol.Email)) && c.ok(at) {
		c.add(at, "email_verified means nothing without email", "optional: [email, email_verified]")
	}
}

func (c *checker) claimsOnce(path string, claims []string, taken map[string]string, list string) {
	for i, claim := range claims {
		at := index(path, i)
		switch {
		case !c.ok(at):
		case !slices.Contains(identityClaims(), claim):
			what, instead := unknownName("claim that a provider gives", claim, identityClaims())
			c.add(at, what, instead)
		case taken[claim] != "":
			c.add(at, quote(claim)+" is in "+taken[claim]+" already", "each claim once")
		default:
			taken[claim] = list
		}
	}
}

// addressParts: a postal code alone is no place, and a name alone may be many.
func (c *checker) addressParts(p *Provider, path string) {
	_, code := p.Claims[postalCode]
	_, town := p.Claims[locality]
	_, country := p.Claims["country"]
	if at := path + ".claims"; (code || town || country) && (!code || !town) && c.ok(at) {
		c.add(at, "an address needs both a postal code and a town", "claims: { postal_code: \"urn:oid:2.5.4.17\", locality: \"urn:oid:2.5.4.7\" }, or neither")
	}
}

// canCome: a SAML provider gives only what is mapped.
func (c *checker) canCome(p *Provider, claim string) bool {
	if p.Protocol != "saml" {
		return true
	}
	if claim == address {
		claim = postalCode
	}
	for _, ours := range c.samlAttributes(p) {
		if ours == claim {
			return true
		}
	}
	return false
}

// optional is what may come beside what is required: by the file, or else what our
// scopes ask for. nil: everything, because nobody can say what they ask for.
func (c *checker) optional(p *Provider, path string) []protocol.Claim {
	if c.has(path + ".identity.optional") {
		return append([]protocol.Claim{}, words[protocol.Claim](p.Identity.Optional)...)
	}
	if p.Protocol == "saml" {
		return nil
	}
	var out []protocol.Claim
	for _, s := range p.Scopes {
		if s == address { // OpenID Connect Core section 5.4; services have no such scope
			out = append(out, address)
			continue
		}
		if !protocol.Scope(s).Known() {
			return nil
		}
		out = append(out, protocol.Scope(s).Claims()...)
	}
	if slices.Contains(out, protocol.Email) {
		out = append(out, emailVerified)
	}
	if out != nil {
		out = append(out, words[protocol.Claim](slices.Sorted(maps.Keys(p.Claims)))...) // whoever renames one wants it
	}
	return out
}
