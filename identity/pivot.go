package identity

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/voussoir-id/voussoir/cog"
	"github.com/voussoir-id/voussoir/protocol"
)

// France is the country code of people born in France (INSEE COG).
const France = "99100"

// Limits on what an identity provider may send.
const (
	maxName    = 256  // runes of a name, after normalisation
	maxRaw     = 4096 // bytes of a text, before we spend time on it
	maxEmail   = 254  // bytes (RFC 5321 section 4.5.3.1.3, less the brackets)
	maxAMR     = 16   // values
	oldestYear = 1850
)

var (
	birthdateForm = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})$`)
	emailForm     = regexp.MustCompile(`^[^@]+@[^@]+$`)
	amrForm       = regexp.MustCompile(`^[!-~]{1,64}$`)
)

// InvalidError says which claims of an identity are missing or malformed. It
// holds their names, never their values.
type InvalidError struct{ Fields []protocol.Claim }

func (e *InvalidError) Error() string {
	names := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		names[i] = string(f)
	}
	return "identity not valid: " + strings.Join(names, ", ")
}

// Normalise returns p as we use it: names in NFC, trimmed, with single spaces,
// and no birthplace for people born abroad (whatever the provider wrote there).
// Case, accents, hyphens and apostrophes stay as the provider has them. asOf is
// when the provider said so: nobody is born after that day (UTC). All six facts
// must be there; anything else is an *InvalidError.
func (p Pivot) Normalise(asOf time.Time) (Pivot, error) {
	var c checks
	p = c.pivot(p, asOf, true)
	if err := c.err(); err != nil {
		return Pivot{}, err
	}
	return p, nil
}

// Normalise does for the whole identity what Pivot.Normalise does for its civil
// part. Without civil identity any fact may be absent, but none malformed.
func (id Identity) Normalise() (Identity, error) {
	var c checks
	id.Pivot = c.pivot(id.Pivot, id.AsOf, id.Civil)
	id.PreferredUsername = c.field(protocol.PreferredUsername, id.PreferredUsername, false, text)
	id.Email = c.field(protocol.Email, id.Email, false, email)
	id.EmailVerified = id.EmailVerified && id.Email != ""
	id.AMR = append([]string(nil), id.AMR...)
	if !validAMR(id.AMR) {
		c = append(c, protocol.AMR)
	}
	if err := c.err(); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// checks collects the claims that did not pass.
type checks []protocol.Claim

func (c *checks) err() error {
	if len(*c) == 0 {
		return nil
	}
	return &InvalidError{Fields: *c}
}

// field returns v as rule normalises it, and notes the claim if v is malformed,
// or empty although required.
func (c *checks) field(name protocol.Claim, v string, required bool, rule func(string) (string, bool)) string {
	if v == "" && !required {
		return ""
	}
	v, ok := rule(v)
	if !ok {
		*c = append(*c, name)
	}
	return v
}

func (c *checks) pivot(p Pivot, asOf time.Time, required bool) Pivot {
	p.GivenName = c.field(protocol.GivenName, p.GivenName, required, name)
	p.FamilyName = c.field(protocol.FamilyName, p.FamilyName, required, name)
	p.Birthdate = c.field(protocol.Birthdate, p.Birthdate, required, func(s string) (string, bool) {
		return s, validBirthdate(s, asOf)
	})
	p.Gender = c.field(protocol.Gender, p.Gender, required, gender)
	p.Birthcountry = c.field(protocol.Birthcountry, p.Birthcountry, required, func(s string) (string, bool) {
		return s, cog.Country(s)
	})
	if p.bornAbroad() {
		p.Birthplace = ""
		return p
	}
	p.Birthplace = c.field(protocol.Birthplace, p.Birthplace, required, func(s string) (string, bool) {
		year, _, _, _ := splitDate(p.Birthdate) // 0 when it is malformed, which is an error of its own
		return s, cog.Birthplace(s, year)
	})
	return p
}

func (p Pivot) bornAbroad() bool { return p.Birthcountry != "" && p.Birthcountry != France }

// text accepts what can be seen and nothing else: no control or format
// character (NUL, bidirectional overrides, zero-width joiners: two names that
// look alike would be two persons), no character that our Unicode tables do not
// know (its normal form could still change, and with it the person's subject),
// no U+FFFD (a letter was lost on the way: two names would become one), and no
// angle bracket, which no name has and HTML does.
func text(s string) (string, bool) {
	if len(s) > maxRaw || !utf8.ValidString(s) {
		return "", false
	}
	s = norm.NFC.String(s)
	for _, r := range s {
		if !unicode.IsGraphic(r) || r == '<' || r == '>' || r == utf8.RuneError {
			return "", false
		}
	}
	s = strings.Join(strings.Fields(s), " ")
	return s, s != "" && utf8.RuneCountInString(s) <= maxName
}

// name is a text with a letter in it. One letter is enough: such names exist.
func name(s string) (string, bool) {
	s, ok := text(s)
	return s, ok && strings.ContainsFunc(s, unicode.IsLetter)
}

func email(s string) (string, bool) {
	s, ok := text(s)
	return s, ok && len(s) <= maxEmail && emailForm.MatchString(s) && !strings.Contains(s, " ")
}

func gender(s string) (string, bool) {
	return s, s == "male" || s == "female" || s == "unspecified"
}

func validAMR(amr []string) bool {
	for _, v := range amr {
		if !amrForm.MatchString(v) {
			return false
		}
	}
	return len(amr) <= maxAMR
}

// validBirthdate accepts real dates and presumed ones (-00, -00-00) that are not
// wholly after asOf.
func validBirthdate(s string, asOf time.Time) bool {
	year, month, day, ok := splitDate(s)
	if !ok || year < oldestYear || month > 12 || (month == 0 && day != 0) {
		return false
	}
	first := time.Date(year, time.Month(max(month, 1)), max(day, 1), 0, 0, 0, 0, time.UTC)
	if day != 0 && first.Day() != day {
		return false // 31 April: Date carries it over into May
	}
	return !first.After(asOf.UTC())
}

func splitDate(s string) (year, month, day int, ok bool) {
	m := birthdateForm.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, 0, false
	}
	year, _ = strconv.Atoi(m[1]) // three groups of digits
	month, _ = strconv.Atoi(m[2])
	day, _ = strconv.Atoi(m[3])
	return year, month, day, true
}
