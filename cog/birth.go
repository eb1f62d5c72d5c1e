package cog

import "strconv"

// countries are the codes of countries and territories, today's and those that have
// gone since 1943, in ranges of the three digits after 99.
var countries = [][2]int{
	{100, 145}, {148, 148}, {151, 151}, {155, 162}, {201, 265}, {301, 352}, {362, 363}, {389, 399},
	{401, 447}, {501, 517}, {519, 522}, {699, 699},
}

// Country reports whether a country has, or since 1943 had, this code: 99 and three
// digits. France is 99100.
func Country(code string) bool {
	if len(code) != 5 || code[:2] != "99" {
		return false
	}
	n, err := strconv.ParseUint(code[2:], 10, 16)
	if err != nil {
		return false
	}
	for _, r := range countries {
		if int(n) >= r[0] && int(n) <= r[1] {
			return true
		}
	}
	return false
}

// wholeSince is the year from which every commune in which a child can have been
// born is in the table, today's, delegated, associated or gone since 2021.
// Earlier ones may have gone before, and we have no list of these.
const wholeSince = 2000

// gone are the first digits of codes in which people were born until a year: Corsica
// before it was divided, and Tunisia under its protectorate. Algeria's began with
// 91 to 94, Morocco's with 95, which départements of today use.
var gone = map[string]int{"20": 1976, "96": 1956}

// Birthplace reports whether somebody born in that year can have this code as the
// place of birth in France. For an older person it is enough that the département
// exists or existed: a commune that has been merged away is no reason to turn
// anybody down.
func Birthplace(code string, year int) bool {
	if len(code) != 5 {
		return false
	}
	if _, ok := Lookup(code); ok {
		return true
	}
	if year >= wholeSince {
		return false
	}
	if last, ok := gone[code[:2]]; ok {
		return year <= last && digits(code[2:])
	}
	if _, _, ok := Departement(departementOf(code)); !ok && code[:2] != "98" {
		return false
	}
	return digits(code[2:])
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Ended reports whether people were born in places with such a code, but no more in
// that year.
func Ended(code string, year int) bool {
	if len(code) != 5 {
		return false
	}
	last, ok := gone[code[:2]]
	return ok && year > last && digits(code[2:])
}
