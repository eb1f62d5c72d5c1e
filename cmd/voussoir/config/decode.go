package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a file. They are far above any real configuration and keep a broken
// one from exhausting memory.
const (
	maxFile  = 16 << 20
	maxText  = 4096 // bytes in one value
	maxDepth = 16
)

// position is a place in the file, counted from 1.
type position struct{ line, column int }

// decoder reads nodes into the types of this room. It keeps where each value
// stood, so that later checks can point at it, and which values are unusable, so
// that one mistake is reported once.
type decoder struct {
	file     string
	at       map[string]position
	bad      map[string]bool
	problems Problems
}

// decode reads one YAML document strictly. A File is returned whatever was found.
func decode(file string, data []byte) (File, *decoder) {
	d := &decoder{file: file, at: map[string]position{"": {1, 1}}, bad: map[string]bool{}}
	var out File
	if len(data) > maxFile {
		d.add("", fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "a smaller file")
		return out, d
	}
	if !utf8.Valid(data) {
		d.add("", "the file is not UTF-8 text", "the same text, saved as UTF-8")
		return out, d
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		d.syntax(data, err)
		return out, d
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		d.report(second.Line, second.Column, "", "a second document begins here", "one document, without ---")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(data, err)
	}
	if len(doc.Content) == 1 {
		d.value(doc.Content[0], reflect.ValueOf(&out).Elem(), "", reflect.StructField{})
	}
	return out, d
}

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

// add reports a mistake at the value with this path, or at the nearest value
// around it that is in the file.
func (d *decoder) add(path, what, instead string) {
	p := d.place(path)
	d.addAt(p.line, p.column, path, what, instead)
}

func (d *decoder) addAt(line, column int, path, what, instead string) {
	d.bad[path] = true
	d.report(line, column, path, what, instead)
}

func (d *decoder) report(line, column int, path, what, instead string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Column: column, Path: path, What: what, Instead: instead})
}

// warn reports what does not stop a start.
func (d *decoder) warn(path, what, instead string) {
	p := d.place(path)
	d.problems = append(d.problems, Problem{File: d.file, Line: p.line, Column: p.column, Path: path, What: what, Instead: instead, Warning: true})
}

func (d *decoder) place(path string) position {
	for {
		if p, ok := d.at[path]; ok {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return d.at[""]
		}
		path = path[:cut]
	}
}

// has reports whether the file sets path, rightly or wrongly.
func (d *decoder) has(path string) bool { _, ok := d.at[path]; return ok }

// ok reports whether no mistake was found at path itself so far.
func (d *decoder) ok(path string) bool { return !d.bad[path] }

// value reads n into v. f is the field that v is, for its example and tags.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, f reflect.StructField) {
	d.at[path] = position{max(n.Line, 1), max(n.Column, 1)}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.add(path, "anchors (&) and aliases (*) are not read", "the value itself, or quotes around a text that begins so")
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		right := instead(f)
		if !required(f) {
			right += ", or remove the line"
		}
		d.add(path, "there is no value after the colon", right)
		return
	}
	switch v.Type() {
	case reflect.TypeFor[Raw]():
		d.raw(n, v, path, f)
		return
	case reflect.TypeFor[OneOrMore]():
		if n.Kind == yaml.ScalarNode {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			d.scalar(n, v.Index(0), path, f)
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, f)
	case reflect.Struct:
		d.structure(n, v, path, f)
	case reflect.Map:
		d.mapping(n, v, path, f)
	case reflect.Slice:
		d.sequence(n, v, path, f)
	default:
		d.scalar(n, v, path, f)
	}
}

// structure reads a mapping whose keys are known.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, f reflect.StructField) {
	if n.Kind != yaml.MappingNode {
		d.add(path, "this is "+kind(n)+" where keys and values are expected", instead(f))
		return
	}
	fields, names := fieldsOf(v.Type())
	d.pairs(n, path, func(key *yaml.Node, value *yaml.Node, at string) {
		field, known := fields[key.Value]
		if !known {
			d.unknown(v.Type(), key, path, fields, names)
			return
		}
		d.value(value, v.FieldByIndex(field.Index), at, field)
	})
	for _, name := range names {
		at := join(path, name)
		if required(fields[name]) && !d.has(at) && d.ok(at) && d.ok(path) {
			d.add(at, "this is missing, and required", instead(fields[name]))
		}
	}
}

