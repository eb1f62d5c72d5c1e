package cog

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLookup_KnowsPlacesOfEveryKind(t *testing.T) {
	tests := []struct {
		name string
		want Place
	}{
		{"the first of the table", Place{Code: "01001", Name: "L'Abergement-Clémenciat", Kind: Commune, Within: "01001", Departement: "01", Region: "84", PostalCodes: []string{"01400"}}},
		{"in Corsica", Place{Code: "2A004", Name: "Ajaccio", Kind: Commune, Within: "2A004", Departement: "2A", Region: "94", PostalCodes: []string{"20000", "20090", "20167"}}},
		{"overseas", Place{Code: "97411", Name: "Saint-Denis", Kind: Commune, Within: "97411", Departement: "974", Region: "04", PostalCodes: []string{"97400", "97417", "97490"}}},
		{"an arrondissement", Place{Code: "69381", Name: "Lyon 1er Arrondissement", Kind: Arrondissement, Within: "69123", Departement: "69", Region: "84", PostalCodes: []string{"69001"}}},
		{"in a collectivity, which is no département", Place{Code: "98818", Name: "Nouméa", Kind: Commune, Within: "98818", Departement: "988", Region: "988", PostalCodes: []string{"98800"}}},
		{"gone in 2024", Place{Code: "01324", Name: "Rignat", Kind: Former, Departement: "01", Region: "84"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Lookup(tt.want.Code)
			if !ok || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v", got, ok)
			}
		})
	}
}

// Every line can be found, and what it says holds together.
func TestTable_IsWhole(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(communes, "\n"), "\n")
	if len(lines) < 37_000 || !slices.IsSorted(lines) {
		t.Fatalf("%d lines, sorted: %v", len(lines), slices.IsSorted(lines))
	}
	for _, line := range lines {
		code, _, _ := strings.Cut(line, "\t")
		p, ok := Lookup(code)
		if !ok || p.Code != code || p.Name == "" || len(code) != 5 {
			t.Fatalf("%q is looked up as %+v, %v", line, p, ok)
		}
		switch within, there := Lookup(p.Within); {
		case p.Kind == Former:
			if p.Within != "" {
				t.Errorf("%s is gone, and within %s", code, p.Within)
			}
		case !there || within.Kind != Commune:
			t.Errorf("%s is within %q, which is no commune", code, p.Within)
		}
		if _, ok := Region(p.Region); !ok {
			t.Errorf("%s lies in an unknown region %q", code, p.Region)
		}
	}
}

// The index of postal codes says what the table says, and nothing else.
func TestByPostalCode_IsTheTableTurnedAround(t *testing.T) {
	want := map[string][]string{}
	for line := range strings.Lines(communes) {
		p, _ := Lookup(line[:5])
		if p.Kind == Commune || p.Kind == Arrondissement {
			for _, code := range p.PostalCodes {
				want[code] = append(want[code], p.Code)
			}
		}
	}
	if lines := strings.Count(postal, "\n"); lines != len(want) || lines < 6_000 {
		t.Errorf("%d lines for %d postal codes", lines, len(want))
	}
	for code, places := range want {
		var got []string
		for _, p := range ByPostalCode(code) {
			got = append(got, p.Code)
		}
		if !slices.Equal(got, places) {
			t.Errorf("%s: %v, want %v", code, got, places)
		}
	}
	for _, code := range []string{"", "69", "00000", "691000", "69100\t", "69100\t69266", "6910\n", "69266"} {
		if got := ByPostalCode(code); got != nil {
			t.Errorf("%q: %v", code, got)
		}
	}
}

func TestLookup_AnythingElseIsNoPlace(t *testing.T) {
	for _, code := range []string{"", "0", "01", "0100", "01000", "010011", "1001", "99999", "2a004", "01001\t", "\n", "99100", "R84"} {
		if p, ok := Lookup(code); ok {
			t.Errorf("%q: %+v", code, p)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.String().Draw(t, "code")
		if p, ok := Lookup(code); ok && p.Code != code {
			t.Errorf("%q: %+v", code, p)
		}
	})
}

func TestAreas_AreNamed(t *testing.T) {
	if name, region, ok := Departement("2B"); !ok || name != "Haute-Corse" || region != "94" {
		t.Errorf("2B: %q in %q, %v", name, region, ok)
	}
	if name, ok := Region("84"); !ok || name != "Auvergne-Rhône-Alpes" {
		t.Errorf("84: %q, %v", name, ok)
	}
	for _, code := range []string{"", "20", "R84", "99"} {
		if _, _, ok := Departement(code); ok {
			t.Errorf("département %q", code)
		}
	}
}

func TestCountry(t *testing.T) {
	for code, want := range map[string]bool{
		"99100": true, "99101": true, "99141": true, "99352": true, "99349": true, "99522": true, "99699": true,
		"99000": false, "99146": false, "99400": false, "99999": false, "99523": false, "": false, "99": false, "9910": false,
		"991000": false, "98100": false, "99 10": false, "99-10": false, "99+10": false,
	} {
		if Country(code) != want {
			t.Errorf("%q: %v", code, !want)
		}
	}
}

func TestBirthplace(t *testing.T) {
	tests := []struct {
		name string
		code string
		year int
		want bool
	}{
		{"a commune of today", "69123", 2004, true},
		{"a delegated commune", "01015", 2004, true},
		{"one that is gone since 2021", "01324", 2020, true},
		{"no commune", "69999", 2004, false},
		{"no commune of today, long ago: it may have been merged away", "69999", 1961, true},
		{"a département that never was", "00123", 1961, false},
		{"Corsica before it was divided", "20004", 1975, true},
		{"Corsica after", "20004", 1980, false},
		{"Algeria before 1962", "91352", 1958, true},
		{"Tunisia under its protectorate", "96351", 1951, true},
		{"Tunisia after", "96351", 1961, false},
		{"a country", "99352", 1958, false},
		{"too short", "6912", 1958, false},
		{"too long", "691234", 1958, false},
		{"with a letter", "69A23", 1958, false},
		{"nothing", "", 1958, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Birthplace(tt.code, tt.year); got != tt.want {
				t.Errorf("Birthplace(%q, %d) = %v", tt.code, tt.year, got)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Lookup("69123"); !ok {
			b.Fatal("Lyon is gone")
		}
	}
}
