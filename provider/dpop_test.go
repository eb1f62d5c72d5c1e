package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestDPoP_AProofBindsTheTokens_RFC9449_5(t *testing.T) {
	for _, h := range holders() {
		for _, client := range []string{"library", "bound", "bound-jwt"} {
			t.Run(h.alg+" "+client, func(t *testing.T) {
				w := newProofWorld(t).serve()
				code := w.code(func(g *login.Grant) { g.Client = protocol.ClientID(client) })
				got := w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(code), client)
				if got.status != 200 || got.json(t)["token_type"] != "DPoP" || got.header.Get("DPoP-Nonce") != "" {
					t.Fatalf("got %d %v %s", got.status, got.header, got.body)
				}
				access := got.json(t)["access_token"].(string)
				r := post(PathIntrospect, url.Values{"token": {access}})
				basic(r, client, secret)
				seen := w.do(r).json(t)
				cnf, _ := seen["cnf"].(map[string]any)
				if seen["active"] != true || seen["token_type"] != "DPoP" || cnf["jkt"] != h.jkt() || len(cnf) != 1 {
					t.Errorf("introspection says %v, want jkt %s", seen, h.jkt())
				}
				if client == "bound-jwt" && !strings.Contains(string(claimsOf(t, access)), `"cnf":{"jkt":"`+h.jkt()+`"}`) {
					t.Errorf("the JWT says %s", claimsOf(t, access))
				}
				if got := w.readBy(access, w.proof(h, "GET", PathUserInfo, access)); got.status != 200 || got.json(t)["sub"] != "pairwise-sub" {
					t.Errorf("userinfo: %d %s", got.status, got.body)
				}
				form := with(post(PathUserInfo, url.Values{}), w.proof(h, "POST", PathUserInfo, access))
				form.Header.Set("Authorization", "dpop "+access)
				if got := w.do(form); got.status != 200 {
					t.Errorf("userinfo by POST: %d %s", got.status, got.body)
				}
			})
		}
	}
}

