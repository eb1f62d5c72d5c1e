package identity

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/voussoir-id/voussoir/cog"
)

// Residence is the commune where a person lives, by its INSEE code; "" where nobody
// knows. It is all that is kept of an address.
type Residence string

// Areas are the codes of the commune, of its département and of its region; all
// empty where the commune is not known.
func (r Residence) Areas() (commune, departement, region string) {
	p, ok := cog.Lookup(string(r))
	if !ok || p.Kind != cog.Commune {
		return "", "", ""
	}
	return p.Code, p.Departement, p.Region
}

// Address is what a provider says of where a person lives (OpenID Connect Core
// section 5.1.1), as far as we look at it.
type Address struct{ PostalCode, Locality, Country string }

// Residence finds the commune of an address in the tables of cog. It must be the one
// commune that both the postal code and the name lead to: what could be two is not
// known, and neither is what only resembles one.
func (a Address) Residence() Residence {
	if !a.french() {
		return ""
	}
	name, found := plainName(a.Locality), ""
	for _, p := range cog.ByPostalCode(a.PostalCode) {
		within, ok := cog.Lookup(p.Within)
		if !ok || !sameTown(name, plainName(p.Name), plainName(within.Name), p.Kind) {
			continue
		}
		if found != "" && found != p.Within {
			return ""
		}
		found = p.Within
	}
	return Residence(found)
}

// french: an address without a country is taken for French, since its postal code
// has to be.
func (a Address) french() bool {
	switch strings.ToUpper(strings.TrimSpace(a.Country)) {
	case "", "FR", "FRA", "FRANCE", France:
		return true
	}
	return false
}

// sameTown compares plain names. In Paris, Lyon and Marseille the number of an
// arrondissement may follow.
func sameTown(name, place, within string, kind cog.Kind) bool {
	if name == "" {
		return false
	}
	if rest, ok := strings.CutPrefix(name, within+" "); ok && kind == cog.Arrondissement && rest[0] >= '0' && rest[0] <= '9' {
		return true
	}
	return name == place || name == within
}

// plainName is a name without accents, case, hyphens and abbreviations.
func plainName(s string) string {
	if len(s) > maxRaw {
		return ""
	}
	s = strings.NewReplacer("Œ", "OE", "Æ", "AE").Replace(strings.ToUpper(s))
	words := strings.FieldsFunc(norm.NFD.String(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r)
	})
	for i, w := range words {
		w = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, w)
		switch w {
		case "ST":
			w = "SAINT"
		case "STE":
			w = "SAINTE"
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}
