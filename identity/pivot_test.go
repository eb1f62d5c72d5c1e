package identity

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

var asOf = time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)

func angela() Pivot {
	return Pivot{
		GivenName: "Angela Claire Louise", FamilyName: "DUBOIS", Birthdate: "1962-08-24",
		Gender: "female", Birthplace: "75107", Birthcountry: France,
	}
}

func TestNormalise(t *testing.T) {
	with := func(change func(*Pivot)) Pivot { p := angela(); change(&p); return p }
	tests := []struct {
		name string
		in   Pivot
		want Pivot
		bad  []string
	}{
		{name: "leaves a clean identity as it is", in: angela(), want: angela()},
		{
			name: "trims, joins spaces and composes accents",
			in:   with(func(p *Pivot) { p.GivenName = "  Jose\u0301 \u00a0 Zoé " }),
			want: with(func(p *Pivot) { p.GivenName = "José Zoé" }),
		},
		{
			name: "keeps apostrophes, hyphens, accents and case",
			in:   with(func(p *Pivot) { p.FamilyName = "d’Établières-O'Brien" }),
			want: with(func(p *Pivot) { p.FamilyName = "d’Établières-O'Brien" }),
		},
		{
			name: "accepts a name of one letter",
			in:   with(func(p *Pivot) { p.FamilyName = "Y" }),
			want: with(func(p *Pivot) { p.FamilyName = "Y" }),
		},
		{
			name: "accepts 256 runes",
			in:   with(func(p *Pivot) { p.FamilyName = strings.Repeat("é", 256) }),
			want: with(func(p *Pivot) { p.FamilyName = strings.Repeat("é", 256) }),
		},
		{name: "refuses 257 runes", in: with(func(p *Pivot) { p.FamilyName = strings.Repeat("é", 257) }), bad: []string{"family_name: too_long"}},
		{name: "refuses a megabyte", in: with(func(p *Pivot) { p.FamilyName = strings.Repeat("e", 1<<20) }), bad: []string{"family_name: too_long"}},
		{name: "refuses a name without a letter", in: with(func(p *Pivot) { p.GivenName = "- '" }), bad: []string{"given_name: no_letter"}},
		{name: "refuses markup", in: with(func(p *Pivot) { p.GivenName = "<b>Angela" }), bad: []string{"given_name: forbidden_character"}},
		{name: "refuses NUL", in: with(func(p *Pivot) { p.GivenName = "Ange\x00la" }), bad: []string{"given_name: forbidden_character"}},
		{name: "refuses a line break", in: with(func(p *Pivot) { p.GivenName = "Angela\n" }), bad: []string{"given_name: forbidden_character"}},
		{name: "refuses a bidirectional override", in: with(func(p *Pivot) { p.GivenName = "Ang\u202eela" }), bad: []string{"given_name: forbidden_character"}},
		{name: "refuses a zero-width space", in: with(func(p *Pivot) { p.GivenName = "Ang\u200bela" }), bad: []string{"given_name: forbidden_character"}},
		{name: "refuses a letter that was lost", in: with(func(p *Pivot) { p.GivenName = "Ang\ufffdla" }), bad: []string{"given_name: bad_encoding"}},
		{name: "refuses bytes that are not UTF-8", in: with(func(p *Pivot) { p.GivenName = "Ang\xe9la" }), bad: []string{"given_name: bad_encoding"}},
		{
			name: "drops the birthplace of people born abroad, whatever it says",
			in:   with(func(p *Pivot) { p.Birthcountry, p.Birthplace = "99109", "Wien <1>" }),
			want: with(func(p *Pivot) { p.Birthcountry, p.Birthplace = "99109", "" }),
		},
		{
			name: "accepts Corsica",
			in:   with(func(p *Pivot) { p.Birthplace = "2A004" }),
			want: with(func(p *Pivot) { p.Birthplace = "2A004" }),
		},
		{name: "wants a birthplace of people born in France", in: with(func(p *Pivot) { p.Birthplace = "" }), bad: []string{"birthplace: missing"}},
		{name: "refuses a commune that never was, for those born since the table is whole", in: with(func(p *Pivot) { p.Birthdate, p.Birthplace = "2005-03-02", "75999" }), bad: []string{"birthplace: unknown_code"}},
		{
			name: "takes a commune that may have been merged away before",
			in:   with(func(p *Pivot) { p.Birthdate, p.Birthplace = "1951-03-02", "78999" }),
			want: with(func(p *Pivot) { p.Birthdate, p.Birthplace = "1951-03-02", "78999" }),
		},
		{name: "refuses a département that never was", in: with(func(p *Pivot) { p.Birthdate, p.Birthplace = "1951-03-02", "00123" }), bad: []string{"birthplace: unknown_code"}},
		{name: "refuses a country that never was", in: with(func(p *Pivot) { p.Birthcountry, p.Birthplace = "99998", "" }), bad: []string{"birthcountry: unknown_code"}},
		{name: "refuses a postal-code-like birthplace", in: with(func(p *Pivot) { p.Birthplace = "2C004" }), bad: []string{"birthplace: malformed"}},
		{name: "refuses a country that is no COG code", in: with(func(p *Pivot) { p.Birthcountry = "FR" }), bad: []string{"birthcountry: malformed"}},
		{name: "refuses another gender", in: with(func(p *Pivot) { p.Gender = "woman" }), bad: []string{"gender: unknown_value"}},
		{
			name: "names every field that is missing",
			bad:  []string{"given_name: missing", "family_name: missing", "birthdate: missing", "gender: missing", "birthcountry: missing", "birthplace: missing"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.Normalise(asOf)
			if tt.bad == nil {
				if err != nil || got != tt.want {
					t.Fatalf("Normalise = %#v, %v, want %#v", got, err, tt.want)
				}
				return
			}
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !reflect.DeepEqual(Reasons(invalid.Flaws), tt.bad) {
				t.Fatalf("Normalise error = %v, want %v", err, tt.bad)
			}
		})
	}
}

