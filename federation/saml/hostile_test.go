package saml

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the default of RSA-OAEP in XML Encryption
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	theirs   = "https://idp.test/metadata"
	ours     = "https://id.test/saml/uni/metadata"
	acs      = "https://id.test/saml/uni/acs"
	state    = "flow-of-22-characters.state-of-22-characters"
	password = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	token    = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"
	canary   = "Canary"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// pair is a key and its certificate.
type pair struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func certify(key crypto.Signer) pair {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: noon.AddDate(-9, 0, 0), NotAfter: noon.AddDate(-8, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return pair{key, cert}
}

func newRSA(bits int) func() pair {
	return sync.OnceValue(func() pair {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return certify(key)
	})
}

func newEC(curve elliptic.Curve) func() pair {
	return sync.OnceValue(func() pair {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		p := certify(key)
		p.key = sideBySide{key}
		return p
	})
}

// sideBySide signs as XML Signature wants it of ECDSA.
type sideBySide struct{ *ecdsa.PrivateKey }

func (s sideBySide) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	der, err := s.PrivateKey.Sign(r, digest, o)
	if err != nil {
		return nil, err
	}
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, err
	}
	size := (s.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	v.R.FillBytes(out[:size])
	v.S.FillBytes(out[size:])
	return out, nil
}

// The keys of the tests, made once.
var (
	idpKey      = newRSA(2048)
	otherKey    = newRSA(2048)
	weakKey     = newRSA(1024)
	ecKey       = newEC(elliptic.P256())
	ec384Key    = newEC(elliptic.P384())
	brokerKey   = newRSA(2048)
	metadataKey = newRSA(2048)
)

// holder is our keys with one key for everything.
type holder struct{}

func (holder) SAMLCertificates(context.Context) (keys.SAMLCertificates, error) {
	der := brokerKey().cert.Raw
	return keys.SAMLCertificates{Signing: [][]byte{der}, Encryption: der}, nil
}

func (holder) SignSAMLQuery(_ context.Context, query string) ([]byte, error) {
	digest := sha256.Sum256([]byte(query))
	return brokerKey().key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

func (holder) UnwrapSAMLKey(_ context.Context, wrapped []byte, _ keys.OAEP) ([]byte, error) {
	key, err := rsa.DecryptOAEP(sha1.New(), nil, brokerKey().key.(*rsa.PrivateKey), wrapped, nil)
	if err != nil {
		return nil, keys.ErrSealed
	}
	return key, nil
}

// memory is a OnceStore.
type memory struct {
	mu   sync.Mutex
	seen map[string]time.Time
	err  error
}

func (m *memory) Consume(_ context.Context, kind, id string, until, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return false, m.err
	}
	if m.seen == nil {
		m.seen = map[string]time.Time{}
	}
	_, again := m.seen[kind+id]
	m.seen[kind+id] = until
	return !again, nil
}

