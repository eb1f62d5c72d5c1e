// Command gen makes the tables of package cog from editions of the npm package
// @etalab/decoupage-administratif, unpacked: the newest first, then older ones for
// the communes that have gone since. scripts/cog runs it.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is an entry of communes.json.
type place struct {
	Code     string   `json:"code"`
	Name     string   `json:"nom"`
	Type     string   `json:"type"`
	Commune  string   `json:"commune"`  // of an arrondissement
	ChefLieu string   `json:"chefLieu"` // of a delegated or associated commune
	Postal   []string `json:"codesPostaux"`
}

type division struct {
	Code   string `json:"code"`
	Region string `json:"region"`
	Name   string `json:"nom"`
}

var kinds = map[string]string{
	"commune-actuelle": "c", "commune-deleguee": "d", "commune-associee": "a", "arrondissement-municipal": "m",
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: gen OUT EDITION [OLDER …]")
	}
	lines := map[string]string{}
	for i, edition := range args[1:] {
		if err := communes(lines, edition, i > 0); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(args[0], "communes.txt"), slices.Sorted(maps.Values(lines))); err != nil {
		return err
	}
	if err := write(filepath.Join(args[0], "postal.txt"), postal(lines)); err != nil {
		return err
	}
	areas, err := areas(args[1])
	if err != nil {
		return err
	}
	return write(filepath.Join(args[0], "areas.txt"), areas)
}

// communes adds the places of one edition that are not there yet. Where a commune
// of today and a part of it have one code, the commune counts.
func communes(lines map[string]string, edition string, old bool) error {
	var all []place
	if err := read(edition, "communes.json", &all); err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b place) int { return strings.Compare(kinds[a.Type], kinds[b.Type]) })
	slices.SortStableFunc(all, func(a, b place) int {
		switch {
		case a.Type == "commune-actuelle" && b.Type != a.Type:
			return -1
		case b.Type == "commune-actuelle" && a.Type != b.Type:
			return 1
		}
		return 0
	})
	for _, p := range all {
		kind := kinds[p.Type]
		if kind == "" || strings.ContainsAny(p.Code+p.Name, "\t\n") {
			return fmt.Errorf("%s: %s %q cannot be read", edition, p.Code, p.Type)
		}
		if _, there := lines[p.Code]; there {
			continue
		}
		within := p.Code
		switch kind {
		case "m":
			within = p.Commune
		case "d", "a":
			within = p.ChefLieu
		}
		if old {
			kind, within, p.Postal = "f", "", nil
		}
		slices.Sort(p.Postal)
		lines[p.Code] = strings.Join([]string{p.Code, kind, within, strings.Join(p.Postal, ","), p.Name}, "\t")
	}
	return nil
}

// postal turns the lines of the communes and arrondissements around.
func postal(lines map[string]string) []string {
	places := map[string][]string{}
	for _, code := range slices.Sorted(maps.Keys(lines)) {
		f := strings.Split(lines[code], "\t")
		if (f[1] == "c" || f[1] == "m") && f[3] != "" {
			for _, p := range strings.Split(f[3], ",") {
				places[p] = append(places[p], code)
			}
		}
	}
	var out []string
	for _, p := range slices.Sorted(maps.Keys(places)) {
		out = append(out, p+"\t"+strings.Join(places[p], ","))
	}
	return out
}

func areas(edition string) ([]string, error) {
	var departements, regions []division
	if err := read(edition, "departements.json", &departements); err != nil {
		return nil, err
	}
	if err := read(edition, "regions.json", &regions); err != nil {
		return nil, err
	}
	var lines []string
	for _, d := range departements {
		lines = append(lines, d.Code+"\t"+d.Region+"\t"+d.Name)
	}
	for _, r := range regions {
		lines = append(lines, "R"+r.Code+"\t\t"+r.Name)
	}
	slices.Sort(lines)
	return lines, nil
}

func read[T any](edition, name string, into *T) error {
	b, err := os.ReadFile(filepath.Join(edition, "data", name))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func write(path string, lines []string) error {
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644) //nolint:gosec // public data
}
