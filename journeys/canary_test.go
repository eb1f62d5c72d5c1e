package journeys

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// canaries is everything that must never stand in a line that a broker printed:
// each cookie, code, token, state, nonce and verifier that a journey saw, each
// secret, and values of the people who signed in. TestMain compares them with all
// that every broker of the run has printed.
var canaries = struct {
	sync.Mutex
	values  map[string]string // value → what it is
	printed []string
}{values: map[string]string{
	serviceSecret:        "client secret",
	initialToken:         "initial access token",
	"Camille Jeanne":     "given name",
	"Hébert":             "family name",
	"1984-02-29":         "birth date",
	"camille@example":    "e-mail address",
	"Linteau":            "family name",
	"LINTEAU":            "family name",
	"1984-06-21":         "birth date",
	"camille.linteau":    "e-mail address",
	"camille@mail":       "e-mail address",
	"Margueritte":        "given name",
	"Marguerite Aimée":   "given name that the registry gave",
	"Ogive":              "family name",
	"1962-08-1":          "birth date",
	"Moellon":            "family name",
	"Pignon":             "family name",
	"Linçoir":            "family name",
	"Archivolte":         "family name",
	"Lambris":            "family name",
	"Lucarne":            "family name",
	"Zéphirine":          "given name",
	"ORIFLAMME":          "family name",
	"zephirine":          "subject, and part of an e-mail address",
	"1971-11-03":         "birth date",
	"demo-secret-of-the": "client secret",
}}

// sing adds a value that no log may hold.
func sing(what, value string) {
	if len(value) < 16 { // too short to be a secret, and bound to occur by chance
		return
	}
	canaries.Lock()
	defer canaries.Unlock()
	canaries.values[value] = what
}

// overhear keeps what a broker printed.
func overhear(text string) {
	canaries.Lock()
	defer canaries.Unlock()
	canaries.printed = append(canaries.printed, text)
}

// silence reports which canaries were heard; it runs after all journeys.
func silence() (heard []string, lines int) {
	canaries.Lock()
	defer canaries.Unlock()
	search := newSearch(canaries.values)
	for _, text := range canaries.printed {
		for line := range strings.Lines(text) {
			lines++
			for value := range search.in(line) {
				heard = append(heard, fmt.Sprintf("a %s stands in a log line: %s", canaries.values[value], strings.ReplaceAll(tail(line, 400), value, "▮▮▮")))
			}
		}
	}
	slices.Sort(heard)
	return slices.Compact(heard), lines
}

// search finds many values in a text in one walk: values by how they begin, one map for
// each length of a beginning.
type search map[int]map[string][]string

// beginning is how much of a longer value is looked up.
const beginning = 16

func newSearch(values map[string]string) search {
	s := search{}
	for value := range values {
		n := min(len(value), beginning)
		if s[n] == nil {
			s[n] = map[string][]string{}
		}
		s[n][value[:n]] = append(s[n][value[:n]], value)
	}
	return s
}

func (s search) in(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n, begin := range s {
			for at := 0; at+n <= len(text); at++ {
				for _, value := range begin[text[at:at+n]] {
					if strings.HasPrefix(text[at:], value) && !yield(value) {
						return
					}
				}
			}
		}
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binaries.dir != "" {
		_ = os.RemoveAll(binaries.dir)
	}
	heard, lines := silence()
	if lines > 0 {
		fmt.Printf("canary: %d values looked for in %d log lines of the broker, %d found\n", len(canaries.values), lines, len(heard))
	}
	for _, h := range heard {
		fmt.Println("canary:", h)
		code = 1
	}
	os.Exit(code)
}

// TestCanary_IsHeardWhenItSings makes sure that the comparison can fail.
func TestCanary_IsHeardWhenItSings(t *testing.T) {
	canaries.Lock()
	kept := canaries.printed
	canaries.printed = []string{"all is well\n", `{"msg":"request","email":"camille.linteau@mail.example"}` + "\n"}
	canaries.Unlock()
	heard, lines := silence()
	canaries.Lock()
	canaries.printed = kept
	canaries.Unlock()
	if len(heard) != 1 || lines != 2 {
		t.Errorf("heard %q in %d lines", heard, lines)
	}
}

// TestCanary_SearchIsThatOfStringsContains holds the walk against the plain search.
func TestCanary_SearchIsThatOfStringsContains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab]{1,20}`)
		values := rapid.MapOfN(word, rapid.Just("a value"), 0, 8).Draw(t, "values")
		text := rapid.StringMatching(`[ab]{0,60}`).Draw(t, "text")
		found := map[string]bool{}
		for value := range newSearch(values).in(text) {
			found[value] = true
		}
		for value := range values {
			if found[value] != strings.Contains(text, value) {
				t.Errorf("%q in %q: found %v", value, text, found[value])
			}
		}
	})
}
