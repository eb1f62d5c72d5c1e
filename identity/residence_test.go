package identity

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestAddress_Residence(t *testing.T) {
	tests := []struct {
		name    string
		address Address
		want    Residence
		rule    Rule
	}{
		{"a town and its code", Address{"69100", "Villeurbanne", "France"}, "69266", ""},
		{"capitals without accents", Address{"01400", "L ABERGEMENT CLEMENCIAT", "FR"}, "01001", ""},
		{"an abbreviation", Address{"97400", "ST-DENIS", ""}, "97411", ""},
		{"an arrondissement belongs to its town", Address{"69001", "Lyon", ""}, "69123", ""},
		{"with its number", Address{"75003", "PARIS 03", "99100"}, "75056", ""},
		{"a code that many communes share, and the name decides", Address{"01500", "Ambronay", ""}, "01007", ""},
		{"the code of another place", Address{"69100", "Paris", ""}, "", UnknownValue},
		{"a name that only begins like one", Address{"69001", "Lyonnais", ""}, "", UnknownValue},
		{"no name: unknown, even where the code has one commune", Address{"69100", "", ""}, "", Malformed},
		{"no code", Address{"", "Villeurbanne", ""}, "", Malformed},
		{"another country", Address{"69100", "Villeurbanne", "BE"}, "", ""},
		{"abroad without a postal code", Address{"", "Dublin", "IE"}, "", ""},
		{"nothing", Address{" ", "", "\u00a0"}, "", Missing},
		{"six digits", Address{"691000", "Villeurbanne", ""}, "", Malformed},
		{"other digits", Address{"６９１００", "Villeurbanne", ""}, "", Malformed},
		{"bytes of Latin-1", Address{"69100", "Villeurb\xe0nne", ""}, "", BadEncoding},
		{"a right-to-left override", Address{"69100", "\u202eVilleurbanne", ""}, "", ForbiddenCharacter},
		{"a line break in the country", Address{"69100", "Villeurbanne", "F\nR"}, "", ForbiddenCharacter},
		{"a megabyte", Address{"69100", strings.Repeat("A", 1<<20), ""}, "", TooLong},
		{"a postal code for firms", Address{"69901", "LYON CEDEX 20", ""}, "", UnknownCode},
	}
	for _, tt := range tests {
		if got, rule := tt.address.Residence(); got != tt.want || rule != tt.rule {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, got, rule, tt.want, tt.rule)
		}
	}
	if c, d, r := Residence("69123").Areas(); c != "69123" || d != "69" || r != "84" {
		t.Errorf("Lyon lies in %s, %s, %s", c, d, r)
	}
	if c, d, r := Residence("69381").Areas(); c+d+r != "" {
		t.Errorf("an arrondissement is no commune, and lies in %s, %s, %s", c, d, r)
	}
}

func TestPlaceName(t *testing.T) {
	for name, tt := range map[string]struct {
		claim protocol.Claim
		code  string
	}{
		"Villeurbanne":         {protocol.ResidentOfCommune, "69266"},
		"Rhône":                {protocol.ResidentOfDepartement, "69"},
		"Auvergne-Rhône-Alpes": {protocol.ResidentOfRegion, "84"},
		"Nouvelle-Calédonie":   {protocol.ResidentOfDepartement, "988"}, // a collectivity
		"":                     {protocol.Birthplace, "69266"},
	} {
		if got := PlaceName(tt.claim, tt.code); got != name {
			t.Errorf("%s %s is called %q, want %q", tt.claim, tt.code, got, name)
		}
	}
	for _, c := range protocol.Residences() {
		if got := PlaceName(c, "00"); got != "" {
			t.Errorf("%s 00 is called %q", c, got)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("69100", "Villeurbanne", "FR")
	f.Add("69001", "Lyon ", "")
	f.Fuzz(func(t *testing.T, code, town, country string) {
		r, rule := Address{code, town, country}.Residence()
		if rule != "" && !slices.Contains(Rules(), rule) || rule != "" && r != "" {
			t.Errorf("%q by the rule %q", r, rule)
		}
		if commune, _, _ := r.Areas(); r != "" && commune == "" {
			t.Errorf("%q is no commune", r)
		}
	})
}

// Age and the age_over claims never disagree.
func TestAge_AgreesWithTheThresholds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := time.Date(1920, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 38_000).Draw(t, "born"))
		id := Identity{Pivot: Pivot{Birthdate: day.Format(time.DateOnly)}, AsOf: day.AddDate(0, 0, rapid.IntRange(0, 36_500).Draw(t, "days"))}
		age, known := id.Age()
		for claim, years := range map[protocol.Claim]int{protocol.AgeOver15: 15, protocol.AgeOver16: 16, protocol.AgeOver18: 18} {
			if over, ok := id.Value(claim); !known || !ok || over != (age >= years) {
				t.Fatalf("born %s, on %s: %d years, %s %v", id.Pivot.Birthdate, id.AsOf, age, claim, over)
			}
		}
	})
	if _, known := (Identity{}).Age(); known {
		t.Error("the age of nobody is known")
	}
}

func BenchmarkResidence(b *testing.B) {
	for b.Loop() {
		Address{"69100", "Villeurbanne", "FR"}.Residence()
	}
}
