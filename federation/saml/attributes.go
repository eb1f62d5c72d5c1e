package saml

import (
	"errors"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// fields are the claims that we take from a provider.
func fields() []string {
	var out []string
	for _, c := range identity.Facts() {
		if c != identity.AddressClaim {
			out = append(out, string(c))
		}
	}
	return append(out, addressParts()...)
}

// addressParts are what an address consists of here: each is an attribute of its own.
func addressParts() []string { return []string{postalCode, locality, country} }

// The parts of an address, by the names of OpenID Connect Core section 5.1.1.
const (
	postalCode = "postal_code"
	locality   = "locality"
	country    = "country"
)

// Preset is the attribute map of a family of providers, our claim by their
// attribute; nil for a name that is none. "eidas": the natural person's minimum
// data set (eIDAS SAML attribute profile 1.2 section 2.2). "eduperson": what
// universities send (SAML2Int, eduPerson).
func Preset(name string) map[string]string {
	const (
		person = "http://eidas.europa.eu/attributes/naturalperson/"
		x500   = "urn:oid:2.5.4."
	)
	switch name {
	case "eidas":
		return map[string]string{
			person + "CurrentGivenName": "given_name", person + "CurrentFamilyName": "family_name",
			person + "DateOfBirth": "birthdate", person + "Gender": "gender",
		}
	case "eduperson":
		return map[string]string{
			x500 + "42": "given_name", x500 + "4": "family_name",
			"urn:oid:0.9.2342.19200300.100.1.3": "email",
			"urn:oid:2.16.840.1.113730.3.1.241": "preferred_username",
		}
	}
	return nil
}

// Presets are the names that Preset knows.
func Presets() []string { return []string{"eduperson", "eidas"} }

// configureAttributes turns the operator's map around.
func (p *Provider) configureAttributes() error {
	p.sources = map[string]string{}
	for source, field := range p.cfg.Attributes {
		switch {
		case !slices.Contains(fields(), field):
			return errors.New("attributes: unknown name " + field)
		case source == "":
			return errors.New("attributes: an attribute without a name is mapped to " + field)
		case p.sources[field] != "":
			return errors.New("attributes: two attributes are mapped to " + field)
		}
		p.sources[field] = source
	}
	return nil
}

// attributes are the values of an assertion's attributes, by name.
type attributes map[string][]string

// readAttributes reads what the provider says of the person (SAML core section
// 2.7.3). An attribute that stands twice is read differently by two programs.
func readAttributes(assertion signed) (attributes, error) {
	out := attributes{}
	for _, statement := range children(assertion.el, nsAssertion, "AttributeStatement") {
		if err := only(statement, nsAssertion+" Attribute"); err != nil {
			return nil, err
		}
		for _, a := range children(statement, nsAssertion, "Attribute") {
			name, _ := attr(a, "Name")
			if _, twice := out[name]; twice || name == "" {
				return nil, errors.New("an attribute stands twice, or has no name")
			}
			if err := only(a, nsAssertion+" AttributeValue"); err != nil {
				return nil, err
			}
			out[name] = values(a)
		}
	}
	return out, nil
}

// notText stands for a value that is more than text. XML cannot write it.
const notText = "\x00"

// values leaves out what is nil.
func values(a *etree.Element) []string {
	out := []string{}
	for _, v := range children(a, nsAssertion, "AttributeValue") {
		if absent(v) {
			continue
		}
		s, err := text(v)
		if err != nil {
			s = notText
		}
		out = append(out, strings.Trim(s, " \t\r\n"))
	}
	return out
}

func absent(v *etree.Element) bool {
	for _, a := range v.Attr {
		if a.Key == "nil" && a.NamespaceURI() == nsInstance {
			return a.Value == "true" || a.Value == "1"
		}
	}
	return false
}

// sent is what the attributes say of the person, by our names. An attribute that is
// more than text, or of which there are several, is named: of several nobody can say
// which is hers.
func (p *Provider) sent(given attributes) identity.Sent {
	out := identity.Sent{Texts: map[protocol.Claim]string{}}
	for _, c := range identity.Facts() {
		source := p.sources[string(c)]
		if source == "" {
			continue
		}
		value, rule := single(given[source])
		switch {
		case rule != "":
			out.Unread = append(out.Unread, identity.Flaw{Claim: c, Rule: rule})
		case c != identity.EmailVerified:
			out.Texts[c] = value
		case value == "true":
			out.Verified = true
		case value != "" && value != "false":
			out.Unread = append(out.Unread, identity.Flaw{Claim: c, Rule: identity.WrongType})
		}
	}
	var rule identity.Rule
	if out.Address, rule = p.address(given); rule != "" {
		out.Unread = append(out.Unread, identity.Flaw{Claim: identity.AddressClaim, Rule: rule})
	}
	return out
}

// address puts together what the provider says in several attributes.
func (p *Provider) address(given attributes) (identity.Address, identity.Rule) {
	var a identity.Address
	for part, dst := range map[string]*string{postalCode: &a.PostalCode, locality: &a.Locality, country: &a.Country} {
		var rule identity.Rule
		if *dst, rule = single(given[p.sources[part]]); rule != "" {
			return identity.Address{}, rule
		}
	}
	return a, ""
}

// single is the one value of an attribute; "" when there is none.
func single(values []string) (string, identity.Rule) {
	switch {
	case len(values) == 0:
		return "", ""
	case len(values) > 1:
		return "", identity.SeveralValues
	case values[0] == notText:
		return "", identity.WrongType
	}
	return values[0], ""
}

// identity has what the attributes say read.
func (p *Provider) identity(given attributes) (identity.Identity, []identity.Flaw, error) {
	id, dropped, err := p.cfg.Schema.Read(p.sent(given), p.cfg.Now())
	if err != nil {
		return identity.Identity{}, nil, p.fail(federation.BadIdentity, err)
	}
	id.Provider = p.cfg.ID
	return id, dropped, nil
}
