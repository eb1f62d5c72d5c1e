package clients

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDN bounds what ParseDN reads, in bytes.
const maxDN = 4 << 10

// DN is a distinguished name, most specific part first as RFC 4514 writes it. A
// part is a set of attributes, mostly of one.
type DN [][]attribute

// attribute is a type and its value: as text, or as DER where the text form has
// been left (#…) or does not exist.
type attribute struct {
	oid  string // dotted
	text string
	der  []byte
}

// attributeTypes are the short names that we know, in small letters: those of RFC
// 4514 section 3, and those that certificates of organisations use besides.
var attributeTypes = map[string]string{
	"cn": "2.5.4.3", "l": "2.5.4.7", "st": "2.5.4.8", "o": "2.5.4.10", "ou": "2.5.4.11", "c": "2.5.4.6", "street": "2.5.4.9",
	"dc": "0.9.2342.19200300.100.1.25", "uid": "0.9.2342.19200300.100.1.1",
	"serialnumber": "2.5.4.5", "emailaddress": "1.2.840.113549.1.9.1", "organizationidentifier": "2.5.4.97",
	"businesscategory": "2.5.4.15", "postalcode": "2.5.4.17", "title": "2.5.4.12", "sn": "2.5.4.4", "gn": "2.5.4.42",
}

var dottedOID = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]{0,18})){1,20}$`)

// ParseDN reads the string form of a distinguished name (RFC 4514 section 3), such
// as CN=library,O=City of Lyon,C=FR. Spaces beside a comma or an equals sign do not
// count, as in what openssl prints. An empty name is an error: it would be that of
// every certificate without a subject.
func ParseDN(s string) (DN, error) {
	if len(s) > maxDN || !utf8.ValidString(s) {
		return nil, errors.New("is too long or not UTF-8")
	}
	var dn DN
	for rest, more := s, true; more; {
		var part []attribute
		for plus := true; plus; {
			var a attribute
			var end byte
			var err error
			if a, end, rest, err = parseAttribute(rest); err != nil {
				return nil, err
			}
			part = append(part, a)
			plus, more = end == '+', end != 0
		}
		dn = append(dn, part)
	}
	return dn, nil
}

// parseAttribute reads TYPE=VALUE up to an unescaped comma or plus sign, which end
// says, or the end, which is 0.
func parseAttribute(s string) (a attribute, end byte, rest string, err error) {
	name, value, ok := strings.Cut(s, "=")
	name = strings.TrimSpace(name)
	if !ok {
		return a, 0, "", errors.New("has a part that is not of the form TYPE=value")
	}
	a.oid = attributeTypes[strings.ToLower(name)]
	if dottedOID.MatchString(name) {
		a.oid = name
	}
	if a.oid == "" {
		return a, 0, "", errors.New("has an attribute of an unknown type; its dotted number can be written instead")
	}
	raw, end, rest := cutValue(strings.TrimLeft(value, " "))
	if h, ok := strings.CutPrefix(raw, "#"); ok {
		a.der, err = hex.DecodeString(h)
		if err != nil || len(a.der) == 0 {
			return a, 0, "", errors.New("has a value that begins with # and is not hex")
		}
		return a, end, rest, nil
	}
	a.text, err = unescape(raw)
	return a, end, rest, err
}

// cutValue splits at the first unescaped comma or plus sign.
func cutValue(s string) (raw string, end byte, rest string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',', '+':
			return s[:i], s[i], s[i+1:]
		}
	}
	return s, 0, ""
}

// unescape is RFC 4514 section 3, "string". What must be escaped and is not is an
// error rather than a guess.
func unescape(raw string) (string, error) {
	var out []byte
	kept := 0 // so long is out with its last escaped character
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c != '\\':
			if strings.IndexByte("\";<>\x00", c) >= 0 {
				return "", errors.New(`has one of " ; < > that is not escaped with \`)
			}
			out = append(out, c)
			continue
		case i+1 < len(raw) && strings.IndexByte(` "#+,;<=>\`, raw[i+1]) >= 0:
			out = append(out, raw[i+1])
			i++
		default:
			b, err := hex.DecodeString(raw[min(i+1, len(raw)):min(i+3, len(raw))])
			if err != nil || len(b) != 1 {
				return "", errors.New(`has a \ that escapes nothing`)
			}
			out = append(out, b[0])
			i += 2
		}
		kept = len(out)
	}
	out = out[:kept+len(bytes.TrimRight(out[kept:], " "))]
	if len(out) == 0 || !utf8.Valid(out) {
		return "", errors.New("has an empty value, or one that is not UTF-8")
	}
	return string(out), nil
}

// subjectAttribute and subjectSET are RFC 5280 section 4.1.2.4. crypto/x509's own
// form of a subject has lost the order of its parts; the name of the second type
// is what makes encoding/asn1 read a SET.
type (
	subjectAttribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	subjectSET []subjectAttribute
)

// subjectOf is the subject of a certificate, in the order of RFC 4514.
func subjectOf(cert *x509.Certificate) (DN, error) {
	var parts []subjectSET
	if rest, err := asn1.Unmarshal(cert.RawSubject, &parts); err != nil || len(rest) > 0 {
		return nil, errors.New("subject is malformed")
	}
	dn := make(DN, 0, len(parts))
	for _, part := range slices.Backward(parts) {
		set := make([]attribute, len(part))
		for i, a := range part {
			set[i] = attribute{oid: a.Type.String(), der: a.Value.FullBytes}
			var text string
			if _, err := asn1.Unmarshal(a.Value.FullBytes, &text); err == nil && utf8.ValidString(text) {
				set[i].text = text
			}
		}
		dn = append(dn, set)
	}
	return dn, nil
}

// equal compares a registered name with that of a certificate: all parts, in order;
// the attributes of a part in any (RFC 4514 section 2.2). Text is compared byte for
// byte whatever its ASN.1 type.
func (d DN) equal(subject DN) bool {
	return slices.EqualFunc(d, subject, func(want, got []attribute) bool {
		if len(want) != len(got) {
			return false
		}
		got = slices.Clone(got)
		for _, w := range want {
			i := slices.IndexFunc(got, w.is)
			if i < 0 {
				return false
			}
			got = slices.Delete(got, i, i+1)
		}
		return true
	})
}

func (a attribute) is(got attribute) bool {
	if a.oid != got.oid {
		return false
	}
	if a.der != nil {
		return bytes.Equal(a.der, got.der)
	}
	return a.text == got.text
}
