package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
)

// holder is one who proves a key: alg is how.
type holder struct {
	alg string
	key crypto.Signer
}

// holders are one for each algorithm; the first two differ by the key only.
var holders = sync.OnceValue(func() []holder {
	one, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	two, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return []holder{{"ES256", one}, {"ES256", two}, {"EdDSA", ed}, {"PS256", r}}
})

// jwk is the public key as the header of a proof has it.
func (h holder) jwk() map[string]any {
	raw, err := json.Marshal(jose.JSONWebKey{Key: h.key.Public()})
	must(err)
	var m map[string]any
	must(json.Unmarshal(raw, &m))
	return m
}

func (h holder) jkt() string {
	sum, err := (&jose.JSONWebKey{Key: h.key.Public()}).Thumbprint(crypto.SHA256)
	must(err)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// sign puts a JWS together by hand, so that it can be wrong in any way.
func (h holder) sign(header, claims map[string]any) string {
	head, err := json.Marshal(header)
	must(err)
	body, err := json.Marshal(claims)
	must(err)
	return h.signRaw(string(head), string(body))
}

func (h holder) signRaw(head, body string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch key := h.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, fault := ecdsa.Sign(rand.Reader, key, digest[:])
		sig, err = make([]byte, 64), fault
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, []byte(signed))
	case *rsa.PrivateKey:
		if h.alg == "RS256" {
			sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		} else {
			sig, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	}
	must(err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// spoil is a change to a proof; a value of nil takes a member away.
type spoil struct{ header, claims map[string]any }

func merged(m, changes map[string]any) map[string]any {
	out := map[string]any{}
	for _, from := range []map[string]any{m, changes} {
		for k, v := range from {
			if out[k] = v; v == nil {
				delete(out, k)
			}
		}
	}
	return out
}

// parts are header and claims of a good proof for a route; token is the access token
// that it goes with, "" for none.
func (w *world) parts(h holder, method, path, token string, changes ...spoil) (header, claims map[string]any) {
	w.t.Helper()
	nonce, err := w.p.nonceAt(w.t.Context(), w.p.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	header = map[string]any{"typ": "dpop+jwt", "alg": h.alg, "jwk": h.jwk()}
	claims = map[string]any{"jti": newHandle(), "htm": method, "htu": issuer + path, "iat": w.p.Now().Unix(), "nonce": nonce}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
		delete(claims, "nonce")
	}
	for _, c := range changes {
		header, claims = merged(header, c.header), merged(claims, c.claims)
	}
	return header, claims
}

func (w *world) proof(h holder, method, path, token string, changes ...spoil) string {
	w.t.Helper()
	return h.sign(w.parts(h, method, path, token, changes...))
}

// newProofWorld has two clients more, which must prove a key; one gets JWTs.
func newProofWorld(t testing.TB) *world {
	w := newWorld(t)
	opaque := *testClients()[0]
	opaque.ID, opaque.DPoPBound = "bound", true
	jwt := opaque
	jwt.ID, jwt.AccessTokenFormat = "bound-jwt", clients.JWT
	w.set = clients.NewSet(append(testClients(), &opaque, &jwt)...)
	return w
}

// with sends r with proofs.
func with(r *http.Request, proofs ...string) *http.Request {
	r.Header["Dpop"] = proofs
	return r
}

// redeemBy redeems a code with a proof.
func (w *world) redeemBy(proof string, f url.Values, client string) reply {
	w.t.Helper()
	r := post(PathToken, f)
	basic(r, client, secret)
	return w.do(with(r, proof))
}

// boundToken is an access token of library that is bound to h.
func (w *world) boundToken(h holder) string {
	w.t.Helper()
	got := w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(w.code()), "library")
	if got.status != http.StatusOK {
		w.t.Fatalf("got %d %s", got.status, got.body)
	}
	return got.json(w.t)["access_token"].(string)
}

// readBy asks for userinfo with the scheme DPoP.
func (w *world) readBy(token string, proofs ...string) reply {
	w.t.Helper()
	return w.do(with(readRequest("DPoP", token), proofs...))
}

func readRequest(scheme, token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, PathUserInfo, nil)
	r.Header.Set("Authorization", scheme+" "+token)
	return r
}

// challenges are the WWW-Authenticate headers in one line.
func (r reply) challenges() string { return strings.Join(r.header["Www-Authenticate"], ", ") }
