package oidc

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object whose members are still undecoded. Its readers are
// strict: a number is no text, a text is no number, and true is not "true"
// (RFC 8725 section 2.4). Their errors never repeat a value.
type object map[string]json.RawMessage

var errType = errors.New("is of another type than it must be")

// text reads a string; false when it is absent.
func (o object) text(name string) (string, bool, error) {
	raw, ok := o[name]
	if !ok {
		return "", false, nil
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", true, errType
	}
	return s, true, nil
}

// flag reads a boolean; absent is false.
func (o object) flag(name string) (bool, error) {
	switch raw := string(o[name]); raw {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, errType
}

// date reads a NumericDate (RFC 7519 section 2) of whole seconds; false when it
// is absent. Fractions and exponents are refused: no provider needs them, and
// 1e309 is one way to make parsers disagree.
func (o object) date(name string) (time.Time, bool, error) {
	raw, ok := o[name]
	if !ok {
		return time.Time{}, false, nil
	}
	if len(raw) > 11 { // seconds until the year 5138
		return time.Time{}, true, errType
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, true, errType
	}
	return time.Unix(n, 0), true, nil
}

// texts reads a string or a list of strings.
func (o object) texts(name string) ([]string, error) {
	raw, ok := o[name]
	if !ok {
		return nil, nil
	}
	if raw[0] == '"' {
		s, _, err := o.text(name)
		return []string{s}, err
	}
	var list []*string // null among them must not become ""
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, errType
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, errType
		}
		out[i] = *s
	}
	return out, nil
}

// visible reports whether s is 1 to limit bytes of visible ASCII: what RFC 6749
// appendix A allows for codes and tokens.
func visible(s string, limit int) bool {
	return s != "" && len(s) <= limit && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
}