// unknown reports a key that does not exist, with the one that was meant.
func (d *decoder) unknown(t reflect.Type, key *yaml.Node, path string, fields map[string]reflect.StructField, names []string) {
	what := fmt.Sprintf("there is no key %s here", quote(key.Value))
	if h, ok := elsewhere[t.Name()+"."+key.Value]; ok {
		d.report(key.Line, key.Column, path, what, h.instead)
		d.bad[join(path, h.covers)] = true
		return
	}
	meant := nearest(key.Value, names)
	if meant == "" {
		d.report(key.Line, key.Column, path, what, "one of: "+strings.Join(names, ", "))
		return
	}
	d.report(key.Line, key.Column, path, what+"; did you mean "+meant+"?", instead(fields[meant]))
	d.bad[join(path, meant)] = true // it is there, under a wrong name: do not report it missing too
}

// pairs walks a mapping, and refuses what YAML allows and nobody means.
func (d *decoder) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node, at string)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() == "!!merge" || key.ShortTag() == "!!null" || badText(key.Value) != "" {
			d.addAt(key.Line, key.Column, path, "this key is not a plain word", "key: value, without anchors or merges")
			continue
		}
		at := join(path, key.Value)
		if line, twice := first[key.Value]; twice {
			d.addAt(key.Line, key.Column, at, fmt.Sprintf("the key %s is here twice; it first stands on line %d", quote(key.Value), line), "it once")
			continue
		}
		first[key.Value] = key.Line
		each(key, value, at)
	}
}

// mapping reads a mapping with free keys and text values.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, f reflect.StructField) {
	if n.Kind != yaml.MappingNode {
		d.add(path, "this is "+kind(n)+" where keys and values are expected", instead(f))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, element, at, reflect.StructField{Name: key.Value})
		v.SetMapIndex(reflect.ValueOf(key.Value), element)
	})
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, path string, f reflect.StructField) {
	if n.Kind != yaml.SequenceNode {
		d.add(path, "this is "+kind(n)+" where a list is expected", instead(f))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	element := reflect.StructField{Name: f.Name, Tag: f.Tag}
	for i, c := range n.Content {
		d.value(c, v.Index(i), path+"["+strconv.Itoa(i)+"]", element)
	}
}

// scalar reads a text, a number or true and false. A text keeps what was
// written: 0123 stays 0123 (it is a postal or INSEE code, never an octal 83).
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, f reflect.StructField) {
	if n.Kind != yaml.ScalarNode {
		d.add(path, "this is "+kind(n)+" where "+wanted(v.Kind())+" is expected", instead(f))
		return
	}
	if why := badText(n.Value); why != "" {
		d.add(path, "this text "+why, instead(f))
		return
	}
	tag := n.ShortTag()
	switch v.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if tag != "!!bool" || err != nil {
			d.add(path, shown(n, f)+" is not true or false", keyOf(f)+": true, or "+keyOf(f)+": false")
			return
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if tag != "!!int" || err != nil {
			d.add(path, shown(n, f)+" is not a whole number", instead(f))
			return
		}
		v.SetInt(int64(i))
	default:
		if tag == "!!bool" || tag == "!!binary" || tag == "!!merge" || strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			d.add(path, shown(n, f)+" is not a text", "the value in quotes")
			return
		}
		v.SetString(n.Value)
		d.enum(n, path, f)
	}
}

// enum checks a text against the values that its field allows.
func (d *decoder) enum(n *yaml.Node, path string, f reflect.StructField) {
	allowed := enumOf(f)
	if len(allowed) == 0 {
		return
	}
	for _, a := range allowed {
		if n.Value == a {
			return
		}
	}
	words := make([]string, 0, len(allowed))
	for _, a := range allowed {
		if a != "" {
			words = append(words, a)
		}
	}
	d.add(path, shown(n, f)+" is not one of the values that can stand here"+didYouMean(n.Value, words), list(words))
}

// raw keeps a mapping as JSON.
func (d *decoder) raw(n *yaml.Node, v reflect.Value, path string, f reflect.StructField) {
	if n.Kind != yaml.MappingNode {
		d.add(path, "this is "+kind(n)+" where keys and values are expected", instead(f))
		return
	}
	free, ok := d.free(n, path, 0)
	if !ok {
		return
	}
	b, err := json.Marshal(free)
	if err != nil {
		d.add(path, "this cannot be written as JSON", instead(f))
		return
	}
	v.SetBytes(b)
}

