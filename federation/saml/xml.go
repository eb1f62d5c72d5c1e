package saml

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// Namespaces of everything that we read or write.
const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	nsEncrypt   = "http://www.w3.org/2001/04/xmlenc#"
	nsEncrypt11 = "http://www.w3.org/2009/xmlenc11#"
	nsExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
	nsInstance  = "http://www.w3.org/2001/XMLSchema-instance"
)

// The bounds of a document.
const (
	maxDocument = 256 << 10 // bytes
	maxDepth    = 40
	maxElements = 1000 // the canonicaliser stops there too
	maxAttrs    = 40   // of one element
)

var (
	ncName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._-]{0,255}$`)
	// dateTime is xs:dateTime as SAML has it, in UTC (SAML core section 1.3.3).
	dateTime = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$`)
	utf8Name = regexp.MustCompile(`^version=["']1\.[0-9]["']( +encoding=["'](?i:utf-8)["'])?( +standalone=["'](yes|no)["'])? *$`)
)

// errXML and what follows it say what is wrong with a document; none quotes it.
var errXML = errors.New("not well-formed XML")

// parse reads a document into the one tree that everything else works on. It
// accepts far less than XML: elements in declared namespaces, attributes and text.
// Comments and processing instructions are refused, since a signature does not
// cover comments and parsers disagree about the text around them; so is every
// DOCTYPE, and with it every entity.
func parse(raw []byte) (*etree.Element, error) {
	if len(raw) > maxDocument {
		return nil, errors.New("document is too large")
	}
	doc := etree.NewDocument()
	doc.ReadSettings = etree.ReadSettings{PreserveDuplicateAttrs: true, MaxDepth: maxDepth}
	if err := doc.ReadFromBytes(raw); err != nil {
		return nil, errXML // the cause quotes the document
	}
	root, err := onlyRoot(doc)
	if err != nil {
		return nil, err
	}
	g := grammar{ids: map[string]bool{}, left: maxElements}
	if err := g.element(root, map[string]string{"xml": nsXML}); err != nil {
		return nil, err
	}
	return root, nil
}

// onlyRoot allows an XML declaration in front of the one root, and nothing else.
func onlyRoot(doc *etree.Document) (*etree.Element, error) {
	var root *etree.Element
	for i, token := range doc.Child {
		switch token := token.(type) {
		case *etree.Element:
			if root != nil {
				return nil, errXML
			}
			root = token
		case *etree.CharData:
			if strings.Trim(token.Data, " \t\r\n") != "" {
				return nil, errXML
			}
		case *etree.ProcInst:
			if i != 0 || token.Target != "xml" || !utf8Name.MatchString(strings.TrimSpace(token.Inst)) {
				return nil, errors.New("document has a processing instruction, or is not UTF-8")
			}
		default:
			return nil, errors.New("document has a DOCTYPE or a comment")
		}
	}
	if root == nil {
		return nil, errXML
	}
	return root, nil
}

// grammar checks what encoding/xml lets through.
type grammar struct {
	ids  map[string]bool
	left int
}

func (g *grammar) element(el *etree.Element, outer map[string]string) error {
	if g.left--; g.left < 0 || len(el.Attr) > maxAttrs {
		return errors.New("document has too many elements or attributes")
	}
	scope := outer
	for _, a := range el.Attr {
		prefix, declares := declaration(a)
		if !declares {
			continue
		}
		if a.Value == "" || a.Value == nsXML || prefix == "xml" || prefix == "xmlns" || !ncName.MatchString("_"+prefix) {
			return errors.New("forbidden namespace declaration")
		}
		scope = maps.Clone(scope) // outer belongs to the parent
		scope[prefix] = a.Value
	}
	if !ncName.MatchString(el.Tag) || scope[el.Space] == "" {
		return errors.New("element with a strange name or without a namespace")
	}
	if err := g.attributes(el, scope); err != nil {
		return err
	}
	for _, token := range el.Child {
		switch token := token.(type) {
		case *etree.Element:
			if err := g.element(token, scope); err != nil {
				return err
			}
		case *etree.CharData:
		default:
			return errors.New("document has a comment or a processing instruction")
		}
	}
	return nil
}

