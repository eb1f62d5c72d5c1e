package web

import (
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestFact_WordedForPeople(t *testing.T) {
	tests := []struct {
		name   string
		c      ClaimValue
		fr, en string
	}{
		{"a date", ClaimValue{Claim: protocol.Birthdate, Value: "1980-03-12"}, "12 mars 1980", "12 March 1980"},
		{"the first of a month", ClaimValue{Claim: protocol.Birthdate, Value: "2009-08-01"}, "1er août 2009", "1 August 2009"},
		{"a presumed day", ClaimValue{Claim: protocol.Birthdate, Value: "1980-03-00"}, "mars 1980 (jour inconnu)", "March 1980 (day unknown)"},
		{"a presumed day and month", ClaimValue{Claim: protocol.Birthdate, Value: "1980-00-00"}, "année 1980 (jour et mois inconnus)", "year 1980 (day and month unknown)"},
		{"no date", ClaimValue{Claim: protocol.Birthdate, Value: "0000-13-45"}, "0000-13-45", "0000-13-45"},
		{"half a date", ClaimValue{Claim: protocol.Birthdate, Value: "1980"}, "1980", "1980"},
		{"a day without month", ClaimValue{Claim: protocol.Birthdate, Value: "1980-00-12"}, "1980-00-12", "1980-00-12"},
		{"a gender", ClaimValue{Claim: protocol.Gender, Value: "male"}, "masculin", "male"},
		{"a gender that is not given", ClaimValue{Claim: protocol.Gender, Value: "unspecified"}, "non précisé", "not given"},
		{"born in France", ClaimValue{Claim: protocol.Birthcountry, Value: "99100"}, "99100 (France)", "99100 (France)"},
		{"born elsewhere", ClaimValue{Claim: protocol.Birthcountry, Value: "99351"}, "99351", "99351"},
		{"a region", ClaimValue{Claim: protocol.ResidentOfRegion, Value: "84", Place: "Auvergne-Rhône-Alpes"}, "Auvergne-Rhône-Alpes (84)", "Auvergne-Rhône-Alpes (84)"},
		{"a commune without a name", ClaimValue{Claim: protocol.ResidentOfCommune, Value: "69266"}, "69266", "69266"},
		{"a birthplace abroad", ClaimValue{Claim: protocol.Birthplace, Value: ""}, "aucune (naissance à l’étranger)", "none (born abroad)"},
		{"yes", ClaimValue{Claim: protocol.AgeOver18, Value: true}, "oui", "yes"},
		{"no", ClaimValue{Claim: protocol.AgeOver16, Value: false}, "non", "no"},
		{"a verified address", ClaimValue{Claim: protocol.Email, Value: "a@b.example", Verified: true}, "a@b.example (vérifiée)", "a@b.example (verified)"},
		{"an address that nobody verified", ClaimValue{Claim: protocol.Email, Value: "a@b.example"}, "a@b.example (non vérifiée)", "a@b.example (not verified)"},
		{"ways to sign in", ClaimValue{Claim: protocol.AMR, Value: []string{"pwd", "otp", "xyz"}}, "mot de passe, code à usage unique, xyz", "password, one-time code, xyz"},
		{"no way to sign in", ClaimValue{Claim: protocol.AMR, Value: []string{}}, "aucune valeur", "no value"},
		{"an empty name", ClaimValue{Claim: protocol.PreferredUsername, Value: ""}, "aucune valeur", "no value"},
		{"a value of no kind", ClaimValue{Claim: protocol.GivenName}, "aucune valeur", "no value"},
		{"a name in another script", ClaimValue{Claim: protocol.FamilyName, Value: "Ελένη"}, "Ελένη", "Ελένη"},
		{"signs that turn the writing", ClaimValue{Claim: protocol.FamilyName, Value: "A\u202eB\x00C\u200bD"}, "A\ufffdB\ufffdC\ufffdD", "A\ufffdB\ufffdC\ufffdD"},
		{"bytes that are no text", ClaimValue{Claim: protocol.FamilyName, Value: "A\xffB"}, "A\ufffdB", "A\ufffdB"},
	}
	s := newSite(t, io.Discard)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for lang, want := range map[string]string{"fr": tt.fr, "en": tt.en} {
				got, remark := s.words[lang].fact(tt.c)
				if remark != "" {
					got += " (" + remark + ")"
				}
				if got = strings.ReplaceAll(got, "\u00a0", " "); got != want {
					t.Errorf("%s: %q, want %q", lang, got, want)
				}
			}
		})
	}
}

