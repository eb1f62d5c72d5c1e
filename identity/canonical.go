package identity

import (
	"encoding/binary"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// canonicalVersion changes when the meaning of Canonical does. Every person of
// the records is found through it, so a new version comes with aliases.
const canonicalVersion = 1

// Canonical is the form by which a person is recognised whichever provider she
// came through: a version byte, then each fact with its length in front, so that
// no two sets of facts have one form. It can be taken of a pivot before or after
// Normalise.
//
// Providers write one name in several ways: MARTIN and Martin, Jean-Pierre and
// JEAN PIERRE, D'Arc and D ARC. Case, and which of space, hyphen and apostrophe
// separates two parts of a name, tell no two people apart who share all else:
// they are folded (ß with ss, as in its capitals). Letters are never changed
// otherwise. Accents above all stay: Hoàng and Hoang can be twins, and whether a
// provider merely left an accent out is known to the civil registry only, which
// then adds an alias to the person.
// Taking one person for two costs her a second subject; taking two for one hands
// an account to a stranger.
//
// The place of birth does not count for people born abroad, as at FranceConnect:
// some providers have a foreign town there, others nothing.
func (p Pivot) Canonical() []byte {
	p.Birthplace, p.Birthcountry = code(p.Birthplace), code(p.Birthcountry)
	if p.Birthcountry != France {
		p.Birthplace = ""
	}
	return appendFields([]byte{canonicalVersion},
		fold(p.GivenName), fold(p.FamilyName), trim(p.Birthdate), sex(p.Gender), p.Birthplace, p.Birthcountry)
}

// fold compares names without case and without the kind of separator. Case
// folding can undo a normal form, hence NFD before and NFC after (Unicode,
// definition D145).
func fold(name string) string {
	name = cases.Fold().String(norm.NFD.String(name))
	parts := strings.FieldsFunc(name, isSeparator)
	return norm.NFC.String(strings.Join(parts, " "))
}

func isSeparator(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("'’‘ʼ`´", r)
}

// appendFields appends each field with its length in front (four bytes, big
// endian): different lists never give the same bytes.
func appendFields(b []byte, fields ...string) []byte {
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}
