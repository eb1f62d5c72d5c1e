package identity

import (
	"os"
	"strings"
	"testing"
)

// The rules are promised to operators: each has a row, and there is no other.
func TestRules_AreThoseOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../docs/identity-quality.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| rule | means |\n| --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, r := range Rules() {
		want = append(want, string(r))
	}
	var got []string
	for line := range strings.Lines(table) {
		if f := strings.Split(line, "`"); len(f) > 1 {
			got = append(got, f[1])
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("documented: %v\nwant        %v", got, want)
	}
}
