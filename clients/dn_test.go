package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// certificate has a subject of these parts, in the order of the certificate (most
// general first).
func certificate(t testing.TB, subject asn1.RawContent, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: subject}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func subject(t testing.TB, parts ...pkix.RelativeDistinguishedNameSET) asn1.RawContent {
	t.Helper()
	der, err := asn1.Marshal(pkix.RDNSequence(parts))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func one(oid asn1.ObjectIdentifier, value any) pkix.RelativeDistinguishedNameSET {
	return pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}}
}

var (
	oidC, oidO, oidCN = asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSerial         = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidOther          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
)

func TestCertificateName_DN_RFC8705_2_1_2_RFC4514(t *testing.T) {
	utf8 := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("Ville de Lyon")}
	plain := certificate(t, subject(t, one(oidC, "FR"), one(oidO, utf8), one(oidCN, "library")), nil)
	odd := certificate(t, subject(t, one(oidC, "FR"),
		pkix.RelativeDistinguishedNameSET{{Type: oidCN, Value: "a+b, c=d;\"<>\\# "}, {Type: oidSerial, Value: "42"}},
		one(oidOther, "x")), nil)
	tests := []struct {
		name string
		cert *x509.Certificate
		dn   string
		want bool
	}{
		{"as RFC 4514 writes it", plain, "CN=library,O=Ville de Lyon,C=FR", true},
		{"with the spaces that openssl prints", plain, "CN = library, O = Ville de Lyon, C = FR", true},
		{"types in small letters and as numbers", plain, "cn=library,2.5.4.10=Ville de Lyon,c=FR", true},
		{"escapes in hex", plain, `CN=l\69brary,O=Ville\20de Lyon,C=FR`, true},
		{"a value as DER", plain, "CN=library,O=#" + hex.EncodeToString(append([]byte{12, 13}, utf8.Bytes...)) + ",C=FR", true},
		{"the same text as another DER", plain, "CN=library,O=#" + hex.EncodeToString(append([]byte{19, 13}, utf8.Bytes...)) + ",C=FR", false},
		{"in the order of the certificate", plain, "C=FR,O=Ville de Lyon,CN=library", false},
		{"a part less", plain, "CN=library,O=Ville de Lyon", false},
		{"a part more", plain, "CN=library,O=Ville de Lyon,L=Lyon,C=FR", false},
		{"another letter", plain, "CN=Library,O=Ville de Lyon,C=FR", false},
		{"another type", plain, "OU=library,O=Ville de Lyon,C=FR", false},
		{"two parts in one", plain, "CN=library+O=Ville de Lyon,C=FR", false},
		{"two attributes in a part, a value as DER, and every sign", odd, `1.3.6.1.4.1.99999.1=#130178,serialNumber=42+CN=a\+b\, c\=d\;\"\<\>\\# \ ,C=FR`, false},
		{"the same with its last space escaped", odd, `1.3.6.1.4.1.99999.1=#130178,serialNumber=42+CN=a\+b\, c\=d\;\"\<\>\\#\ ,C=FR`, true},
		{"one of the two attributes twice", odd, `1.3.6.1.4.1.99999.1=#130178,serialNumber=42+serialNumber=42,C=FR`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dn, err := ParseDN(tt.dn)
			if err != nil {
				t.Fatal(err)
			}
			if got := (CertificateName{DN: dn}).Is(tt.cert); got != tt.want {
				t.Errorf("%q: %v, want %v", tt.dn, got, tt.want)
			}
		})
	}
}

func TestParseDN_Refuses(t *testing.T) {
	for name, dn := range map[string]string{
		"nothing": "", "openssl's old form": "/C=FR/CN=library", "no type": "=library", "no value": "CN=", "spaces for a value": "CN=  ",
		"an unknown type": "XX=library", "a type that is nearly a number": "2.5.4.=x", "a trailing comma": "CN=library,", "a leading comma": ",CN=library",
		"an empty part": "CN=library,,C=FR", "a semicolon": "CN=library;C=FR", "quotes": `CN="library"`, "half an escape": `CN=library\`,
		"an escape of nothing": `CN=\zz`, "half a byte": `CN=\4`, "not UTF-8": `CN=\ff`, "hex that is none": "CN=#zz", "empty hex": "CN=#", "too long": "CN=" + strings.Repeat("x", maxDN),
		"a null": "CN=a\x00b",
	} {
		if dn, err := ParseDN(dn); err == nil {
			t.Errorf("%s: %v", name, dn)
		}
	}
}

func TestCertificateName_SAN_RFC8705_2_1_2(t *testing.T) {
	address, err := url.Parse("https://library.example/broker?x=1")
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, subject(t, one(oidCN, "cn.example")), func(c *x509.Certificate) {
		c.DNSNames, c.URIs, c.EmailAddresses = []string{"other.example", "Library.example", "*.wild.example"}, []*url.URL{address}, []string{"Broker@library.example"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}
	})
	tests := []struct {
		name string
		is   CertificateName
		want bool
	}{
		{"host, whatever the case of its letters", CertificateName{DNS: "library.example"}, true},
		{"host under a wildcard", CertificateName{DNS: "a.wild.example"}, false},
		{"host below", CertificateName{DNS: "x.library.example"}, false},
		{"the common name is no host", CertificateName{DNS: "cn.example"}, false},
		{"address", CertificateName{URI: "https://library.example/broker?x=1"}, true},
		{"a longer address", CertificateName{URI: "https://library.example/broker?x=12"}, false},
		{"IPv4", CertificateName{IP: netip.MustParseAddr("192.0.2.1")}, true},
		{"IPv6", CertificateName{IP: netip.MustParseAddr("2001:db8:0::1")}, true},
		{"another IP", CertificateName{IP: netip.MustParseAddr("192.0.2.2")}, false},
		{"mailbox", CertificateName{Email: "Broker@library.example"}, true},
		{"mailbox in other letters", CertificateName{Email: "broker@library.example"}, false},
		{"no name at all is nobody's", CertificateName{}, false},
	}
	for _, tt := range tests {
		if got := tt.is.Is(cert); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	bare := certificate(t, nil, func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} })
	for _, n := range []CertificateName{{}, {DN: DN{}}, {DNS: "library.example"}} {
		if n.Is(bare) {
			t.Errorf("%+v is the name of a certificate without any", n)
		}
	}
}

// A name that is written with every sign escaped is read as it was.
func TestParseDN_ReadsWhatWasEscaped(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringOfN(rapid.Rune(), 1, 40, -1).Draw(rt, "value")
		var escaped strings.Builder
		for _, b := range []byte(value) {
			escaped.WriteString(`\` + hex.EncodeToString([]byte{b}))
		}
		dn, err := ParseDN("O=x,CN=" + escaped.String() + ",C=FR")
		if err != nil {
			rt.Fatal(err)
		}
		if len(dn) != 3 || len(dn[1]) != 1 || dn[1][0].text != value {
			rt.Errorf("read %q, want %q", dn[1][0].text, value)
		}
	})
}

func FuzzParseDN(f *testing.F) {
	for _, s := range []string{"CN=library,O=Ville de Lyon,C=FR", `CN=a\,b+UID=7`, "2.5.4.3=#0c0161", `CN=\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dn, err := ParseDN(s)
		if err == nil && (len(dn) == 0 || len(dn[0]) == 0) {
			t.Errorf("%q: an empty name", s)
		}
	})
}
