package cog

import (
	_ "embed"
	"strings"
)

// areas has a line for each département (code, region, name) and then one for each
// region ("R" and its code, nothing, name), sorted.
//
//go:embed areas.txt
var areas string

type areaLine struct{ region, name string }

func area(code string) (areaLine, bool) {
	line := find(areas, code)
	if line == "" {
		return areaLine{}, false
	}
	f := strings.Split(line, "\t")
	return areaLine{region: f[1], name: f[2]}, true
}

// Departement returns the name of a département and the code of its region, or
// false.
func Departement(code string) (name, region string, ok bool) {
	a, ok := area(code)
	if !ok || a.region == "" {
		return "", "", false
	}
	return a.name, a.region, true
}

// Region returns the name of a region, or false.
func Region(code string) (string, bool) {
	a, ok := area("R" + code)
	return a.name, ok
}
