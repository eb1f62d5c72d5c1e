package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// Acceptance answers a warning about a policy.
type Acceptance struct {
	// Remark is the warning that is answered, by the name in brackets at its end.
	// Required.
	Remark string `yaml:"remark" jsonschema:"required,enum=no-retention,enum=vague-purpose,enum=all-required,enum=email-required,enum=consent-for-public-task,enum=birthdate-beside-threshold,enum=civil-status-on-consent,enum=provider-revealed,enum=never-asked,enum=residence-of-anyone,enum=commune-of-residence" eg:"all-required"`
	// Reason is why it is right as it is, in 10 letters or more: for whoever reads the
	// policy after you. Required.
	Reason string `yaml:"reason" jsonschema:"required" eg:"a loan cannot be made without both"`
}

// remark is what the linter has against a policy. What is plainly wrong is a mistake
// and no remark; a remark may be answered in the file.
type remark struct{ id, at, what, instead string }

// remarks warns where a policy asks for more than it seems to need (GDPR articles
// 5(1)(b), (c), (e) and 7(4)).
func (c *checker) remarks(p *Policy, path string) {
	found := c.overAsking(p, path)
	for i, a := range p.Accepted {
		at := index(path+".accepted", i)
		if c.sound(at+".reason", a.Reason) && utf8.RuneCountInString(strings.TrimSpace(a.Reason)) < 10 {
			c.add(at+".reason", "this is no reason that somebody could follow", "reason: \"a sentence\"")
		}
		if c.sound(at+".remark", a.Remark) && !slices.ContainsFunc(found, func(r remark) bool { return r.id == a.Remark }) {
			c.warn(at, "there is no such warning about this policy any more", "remove it")
		}
	}
	for _, r := range found {
		if !slices.ContainsFunc(p.Accepted, func(a Acceptance) bool { return a.Remark == r.id && a.Reason != "" }) {
			c.warn(r.at, r.what+" ["+r.id+"]", r.instead+", or accepted: [{ remark: "+r.id+", reason: … }]")
		}
	}
}

func (c *checker) overAsking(p *Policy, path string) []remark {
	var out []remark
	say := func(id, at, what, instead string) { out = append(out, remark{id, path + "." + at, what, instead}) }
	asks := p.LegalBasis == string(policies.Consent)
	if p.Retention == "" {
		say("no-retention", "retention", "people are not told for how long the service keeps their data", "retention: P1Y")
	}
	if vague(p.Purpose) {
		say("vague-purpose", "purpose", "this purpose would fit any service: it justifies no claim", "what the service does with the data")
	}
	required := 0
	for i, r := range p.Claims {
		at := fmt.Sprintf("claims[%d].name", i)
		if r.Required {
			required++
		}
		switch name := protocol.Claim(r.Name); {
		case name == protocol.Email && r.Required && asks:
			say("email-required", at, "nobody who has no e-mail address, or does not give it, can use the service", "required: false")
		case name == protocol.Birthdate && !r.Required && p.threshold() != "":
			say("birthdate-beside-threshold", at, "the birth date is asked for although there is an age threshold ("+p.threshold()+")", "remove birthdate")
		case name == protocol.Birthdate && p.gate() != "":
			say("birthdate-beside-threshold", at, "the birth date is asked for although a condition ("+p.gate()+") looks at the age already", "remove birthdate")
		case (name == protocol.IdPID || name == protocol.AMR) && r.Name != "":
			say("provider-revealed", at, "the service learns "+map[protocol.Claim]string{protocol.IdPID: "which provider people use", protocol.AMR: "how people sign in"}[name], "remove "+r.Name)
		}
		if r.Name == string(protocol.ResidentOfCommune) {
			say("commune-of-residence", at, "the service learns the commune, in which a person may be recognisable, and not only the département or the region", "name: "+string(protocol.ResidentOfDepartement)+", or "+string(protocol.ResidentOfRegion))
		}
		if c.neverAsked(p, r.Name) {
			say("never-asked", at, "no service under this policy may ask for "+r.Name+": it serves no purpose", "remove it, or its scope in the client")
		}
	}
	if asks && required > 1 && required == len(p.Claims) {
		say("all-required", "claims", "nothing of this can be declined, which makes for a weak consent (GDPR article 7(4))", "required: false where the service works without")
	}
	if asks && p.civilStatus() {
		say("civil-status-on-consent", "claims", "the whole civil status is asked for on the ground of consent", "only what the purpose needs, or the legal basis that there is")
	}
	if word := publicTask(p); asks && word != "" {
		say("consent-for-public-task", "legal_basis", "the purpose ("+word+") sounds like a public task, to which nobody can refuse consent freely", "legal_basis: public_task, or legal_obligation")
	}
	if at := p.residence(); at != "" && len(p.Providers.Allow) == 0 {
		say("residence-of-anyone", at, "the policy looks at where people live, and any provider may say so", "providers: { allow: […] } with those that verify addresses")
	}
	return out
}

