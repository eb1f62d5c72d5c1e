package identity

import (
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// Rule is what a claim breaks. The list is closed and the words are part of what
// we promise to operators (docs/identity-quality.md): they go into the log and the
// audit trail, and can be a label of a metric.
type Rule string

// The rules.
const (
	Missing            Rule = "missing"                  // required, and absent, null or empty
	WrongType          Rule = "wrong_type"               // not the JSON type or the plain text that the claim has
	SeveralValues      Rule = "several_values"           // nobody can say which of them is hers
	TooLong            Rule = "too_long"                 // more than a claim may hold
	BadEncoding        Rule = "bad_encoding"             // not UTF-8, or a letter was lost on the way (U+FFFD)
	ForbiddenCharacter Rule = "forbidden_character"      // control, format or unassigned characters, and < >
	NoLetter           Rule = "no_letter"                // a name without any letter
	MixedScripts       Rule = "mixed_scripts"            // letters that look alike, of several scripts
	OtherScript        Rule = "other_script"             // letters that this provider does not use
	Malformed          Rule = "malformed"                // not of the form that the claim has
	UnknownValue       Rule = "unknown_value"            // of the form, and not one of the list
	UnknownCode        Rule = "unknown_code"             // of the form, and no place or country has it
	NotThen            Rule = "not_at_birth"             // a place that had gone before the person was born
	Contradiction      Rule = "contradicts_birthcountry" // a place of birth in another country than the country of birth
	NoSuchDay          Rule = "no_such_day"              // not in the calendar
	PresumedDate       Rule = "presumed_date"            // day or month unknown, where this provider knows them
	InFuture           Rule = "in_future"                // after the day of the sign-in
	TooOld             Rule = "too_old"                  // more than 150 years before
)

// Rules lists every rule, in the order of the documentation.
func Rules() []Rule {
	return []Rule{
		Missing, WrongType, SeveralValues, TooLong, BadEncoding, ForbiddenCharacter, NoLetter, MixedScripts, OtherScript,
		Malformed, UnknownValue, UnknownCode, NotThen, Contradiction, NoSuchDay, PresumedDate, InFuture, TooOld,
	}
}

// Flaw is a claim that breaks a rule. It never holds a value.
type Flaw struct {
	Claim protocol.Claim
	Rule  Rule
}

// String is "claim: rule", as the log and the audit trail have it.
func (f Flaw) String() string { return string(f.Claim) + ": " + string(f.Rule) }

// Reasons are flaws as the log and the audit trail have them; nil for none.
func Reasons(flaws []Flaw) []string {
	var out []string
	for _, f := range flaws {
		out = append(out, f.String())
	}
	return out
}

// InvalidError says why an identity was refused: every claim that breaks a rule,
// not only the first, and never a value.
type InvalidError struct {
	Flaws   []Flaw // of claims that are required
	Dropped []Flaw // of claims that would merely have been left out
}

func (e *InvalidError) Error() string {
	return "identity not valid: " + strings.Join(Reasons(e.Flaws), ", ")
}
