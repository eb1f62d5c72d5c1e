package journeys

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
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// stolen is what a service saw of a bound token, and what somebody else can do with it.
type stolen struct {
	Type    string         `json:"type"`
	Key     string         `json:"key"`
	Seen    map[string]any `json:"seen"`    // by introspection
	Bearer  any            `json:"bearer"`  // status at userinfo without a proof
	Another any            `json:"another"` // and with one by another key
}

// TestInterop_OpenIDClientWithDPoP_RFC9449: the library learns the nonce by itself and
// proves its key at /par, /token and /userinfo.
func TestInterop_OpenIDClientWithDPoP_RFC9449(t *testing.T) {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	private, public := clientKey(t)
	const bound = "\n    dpop_bound_access_tokens: true"
	tests := []struct {
		name, auth, yaml, alg string
		env                   []string
	}{
		{name: "dpop_jkt in a plain request", auth: "basic", yaml: secretAuth("client_secret_basic"), alg: "ES256"},
		{
			name: "pushed, private_key_jwt, JWT access token", auth: "private_key_jwt", alg: "PS256",
			env:  []string{"REQUEST=pushed", "PRIVATE_JWK=" + private},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    require_par: true\n    access_token_format: jwt\n    jwks: " + public + bound,
		},
		{
			name: "FAPI 2.0: everything signed, pushed, private_key_jwt", auth: "private_key_jwt", alg: "ES256",
			env: []string{"REQUEST=signed and pushed", "RESPONSE=signed", "USERINFO_ALG=ES256", "PRIVATE_JWK=" + private},
			yaml: "    token_endpoint_auth_method: private_key_jwt\n    require_par: true\n    request_object_signing_alg: ES256\n" +
				"    require_signed_request_object: true\n    authorization_signed_response_alg: ES256\n    userinfo_signed_response_alg: ES256\n    jwks: " + public + bound,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := ports(t)
			broker := upstream(t, fmt.Sprintf("http://127.0.0.1:%d/callback", port), tt.yaml)
			env := append(tt.env, fmt.Sprintf("PORT=%d", port), "ISSUER="+broker, "CLIENT_ID=library",
				"CLIENT_SECRET="+serviceSecret, "AUTH="+tt.auth, "SCOPE=openid given_name age_over_16 email", "DPOP="+tt.alg)
			service := fmt.Sprintf("http://127.0.0.1:%d", port)
			launch(t, env, service+"/ready", node(t), "counterparts/openid-client.mjs")
			r := decode(t, passThrough(newCitizen(t), service+"/start", nil))
			wantMinimal(t, r.UserInfo, false)
			if r.DPoP == nil {
				t.Fatal("the service proved nothing")
			}
			cnf, _ := r.DPoP.Seen["cnf"].(map[string]any)
			if !strings.EqualFold(r.DPoP.Type, "DPoP") || r.DPoP.Seen["token_type"] != "DPoP" || cnf["jkt"] != r.DPoP.Key {
				t.Errorf("the token is not bound to %s: %s, %v", r.DPoP.Key, r.DPoP.Type, r.DPoP.Seen)
			}
			if r.DPoP.Bearer != 401.0 || r.DPoP.Another != 401.0 {
				t.Errorf("without its key the token opens userinfo: %v, %v", r.DPoP.Bearer, r.DPoP.Another)
			}
		})
	}
}

// prover makes DPoP proofs by hand.
type prover struct {
	t   *testing.T
	alg string
	key crypto.Signer
}

func newProver(t *testing.T, alg string) prover {
	t.Helper()
	p := prover{t: t, alg: alg}
	var err error
	switch alg {
	case "ES256":
		p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, p.key, err = ed25519.GenerateKey(rand.Reader)
	case "PS256":
		p.key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no proofs by %s", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p prover) jwk() map[string]string {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := p.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			p.t.Fatal(err)
		}
		return map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:65])}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(k)}
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	}
	p.t.Fatal("no public key")
	return nil
}