func TestDuration_ISO8601InWords(t *testing.T) {
	tests := []struct {
		in, fr, en string
		none       bool
	}{
		{"P1Y", "1 an", "1 year", false},
		{"P36M", "36 mois", "36 months", false},
		{"P1Y6M", "1 an et 6 mois", "1 year and 6 months", false},
		{"P1Y2M3D", "1 an, 2 mois et 3 jours", "1 year, 2 months and 3 days", false},
		{"P2W", "2 semaines", "2 weeks", false},
		{"P1D", "1 jour", "1 day", false},
		{"PT30M", "30 minutes", "30 minutes", false},
		{"P1DT1H", "1 jour et 1 heure", "1 day and 1 hour", false},
		{"PT1S", "1 seconde", "1 second", false},
		{"PT0S", "pas du tout", "not at all", true},
		{"P0D", "pas du tout", "not at all", true},
		{"", "", "", true},
		{"P", "P", "P", false},
		{"PT", "PT", "PT", false},
		{"P1", "P1", "P1", false},
		{"1Y", "1Y", "1Y", false},
		{"P1M1Y", "P1M1Y", "P1M1Y", false},
		{"P-1Y", "P-1Y", "P-1Y", false},
		{"P99999Y", "P99999Y", "P99999Y", false},
		{"PT1Y", "PT1Y", "PT1Y", false},
	}
	s := newSite(t, io.Discard)
	for _, tt := range tests {
		for lang, want := range map[string]string{"fr": tt.fr, "en": tt.en} {
			if got, none := s.words[lang].duration(tt.in); got != want || none != tt.none {
				t.Errorf("duration(%q) in %s = %q, %t, want %q, %t", tt.in, lang, got, none, want, tt.none)
			}
		}
	}
}

func TestClean_NeverLetsASignThroughThatTurnsOrHidesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := clean(rapid.String().Draw(t, "text"))
		if strings.ContainsAny(got, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\ufeff\x00\r\n\x1b\u0085") {
			t.Errorf("clean kept %q", got)
		}
		if clean(got) != got {
			t.Errorf("cleaning twice changes %q", got)
		}
	})
}

func TestClean_BoundsWhatItShows(t *testing.T) {
	if got := len(clean(strings.Repeat("é", 1<<20))); got > maxShown+3 {
		t.Errorf("%d bytes", got)
	}
}

func TestWords_EveryClaimLevelAndMethodHasALabel(t *testing.T) {
	s := newSite(t, io.Discard)
	for lang, w := range s.words {
		for _, c := range protocol.Claims() {
			if w.text["claim."+string(c)] == "" {
				t.Errorf("%s: no label for claim %s", lang, c)
			}
		}
		for _, a := range protocol.ACRs() {
			if w.text["level."+string(a)] == "" {
				t.Errorf("%s: no words for level %s", lang, a)
			}
		}
	}
}

// A page's text is put into its template before that is parsed, so a message may
// not hold what ends an attribute or starts an element.
func TestWords_AreTextAndNothingElse(t *testing.T) {
	s := newSite(t, io.Discard)
	bad := regexp.MustCompile(`[<>&"']|\s{2}|^\s|\s$`)
	french := regexp.MustCompile(`[^\x{a0}\x{202f}{.][:;!?»](\s|$)|«[^\x{a0}]| [:;!?»]`)
	for lang, w := range s.words {
		for key, m := range w.text {
			plain := regexp.MustCompile(`{{\.\w+}}`).ReplaceAllString(m, "X")
			if bad.MatchString(plain) || strings.Contains(plain, "{{") {
				t.Errorf("%s %s: markup, ASCII quotes or stray spaces in %q", lang, key, m)
			}
			if lang == "fr" && french.MatchString(plain) {
				t.Errorf("fr %s: no non-breaking space before : ; ! ? in %q", key, m)
			}
		}
	}
}

func TestWords_EveryKeyIsUsed(t *testing.T) {
	s := newSite(t, io.Discard)
	used := map[string]bool{}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := templateFiles.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range word.FindAllStringSubmatch(string(raw), -1) {
			used[m[1]] = true
		}
	}
	// These are looked up by the code, by claim, level, notice or error code.
	byCode := regexp.MustCompile(`^(me\.(kind|basis|said|act)|claim|level|notice|flaw|value|date|duration)\.|^error\.\w+\.(sentence|next)$|^(language\.name|me\.moment)$`)
	for key := range s.words[fallback].text {
		if !used[key] && !byCode.MatchString(key) {
			t.Errorf("nothing shows %s", key)
		}
	}
}

func TestWords_ALanguageIsAFileAndMustBeWhole(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	raw, err := localeFiles.ReadFile("locales/en.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fr := file(string(raw))
	tests := []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"a new file is a new language", fstest.MapFS{"locales/fr.yaml": fr, "locales/br.yaml": fr}, ""},
		{"a missing key is named", fstest.MapFS{"locales/fr.yaml": file("a: x\nb: y\n"), "locales/br.yaml": file("a: x\n")}, "language br has no b"},
		{"French must be there", fstest.MapFS{"locales/br.yaml": fr}, "no language fr"},
		{"a key may not occur twice", fstest.MapFS{"locales/fr.yaml": file("a: x\na: y\n")}, "language fr"},
		{"no file at all", fstest.MapFS{}, "no language"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			langs, all, err := readWords(tt.files)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil || len(langs) != 2 {
				t.Fatalf("%v %v", langs, err)
			}
			// The new language's pages work without a line of code.
			assets, err := loadAssets()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parsePages(langs, all, assets); err != nil {
				t.Error(err)
			}
		})
	}
}
