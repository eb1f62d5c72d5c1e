package cog

import "strings"

// ByPostalCode returns the communes of today, and the arrondissements, that have
// this postal code; none when there is no such one. It goes through the table, a
// fraction of a millisecond.
func ByPostalCode(code string) []Place {
	if len(code) != 5 || !digits(code) {
		return nil
	}
	var out []Place
	for at := 0; ; {
		i := strings.Index(communes[at:], code)
		if i < 0 {
			return out
		}
		line := lineAt(communes, at+i)
		if p, ok := Lookup(line[:5]); ok && (len(out) == 0 || out[len(out)-1].Code != p.Code) {
			for _, c := range p.PostalCodes {
				if c == code {
					out = append(out, p)
				}
			}
		}
		at += i + len(code)
	}
}