// world is a provider and the one that it believes.
type world struct {
	t    testing.TB
	cfg  Config
	now  time.Time
	once *memory
	log  bytes.Buffer
	p    *Provider
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, now: noon, once: &memory{}}
	w.cfg = Config{
		ID: "uni", Name: protocol.Text{"en": "University"}, EntityID: theirs, Metadata: idpMetadata(nil, idpKey()),
		OurEntityID: ours, ACS: acs,
		ACR:          ACR{Max: protocol.EIDAS2, Map: map[string]protocol.ACR{password: protocol.EIDAS1, token: protocol.EIDAS2, "urn:too-good": protocol.EIDAS3}},
		Attributes:   map[string]string{"givenName": "given_name", "sn": "family_name", "mail": "email", "nick": "preferred_username"},
		ForeignHosts: []string{"id.test", "other.test"},
		Keys:         holder{}, Once: w.once, Now: func() time.Time { return w.now },
		Schema: identity.Schema{Required: []protocol.Claim{protocol.GivenName, protocol.FamilyName}},
		Log:    slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	for _, c := range change {
		c(&w.cfg)
	}
	var err error
	if w.p, err = New(w.cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

// idpMetadata writes metadata of the provider; change may spoil it.
func idpMetadata(change func(*etree.Element), pairs ...pair) []byte {
	doc := etree.NewDocument()
	root := doc.CreateElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", nsMetadata)
	root.CreateAttr("xmlns:ds", nsSignature)
	root.CreateAttr("ID", "_metadata")
	root.CreateAttr("entityID", theirs)
	role := root.CreateElement("md:IDPSSODescriptor")
	role.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for _, p := range pairs {
		keyDescriptor(role, "signing", p.cert.Raw)
	}
	for _, b := range []string{bindingPost, bindingRedirect} {
		sso := role.CreateElement("md:SingleSignOnService")
		sso.CreateAttr("Binding", b)
		sso.CreateAttr("Location", "https://idp.test/sso")
	}
	if change != nil {
		change(root)
	}
	out, err := doc.WriteToBytes()
	if err != nil {
		panic(err)
	}
	return out
}

// begin starts a sign-in, and returns what is kept of it and our request's ID.
func (w *world) begin(r federation.Request) ([]byte, string) {
	w.t.Helper()
	r.State = state
	s, err := w.p.Start(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	var pend pending
	if err := json.Unmarshal(s.Pending, &pend); err != nil {
		w.t.Fatal(err)
	}
	return s.Pending, pend.Request
}

func (w *world) finish(r federation.Request, saved []byte, message string) (federation.Login, error) {
	w.t.Helper()
	r.State = state
	return w.p.Finish(w.t.Context(), r, saved, url.Values{"SAMLResponse": {message}, "RelayState": {state}})
}

// parts of a good assertion and a good response, unsigned.
func (w *world) assertion(request string) *etree.Element {
	at := func(d time.Duration) string { return w.now.Add(d).Format(timeFormat) }
	return element(`<saml:Assertion xmlns:saml="` + nsAssertion + `" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="` + nsInstance + `" ID="_a1" Version="2.0" IssueInstant="` + at(0) + `">` +
		`<saml:Issuer>` + theirs + `</saml:Issuer>` +
		`<saml:Subject><saml:NameID Format="` + formatPersistent + `" SPNameQualifier="` + ours + `">account-1</saml:NameID>` +
		`<saml:SubjectConfirmation Method="` + bearer + `"><saml:SubjectConfirmationData NotOnOrAfter="` + at(5*time.Minute) + `" Recipient="` + acs + `" InResponseTo="` + request + `"/></saml:SubjectConfirmation></saml:Subject>` +
		`<saml:Conditions NotBefore="` + at(-30*time.Second) + `" NotOnOrAfter="` + at(5*time.Minute) + `"><saml:AudienceRestriction><saml:Audience>` + ours + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
		`<saml:AuthnStatement AuthnInstant="` + at(0) + `" SessionNotOnOrAfter="` + at(8*time.Hour) + `" SessionIndex="_s"><saml:AuthnContext><saml:AuthnContextClassRef>` + password + `</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>` +
		`<saml:AttributeStatement><saml:Attribute Name="givenName"><saml:AttributeValue xsi:type="xs:string">` + canary + `</saml:AttributeValue></saml:Attribute>` +
		`<saml:Attribute Name="sn"><saml:AttributeValue>Martin</saml:AttributeValue></saml:Attribute>` +
		`<saml:Attribute Name="mail"><saml:AttributeValue>canary@example.test</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`)
}

func (w *world) response(request string, inside ...*etree.Element) *etree.Element {
	r := element(`<samlp:Response xmlns:samlp="` + nsProtocol + `" ID="_r1" Version="2.0" IssueInstant="` + w.now.Format(timeFormat) + `" Destination="` + acs + `" InResponseTo="` + request + `">` +
		`<saml:Issuer xmlns:saml="` + nsAssertion + `">` + theirs + `</saml:Issuer><samlp:Status><samlp:StatusCode Value="` + statusPrefix + `Success"/></samlp:Status></samlp:Response>`)
	for _, el := range inside {
		r.AddChild(el)
	}
	return r
}

func element(xml string) *etree.Element {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(xml); err != nil {
		panic(err)
	}
	return doc.Root()
}

// sign returns el with an enveloped signature, behind its Issuer.
func sign(el *etree.Element, by pair, change ...func(*dsig.SigningContext)) *etree.Element {
	ctx, err := dsig.NewSigningContext(by.key, [][]byte{by.cert.Raw})
	if err != nil {
		panic(err)
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	for _, c := range change {
		c(ctx)
	}
	sig, err := ctx.ConstructSignature(el.Copy(), true)
	if err != nil {
		panic(err)
	}
	out := el.Copy()
	at := 0
	if first := out.ChildElements(); len(first) > 0 && first[0].Tag == "Issuer" {
		at = first[0].Index() + 1
	}
	out.InsertChildAt(at, sig)
	return out
}

func encode(el *etree.Element) string {
	doc := etree.NewDocument()
	doc.SetRoot(el.Copy())
	b, err := doc.WriteToBytes()
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// encrypted wraps an assertion for our key.
func encrypted(el *etree.Element, content, transport string) *etree.Element {
	key := make([]byte, 16)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	doc := etree.NewDocument()
	doc.SetRoot(el.Copy())
	plain, err := doc.WriteToBytes()
	if err != nil {
		panic(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, brokerKey().key.Public().(*rsa.PublicKey), key, nil)
	if err != nil {
		panic(err)
	}
	var sealed []byte
	if strings.HasSuffix(content, "-cbc") {
		padding := aes.BlockSize - len(plain)%aes.BlockSize
		plain = append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)
		sealed = make([]byte, aes.BlockSize+len(plain))
		_, _ = rand.Read(sealed[:aes.BlockSize])
		cipher.NewCBCEncrypter(block, sealed[:aes.BlockSize]).CryptBlocks(sealed[aes.BlockSize:], plain)
	} else {
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			panic(err)
		}
		sealed = gcm.Seal(nil, nil, plain, nil)
	}
	b64 := base64.StdEncoding.EncodeToString
	return element(`<saml:EncryptedAssertion xmlns:saml="` + nsAssertion + `"><xenc:EncryptedData xmlns:xenc="` + nsEncrypt + `" Type="` + nsEncrypt + `Element"><xenc:EncryptionMethod Algorithm="` + content + `"/>` +
		`<ds:KeyInfo xmlns:ds="` + nsSignature + `"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="` + transport + `"/><xenc:CipherData><xenc:CipherValue>` + b64(wrapped) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>` +
		`<xenc:CipherData><xenc:CipherValue>` + b64(sealed) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`)
}

const (
	gcm128 = nsEncrypt11 + "aes128-gcm"
	cbc128 = nsEncrypt + "aes128-cbc"
	oaep1  = nsEncrypt + "rsa-oaep-mgf1p"
)

// wantRefused checks that a message is not believed, for what kind of reason, and
// that neither the error nor the log quotes it.
func (w *world) wantRefused(kind federation.Kind, saved []byte, message string) {
	w.t.Helper()
	login, err := w.finish(federation.Request{}, saved, message)
	var e *federation.Error
	if !errors.As(err, &e) || e.Kind != kind || login.Subject != "" {
		w.t.Errorf("Finish = %q, %v; want kind %d", login.Subject, err, kind)
		return
	}
	for _, secret := range []string{canary, "account-1", "attacker", "evil"} {
		if strings.Contains(err.Error(), secret) || strings.Contains(w.log.String(), secret) {
			w.t.Errorf("error or log quotes %q: %v", secret, err)
		}
	}
	if !strings.Contains(w.log.String(), "why=") {
		w.t.Error("the log gives no reason")
	}
}
