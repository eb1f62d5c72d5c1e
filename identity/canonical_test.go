package identity

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Changing this changes every citizen's person, and with it every subject.
func TestCanonical_Golden(t *testing.T) {
	const want = "01" +
		"00000014616e67656c6120636c61697265206c6f75697365" + // angela claire louise
		"000000066475626f6973" + // dubois
		"0000000a313936322d30382d3234" +
		"0000000666656d616c65" +
		"000000053735313037" +
		"000000053939313030"
	if got := hex.EncodeToString(angela().Canonical()); got != want {
		t.Fatalf("Canonical = %s, want %s", got, want)
	}
}

func TestCanonical_OnePersonThroughTwoProviders(t *testing.T) {
	tests := []struct {
		name string
		a, b func(*Pivot)
		same bool
	}{
		{"upper and lower case", func(p *Pivot) { p.FamilyName = "MÜLLER" }, func(p *Pivot) { p.FamilyName = "Müller" }, true},
		{"sharp s and its capitals", func(p *Pivot) { p.FamilyName = "Weiß" }, func(p *Pivot) { p.FamilyName = "WEISS" }, true},
		{"composed and decomposed accents", func(p *Pivot) { p.GivenName = "Jose\u0301" }, func(p *Pivot) { p.GivenName = "José" }, true},
		{"hyphen and space", func(p *Pivot) { p.GivenName = "Jean-Pierre" }, func(p *Pivot) { p.GivenName = "JEAN PIERRE" }, true},
		{"two apostrophes", func(p *Pivot) { p.FamilyName = "D'Arc" }, func(p *Pivot) { p.FamilyName = "D’ARC" }, true},
		{"an apostrophe and a space", func(p *Pivot) { p.FamilyName = "D'Arc" }, func(p *Pivot) { p.FamilyName = "D ARC" }, true},
		{"born abroad, with and without a town", func(p *Pivot) { p.Birthcountry = "99109"; p.Birthplace = "99999" },
			func(p *Pivot) { p.Birthcountry = "99109"; p.Birthplace = "" }, true},

		{"twins", func(p *Pivot) { p.GivenName = "Léo Paul" }, func(p *Pivot) { p.GivenName = "Léa Paule" }, false},
		{"twins whose names differ in an accent", func(p *Pivot) { p.GivenName = "Hoàng" }, func(p *Pivot) { p.GivenName = "Hoang" }, false},
		{"joined and separate names", func(p *Pivot) { p.FamilyName = "Delarue" }, func(p *Pivot) { p.FamilyName = "De La Rue" }, false},
		{"first names in another order", func(p *Pivot) { p.GivenName = "Paul Jean" }, func(p *Pivot) { p.GivenName = "Jean Paul" }, false},
		{"a second first name left out", func(p *Pivot) { p.GivenName = "Paul" }, func(p *Pivot) { p.GivenName = "Paul Jean" }, false},
		{"a word moved from first to family name", func(p *Pivot) { p.GivenName, p.FamilyName = "Jean", "Paul Martin" },
			func(p *Pivot) { p.GivenName, p.FamilyName = "Jean Paul", "Martin" }, false},
		{"dotted and dotless i", func(p *Pivot) { p.GivenName = "Işıl" }, func(p *Pivot) { p.GivenName = "İşil" }, false},
		{"presumed and known birth date", func(p *Pivot) { p.Birthdate = "1980-00-00" }, func(p *Pivot) { p.Birthdate = "1980-12-31" }, false},
		{"two places", func(p *Pivot) { p.Birthplace = "75107" }, func(p *Pivot) { p.Birthplace = "75108" }, false},
		{"two genders", func(p *Pivot) { p.Gender = "male" }, func(p *Pivot) { p.Gender = "unspecified" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := angela(), angela()
			tt.a(&a)
			tt.b(&b)
			if same := string(a.Canonical()) == string(b.Canonical()); same != tt.same {
				t.Fatalf("%#v and %#v: same person = %v, want %v", a, b, same, tt.same)
			}
		})
	}
}

func TestCanonical_IsInjectiveOnWhatCounts(t *testing.T) {
	// Few letters, so that equal forms really come up.
	word := rapid.StringOfN(rapid.RuneFrom([]rune("aAb -'")), 0, 4, -1)
	pivot := rapid.Custom(func(t *rapid.T) Pivot {
		return Pivot{
			GivenName: word.Draw(t, "given"), FamilyName: word.Draw(t, "family"),
			Birthdate:    rapid.SampledFrom([]string{"1980-00-00", "1980-01-01"}).Draw(t, "date"),
			Gender:       rapid.SampledFrom([]string{"", "male"}).Draw(t, "gender"),
			Birthplace:   rapid.SampledFrom([]string{"", "75107"}).Draw(t, "place"),
			Birthcountry: rapid.SampledFrom([]string{France, "99109"}).Draw(t, "country"),
		}
	})
	counts := func(p Pivot) Pivot { // written without fold, in ASCII
		plain := func(s string) string {
			return strings.Join(strings.Fields(strings.NewReplacer("-", " ", "'", " ").Replace(strings.ToLower(s))), " ")
		}
		p.GivenName, p.FamilyName = plain(p.GivenName), plain(p.FamilyName)
		if p.Birthcountry != France {
			p.Birthplace = ""
		}
		return p
	}
	rapid.Check(t, func(t *rapid.T) {
		p, q := pivot.Draw(t, "p"), pivot.Draw(t, "q")
		if (string(p.Canonical()) == string(q.Canonical())) != (counts(p) == counts(q)) {
			t.Fatalf("Canonical of %#v and %#v", p, q)
		}
	})
}

func TestAppendFields_IsInjective(t *testing.T) {
	list := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("\x00\x01a")), 0, 3, -1), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := list.Draw(t, "a"), list.Draw(t, "b")
		if (string(appendFields(nil, a...)) == string(appendFields(nil, b...))) != slices.Equal(a, b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}
