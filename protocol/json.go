package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxJSONDepth is deeper than any protocol message and far from exhausting a stack.
const maxJSONDepth = 16

// Object reads data as exactly one JSON object and returns its members
// undecoded, under their exact names. It refuses what encoding/json lets pass
// and what two parsers can therefore read differently: a name that occurs twice
// at any depth, trailing bytes, invalid UTF-8, a byte order mark, and nesting
// deeper than 16. The caller bounds the length of data. See RFC 8725 section 2.4.
func Object(data []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("json: not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("json: bytes after the value")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, errors.New("json: not an object")
	}
	if members == nil {
		return nil, errors.New("json: null where an object was expected")
	}
	return members, nil
}

// checkValue reads one value; the decoder itself checks the syntax. Errors name
// no content: what is read here may be personal data.
func checkValue(d *json.Decoder, depth int) error {
	if depth > maxJSONDepth {
		return errors.New("nested too deeply")
	}
	t, err := d.Token()
	if err != nil {
		return errors.New("syntax error")
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			k, err := d.Token()
			if err != nil {
				return errors.New("syntax error")
			}
			name, _ := k.(string)
			if seen[name] {
				return errors.New("a name occurs twice")
			}
			seen[name] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("syntax error")
	}
	return nil
}
