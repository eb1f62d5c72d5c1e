package federation

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/voussoir-id/voussoir/protocol"
)

// maxQuery is the longest search that is carried out, in bytes.
const maxQuery = 200

// Matches reports whether every word of a search begins a word of the provider's names
// or keywords, without regard to case, accents and hyphens. An empty search matches
// every provider.
func (d *Directory) Matches(id protocol.ProviderID, query string) bool {
	return d.Search(query)(id)
}

// Search is Matches for many providers and one search.
func (d *Directory) Search(query string) func(protocol.ProviderID) bool {
	if len(query) > maxQuery {
		query = query[:maxQuery]
	}
	sought := strings.Fields(fold(query))
	for i := range sought {
		sought[i] = " " + sought[i]
	}
	return func(id protocol.ProviderID) bool {
		text := d.words[id]
		for _, w := range sought {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}
}

// searchText is what a search looks in: names in every language, and keywords, each
// word after a space.
func searchText(d Description) string {
	var b strings.Builder
	for _, name := range d.Name {
		b.WriteString(" " + name)
	}
	for _, k := range d.Keywords {
		b.WriteString(" " + k)
	}
	return " " + strings.Join(strings.Fields(fold(b.String())), " ")
}

// fold takes case, accents and punctuation out of a text.
func fold(text string) string {
	text = strings.NewReplacer("œ", "oe", "Œ", "oe", "æ", "ae", "Æ", "ae", "ß", "ss").Replace(strings.ToValidUTF8(text, " "))
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsLetter(r), unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return ' '
	}, norm.NFKD.String(text))
}