// threshold is an age threshold of p, or "".
func (p *Policy) threshold() string {
	for _, r := range p.Claims {
		if strings.HasPrefix(r.Name, "age_over_") {
			return r.Name
		}
	}
	return ""
}

// gate is a condition of p that looks at the age, or "": the service has no need to
// compute it again.
func (p *Policy) gate() string {
	for _, k := range p.Conditions {
		if strings.Contains(k.When, "age_over") {
			return k.ID
		}
	}
	return ""
}

// civilStatus reports whether p asks for all that makes a person recognisable.
func (p *Policy) civilStatus() bool {
	for _, name := range []protocol.Claim{protocol.GivenName, protocol.FamilyName, protocol.Birthdate, protocol.Birthplace, protocol.Gender} {
		if !slices.ContainsFunc(p.Claims, func(r ClaimRule) bool { return r.Name == string(name) }) {
			return false
		}
	}
	return true
}

// residence is where p looks at where people live; "": nowhere.
func (p *Policy) residence() string {
	switch {
	case slices.ContainsFunc(p.Conditions, func(k Condition) bool { return strings.Contains(k.When, "lives_in_") }):
		return "conditions"
	case slices.ContainsFunc(p.Claims, func(r ClaimRule) bool { return slices.Contains(protocol.Residences(), protocol.Claim(r.Name)) }):
		return "claims"
	}
	return ""
}

// neverAsked: every service under p is limited to scopes, and none leads to the claim.
func (c *checker) neverAsked(p *Policy, claim string) bool {
	used := false
	for _, k := range c.f.Clients {
		if k.Policy != p.ID {
			continue
		}
		if used = true; len(k.Scopes) == 0 || slices.ContainsFunc(k.Scopes, func(s string) bool {
			return slices.Contains(protocol.Scope(s).Claims(), protocol.Claim(claim))
		}) {
			return false
		}
	}
	return used && !slices.ContainsFunc(c.f.Registration.Tokens, func(t InitialToken) bool { return t.Policy == p.ID })
}

// vague purposes say that somebody signs in, and not why.
func vague(purpose Text) bool {
	for _, words := range purpose {
		switch strings.ToLower(strings.TrimSpace(words)) {
		case "se connecter", "vous connecter", "connexion", "vous identifier", "accéder au service", "utiliser le service",
			"sign in", "log in", "login", "access the service", "use the service", "identify you", "to sign you in":
			return true
		}
	}
	return false
}

// publicTask is a word of p's purpose by which one knows what only an authority
// does, or "". It is a guess: hence a warning.
func publicTask(p *Policy) string {
	for _, lang := range []string{"fr", "en"} {
		for _, word := range strings.FieldsFunc(strings.ToLower(p.Purpose[lang]), func(r rune) bool { return strings.ContainsRune(" ,.;:()'’/", r) }) {
			switch word {
			case "impôt", "impôts", "taxe", "taxes", "allocation", "allocations", "prestation", "prestations", "amende", "amendes", "électorale",
				"électorales", "scolaire", "cantine", "passeport", "naissance", "décès", "rsa", "recours", "retraite",
				"tax", "benefit", "benefits", "allowance", "fine", "fines", "electoral", "passport", "birth", "marriage", "pension", "appeal":
				return word
			}
		}
	}
	return ""
}
