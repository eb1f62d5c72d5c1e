package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxJSONDepth is deeper than any protocol message and far from exhausting a stack.
const maxJSONDepth = 16

// Object reads data as exactly one JSON object and returns its members
// undecoded, under their exact names. It refuses what encoding/json lets pass
// and what two parsers can therefore read differently: a name that occurs twice
// at any depth, trailing bytes, invalid UTF-8, a byte order mark, and nesting
// deeper than 16. The members share the memory of data, which the caller bounds
// and no longer changes. See RFC 8725 section 2.4.
func Object(data []byte) (map[string]json.RawMessage, error) {
	switch {
	case !utf8.Valid(data):
		return nil, errors.New("json: not UTF-8")
	case !json.Valid(data):
		return nil, errors.New("json: syntax error")
	}
	w := walk{rest: data}
	w.space()
	if w.rest[0] != '{' {
		return nil, errors.New("json: not an object")
	}
	members, err := w.object(0)
	if err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	return members, nil
}

// walk goes over JSON whose syntax has been checked: each step may take for
// granted what the grammar (RFC 8259) promises, and only has to find where things
// end. Errors name no content: what is read here may be personal data.
type walk struct{ rest []byte }

func (w *walk) space() {
	for len(w.rest) > 0 && (w.rest[0] == ' ' || w.rest[0] == '\t' || w.rest[0] == '\n' || w.rest[0] == '\r') {
		w.rest = w.rest[1:]
	}
}

// take skips one byte and the space around it.
func (w *walk) take() {
	w.space()
	w.rest = w.rest[1:]
	w.space()
}

// object reads an object and returns its members.
func (w *walk) object(depth int) (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	for w.take(); w.rest[0] != '}'; {
		name, err := w.name()
		if err != nil {
			return nil, err
		}
		if _, ok := members[name]; ok {
			return nil, errors.New("a name occurs twice")
		}
		w.take() // the colon
		from := w.rest
		if err := w.value(depth + 1); err != nil {
			return nil, err
		}
		members[name] = from[: len(from)-len(w.rest) : len(from)-len(w.rest)]
		if w.space(); w.rest[0] == ',' {
			w.take()
		}
	}
	w.rest = w.rest[1:]
	return members, nil
}

// value skips a value.
func (w *walk) value(depth int) error {
	if depth > maxJSONDepth {
		return errors.New("nested too deeply")
	}
	switch w.rest[0] {
	case '{':
		_, err := w.object(depth)
		return err
	case '[':
		return w.array(depth)
	case '"':
		w.text()
		return nil
	}
	for len(w.rest) > 0 && !ends(w.rest[0]) { // a number, true, false or null
		w.rest = w.rest[1:]
	}
	return nil
}

// ends reports whether c can follow a number or a word.
func ends(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// array skips an array.
func (w *walk) array(depth int) error {
	for w.take(); w.rest[0] != ']'; {
		if err := w.value(depth + 1); err != nil {
			return err
		}
		if w.space(); w.rest[0] == ',' {
			w.take()
		}
	}
	w.rest = w.rest[1:]
	return nil
}

// text skips a string and returns it with its quotes; plain reports that it has
// no escapes.
func (w *walk) text() (quoted []byte, plain bool) {
	plain = true
	i := 1
	for ; w.rest[i] != '"'; i++ {
		if w.rest[i] == '\\' {
			plain = false
			i++
		}
	}
	quoted, w.rest = w.rest[:i+1], w.rest[i+1:]
	return quoted, plain
}

// name reads the name of a member: two spellings of one name are the same name.
func (w *walk) name() (name string, err error) {
	quoted, plain := w.text()
	if plain {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	if err := json.Unmarshal(quoted, &name); err != nil {
		return "", errors.New("syntax error")
	}
	return name, nil
}
