package federation

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestSearch_ByNameAndTownWithoutCaseAndAccents(t *testing.T) {
	d := NewDirectory(Entry{Description: Description{
		ID: "lyon", Name: protocol.Text{"fr": "Métropole de Lyon", "en": "Lyon city"}, Listing: Listing{Keywords: []string{"Saint-Étienne", "Œuvre"}},
	}})
	for query, want := range map[string]bool{
		"": true, "lyon": true, "LYON": true, "metropole": true, "métro": true, "mEtropo lyo": true, "saint etienne": true, "saint-e": true,
		"oeuvre": true, "city": true, "yon": false, "paris": false, "lyon paris": false, "lyon'": true, "\xff lyon": true,
	} {
		if got := d.Matches("lyon", query); got != want {
			t.Errorf("Matches(%q) = %t, want %t", query, got, want)
		}
	}
	if d.Matches("nobody", "x") {
		t.Error("a provider that does not exist matches")
	}
}

func TestSearch_EveryProviderIsFoundByItsOwnName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(0, 40, -1).Draw(t, "name")
		d := NewDirectory(Entry{Description: Description{ID: "x", Name: protocol.Text{"fr": name}}})
		if !d.Matches("x", name) {
			t.Errorf("%q is not found by its own name", name)
		}
	})
}
