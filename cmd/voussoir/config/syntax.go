package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// syntaxWords are the parser's complaints that we have better words for. Any
// other is replaced by a fixed sentence: the parser quotes the file, and what it
// quotes may be a secret.
var syntaxWords = []struct{ theirs, what, instead string }{
	{"tab character", "a tab stands where spaces must", "spaces to indent"},
	{"cannot start any token", "a tab or a sign such as @ or ` stands where a value must begin", "spaces to indent, and quotes around such a value"},
	{"mapping values are not allowed", "a colon stands where none can be", "quotes around a value that holds a colon and a space, and the same indentation for keys of one group"},
	{"did not find expected key", "a key was expected here; the indentation differs from the line above, or a quote is open", "the same indentation for keys of one group"},
	{"did not find expected '-'", "a list entry was expected here", "- at the same indentation for entries of one list"},
	{"did not find expected ',' or ']'", "a list in [ ] is not closed", "[a, b]"},
	{"did not find expected ',' or '}'", "a group in { } is not closed", "{ a: 1, b: 2 }"},
	{"unexpected end of stream", "a quote is opened and never closed", "the closing quote"},
	{"unknown anchor", "a value begins with *, which stands for an alias in YAML", "quotes around the value"},
	{"control characters are not allowed", "there is a control character in the file", "the text without it"},
	{"unknown escape", "there is a \\ with an unknown letter in a quoted text", "single quotes, or \\\\ for one \\"},
}

func (d *decoder) syntax(data []byte, err error) {
	if errors.Is(err, io.EOF) {
		d.add("", "the file is empty", "issuer: https://id.example.org, and so on: see deploy/example.yaml")
		return
	}
	what, instead := "this is not valid YAML, here or just above", "key: value, with spaces to indent"
	for _, w := range syntaxWords {
		if strings.Contains(err.Error(), w.theirs) {
			what, instead = w.what, w.instead
			break
		}
	}
	d.addAt(syntaxLine(data, err), 1, "", what, instead)
}

var parserLine = regexp.MustCompile(`line \d+: `)

// syntaxLine finds the line that breaks the file: the first one up to which the
// parser complains as it does about the whole. The line that the parser names is
// often that of the group around the mistake.
func syntaxLine(data []byte, whole error) int {
	complaint := func(err error) string { return parserLine.ReplaceAllString(err.Error(), "") }
	lines := bytes.SplitAfter(data, []byte("\n"))
	n := sort.Search(len(lines), func(i int) bool {
		dec := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines[:i+1], nil)))
		for {
			var n yaml.Node
			switch err := dec.Decode(&n); {
			case errors.Is(err, io.EOF):
				return false
			case err != nil:
				return complaint(err) == complaint(whole)
			}
		}
	})
	return min(n+1, len(lines))
}
