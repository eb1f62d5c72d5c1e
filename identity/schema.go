package identity

import (
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/cog"
	"github.com/voussoir-id/voussoir/protocol"
)

// EmailVerified is the claim that travels with Email (OpenID Connect Core section
// 5.1). It is a flag of the provider's and no fact about the person.
const EmailVerified protocol.Claim = "email_verified"

// Schema says what one provider owes us of a person. A claim that it neither must
// nor may send is not even looked at. The zero Schema takes everything and demands
// nothing.
type Schema struct {
	// Civil: it gives a civil identity, and its six facts are required. The
	// birthplace of people born abroad is none of them.
	Civil    bool
	Required []protocol.Claim // beside those; a sign-in without one of them is refused
	Optional []protocol.Claim // taken where they hold, left out where not; nil: all others
	// Latin: it writes names in Latin letters only, as the French civil registry
	// does. Otherwise a name is in one script, whichever.
	Latin bool
	// WholeDates: it knows the day and month of birth of everybody.
	WholeDates bool
}

// Sent is what a provider said of a person, before anybody judged it. Whoever
// speaks the provider's protocol fills it and judges nothing but types.
type Sent struct {
	Texts    map[protocol.Claim]string
	Verified bool     // email_verified was the JSON boolean true, or in SAML the word true
	AMR      []string // nil: none
	Address  Address  // the zero Address: none
	Unread   []Flaw   // claims that are there and cannot be read: of another type, or several
}

// Facts lists the claims that come from providers, in the order in which flaws are
// reported.
func Facts() []protocol.Claim {
	return append(pivotClaims(), protocol.PreferredUsername, protocol.Email, EmailVerified, AddressClaim)
}

func pivotClaims() []protocol.Claim {
	return []protocol.Claim{
		protocol.GivenName, protocol.FamilyName, protocol.Birthdate, protocol.Gender, protocol.Birthcountry, protocol.Birthplace,
	}
}

// Requires reports whether a sign-in without this claim is refused.
func (s Schema) Requires(c protocol.Claim) bool {
	return s.Civil && slices.Contains(pivotClaims(), c) || slices.Contains(s.Required, c)
}

// Takes reports whether this claim is looked at.
func (s Schema) Takes(c protocol.Claim) bool {
	return s.Optional == nil || s.Requires(c) || slices.Contains(s.Optional, c)
}

// Read makes an identity of what a provider sent. This is the only place where a
// person's facts are brought into the form in which we use them; doing it twice
// changes nothing. asOf is when the provider said so: nobody is born after that day
// (UTC). A required claim that is missing or breaks a rule refuses the identity with
// an *InvalidError that names all of them. An optional one that breaks a rule is left
// out and returned: a typing error in a mailbox must not lock anybody out of her
// taxes.
func (s Schema) Read(sent Sent, asOf time.Time) (Identity, []Flaw, error) {
	r := reader{schema: s, sent: sent}
	id := Identity{Civil: s.Civil, AsOf: asOf.UTC()}
	p := &id.Pivot
	p.GivenName = r.text(protocol.GivenName, s.name)
	p.FamilyName = r.text(protocol.FamilyName, s.name)
	p.Birthdate = r.text(protocol.Birthdate, func(v string) (string, Rule) { return s.birthdate(v, asOf) })
	p.Gender = r.text(protocol.Gender, gender)
	p.Birthcountry = r.text(protocol.Birthcountry, country)
	p.Birthplace = r.birthplace(*p)
	id.PreferredUsername = r.text(protocol.PreferredUsername, username)
	id.Email = r.text(protocol.Email, email)
	id.EmailVerified = r.verified() && id.Email != ""
	id.Residence = r.residence()
	id.AMR = r.amr()
	if len(r.refused) > 0 {
		return Identity{}, r.dropped, &InvalidError{Flaws: r.refused, Dropped: r.dropped}
	}
	return id, r.dropped, nil
}

// reader collects flaws while a Sent is read.
type reader struct {
	schema           Schema
	sent             Sent
	refused, dropped []Flaw
}

func (r *reader) flaw(c protocol.Claim, rule Rule) {
	if r.schema.Requires(c) {
		r.refused = append(r.refused, Flaw{c, rule})
	} else {
		r.dropped = append(r.dropped, Flaw{c, rule})
	}
}

// unread is why a claim could not be read at all; "": it could.
func (r *reader) unread(c protocol.Claim) Rule {
	for _, f := range r.sent.Unread {
		if f.Claim == c {
			return f.Rule
		}
	}
	return ""
}

// text is a claim as rule normalises it, or "" with a flaw. What is empty, or
// nothing but spaces, was not sent.
func (r *reader) text(c protocol.Claim, rule func(string) (string, Rule)) string {
	if !r.schema.Takes(c) {
		return ""
	}
	v, broken := r.sent.Texts[c], r.unread(c)
	switch {
	case broken != "":
	case v == "":
		broken = Missing
	default:
		v, broken = rule(v)
	}
	switch {
	case broken == "":
		return v
	case broken != Missing || r.schema.Requires(c):
		r.flaw(c, broken)
	}
	return ""
}

// birthplace is none for people born abroad, whatever the provider wrote there, as
// at FranceConnect: some send a foreign town, others nothing, and a person keeps one
// pseudonym (docs/divergences.md). Only a commune of France beside another country
// is reported, and no reason to refuse: in those that were French it is common.
func (r *reader) birthplace(p Pivot) string {
	if p.bornAbroad() {
		_, french := cog.Lookup(code(r.sent.Texts[protocol.Birthplace]))
		if french && r.schema.Takes(protocol.Birthplace) {
			r.dropped = append(r.dropped, Flaw{protocol.Birthplace, Contradiction})
		}
		return ""
	}
	if p.Birthcountry == "" && r.schema.Requires(protocol.Birthcountry) && r.sent.Texts[protocol.Birthplace] == "" && r.sent.Texts[protocol.Birthcountry] != "" {
		return "" // she may be born abroad: that the country is wrong refuses her already
	}
	year, _, _, _ := splitDate(p.Birthdate) // 0 when it is malformed, likewise
	return r.text(protocol.Birthplace, func(v string) (string, Rule) { return commune(v, year) })
}

// verified is what the provider vouches for, and nothing less than true (attack
// AL-02): the string "true", 1 and silence are not.
func (r *reader) verified() bool {
	if !r.schema.Takes(EmailVerified) {
		return false
	}
	if rule := r.unread(EmailVerified); rule != "" {
		r.flaw(EmailVerified, rule)
		return false
	}
	return r.sent.Verified
}

// residence is all that is kept of an address.
func (r *reader) residence() Residence {
	if !r.schema.Takes(AddressClaim) {
		return ""
	}
	rule, home := r.unread(AddressClaim), Residence("")
	if rule == "" {
		home, rule = r.sent.Address.Residence()
	}
	if rule != "" && (rule != Missing || r.schema.Requires(AddressClaim)) {
		r.flaw(AddressClaim, rule)
	}
	return home
}

// amr is evidence and no fact that anything rests on: all of it holds, or there is
// none.
func (r *reader) amr() []string {
	rule := r.unread(protocol.AMR)
	if rule == "" && !validAMR(r.sent.AMR) {
		rule = Malformed
	}
	if rule != "" {
		r.dropped = append(r.dropped, Flaw{protocol.AMR, rule})
		return nil
	}
	return append([]string(nil), r.sent.AMR...)
}