// free reads YAML of any shape with texts, lists and mappings only: that is all
// a JSON Web Key Set holds.
func (d *decoder) free(n *yaml.Node, path string, depth int) (any, bool) {
	if depth > maxDepth || n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.add(path, "this is nested too deeply, or uses an alias", "the values themselves")
		return nil, false
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		whole := true
		d.pairs(n, path, func(key, value *yaml.Node, at string) {
			v, ok := d.free(value, path, depth+1)
			out[key.Value] = v
			whole = whole && ok
		})
		return out, whole
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, ok := d.free(c, path, depth+1)
			if !ok {
				return nil, false
			}
			out[i] = v
		}
		return out, true
	case yaml.ScalarNode:
		if n.ShortTag() == "!!bool" {
			return n.Value == "true", true
		}
		return n.Value, true
	}
	return nil, false
}

// fieldsOf returns the keys of a struct, and their names in the order of the type.
func fieldsOf(t reflect.Type) (map[string]reflect.StructField, []string) {
	fields := map[string]reflect.StructField{}
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		fields[keyOf(f)] = f
		names = append(names, keyOf(f))
	}
	return fields, names
}

func keyOf(f reflect.StructField) string {
	if k := f.Tag.Get("yaml"); k != "" {
		return k
	}
	return f.Name
}

func required(f reflect.StructField) bool {
	for _, part := range strings.Split(f.Tag.Get("jsonschema"), ",") {
		if part == "required" {
			return true
		}
	}
	return false
}

// enumOf reads the same tag as the JSON Schema is made from.
func enumOf(f reflect.StructField) []string {
	var out []string
	for _, part := range strings.Split(f.Tag.Get("jsonschema"), ",") {
		if v, ok := strings.CutPrefix(part, "enum="); ok {
			out = append(out, v)
		}
	}
	return out
}

// instead is the field as it should be written.
func instead(f reflect.StructField) string {
	if f.Name == "" {
		return "issuer: https://id.example.org, and so on: see deploy/example.yaml"
	}
	if eg := f.Tag.Get("eg"); eg != "" {
		return keyOf(f) + ": " + eg
	}
	if f.Type != nil && f.Type.Kind() == reflect.Struct {
		_, names := fieldsOf(f.Type)
		return keyOf(f) + ": { " + names[0] + ": … }"
	}
	return keyOf(f) + ": \"…\""
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

func wanted(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "a text"
}

// shown is a value for an error text: never that of a field that may hold a secret.
func shown(n *yaml.Node, f reflect.StructField) string {
	if f.Tag.Get("secret") != "" {
		return "this"
	}
	return quote(n.Value)
}

// quote shows at most 60 letters.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}

// badText says what is wrong with a text of any field, or "".
func badText(s string) string {
	if len(s) > maxText {
		return fmt.Sprintf("is longer than %d bytes", maxText)
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return "holds a control character"
		}
	}
	return ""
}

// elsewhere says what to write for keys that people bring from other software.
var elsewhere = map[string]struct{ instead, covers string }{
	"Client.client_secret":      {"client_secret_sha256: \"64 hex digits, from: printf %s THE_SECRET | sha256sum\"", "client_secret_sha256"},
	"Client.secret":             {"client_secret_sha256: \"64 hex digits, from: printf %s THE_SECRET | sha256sum\"", "client_secret_sha256"},
	"Client.client_secret_file": {"client_secret_sha256: \"64 hex digits, from: sha256sum < THE_FILE\"", "client_secret_sha256"},
	"Client.client_id":          {"id: city-library", "id"},
	"Client.client_name":        {"name: { fr: \"Médiathèque\", en: \"City library\" }", "name"},
	"Client.grant_types":        {"nothing: the authorization code is the only grant", ""},
	"Client.response_types":     {"nothing: code is the only response type", ""},
	"Client.claims":             {"claims in its policy: only a policy says what may be released", ""},
	"Client.subject_type":       {"nothing: subjects are always pairwise, by sector", ""},
	"Provider.scope":            {"scopes: [openid, profile, birth, email]", "scopes"},
	"Provider.enabled":          {"nothing: a provider that is in the list is offered", ""},
	"Provider.verify":           {"nothing: signatures are always verified", ""},
	"File.secret":               {"keys: { secret_file: secrets/keys }", "keys"},
	"File.base_url":             {"issuer: https://id.example.org", "issuer"},
	"File.url":                  {"issuer: https://id.example.org", "issuer"},
	"File.port":                 {"listen: 127.0.0.1:8080", "listen"},
	"File.trusted_proxies":      {"nothing: forwarded headers are never believed", ""},
}
