package keys

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what providers use with RSA-OAEP
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"
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
	for _, other := range []string{"", "eyJhbGciOiJSUzI1NiJ9.e30", "SAMLRequestabc", "RelayState=x&SAMLRequest=abc"} {
		if _, err := r.SignSAMLQuery(t.Context(), other); err == nil {
			t.Errorf("%q was signed", other)
		}
	}
	for _, alg := range samlAlgorithms() {
		if _, err := r.Sign(t.Context(), alg, "JWT", []byte("{}")); !errors.Is(err, ErrNoKey) {
			t.Errorf("Sign with %s: %v, want ErrNoKey", alg, err)
		}
		if _, err := r.ForProviders().Sign(t.Context(), alg, "JWT", []byte("{}")); !errors.Is(err, ErrNoKey) {
			t.Errorf("Sign with %s for providers: %v, want ErrNoKey", alg, err)
		}
		if err := r.CanSign(t.Context(), alg); err == nil {
			t.Errorf("CanSign with %s", alg)
		}
	}
}

func TestSAML_KeysHaveNoOtherUseAndLieInNoSigner(t *testing.T) {
	for name, change := range map[string]func(*signingKey){
		"for services":  func(k *signingKey) { k.Use = ForServices },
		"for providers": func(k *signingKey) { k.Use = ForProviders },
		"signs tokens":  func(k *signingKey) { k.Alg = rs256 },
		"in a signer":   func(k *signingKey) { k.Private, k.InSigner = nil, true },
	} {
		var c contents
		c.secrets()
		if err := c.complete([]slot{{ForSAML, SAMLSigning}}, generate, false, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := fileRing().newHolding(c, time.Now()); err != nil {
			t.Fatal(err)
		}
		if change(&c.Signing[0]); c.Signing[0].State != Active {
			t.Fatal("not the key that signs")
		}
		if _, err := fileRing().newHolding(c, time.Now()); err == nil {
			t.Errorf("%s: the file is accepted", name)
		}
	}
}

func TestSAML_KeysStayInTheFileWhereASignerHoldsTheOthers(t *testing.T) {
	cfg, _ := shelf(t)
	token := newSoftToken()
	cfg.SAML, cfg.Signer = true, token
	token.set(true)
	r := open(t, cfg) // they wait for no signer
	before, _ := certificates(t, r)
	if err := r.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ready without a key for services: %v", err)
	}
	// Neither a rotation nor an emergency does.
	if err := r.Rotate(t.Context(), ForSAML, SAMLSigning); err != nil {
		t.Fatal(err)
	}
	after, _ := certificates(t, r)
	if !after[0].Equal(before[1]) || after[1].Equal(before[1]) {
		t.Error("the next key does not sign after a rotation")
	}
	for _, k := range r.Keys() {
		if k.Use == ForSAML && k.State == Active {
			if err := r.Revoke(t.Context(), k.KID); err != nil {
				t.Fatal(err)
			}
		}
	}
	last, _ := certificates(t, r)
	if !last[0].Equal(after[1]) {
		t.Error("the next key does not sign after a revocation")
	}
	token.set(false)
	if err := errors.Join(r.Reload(t.Context()), r.Ready(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, k := range r.Keys() {
		if k.InSigner == (k.Use == ForSAML) {
			t.Errorf("%s key in the signer: %t", k.Alg, k.InSigner)
		}
	}
	if len(token.keys) != 2 {
		t.Errorf("the signer has %d keys, want those for services", len(token.keys))
	}
}

func TestSAML_KeysAreNotInTheJWKS(t *testing.T) {
	r := samlRing(t)
	for _, alg := range samlAlgorithms() { // retired ones are not there either
		if err := r.Rotate(t.Context(), ForSAML, alg); err != nil {
			t.Fatal(err)
		}
	}
	services, _ := r.JWKS()
	providers, _ := r.ForProviders().JWKS()
	for _, k := range r.Keys() {
		if in := bytes.Contains(services, []byte(k.KID)) || bytes.Contains(providers, []byte(k.KID)); in == (k.Use == ForSAML) {
			t.Errorf("%s key in a JWKS: %t", k.Alg, in)
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
	if slices.ContainsFunc(r.Keys(), func(d Description) bool { return d.Use == ForSAML }) {
		t.Error("it has some")
	}
	_, err1 := r.SAMLCertificates(t.Context())
	_, err2 := r.SignSAMLQuery(t.Context(), "SAMLRequest=x")
	_, err3 := r.UnwrapSAMLKey(t.Context(), nil, OAEP{})
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, ErrNoKey) {
			t.Errorf("%v, want ErrNoKey", err)
		}
	}
}
