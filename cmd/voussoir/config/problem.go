package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake, or with Warning a remark that does not stop a start.
// Line and Column count from 1. No field ever holds a secret.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"` // such as clients[0].redirect_uris[1]; "" for the file
	What    string `json:"what"` // what is wrong, one sentence
	Instead string `json:"write_instead"`
	Warning bool   `json:"warning,omitempty"`

	idle bool // the setting does no harm, it only has no effect here
}

// String is two lines: where and what, then what to write instead.
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Warning {
		s += "warning: "
	}
	if p.Path != "" {
		s += p.Path + ": "
	}
	s += p.What
	if p.Instead != "" {
		s += "\n    write instead: " + p.Instead
	}
	return s
}

// Problems is every mistake of a file, by position. It is an error.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// split parts mistakes from warnings, each sorted by position and without doubles.
func (ps Problems) split() (mistakes, warnings Problems) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What))
	})
	for _, p := range slices.Compact(ps) {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			mistakes = append(mistakes, p)
		}
	}
	return mistakes, warnings
}

// nearest returns the one of known that a person who wrote word most likely
// meant, or "" when none is near.
func nearest(word string, known []string) string {
	if len(word) > 100 {
		return ""
	}
	best, bestDistance := "", len(word)/3+2
	for _, k := range known {
		if squash(k) == squash(word) {
			return k
		}
		if d := distance(word, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// didYouMean is a clause for the end of a sentence, or "".
func didYouMean(word string, known []string) string {
	if meant := nearest(word, known); meant != "" {
		return "; did you mean " + meant + "?"
	}
	return ""
}

// unknownName says that there is no thing called word among all.
func unknownName(thing, word string, all []string) (what, instead string) {
	what, instead = "there is no "+thing+" "+quote(word), oneOf(all)
	if meant := nearest(word, all); meant != "" {
		return what + "; did you mean " + meant + "?", meant
	}
	return what, instead
}

// squash makes redirectURIs, redirect-uris and redirect_uris the same.
func squash(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// distance is the number of single-letter edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// list writes words for a person: "a, b or c".
func list(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
