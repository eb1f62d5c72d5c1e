package identity

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/voussoir-id/voussoir/cog"
	"github.com/voussoir-id/voussoir/protocol"
)

// Residence is the commune where a person lives, by its INSEE code; "" where nobody
// knows. It is all that is kept of an address.
type Residence string

// Areas are the codes of the commune, of its département and of its region; all
// empty where the commune is not known.
func (r Residence) Areas() (commune, departement, region string) {
	if r == "" {
		return "", "", ""
	}
	p, ok := cog.Lookup(string(r))
	if !ok || p.Kind != cog.Commune {
		return "", "", ""
	}
	return p.Code, p.Departement, p.Region
}

// code is the value of a claim of residence; "" where the commune is not known.
func (r Residence) code(c protocol.Claim) string {
	commune, departement, region := r.Areas()
	switch c {
	case protocol.ResidentOfRegion:
		return region
	case protocol.ResidentOfDepartement:
		return departement
	case protocol.ResidentOfCommune:
		return commune
	}
	return ""
}

// PlaceName is the name of the place that a claim of residence has the code of; ""
// for other claims, and for codes that no place has.
func PlaceName(c protocol.Claim, code string) string {
	switch c {
	case protocol.ResidentOfRegion:
		name, _ := cog.Region(code)
		return name
	case protocol.ResidentOfDepartement:
		if name, _, ok := cog.Departement(code); ok {
			return name
		}
		name, _ := cog.Region(code) // a collectivity overseas is its own
		return name
	case protocol.ResidentOfCommune:
		p, _ := cog.Lookup(code)
		return p.Name
	}
	return ""
}

// AddressClaim is the claim in which OpenID Connect providers say where a person
// lives (section 5.1.1). It leads to a Residence, and is never released itself.
const AddressClaim protocol.Claim = "address"

// Address is what a provider says of where a person lives, as far as we look at it.
type Address struct{ PostalCode, Locality, Country string }

// Residence finds the commune of an address in the tables of cog. It must be the one
// commune that both the postal code and the name lead to: what could be two is not
// known, and neither is what only resembles one. An address abroad holds, and leads
// to none.
func (a Address) Residence() (Residence, Rule) {
	a, rule := a.normalised()
	if rule != "" || !a.french() {
		return "", rule
	}
	places := cog.ByPostalCode(a.PostalCode)
	if len(places) == 0 {
		return "", UnknownCode
	}
	name, found := plainName(a.Locality), ""
	for _, p := range places {
		within, ok := cog.Lookup(p.Within)
		if !ok || !sameTown(name, plainName(p.Name), plainName(within.Name), p.Kind) {
			continue
		}
		if found != "" && found != p.Within {
			return "", SeveralValues
		}
		found = p.Within
	}
	if found == "" {
		return "", UnknownValue
	}
	return Residence(found), ""
}

// normalised has each part in the form of a text. Of an address in France, the
// postal code and the name of the town have to be there.
func (a Address) normalised() (Address, Rule) {
	for _, part := range []*string{&a.PostalCode, &a.Locality, &a.Country} {
		var rule Rule
		if *part, rule = text(*part); rule != "" && rule != Missing {
			return Address{}, rule
		}
	}
	switch {
	case a == Address{}:
		return a, Missing
	case a.french() && (!postalForm.MatchString(a.PostalCode) || a.Locality == ""):
		return Address{}, Malformed
	}
	return a, ""
}

// french: an address without a country is taken for French, since its postal code
// has to be.
func (a Address) french() bool {
	switch strings.ToUpper(a.Country) {
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
