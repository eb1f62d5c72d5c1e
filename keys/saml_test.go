package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what providers use with RSA-OAEP
	"crypto/x509"
	"errors"
	"strings"
	"testing"
)

func samlRing(t *testing.T) *Ring {
	t.Helper()
	cfg, _ := shelf(t)
	cfg.SAML = true
	return open(t, cfg)
}

func certificates(t *testing.T, r *Ring) (signing []*x509.Certificate, encryption *x509.Certificate) {
	t.Helper()
	c, err := r.SAMLCertificates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parse := func(der []byte) *x509.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	for _, der := range c.Signing {
		signing = append(signing, parse(der))
	}
	return signing, parse(c.Encryption)
}

func TestSAML_RequestsAreSignedByTheKeyOfTheFirstCertificate_Bindings_3_4_4_1(t *testing.T) {
	r := samlRing(t)
	query := "SAMLRequest=abc&RelayState=x&SigAlg=y"
	sig, err := r.SignSAMLQuery(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	signing, _ := certificates(t, r)
	if err := signing[0].CheckSignature(x509.SHA256WithRSA, []byte(query), sig); err != nil {
		t.Error(err)
	}
}

func TestSAML_KeysSignNothingButRequests(t *testing.T) {
	r := samlRing(t)
	for _, other := range []string{"", "eyJhbGciOiJSUzI1NiJ9.e30", "SAMLResponse=abc", "RelayState=x&SAMLRequest=abc"} {
		if _, err := r.SignSAMLQuery(t.Context(), other); err == nil {
			t.Errorf("%q was signed", other)
		}
	}
	for _, alg := range []string{SAMLSigning, SAMLDecryption} {
		if _, err := r.Sign(t.Context(), alg, "JWT", []byte("{}")); !errors.Is(err, ErrNoKey) {
			t.Errorf("Sign with %s: %v, want ErrNoKey", alg, err)
		}
	}
}

func TestSAML_KeysAreNotInTheJWKS(t *testing.T) {
	r := samlRing(t)
	jwks, _ := r.JWKS()
	for _, k := range r.Keys() {
		if in := bytes.Contains(jwks, []byte(k.KID)); in == strings.HasPrefix(k.Alg, "SAML") {
			t.Errorf("%s key in the JWKS: %t", k.Alg, in)
		}
	}
}

func TestSAML_CertificatesStayTheSameWhenTheFileIsReadAgain(t *testing.T) {
	cfg, _ := shelf(t)
	cfg.SAML = true
	first, err := open(t, cfg).SAMLCertificates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := open(t, cfg).SAMLCertificates(t.Context())
	if err != nil || !bytes.Equal(first.Encryption, second.Encryption) || !bytes.Equal(first.Signing[0], second.Signing[0]) || !bytes.Equal(first.Signing[1], second.Signing[1]) {
		t.Errorf("certificates changed (%v)", err)
	}
}

func TestSAML_TheNextKeyIsPublishedBeforeItSigns(t *testing.T) {
	r := samlRing(t)
	before, _ := certificates(t, r)
	if err := r.Rotate(t.Context(), ForSAML, SAMLSigning); err != nil {
		t.Fatal(err)
	}
	after, _ := certificates(t, r)
	if !after[0].Equal(before[1]) || after[1].Equal(before[0]) {
		t.Error("the key that signs after a rotation was not the next one of before")
	}
}

func TestSAML_KeysAreUnwrappedThroughOneRotationAndNoLonger(t *testing.T) {
	r := samlRing(t)
	_, to := certificates(t, r)
	public := to.PublicKey.(*rsa.PublicKey)
	secret := []byte("sixteen byte key")
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	for rotations := range 3 {
		got, err := r.UnwrapSAMLKey(t.Context(), wrapped, OAEP{})
		if rotations < 2 && (err != nil || !bytes.Equal(got, secret)) {
			t.Errorf("after %d rotations: %v", rotations, err)
		}
		if rotations == 2 && !errors.Is(err, ErrSealed) {
			t.Errorf("after %d rotations: %v, want ErrSealed", rotations, err)
		}
		if err := r.Rotate(t.Context(), ForSAML, SAMLDecryption); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSAML_UnwrapWithSHA256AndMixedMaskHash(t *testing.T) {
	r := samlRing(t)
	_, to := certificates(t, r)
	public := to.PublicKey.(*rsa.PublicKey)
	for _, o := range []OAEP{{SHA256: true, MGFSHA256: true}, {SHA256: true}} {
		mgf := crypto.SHA1
		if o.MGFSHA256 {
			mgf = crypto.SHA256
		}
		wrapped, err := rsa.EncryptOAEPWithOptions(rand.Reader, public, []byte("key"), &rsa.OAEPOptions{Hash: crypto.SHA256, MGFHash: mgf})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.UnwrapSAMLKey(t.Context(), wrapped, o); err != nil || string(got) != "key" {
			t.Errorf("%+v: %v", o, err)
		}
		if _, err := r.UnwrapSAMLKey(t.Context(), wrapped, OAEP{}); !errors.Is(err, ErrSealed) {
			t.Errorf("%+v opened with other parameters: %v", o, err)
		}
	}
}

func TestSAML_ARingWithoutSAMLKeysSaysSo(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	_, err1 := r.SAMLCertificates(t.Context())
	_, err2 := r.SignSAMLQuery(t.Context(), "SAMLRequest=x")
	_, err3 := r.UnwrapSAMLKey(t.Context(), nil, OAEP{})
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, ErrNoKey) {
			t.Errorf("%v, want ErrNoKey", err)
		}
	}
}
