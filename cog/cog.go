// Package cog holds the official geographic codes of France (INSEE, code officiel
// géographique): communes with their postal codes, départements, regions, and the
// codes of countries. The tables are in the binary, as they stood on 1 January of
// Year, with the communes that have gone since 2021. Nothing is parsed at the start
// and nothing is ever fetched. It never says where a person lives or was born: it
// only knows which places exist.
//
// communes.txt, postal.txt and areas.txt are made by cog/gen; see NOTICE for their source.
package cog

import (
	_ "embed"
	"sort"
	"strings"
)

// Year is the edition of the tables.
const Year = 2026

// Kind is what a place is.
type Kind byte

// The kinds.
const (
	Commune        Kind = 'c' // of today
	Delegated      Kind = 'd' // a part of a commune that was one of its own (commune déléguée)
	Associated     Kind = 'a' // likewise (commune associée)
	Arrondissement Kind = 'm' // of Paris, Lyon or Marseille
	Former         Kind = 'f' // gone without a trace since 2021
)

// Place is a place with a code of its own.
type Place struct {
	Code        string
	Name        string
	Kind        Kind
	Within      string   // the commune of today that it belongs to; its own code for one of today, "" for a former one
	Departement string   // or the overseas collectivity
	Region      string   // a collectivity is its own
	PostalCodes []string // sorted; none for a delegated, associated or former one
}

// communes has one line for each place, sorted by code: code, kind, within, postal
// codes and name, separated by tabs. Looking a code up is a search in the text, so
// that the table costs no time at the start and no memory of its own.
//
//go:embed communes.txt
var communes string

// Lookup returns the place with this code, or false.
func Lookup(code string) (Place, bool) {
	line := find(communes, code)
	if line == "" {
		return Place{}, false
	}
	f := strings.Split(line, "\t")
	p := Place{Code: f[0], Kind: Kind(f[1][0]), Within: f[2], Name: f[4]}
	if f[3] != "" {
		p.PostalCodes = strings.Split(f[3], ",")
	}
	p.Departement = departementOf(code)
	if a, ok := area(p.Departement); ok {
		p.Region = a.region
	}
	return p, true
}

// find returns the line of a sorted table that begins with key and a tab, or "".
func find(table, key string) string {
	// i is the first byte of which the line that it is in does not sort before key.
	i := sort.Search(len(table), func(i int) bool { return lineAt(table, i) >= key+"\t" })
	if i == len(table) {
		return ""
	}
	if line := lineAt(table, i); strings.HasPrefix(line, key+"\t") {
		return line
	}
	return ""
}

// lineAt is the line that byte i is in, its end left out.
func lineAt(table string, i int) string {
	start := strings.LastIndexByte(table[:i], '\n') + 1
	if end := strings.IndexByte(table[start:], '\n'); end >= 0 {
		return table[start : start+end]
	}
	return table[start:]
}

// departementOf is the département that a commune's code begins with.
func departementOf(code string) string {
	if strings.HasPrefix(code, "97") || strings.HasPrefix(code, "98") {
		return code[:3]
	}
	return code[:2]
}
