package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// holder has a key, and proves it on each request of its client (DPoP, RFC 9449).
type holder struct {
	op     *op
	key    *ecdsa.PrivateKey
	nonce  string
	mute   bool                              // sends no proof
	change func(head, claims map[string]any) // makes the proof another one
	tamper bool                              // changes the signature
}

func newHolder(t *testing.T, o *op) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{op: o, key: key}
}

// jwk is the public key, with its members in the order of RFC 7638 section 3.2 once
// it is JSON.
func (h *holder) jwk(t *testing.T) map[string]any {
	t.Helper()
	point, err := h.key.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding
	return map[string]any{"crv": "P-256", "kty": "EC", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])}
}

// thumbprint is that of RFC 7638.
func (h *holder) thumbprint(t *testing.T) string {
	t.Helper()
	return challenge(string(encode(t, h.jwk(t))))
}

// prove puts a proof on a request, for its token if it has one.
func (h *holder) prove(t *testing.T, r *http.Request) {
	t.Helper()
	if h.mute {
		return
	}
	head := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": h.jwk(t)}
	claims := map[string]any{"jti": random(), "htm": r.Method, "htu": r.URL.String(), "iat": h.op.now().Unix()}
	if h.nonce != "" {
		claims["nonce"] = h.nonce
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		claims["ath"] = challenge(token)
	}
	if h.change != nil {
		h.change(head, claims)
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(encode(t, head)) + "." + b64.EncodeToString(encode(t, claims))
	sum := sha256.Sum256([]byte(input))
	x, y, err := ecdsa.Sign(rand.Reader, h.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	compact := input + "." + b64.EncodeToString(append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...))
	if head["alg"] == "none" {
		compact = input + "."
	}
	if h.tamper {
		compact = tampered(compact)
	}
	r.Header.Set("DPoP", compact)
}

// heard keeps a nonce, and reports whether the request should be sent again with it.
func (h *holder) heard(r reply) bool {
	if n := r.header.Get("DPoP-Nonce"); n != "" {
		h.nonce = n
	}
	return r.str("error") == "use_dpop_nonce"
}

// holding is a client like c whose key does something else.
func (c *client) holding(change func(*holder)) *client {
	other, h := *c, *c.holder
	change(&h)
	other.holder = &h
	return &other
}

// unbound is the same client, without a proof of possession.
func (c *client) unbound(t *testing.T) *client {
	t.Helper()
	if c.holder == nil {
		return c.certified(t, tls.Certificate{})
	}
	return c.holding(func(h *holder) { h.mute = true })
}

func withProof(change func(s *suite, claims map[string]any)) test {
	return func(t *testing.T, s *suite) {
		c := s.first.holding(func(h *holder) { h.change = func(_, claims map[string]any) { change(s, claims) } })
		s.signIn(t, s.browser(t), s.request(c))
	}
}

func dpopTests() map[string]test {
	ago := func(d time.Duration) test {
		return withProof(func(s *suite, m map[string]any) { m["iat"] = s.now().Add(-d).Unix() })
	}
	return named(map[string]test{
		"check-dpop-proof-nbf-exp": withProof(func(s *suite, m map[string]any) {
			m["nbf"], m["exp"] = s.now().Unix(), s.now().Add(5*time.Minute).Unix()
		}),
		"ensure-dpopproof-with-iat-10seconds-before-succeeds":        ago(10 * time.Second),
		"ensure-dpopproof-with-iat-10seconds-after-succeeds":         ago(-10 * time.Second),
		"ensure-mismatched-dpop-jkt-fails":                           mismatchedAtPAR,
		"ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt": func(t *testing.T, s *suite) { mismatchedAtToken(t, s, true) },
		"ensure-token-endpoint-fails-with-mismatched-dpop-jkt":       func(t *testing.T, s *suite) { mismatchedAtToken(t, s, false) },
		"ensure-dpopproof-at-par-endpoint-binding-success":           simply(func(*request) {}),
		"ensure-dpop-auth-code-binding-success":                      boundByParameter,
		"ensure-holder-of-key-required":                              holderRequired,
		"dpop-negative-tests":                                        badProofs,
	})
}

// RFC 9449 section 10.1: the proof at /par and dpop_jkt must name one key.
func mismatchedAtPAR(t *testing.T, s *suite) {
	r := s.request(s.first).with("dpop_jkt", newHolder(t, s.op).thumbprint(t))
	s.push(t, r).says(t, http.StatusBadRequest, "invalid_request", "invalid_dpop_proof")
}

// byParameter binds the code by dpop_jkt, and sends no proof to /par.
func byParameter(t *testing.T, s *suite) *request {
	t.Helper()
	return s.request(s.first.unbound(t)).with("dpop_jkt", s.first.holder.thumbprint(t))
}

func boundByParameter(t *testing.T, s *suite) {
	r := byParameter(t, s)
	x := s.code(t, s.browser(t), r)
	r.client = s.first
	s.spend(t, r, x)
}

func mismatchedAtToken(t *testing.T, s *suite, byProof bool) {
	r := s.request(s.first)
	if !byProof {
		r = byParameter(t, s)
	}
	x := s.code(t, s.browser(t), r)
	thief := s.first.holding(func(h *holder) { h.key = newHolder(t, s.op).key })
	thief.redeem(t, x.code, r.verifier).says(t, http.StatusBadRequest, "invalid_grant", "invalid_dpop_proof")
}

func holderRequired(t *testing.T, s *suite) {
	r := s.request(s.first)
	x := s.code(t, s.browser(t), r)
	without := s.first.unbound(t)
	without.redeem(t, x.code, r.verifier).says(t, http.StatusBadRequest, "invalid_request", "invalid_dpop_proof")
	x = s.signIn(t, s.browser(t), s.request(s.first))
	for _, scheme := range []string{"Bearer", "DPoP"} {
		if got := without.userinfo(t, http.MethodGet, scheme, x.access); got.status != http.StatusUnauthorized {
			t.Errorf("a bound token without a proof, as %s: %d", scheme, got.status)
		}
	}
}

func badProofs(t *testing.T, s *suite) {
	claim := func(name string, value any) func(*holder) {
		return func(h *holder) {
			h.change = func(_, claims map[string]any) {
				if claims[name] = value; value == nil {
					delete(claims, name)
				}
			}
		}
	}
	header := func(name string, value any) func(*holder) {
		return func(h *holder) { h.change = func(head, _ map[string]any) { head[name] = value } }
	}
	jti := random()
	for name, change := range map[string]func(*holder){
		"another method": claim("htm", "PUT"), "another address": claim("htu", "https://other.example/token"),
		"no htm": claim("htm", nil), "no htu": claim("htu", nil), "no iat": claim("iat", nil), "no jti": claim("jti", nil),
		"too old": claim("iat", s.now().Add(-time.Hour).Unix()), "too early": claim("iat", s.now().Add(time.Hour).Unix()),
		"another type": header("typ", "JWT"), "nobody signed": header("alg", "none"), "no key": header("jwk", nil),
		"a bad signature": func(h *holder) { h.tamper = true },
		"the private key": func(h *holder) {
			h.change = func(head, _ map[string]any) {
				jwk := maps.Clone(head["jwk"].(map[string]any))
				jwk["d"] = random()
				head["jwk"] = jwk
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.request(s.first)
			x := s.code(t, s.browser(t), r)
			s.first.holding(change).redeem(t, x.code, r.verifier).says(t, http.StatusBadRequest, "invalid_dpop_proof")
			x = s.spend(t, r, x) // the code is still good
			if got := s.first.holding(change).userinfo(t, http.MethodGet, x.scheme(), x.access); got.status/100 != 4 {
				t.Errorf("userinfo: %d", got.status)
			}
		})
	}
	x := s.signIn(t, s.browser(t), s.request(s.first))
	for name, change := range map[string]func(*holder){
		"no ath": claim("ath", nil), "another token's ath": claim("ath", challenge(random())),
		"another key": func(h *holder) { h.key = newHolder(t, s.op).key },
	} {
		if got := s.first.holding(change).userinfo(t, http.MethodGet, x.scheme(), x.access); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	once := s.first.holding(claim("jti", jti))
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		if got := once.userinfo(t, http.MethodGet, x.scheme(), x.access); got.status != want {
			t.Errorf("use %d of one proof: %d, want %d", i+1, got.status, want)
		}
	}
}
