package sandbox

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/voussoir-id/voussoir/protocol"
)

var testDay = time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)

func byID(t *testing.T, provider protocol.ProviderID, id string) Identity {
	t.Helper()
	for _, i := range Identities(provider, testDay) {
		if i.ID == id {
			return i
		}
	}
	t.Fatalf("%s does not know %s", provider, id)
	return Identity{}
}

// Each row is a case that the demo promises, and what must be true of somebody.
func TestIdentities_CoverWhatTheDemoPromises(t *testing.T) {
	tests := []struct {
		name string
		is   func(Identity) bool
	}{
		{"accents and an apostrophe", func(i Identity) bool {
			return strings.ContainsAny(i.GivenName+i.FamilyName, "éëœ") && strings.Contains(i.FamilyName, "'")
		}},
		{"several given names", func(i Identity) bool { return strings.Count(i.GivenName, " ") >= 2 }},
		{"a usage name", func(i Identity) bool { return i.PreferredUsername != "" }},
		{"born abroad", func(i Identity) bool { return i.Birthplace == "" && i.Birthcountry != france && i.Birthcountry != "" }},
		{"a presumed birth date", func(i Identity) bool { return i.Birthdate == "1980-00-00" }},
		{"fifteen years old", func(i Identity) bool { return i.Birthdate == "2011-01-01" }},
		{"sixteen years old", func(i Identity) bool { return i.Birthdate == "2010-01-01" }},
		{"a very long name", func(i Identity) bool {
			return utf8.RuneCountInString(i.GivenName) > 90 && utf8.RuneCountInString(i.FamilyName) > 90
		}},
		{"a name of a single letter", func(i Identity) bool { return utf8.RuneCountInString(i.FamilyName) == 1 }},
		{"a birth date that cannot be", func(i Identity) bool { return i.Birthdate == "1980-13-45" }},
		{"no e-mail", func(i Identity) bool { return i.Email == "" }},
		{"an e-mail that is not verified", func(i Identity) bool { return i.Email != "" && !i.EmailVerified }},
		{"born in Corsica", func(i Identity) bool { return strings.HasPrefix(i.Birthplace, "2A") }},
		{"an address", func(i Identity) bool { return i.Locality == "Villeurbanne" }},
		{"an address that leads to no commune", func(i Identity) bool { return strings.Contains(i.Locality, "CEDEX") }},
		{"gender unspecified", func(i Identity) bool { return i.Gender == "unspecified" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, i := range Identities(Tax, testDay) {
				if tt.is(i) {
					return
				}
			}
			t.Error("nobody")
		})
	}
}

func TestIdentities_Twins(t *testing.T) {
	a, b := byID(t, Tax, "ambre"), byID(t, Tax, "jade")
	if a.GivenName == b.GivenName || a.FamilyName != b.FamilyName || a.Birthdate != b.Birthdate || a.Birthplace != b.Birthplace || a.Gender != b.Gender {
		t.Errorf("%+v and %+v are no twins", a, b)
	}
}

func TestIdentities_KnownToBothInDifferentLetterCase(t *testing.T) {
	a, b := byID(t, Tax, "camille"), byID(t, Post, "camille")
	if a.FamilyName != "Linteau" || b.FamilyName != "LINTEAU" || a.GivenName != "Camille" || b.GivenName != "CAMILLE" {
		t.Errorf("%+v and %+v", a, b)
	}
	if a.Birthdate != b.Birthdate || a.Birthplace != b.Birthplace || a.Birthcountry != b.Birthcountry || a.Gender != b.Gender {
		t.Errorf("%+v and %+v differ in more than letter case", a, b)
	}
}

func TestIdentities_SomeAreKnownToOneProviderOnly(t *testing.T) {
	byID(t, Post, "oriane")
	byID(t, Tax, "thi-lan")
	for _, i := range Identities(Tax, testDay) {
		if i.ID == "oriane" {
			t.Error("the tax office knows oriane")
		}
	}
	if got := Identities("elsewhere", testDay); got != nil {
		t.Errorf("an unknown provider knows %v", got)
	}
}

// A minor must stay the same person from one day to the next: the birth date is
// part of who she is.
func TestIdentities_MinorsAreTheSameAllYear(t *testing.T) {
	for _, day := range []string{"2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"} {
		now, err := time.Parse(time.RFC3339, day)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range Identities(Tax, now) {
			if i.ID == "lou" && i.Birthdate != "2011-01-01" {
				t.Errorf("on %s lou was born on %s", day, i.Birthdate)
			}
		}
	}
}

func TestIdentities_AreWellFormed(t *testing.T) {
	date := regexp.MustCompile(`^\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])$`)
	cog := regexp.MustCompile(`^(2[AB]|\d\d)\d{3}$`)
	for _, provider := range []protocol.ProviderID{Tax, Post} {
		ids := Identities(provider, testDay)
		if len(ids) < 14 {
			t.Errorf("%s knows %d people, want at least 14", provider, len(ids))
		}
		seen := map[string]bool{}
		for _, i := range ids {
			if seen[i.ID] || !slug.MatchString(i.ID) {
				t.Errorf("%s: id is doubled or not a slug", i.ID)
			}
			seen[i.ID] = true
			if i.ID != "fautif" && !date.MatchString(i.Birthdate) {
				t.Errorf("%s: birthdate %s", i.ID, i.Birthdate)
			}
			if (i.Birthcountry == france) != (i.Birthplace != "") || (i.Birthplace != "" && !cog.MatchString(i.Birthplace)) {
				t.Errorf("%s: birthplace %q in %q", i.ID, i.Birthplace, i.Birthcountry)
			}
			if i.Email != "" && !strings.HasSuffix(i.Email, ".example") {
				t.Errorf("%s: the address could be somebody's", i.ID) // RFC 2606
			}
			if i.Note["en"] == "" || i.Note["fr"] == "" {
				t.Errorf("%s: note is missing", i.ID)
			}
		}
	}
}
