package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
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
func decode(file string, data []byte) (File, *decoder) { return decodeAs[File](file, data) }

// decodeFacts reads the facts of one sign-in alike.
func decodeFacts(file string, data []byte) (Facts, *decoder) { return decodeAs[Facts](file, data) }

func decodeAs[T File | Facts](file string, data []byte) (T, *decoder) {
	d := &decoder{file: file, at: map[string]position{"": {1, 1}}, bad: map[string]bool{}}
	var out T
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

// add reports a mistake at the value with this path, or at the nearest value
// around it that is in the file.
func (d *decoder) add(path, what, instead string) {
	p := d.place(path)
	d.addAt(p.line, p.column, path, what, instead)
}

// addIdle is add for a setting that would have no effect.
func (d *decoder) addIdle(path, what, instead string) {
	d.add(path, what, instead)
	d.problems[len(d.problems)-1].idle = true
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