// thumbprint names the key (RFC 7638): its members are in order, as json sorts them.
func (p prover) thumbprint() string {
	raw, err := json.Marshal(p.jwk())
	if err != nil {
		p.t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proof is for one request; nonce and token may be "".
func (p prover) proof(method, uri, nonce, token string) string {
	p.t.Helper()
	claims := map[string]any{"jti": random(), "htm": method, "htu": uri, "iat": time.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			p.t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]any{"typ": "dpop+jwt", "alg": p.alg, "jwk": p.jwk()}) + "." + part(claims)
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch k := p.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, fault := ecdsa.Sign(rand.Reader, k, digest[:])
		if sig, err = make([]byte, 64), fault; err == nil {
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(signed))
	case *rsa.PrivateKey:
		sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	whole := signed + "." + base64.RawURLEncoding.EncodeToString(sig)
	sing("DPoP proof", whole)
	sing("signature of a DPoP proof", base64.RawURLEncoding.EncodeToString(sig))
	return whole
}

// proven is the answer to a request with a proof, and the nonce that came with it.
type proven struct {
	status int
	nonce  string
	said   map[string]any
}

// sendProof asks with a proof; "" for none.
func sendProof(t *testing.T, method, uri, proof string, form url.Values, prove func(http.Header)) (proven, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, uri, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if proof != "" {
		req.Header.Set("DPoP", proof)
	}
	prove(req.Header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return proven{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	got := proven{status: resp.StatusCode, nonce: resp.Header.Get("DPoP-Nonce")}
	err = json.NewDecoder(resp.Body).Decode(&got.said)
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		value, _ := got.said[name].(string)
		sing(name, value)
	}
	return got, err
}

// is reports whether the answer is this error.
func (a proven) is(status int, code string) bool {
	return a.status == status && (code == "" || a.said["error"] == code)
}

// proofs tries what the document says of DPoP, with a client that gets no token
// without it.
func (w *truthWorld) proofs(t *testing.T, each func(string, func(string) string), can func(bool) string) {
	t.Helper()
	send := func(method, path, proof string, form url.Values, prove func(http.Header)) proven {
		got, err := sendProof(t, method, w.broker+path, proof, form, prove)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	each("dpop_signing_alg_values_supported", func(alg string) string {
		s, p := newService(t, w.broker, "bound"), newProver(t, alg)
		r := s.start("openid", url.Values{"dpop_jkt": {p.thumbprint()}})
		form := s.tokenForm(w.signIn(t, s, r).Get("code"), r.Verifier)
		redeem := func(proof string) proven { return send("POST", "/token", proof, form, asBasic(s.id)) }
		if got := redeem(""); !got.is(400, "invalid_request") {
			return fmt.Sprintf("without a proof: %d %v", got.status, got.said["error"])
		}
		asked := redeem(p.proof("POST", w.broker+"/token", "", ""))
		if !asked.is(400, "use_dpop_nonce") {
			return fmt.Sprintf("without a nonce: %d %v", asked.status, asked.said["error"])
		}
		got := redeem(p.proof("POST", w.broker+"/token", asked.nonce, ""))
		token, _ := got.said["access_token"].(string)
		if sing("access token", token); got.status != 200 || got.said["token_type"] != "DPoP" {
			return fmt.Sprintf("with a nonce: %d %v", got.status, got.said["error"])
		}
		read := func(scheme, proof string) int {
			return send("GET", "/userinfo", proof, nil, func(h http.Header) { h.Set("Authorization", scheme+" "+token) }).status
		}
		for name, got := range map[string]int{
			"as a bearer token": read("Bearer", ""), "without a proof": read("DPoP", ""),
			"by another key": read("DPoP", newProver(t, alg).proof("GET", w.broker+"/userinfo", "", token)),
		} {
			if got != 401 {
				return fmt.Sprintf("userinfo %s: %d", name, got)
			}
		}
		r = s.start("openid", url.Values{"dpop_jkt": {p.thumbprint()}})
		form = s.tokenForm(w.signIn(t, s, r).Get("code"), r.Verifier)
		if got := redeem(newProver(t, alg).proof("POST", w.broker+"/token", asked.nonce, "")); !got.is(400, "invalid_grant") {
			return fmt.Sprintf("a code for one key, by another: %d %v", got.status, got.said["error"])
		}
		proof := p.proof("GET", w.broker+"/userinfo", "", token)
		return can(read("DPoP", proof) == 200 && read("DPoP", proof) == 401)
	})
}

func (s *service) tokenForm(code, verifier string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {s.redirect}, "code_verifier": {verifier}, "code": {code}}
}

// TestCrash_AProofIsAcceptedOnce_RFC9449_11_1 kills the broker when it has used up a
// proof and nothing else: the proof stays used, and the code is good with the next one.
func TestCrash_AProofIsAcceptedOnce_RFC9449_11_1(t *testing.T) {
	whole(t)
	binary(t, "failpoints")
	w := newCrashWorld(t, 1)
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	bound := strings.Replace(string(text), "    policy: library\n", "    policy: library\n    dpop_bound_access_tokens: true\n", 1)
	if err := os.WriteFile(w.config, []byte(bound), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p, key, uri := w.start("dpop.after-consume"), newProver(t, "ES256"), w.broker+"/token"
		o := w.visit(newCitizen(t), "person-0") // it asks for tokens without a proof, in vain
		form := w.service.tokenForm(o.code, o.request.Verifier)
		asked, err := sendProof(t, "POST", uri, key.proof("POST", uri, "", ""), form, asBasic("library"))
		if err != nil || o.code == "" || o.tokens != 0 {
			t.Fatalf("before the crash: %+v, %v", o, err)
		}
		proof := key.proof("POST", uri, asked.nonce, "")
		if got, err := sendProof(t, "POST", uri, proof, form, asBasic("library")); err == nil || !p.ended() {
			t.Fatalf("the broker did not die: %d", got.status)
		}
		p.stop()
		p = w.start("")
		if got, err := sendProof(t, "POST", uri, proof, form, asBasic("library")); err != nil || !got.is(400, "invalid_dpop_proof") {
			t.Errorf("the same proof after the crash: %d %v, %v", got.status, got.said["error"], err)
		}
		// The nonce of the dead broker is good at this one.
		if got, err := sendProof(t, "POST", uri, key.proof("POST", uri, asked.nonce, ""), form, asBasic("library")); err != nil || got.status != 200 {
			t.Errorf("the next proof: %d %v, %v", got.status, got.said["error"], err)
		}
		p.stop()
	}
}
