package web

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// node is an element of a page: enough of a tree to say what a person must see.
// Our pages are also well-formed for a lenient XML reader, which is how these
// tests read them; anything else is a mistake in a template.
type node struct {
	name   string
	attrs  map[string]string
	kids   []*node
	data   string // of a text node
	parent *node
}

func parse(t testing.TB, page string) *node {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, slices.Concat(xml.HTMLAutoClose, []string{"wbr"}), xml.HTMLEntity
	root := &node{}
	at := root
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("page is not well-formed: %v\n%s", err, page)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &node{name: tok.Name.Local, attrs: map[string]string{}, parent: at}
			for _, a := range tok.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			at.kids, at = append(at.kids, n), n
		case xml.EndElement:
			at = at.parent
		case xml.CharData:
			at.kids = append(at.kids, &node{data: string(tok)})
		}
	}
	return root
}

// attr of no node is "".
func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	return n.attrs[name]
}

func (n *node) has(attr string) bool { _, ok := n.attrs[attr]; return ok }

func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, k := range n.kids {
		k.walk(visit)
	}
}

func (n *node) all(name string) []*node {
	var out []*node
	n.walk(func(m *node) {
		if m.name == name {
			out = append(out, m)
		}
	})
	return out
}

// one is the first element of this name.
func (n *node) one(t testing.TB, name string) *node {
	t.Helper()
	if found := n.all(name); len(found) > 0 {
		return found[0]
	}
	t.Fatalf("no <%s> in the page", name)
	return nil
}

func (n *node) find(id string) *node {
	var out *node
	n.walk(func(m *node) {
		if m.attrs["id"] == id {
			out = m
		}
	})
	return out
}

func (n *node) id(t testing.TB, id string) *node {
	t.Helper()
	if m := n.find(id); m != nil {
		return m
	}
	t.Fatalf("nothing with id %q in the page", id)
	return nil
}

// text is what a person reads: all text with single spaces.
func (n *node) text() string {
	var b strings.Builder
	n.walk(func(m *node) {
		if m.name == "dd" {
			b.WriteByte(' ') // a term and its description are apart on the screen
		}
		b.WriteString(m.data)
	})
	return strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "\u00a0", " ")), " ")
}
