package web

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"github.com/voussoir-id/voussoir/protocol"
)

// One file per language: adding a language is adding a file.
//
//go:embed locales/*.yaml
var localeFiles embed.FS

// words is one language. It is immutable and safe for concurrent use.
type words struct {
	lang   string
	text   map[string]string // messages as they stand, by key
	plural *i18n.Localizer   // for those with a number in them
	months [12]string
}

// loadWords reads every language. A file must speak of the same keys as all
// others, so that no page lacks a word.
func loadWords() ([]string, map[string]*words, error) {
	return readWords(localeFiles)
}

func readWords(files fs.FS) ([]string, map[string]*words, error) {
	names, err := fs.Glob(files, "locales/*.yaml")
	if err != nil || len(names) == 0 {
		return nil, nil, errors.New("no language")
	}
	bundle := i18n.NewBundle(language.French)
	bundle.RegisterUnmarshalFunc("yaml", yaml.Unmarshal)
	all := map[string]*words{}
	var langs []string
	for _, name := range names {
		lang := strings.TrimSuffix(path.Base(name), ".yaml")
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, nil, fmt.Errorf("language %s: %w", lang, err)
		}
		file, err := bundle.ParseMessageFileBytes(raw, name)
		if err != nil {
			return nil, nil, fmt.Errorf("language %s: %w", lang, err)
		}
		w := &words{lang: lang, text: make(map[string]string, len(file.Messages)), plural: i18n.NewLocalizer(bundle, lang)}
		for _, m := range file.Messages {
			w.text[m.ID] = m.Other
		}
		for i := range w.months {
			w.months[i] = w.text[fmt.Sprintf("date.months.m%02d", i+1)]
		}
		all[lang] = w
		langs = append(langs, lang)
	}
	sort.Strings(langs)
	if all[fallback] == nil {
		return nil, nil, errors.New("no language " + fallback)
	}
	return langs, all, sameKeys(langs, all)
}

// sameKeys names every key that one language has and another lacks.
func sameKeys(langs []string, all map[string]*words) error {
	var errs []error
	for _, a := range langs {
		for _, b := range langs {
			for k := range all[a].text {
				if all[b].text[k] == "" {
					errs = append(errs, fmt.Errorf("language %s has no %s", b, k))
				}
			}
		}
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return errors.Join(errs...)
}

// or returns the message under prefix+key, else the one under otherwise.
func (w *words) or(prefix, key, otherwise string) string {
	if t := w.text[prefix+key]; t != "" {
		return t
	}
	return w.text[otherwise]
}

// say fills a message's placeholders: pairs of a name and a text. What is put in
// is not read again, so a text with a placeholder in it stays as it is.
func (w *words) say(key string, pairs ...string) string {
	var out strings.Builder
	rest := w.text[key]
	for {
		before, after, found := strings.Cut(rest, "{{.")
		out.WriteString(before)
		name, next, closed := strings.Cut(after, "}}")
		if !found || !closed {
			return out.String()
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				out.WriteString(pairs[i+1])
			}
		}
		rest = next
	}
}

// count says "2 years".
func (w *words) count(key string, n int) string {
	out, err := w.plural.Localize(&i18n.LocalizeConfig{MessageID: key, PluralCount: n})
	if err != nil {
		return ""
	}
	return out
}

// label is the name of a fact.
func (w *words) label(c protocol.Claim) string {
	if t := w.text["claim."+string(c)]; t != "" {
		return t
	}
	return clean(string(c))
}

// fact words one claim for a person; remark stands behind the value, in smaller
// letters.
func (w *words) fact(c ClaimValue) (value, remark string) {
	switch v := c.Value.(type) {
	case bool:
		if v {
			return w.text["value.yes"], ""
		}
		return w.text["value.no"], ""
	case []string:
		return w.list(v), ""
	case string:
		return w.textual(c, clean(v))
	}
	return w.text["value.empty"], ""
}

func (w *words) textual(c ClaimValue, v string) (value, remark string) {
	switch {
	case v == "" && c.Claim == protocol.Birthplace:
		return w.text["value.born_abroad"], ""
	case v == "":
		return w.text["value.empty"], ""
	case c.Claim == protocol.Birthdate:
		return w.date(v), ""
	case c.Claim == protocol.Gender:
		if t := w.text["value.gender."+v]; t != "" {
			return t, ""
		}
	case c.Claim == protocol.Birthcountry && v == "99100": // France in INSEE's code
		return w.say("value.france", "Code", v), ""
	case c.Place != "":
		return w.say("value.place", "Name", clean(c.Place), "Code", v), ""
	case c.Claim == protocol.Email && c.Verified:
		return v, w.text["value.verified"]
	case c.Claim == protocol.Email:
		return v, w.text["value.unverified"]
	}
	return v, ""
}

// list words authentication methods (RFC 8176); unknown ones stay as they are.
func (w *words) list(values []string) string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if t := w.text["value.amr."+v]; t != "" {
			out = append(out, t)
		} else {
			out = append(out, clean(v))
		}
	}
	if len(out) == 0 {
		return w.text["value.empty"]
	}
	return strings.Join(out, ", ")
}

// maxShown is the longest value that a page shows, in bytes.
const maxShown = 2 << 10

// clean makes a text of others fit to be shown in a line: control signs and those
// that turn the direction of writing would let a name rewrite the sentence around
// it (CVE-2021-42574), so they are made visible.
func clean(v string) string {
	ok := len(v) <= maxShown
	if ok {
		for i := range len(v) {
			if v[i] < 0x20 || v[i] >= 0x7f {
				ok = false
				break
			}
		}
	}
	if ok {
		return v
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r >= 0x7f && r < 0xa0,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, // embeddings, overrides, isolates
			r == 0x200e, r == 0x200f, r == 0x061c, // marks
			r == 0x200b, r == 0x2060, r == 0xfeff, // signs without width
			r == 0x2028, r == 0x2029, r >= 0xe0000 && r <= 0xe007f:
			return 0xfffd
		}
		return r
	}, strings.ToValidUTF8(clip(v, maxShown), "\ufffd"))
}
