package cog

import (
	_ "embed"
	"strings"
)

// postal has one line for each postal code, sorted: the code and, after a tab, the
// codes of the places in communes that have it.
//
//go:embed postal.txt
var postal string

// ByPostalCode returns the communes of today, and the arrondissements, that have
// this postal code; none when there is no such one.
func ByPostalCode(code string) []Place {
	_, places, found := strings.Cut(find(postal, code), "\t")
	if !found {
		return nil
	}
	var out []Place
	for place := range strings.SplitSeq(places, ",") {
		if p, ok := Lookup(place); ok {
			out = append(out, p)
		}
	}
	return out
}