func TestNormalise_Birthdate(t *testing.T) {
	tests := map[string]bool{
		"1962-08-24": true, "2000-02-29": true, "1876-01-01": true, "1980-00-00": true, "1980-05-00": true,
		"2026-03-01": true, "2026-03-00": true, "2026-00-00": true, // asOf is 2026-03-01
		"2026-03-02": false, "2026-04-00": false, "2027-00-00": false,
		"1875-12-31": false, "1900-02-29": false, "1962-04-31": false, "1962-13-01": false, "1962-00-12": false,
		"1962-12-32": false, "0000-00-00": false, "1962-8-24": false, "24/08/1962": false, "1962-08-24T00:00:00Z": false,
		"1962-08-24\n": false, "１９６２-08-24": false,
	}
	for date, want := range tests {
		p := angela()
		p.Birthdate = date
		if _, err := p.Normalise(asOf); (err == nil) != want {
			t.Errorf("birthdate %q: error %v, want valid %v", date, err, want)
		}
	}
}

func TestErrorsAndLogsShowNoValue(t *testing.T) {
	p := angela()
	p.Gender = "secret-gender"
	_, err := p.Normalise(asOf)
	if got, want := err.Error(), "identity not valid: gender: unknown_value"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	id := Identity{Pivot: p, Email: "ada@example.org"}
	for _, v := range []any{p, id, id.Release("sub", protocol.Claims()), &id} {
		if got := fmt.Sprintf("%v %+v %s", v, v, v); strings.Contains(got, "Angela") || strings.Contains(got, "ada@") {
			t.Errorf("%T prints %q", v, got)
		}
	}
}

// anyPivot draws identities near the border between valid and not.
func anyPivot(t *rapid.T) Pivot {
	word := rapid.StringOfN(rapid.RuneFrom([]rune("aAéÉe\u0301bœßİıſ -'’\u00a0‐")), 0, 12, -1)
	return Pivot{
		GivenName:    word.Draw(t, "given"),
		FamilyName:   word.Draw(t, "family"),
		Birthdate:    rapid.SampledFrom([]string{"1962-08-24", "1980-00-00", "1980-02-00", "2000-02-29"}).Draw(t, "birthdate"),
		Gender:       rapid.SampledFrom([]string{"male", "female", "unspecified"}).Draw(t, "gender"),
		Birthplace:   rapid.SampledFrom([]string{"", "75107", "2B033"}).Draw(t, "place"),
		Birthcountry: rapid.SampledFrom([]string{France, "99109", "99134"}).Draw(t, "country"),
	}
}

func checkNormalised(t interface{ Fatalf(string, ...any) }, p Pivot) {
	once, err := p.Normalise(asOf)
	if err != nil {
		return
	}
	twice, err := once.Normalise(asOf)
	if err != nil || once != twice {
		t.Fatalf("Normalise is not idempotent: %#v then %#v, %v", once, twice, err)
	}
	if string(p.Canonical()) != string(once.Canonical()) {
		t.Fatalf("Normalise changes the canonical form of %#v", p)
	}
}

func TestNormalise_IsIdempotentAndKeepsTheCanonicalForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkNormalised(t, anyPivot(t)) })
}

func FuzzNormalise(f *testing.F) {
	p := angela()
	f.Add(p.GivenName, p.FamilyName, p.Birthdate, p.Gender, p.Birthplace, p.Birthcountry)
	f.Add("e\u0301\u0345", "≮ǆ\u0345", "1980-00-00", "male", "", "99109")
	f.Fuzz(func(t *testing.T, given, family, date, gender, place, country string) {
		checkNormalised(t, Pivot{given, family, date, gender, place, country})
	})
}