// attributes refuses an attribute that stands twice, whatever its prefixes, and an
// ID that the document has already. All spellings of an ID attribute count: another
// parser may take any of them for one.
func (g *grammar) attributes(el *etree.Element, scope map[string]string) error {
	seen := make(map[string]bool, len(el.Attr))
	for _, a := range el.Attr {
		name := a.Key
		if prefix, declares := declaration(a); declares {
			name = "xmlns " + prefix
		} else if a.Space != "" {
			ns := scope[a.Space]
			if ns == "" {
				return errors.New("attribute with an undeclared prefix")
			}
			name = ns + " " + a.Key
		}
		if seen[name] || !ncName.MatchString(a.Key) {
			return errors.New("attribute that stands twice or has a strange name")
		}
		seen[name] = true
		if !strings.EqualFold(a.Key, "id") {
			continue
		}
		if g.ids[a.Value] {
			return errors.New("two elements have one ID")
		}
		g.ids[a.Value] = true
	}
	return nil
}

// declaration returns the prefix that a declares; "" is the default namespace.
func declaration(a etree.Attr) (prefix string, ok bool) {
	switch {
	case a.Space == "xmlns":
		return a.Key, true
	case a.Space == "" && a.Key == "xmlns":
		return "", true
	}
	return "", false
}

func is(el *etree.Element, ns, tag string) bool {
	return el.Tag == tag && el.NamespaceURI() == ns
}

// children are the child elements of one name.
func children(el *etree.Element, ns, tag string) []*etree.Element {
	var out []*etree.Element
	for _, c := range el.ChildElements() {
		if is(c, ns, tag) {
			out = append(out, c)
		}
	}
	return out
}

// one is the child of that name, if there is exactly one.
func one(el *etree.Element, ns, tag string) (*etree.Element, error) {
	found := children(el, ns, tag)
	if len(found) != 1 {
		return nil, fmt.Errorf("%s has %d of %s, not one", el.Tag, len(found), tag)
	}
	return found[0], nil
}

// only refuses children of other names.
func only(el *etree.Element, names ...string) error {
	for _, c := range el.ChildElements() {
		known := false
		for _, n := range names {
			ns, tag, _ := strings.Cut(n, " ")
			known = known || is(c, ns, tag)
		}
		if !known {
			return fmt.Errorf("%s has a child that does not belong there", el.Tag)
		}
	}
	return nil
}

// count is how many elements of one name there are in and under el.
func count(el *etree.Element, ns, tag string) int {
	n := 0
	if is(el, ns, tag) {
		n++
	}
	for _, c := range el.ChildElements() {
		n += count(c, ns, tag)
	}
	return n
}

// text is the whole text of an element without child elements. No comment can
// cut it in two: parse has refused them.
func text(el *etree.Element) (string, error) {
	var b strings.Builder
	for _, token := range el.Child {
		data, ok := token.(*etree.CharData)
		if !ok {
			return "", fmt.Errorf("%s holds more than text", el.Tag)
		}
		b.WriteString(data.Data)
	}
	return b.String(), nil
}

// attr is an attribute without a prefix.
func attr(el *etree.Element, name string) (string, bool) {
	for _, a := range el.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value, true
		}
	}
	return "", false
}

// instant reads a time; false when the attribute is absent.
func instant(el *etree.Element, name string) (time.Time, bool, error) {
	value, ok := attr(el, name)
	if !ok {
		return time.Time{}, false, nil
	}
	if !dateTime.MatchString(value) {
		return time.Time{}, true, fmt.Errorf("%s of %s is not a time in UTC", name, el.Tag)
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, true, fmt.Errorf("%s of %s is not a time", name, el.Tag)
	}
	return at, true, nil
}

// unbase64 reads base64 with the line ends that XML allows in it.
func unbase64(s string) ([]byte, error) {
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, s)
	out, err := base64.StdEncoding.Strict().DecodeString(clean)
	if err != nil || len(out) == 0 {
		return nil, errors.New("not base64")
	}
	return out, nil
}
