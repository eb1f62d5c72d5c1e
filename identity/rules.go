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
)

// Limits on what an identity provider may send.
const (
	maxName = 256  // runes of a name, after normalisation
	maxRaw  = 4096 // bytes of a text, before we spend time on it
	maxAMR  = 16   // values
	maxAge  = 150  // years; the oldest person ever known reached 122
)

var (
	birthdateForm = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})$`)
	communeForm   = regexp.MustCompile(`^([0-9]{2}|2[AB])[0-9]{3}$`)
	countryForm   = regexp.MustCompile(`^99[0-9]{3}$`)
	postalForm    = regexp.MustCompile(`^[0-9]{5}$`)
	amrForm       = regexp.MustCompile(`^[!-~]{1,64}$`)
)

// text is in NFC, trimmed, with single spaces. It accepts what can be seen and
// nothing else: no control or format character (NUL, bidirectional overrides,
// zero-width joiners: two names that look alike would be two persons), no character
// that our Unicode tables do not know (its normal form could still change, and with
// it the person's subject), no U+FFFD (a letter was lost on the way: two names would
// become one), and no angle bracket, which no name has and HTML does.
func text(s string) (string, Rule) {
	switch {
	case len(s) > maxRaw:
		return "", TooLong
	case !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError):
		return "", BadEncoding
	}
	s = norm.NFC.String(s)
	for _, r := range s {
		if !unicode.IsGraphic(r) || r == '<' || r == '>' {
			return "", ForbiddenCharacter
		}
	}
	s = strings.Join(strings.Fields(s), " ")
	switch {
	case s == "":
		return "", Missing
	case utf8.RuneCountInString(s) > maxName:
		return "", TooLong
	}
	return s, ""
}

// name is a text with a letter in it. One letter is enough: such names exist. Case,
// accents, hyphens and apostrophes stay as the provider has them; see Canonical.
func (s Schema) name(v string) (string, Rule) {
	v, rule := text(v)
	switch {
	case rule != "":
		return "", rule
	case !strings.ContainsFunc(v, unicode.IsLetter):
		return "", NoLetter
	case mixed(v):
		return "", MixedScripts
	case s.Latin && strings.ContainsFunc(v, notLatin):
		return "", OtherScript
	}
	return v, ""
}

// username is what the person is called in everyday life. It may be anything.
func username(v string) (string, Rule) {
	v, rule := text(v)
	if rule == "" && mixed(v) {
		return "", MixedScripts
	}
	return v, rule
}

// mixed reports letters of more than one of the three scripts whose letters look
// alike: with a Cyrillic а in it, a name looks the same and is another person.
func mixed(s string) bool {
	scripts := 0
	for _, script := range []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic} {
		if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(script, r) }) {
			scripts++
		}
	}
	return scripts > 1
}

// notLatin: marks and apostrophes belong to every script.
func notLatin(r rune) bool {
	return unicode.IsLetter(r) && !unicode.In(r, unicode.Latin, unicode.Common, unicode.Inherited)
}

// The forms that two spellings of one value share; see also Canonical.
func code(s string) string { return ascii(trim(s), 'a', 'z', 'A'-'a') } // 2a004 is 2A004
func sex(s string) string  { return ascii(trim(s), 'A', 'Z', 'a'-'A') } // eIDAS writes Female
func trim(s string) string { return strings.Trim(s, " ") }

// ascii moves the letters between from and to. The case of other letters is nobody's
// business here: İ becomes an i.
func ascii(s string, from, to, by rune) string {
	return strings.Map(func(r rune) rune {
		if r >= from && r <= to {
			return r + by
		}
		return r
	}, s)
}

func gender(v string) (string, Rule) {
	if v = sex(v); v == "" {
		return "", Missing
	} else if v != "male" && v != "female" && v != "unspecified" {
		return "", UnknownValue
	}
	return v, ""
}

func country(v string) (string, Rule) {
	v = code(v)
	switch {
	case v == "":
		return "", Missing
	case !countryForm.MatchString(v):
		return "", Malformed
	case !cog.Country(v):
		return "", UnknownCode
	}
	return v, ""
}

// commune is a place of birth in France, in that year; 0: nobody knows when.
func commune(v string, year int) (string, Rule) {
	v = code(v)
	switch {
	case v == "":
		return "", Missing
	case !communeForm.MatchString(v):
		return "", Malformed
	case cog.Birthplace(v, year):
		return v, ""
	case cog.Country(v):
		return "", Contradiction
	case cog.Ended(v, year):
		return "", NotThen
	}
	return "", UnknownCode
}

// birthdate accepts real dates and presumed ones (-00, -00-00) that are not wholly
// after asOf.
func (s Schema) birthdate(v string, asOf time.Time) (string, Rule) {
	v = trim(v)
	year, month, day, ok := splitDate(v)
	first := time.Date(year, time.Month(max(month, 1)), max(day, 1), 0, 0, 0, 0, time.UTC)
	switch {
	case v == "":
		return "", Missing
	case !ok:
		return "", Malformed
	case year == 0, month > 12, month == 0 && day != 0, day != 0 && first.Day() != day: // 31 April: Date carries it over into May
		return "", NoSuchDay
	case first.After(asOf.UTC()):
		return "", InFuture
	case year < asOf.UTC().Year()-maxAge:
		return "", TooOld
	case s.WholeDates && day == 0:
		return "", PresumedDate
	}
	return v, ""
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

func validAMR(amr []string) bool {
	for _, v := range amr {
		if !amrForm.MatchString(v) {
			return false
		}
	}
	return len(amr) <= maxAMR
}
