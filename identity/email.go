package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sizes of an e-mail address, in bytes (RFC 5321 section 4.5.3.1, RFC 1035 section
// 2.3.4). The whole has 254: a path of 256 less its brackets.
const (
	maxEmail = 254
	maxLocal = 64
	maxLabel = 63
)

// email is an address as people have it: dot-atom, @, and a domain of at least two
// labels; letters of any script count (RFC 6531), and each part keeps to one of those
// that look alike. Quoted local parts, comments, display names and address literals
// are refused: nobody has such a mailbox, and two programs read them differently.
// Case stays: the local part may depend on it, and to us no two addresses are equal
// (attack AL-03).
func email(v string) (string, Rule) {
	v, rule := text(v)
	if rule != "" {
		return "", rule
	}
	at := strings.LastIndexByte(v, '@')
	if at < 0 {
		return "", Malformed
	}
	local, labels := v[:at], strings.Split(v[at+1:], ".")
	if len(v) > maxEmail || len(local) > maxLocal {
		return "", TooLong
	}
	if len(labels) < 2 || !atoms(local) {
		return "", Malformed
	}
	scripts := mixed(local)
	for _, l := range labels {
		if len(l) > maxLabel {
			return "", TooLong
		}
		if !label(l) {
			return "", Malformed
		}
		scripts = scripts || mixed(l)
	}
	if scripts {
		return "", MixedScripts
	}
	return v, ""
}

// atoms: a dot-atom of RFC 5322 section 3.2.3, with the letters of RFC 6532.
func atoms(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool { return !word(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) }) {
			return false
		}
	}
	return true
}

// label is one part of a domain (RFC 1123 section 2.1).
func label(s string) bool {
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, func(r rune) bool { return !word(r) && r != '-' })
}

// word is a letter, with its marks, or a digit. Digits are ASCII: those of other
// scripts look like letters.
func word(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsMark(r)
}
