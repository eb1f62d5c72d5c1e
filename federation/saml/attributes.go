package saml

import (
	"errors"
	"slices"
	"strings"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
)

// fields are the claims that we take from a provider.
func fields() []string {
	return []string{
		"given_name", "family_name", "birthdate", "gender", "birthplace", "birthcountry",
		"preferred_username", "email", "email_verified",
	}
}

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

// values leaves out what is nil, and gives a value that is more than text as one
// that no check will pass.
func values(a *etree.Element) []string {
	out := []string{}
	for _, v := range children(a, nsAssertion, "AttributeValue") {
		if absent(v) {
			continue
		}
		s, err := text(v)
		if err != nil {
			s = "\x00"
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

// single is the one value of a claim's attribute; "" when there is none. Of
// several nobody can say which is hers.
func (p *Provider) single(given attributes, field string) (string, error) {
	source := p.sources[field]
	if source == "" {
		return "", nil
	}
	switch v := given[source]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", p.failf(federation.BadIdentity, "%s has several values", field)
}

// identity makes an identity of the attributes and has it checked.
func (p *Provider) identity(given attributes) (identity.Identity, error) {
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
		if *dst, err = p.single(given, field); err != nil {
			return identity.Identity{}, err
		}
	}
	id.Pivot.Gender = strings.ToLower(id.Pivot.Gender) // eIDAS writes Male, Female and Unspecified
	id.PreferredUsername = p.extra(given, "preferred_username", func(s string) identity.Identity { return identity.Identity{PreferredUsername: s} })
	id.Email = p.extra(given, "email", func(s string) identity.Identity { return identity.Identity{Email: s} })
	verified, err := p.single(given, "email_verified")
	id.EmailVerified = err == nil && verified == "true" && id.Email != ""
	id, err = p.cfg.Check(id)
	if err != nil {
		return identity.Identity{}, p.fail(federation.BadIdentity, err)
	}
	return id, nil
}

// extra leaves out a usage name or an e-mail address that is malformed or one of
// several: it must not lock a citizen out. The civil identity gets no such mercy.
func (p *Provider) extra(given attributes, field string, alone func(string) identity.Identity) string {
	value, err := p.single(given, field)
	if err != nil {
		return ""
	}
	part := alone(value)
	part.AsOf = p.cfg.Now().UTC()
	if _, err := p.cfg.Check(part); err != nil {
		return ""
	}
	return value
}