// badProofs are those of RFC 9449 section 4.3 and of the module dpop-negative-tests
// that are refused wherever they come.
func badProofs() map[string]func(h holder, header, claims map[string]any) []string {
	one := func(change spoil) func(holder, map[string]any, map[string]any) []string {
		return func(h holder, header, claims map[string]any) []string {
			return []string{h.sign(merged(header, change.header), merged(claims, change.claims))}
		}
	}
	claim := func(name string, value any) func(holder, map[string]any, map[string]any) []string {
		return one(spoil{claims: map[string]any{name: value}})
	}
	header := func(name string, value any) func(holder, map[string]any, map[string]any) []string {
		return one(spoil{header: map[string]any{name: value}})
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	x, y := strings.Repeat("A", 42)+"E", strings.Repeat("A", 42)+"I"
	return map[string]func(h holder, header, claims map[string]any) []string{
		"two proofs": func(h holder, header, claims map[string]any) []string {
			return []string{h.sign(header, claims), h.sign(header, merged(claims, map[string]any{"jti": "other"}))}
		},
		"two in one header": func(h holder, header, claims map[string]any) []string {
			return []string{h.sign(header, claims) + ", " + h.sign(header, claims)}
		},
		"an empty one": func(holder, map[string]any, map[string]any) []string { return []string{""} },
		"no JWS":       func(holder, map[string]any, map[string]any) []string { return []string{"proof"} },
		"two parts": func(h holder, header, claims map[string]any) []string {
			s := h.sign(header, claims)
			return []string{s[:strings.LastIndex(s, ".")]}
		},
		"too long":                 header("pad", strings.Repeat("x", maxProof)),
		"no typ":                   header("typ", nil),
		"another typ":              header("typ", "JWT"),
		"no alg":                   header("alg", nil),
		"alg none":                 header("alg", "none"),
		"alg HS256":                header("alg", "HS256"),
		"another alg than the key": header("alg", "EdDSA"),
		"an unknown extension":     header("crit", []string{"exp"}),
		"alg RS256": func(_ holder, header, claims map[string]any) []string {
			h := holder{"RS256", holders()[3].key}
			return []string{h.sign(merged(header, map[string]any{"alg": "RS256", "jwk": h.jwk()}), claims)}
		},
		"a weak RSA key": func(_ holder, header, claims map[string]any) []string {
			h := holder{"PS256", weak}
			return []string{h.sign(merged(header, map[string]any{"alg": "PS256", "jwk": h.jwk()}), claims)}
		},
		"no jwk":                header("jwk", nil),
		"a jwk that is text":    header("jwk", "key"),
		"a symmetric key":       header("jwk", map[string]any{"kty": "oct", "k": "AAAA"}),
		"a point off its curve": header("jwk", map[string]any{"kty": "EC", "crv": "P-256", "x": x, "y": y}),
		"the private key": func(h holder, header, claims map[string]any) []string {
			return []string{h.sign(merged(header, map[string]any{"jwk": merged(h.jwk(), map[string]any{"d": "AAAA"})}), claims)}
		},
		"signed by another key than the one in it": func(_ holder, header, claims map[string]any) []string {
			return []string{holders()[1].sign(header, claims)}
		},
		"no signature": func(h holder, header, claims map[string]any) []string {
			s := h.sign(header, claims)
			return []string{s[:strings.LastIndex(s, ".")+1]}
		},
		"a member twice": func(h holder, header, claims map[string]any) []string {
			head, _ := json.Marshal(header)
			body, _ := json.Marshal(claims)
			return []string{h.signRaw(string(head), `{"jti":"first",`+string(body[1:]))}
		},
		"no jti": claim("jti", nil), "a jti that is a number": claim("jti", 1), "an empty jti": claim("jti", ""), "a jti of 257 bytes": claim("jti", strings.Repeat("j", 257)),
		"no htm": claim("htm", nil), "another htm": claim("htm", "PUT"), "htm in another case": claim("htm", "get"),
		"no htu": claim("htu", nil), "another path": claim("htu", issuer+"/revoke"), "another host": claim("htu", "https://broker.example.evil/token"),
		"a port": claim("htu", issuer+":8443/token"), "http": claim("htu", "http://broker.example/token"), "a user": claim("htu", "https://x@broker.example/token"),
		"no iat": claim("iat", nil), "an iat that is text": claim("iat", "1"), "an hour ago": claim("iat", worldStart-3600), "in an hour": claim("iat", worldStart+3600),
		"61 seconds ago": claim("iat", worldStart-61), "in 61 seconds": claim("iat", worldStart+61), "an iat with a fraction": claim("iat", float64(worldStart)+0.5),
		"expired": claim("exp", worldStart), "not valid for a minute": claim("nbf", worldStart+61), "an exp that is text": claim("exp", "never"),
		"an ath that is no text": claim("ath", 1), "a nonce that is no text": claim("nonce", 1),
	}
}

// worldStart is the time of newWorld.
var worldStart = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Unix()

func TestDPoP_RefusesAProofThatDoesNotHold_TK14_RFC9449_4_3(t *testing.T) {
	h := holders()[0]
	for name, spoiled := range badProofs() {
		t.Run(name, func(t *testing.T) {
			w := newProofWorld(t)
			access := w.boundToken(h)
			header, claims := w.parts(h, "GET", PathUserInfo, access)
			w.store.once = map[string]bool{}
			w.audit.events = nil
			got := w.readBy(access, spoiled(h, header, claims)...)
			wantError(t, got, 401, "invalid_dpop_proof")
			if c := got.challenges(); !strings.HasPrefix(c, `DPoP realm="userinfo", error="invalid_dpop_proof", error_description="`) ||
				!strings.HasSuffix(c, `, algs="ES256 EdDSA PS256", Bearer realm="userinfo"`) {
				t.Errorf("WWW-Authenticate: %s", c)
			}
			code := w.code()
			header, claims = w.parts(h, "POST", PathToken, "")
			r := post(PathToken, tokenForm(code))
			basic(r, "library", secret)
			wantError(t, w.do(with(r, spoiled(h, header, claims)...)), 400, "invalid_dpop_proof")
			header, claims = w.parts(h, "POST", PathPAR, "")
			r = post(PathPAR, request())
			basic(r, "library", secret)
			wantError(t, w.do(with(r, spoiled(h, header, claims)...)), 400, "invalid_dpop_proof")
			if len(w.store.once) != 0 || w.audit.kinds() != "" {
				t.Errorf("used up %v, on record %s", w.store.once, w.audit.kinds())
			}
			if got := w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(code), "library"); got.status != 200 {
				t.Errorf("the code is burnt: %d %s", got.status, got.body)
			}
		})
	}
}

func TestDPoP_AcceptsWhatTheRFCAllows_RFC9449_4(t *testing.T) {
	h := holders()[0]
	claim := func(name string, value any) spoil { return spoil{claims: map[string]any{name: value}} }
	for name, change := range map[string]spoil{
		"ensure-dpopproof-with-iat-10seconds-before-succeeds": claim("iat", worldStart-10),
		"ensure-dpopproof-with-iat-10seconds-after-succeeds":  claim("iat", worldStart+10),
		"check-dpop-proof-nbf-exp":                            {claims: map[string]any{"nbf": worldStart, "exp": worldStart + 300}},
		"60 seconds ago":                                      claim("iat", worldStart-60),
		"a scheme and a host in capitals":                     claim("htu", "HTTPS://BROKER.EXAMPLE/userinfo"),
		"the default port":                                    claim("htu", issuer+":443/userinfo"),
		"an escaped letter":                                   claim("htu", issuer+"/%75serinfo"),
		"a query and a fragment":                              claim("htu", issuer+"/userinfo?a=b#c"),
		"members that nobody knows":                           {header: map[string]any{"x": 1, "kid": "k"}, claims: map[string]any{"x": "y", "aud": issuer}},
		"the type in full":                                    {header: map[string]any{"typ": "application/dpop+JWT"}},
		"a jti of 256 bytes":                                  claim("jti", strings.Repeat("j", 256)),
	} {
		t.Run(name, func(t *testing.T) {
			w := newProofWorld(t)
			access := w.boundToken(h)
			if got := w.readBy(access, w.proof(h, "GET", PathUserInfo, access, change)); got.status != 200 {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
}

func TestDPoP_TheTokenNeedsItsKey_TK14_RFC9449_7(t *testing.T) {
	h, thief := holders()[0], holders()[1]
	w := newProofWorld(t).serve()
	access, plain := w.boundToken(h), w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
	other := w.boundToken(h)
	read := func(hh holder, changes ...spoil) string { return w.proof(hh, "GET", PathUserInfo, access, changes...) }
	form := post(PathUserInfo, url.Values{"access_token": {access}})
	both := post(PathUserInfo, url.Values{"access_token": {access}})
	both.Header.Set("Authorization", "DPoP "+access)
	const dpop, bearer = `DPoP realm="userinfo"`, `Bearer realm="userinfo"`
	w.audit.events = nil
	tests := []struct {
		name   string
		got    reply
		status int
		code   string
		first  string // of the challenges
	}{
		{"as a bearer token", w.userinfo(access), 401, "invalid_token", bearer + `, error="invalid_token"`},
		{"as a bearer token with a proof", w.do(with(readRequest("Bearer", access), read(h))), 401, "invalid_token", bearer + `, error="invalid_token"`},
		{"in the form", w.do(with(form, w.proof(h, "POST", PathUserInfo, access))), 401, "invalid_token", bearer + `, error="invalid_token"`},
		{"in the form and the header", w.do(both), 400, "invalid_request", dpop + `, error="invalid_request"`},
		{"without a proof", w.readBy(access), 401, "invalid_dpop_proof", dpop + `, error="invalid_dpop_proof"`},
		{"by another key", w.readBy(access, read(thief)), 401, "invalid_token", dpop + `, error="invalid_token"`},
		{"without ath", w.readBy(access, read(h, spoil{claims: map[string]any{"ath": nil}})), 401, "invalid_dpop_proof", dpop + `, error="invalid_dpop_proof"`},
		{"with the ath of another token", w.readBy(access, w.proof(h, "GET", PathUserInfo, other)), 401, "invalid_dpop_proof", dpop + `, error="invalid_dpop_proof"`},
		{"a plain token with the scheme DPoP", w.readBy(plain, w.proof(h, "GET", PathUserInfo, plain)), 401, "invalid_token", dpop + `, error="invalid_token"`},
		{"an unknown token", w.readBy(newHandle(), read(h)), 401, "invalid_token", dpop + `, error="invalid_token"`},
		{"no token", w.do(get(PathUserInfo, nil)), 401, "invalid_token", bearer + `, DPoP`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, tt.got, tt.status, tt.code)
			if c := tt.got.challenges(); !strings.HasPrefix(c, tt.first) || !strings.Contains(c, `algs="ES256 EdDSA PS256"`) {
				t.Errorf("WWW-Authenticate: %s", c)
			}
		})
	}
	if k := w.audit.kinds(); k != "" {
		t.Errorf("on record: %s", k)
	}
	if got := w.readBy(access, read(h)); got.status != 200 {
		t.Errorf("its holder gets %d %s", got.status, got.body)
	}
	if got := w.userinfo(plain); got.status != 200 {
		t.Errorf("a plain token: %d", got.status)
	}
}

func TestDPoP_AProofIsAcceptedOnce_RFC9449_11_1(t *testing.T) {
	h := holders()[0]
	t.Run("at userinfo, also at the last moment", func(t *testing.T) {
		w := newProofWorld(t)
		access := w.boundToken(h)
		p := w.proof(h, "GET", PathUserInfo, access)
		if got := w.readBy(access, p); got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		w.advance(59 * time.Second)
		wantError(t, w.readBy(access, p), 401, "invalid_dpop_proof")
	})
	t.Run("at /token, and the code is not burnt", func(t *testing.T) {
		w := newProofWorld(t)
		p := w.proof(h, "POST", PathToken, "")
		if got := w.redeemBy(p, tokenForm(w.code()), "library"); got.status != 200 {
			t.Fatalf("got %d", got.status)
		}
		code := w.code()
		wantError(t, w.redeemBy(p, tokenForm(code), "library"), 400, "invalid_dpop_proof")
		if got := w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(code), "library"); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
	t.Run("one of many at once", func(t *testing.T) {
		w := newProofWorld(t).serve()
		access := w.boundToken(h)
		p := w.proof(h, "GET", PathUserInfo, access)
		var passed atomic.Int32
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if w.readBy(access, p).status == 200 {
					passed.Add(1)
				}
			})
		}
		all.Wait()
		if passed.Load() != 1 {
			t.Errorf("%d passed", passed.Load())
		}
	})
	t.Run("nobody uses up another key's jti", func(t *testing.T) {
		w := newProofWorld(t)
		same := spoil{claims: map[string]any{"jti": "same"}}
		for _, one := range holders() {
			if got := w.redeemBy(w.proof(one, "POST", PathToken, "", same), tokenForm(w.code()), "library"); got.status != 200 {
				t.Errorf("%s: %d %s", one.alg, got.status, got.body)
			}
		}
	})
	t.Run("strangers fill no memory", func(t *testing.T) {
		w := newProofWorld(t)
		r := post(PathToken, tokenForm(w.code()))
		basic(r, "library", "a guess")
		wantError(t, w.do(with(r, w.proof(h, "POST", PathToken, ""))), 401, "invalid_client")
		r = post(PathPAR, request())
		basic(r, "library", "a guess")
		wantError(t, w.do(with(r, w.proof(h, "POST", PathPAR, ""))), 401, "invalid_client")
		token := newHandle()
		wantError(t, w.readBy(token, w.proof(h, "GET", PathUserInfo, token)), 401, "invalid_token")
		if len(w.store.once) != 0 {
			t.Errorf("the store holds %v", w.store.once)
		}
	})
	t.Run("a store that cannot tell lets nobody in", func(t *testing.T) {
		w := newProofWorld(t)
		access := w.boundToken(h)
		w.store.fail = "consume"
		wantUnavailable(t, w.readBy(access, w.proof(h, "GET", PathUserInfo, access)))
		wantUnavailable(t, w.redeemBy(w.proof(h, "POST", PathToken, ""), tokenForm(w.code()), "library"))
	})
}

// TestDPoP_AClientThatMustProve_RFC9449_5_2 is the module ensure-holder-of-key-required
// as well: nothing but a proof buys this client a token.
func TestDPoP_AClientThatMustProve_RFC9449_5_2(t *testing.T) {
	w := newProofWorld(t)
	code := w.code(func(g *login.Grant) { g.Client = "bound" })
	wantError(t, w.redeem(tokenForm(code), "bound"), 400, "invalid_request")
	if k := w.audit.kinds(); k != "" {
		t.Errorf("on record: %s", k)
	}
	if got := w.redeemBy(w.proof(holders()[0], "POST", PathToken, ""), tokenForm(code), "bound"); got.status != 200 {
		t.Errorf("the code is burnt: %d %s", got.status, got.body)
	}
}

// TestDPoP_ATokenForACertificateIsNotForAKey: what cannot be shown is not held.
func TestDPoP_ATokenForACertificateIsNotForAKey_RFC8705_3(t *testing.T) {
	w := newProofWorld(t)
	r := readRequest("Bearer", "x")
	if err := w.p.holds(r.Header, r, "x", confirmation{X5T: "thumbprint"}); err == nil {
		t.Error("a token that is bound to a certificate is taken from a bearer")
	}
}
