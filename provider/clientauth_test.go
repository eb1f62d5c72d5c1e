package provider

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestClientAuth_OnlyTheRegisteredMethod_RFC6749_2_3(t *testing.T) {
	w := newWorld(t).serve()
	set := func(k, v string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) { r.Header.Set(k, v) }
	}
	raw := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	form := func(kv ...string) func(*http.Request, url.Values) {
		return func(_ *http.Request, f url.Values) {
			for i := 0; i < len(kv); i += 2 {
				f.Set(kv[i], kv[i+1])
			}
		}
	}
	basicAs := func(id, secret string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) { basic(r, id, secret) }
	}
	tests := []struct {
		name   string
		prove  func(*http.Request, url.Values)
		client protocol.ClientID
		status int
		code   string
	}{
		{"basic, urlencoded before it is joined", basicAs("library", secret), "library", 200, ""},
		{"basic with the older secret, during a rotation", basicAs("library", "an older secret"), "library", 200, ""},
		{"basic with an id that holds a colon and more", basicAs("odd id:é", secret), "odd id:é", 200, ""},
		{"basic and the same client_id in the body", func(r *http.Request, f url.Values) { basic(r, "library", secret); f.Set("client_id", "library") }, "library", 200, ""},
		{"post", form("client_id", "post", "client_secret", secret), "post", 200, ""},
		{"no credentials", form(), "library", 401, "invalid_client"},
		{"only a client_id: there are no public clients", form("client_id", "library"), "library", 401, "invalid_client"},
		{"wrong secret", basicAs("library", "x"+secret), "library", 401, "invalid_client"},
		{"empty secret", basicAs("library", ""), "library", 401, "invalid_client"},
		{"the hash of the secret", basicAs("library", strings.Repeat("00", 32)), "library", 401, "invalid_client"},
		{"unknown client", basicAs("nobody", secret), "library", 401, "invalid_client"},
		{"empty client and secret", basicAs("", ""), "library", 401, "invalid_client"},
		{"a client without secrets", basicAs("jwt", ""), "library", 401, "invalid_client"},
		{"Z16 post by a client of basic", form("client_id", "library", "client_secret", secret), "library", 401, "invalid_client"},
		{"Z16 basic by a client of post", basicAs("post", secret), "post", 401, "invalid_client"},
		{"secret not urlencoded, with a sign that matters", set("Authorization", raw("library:"+secret+"%")), "library", 401, "invalid_client"},
		{"basic without a colon", set("Authorization", raw("library")), "library", 401, "invalid_client"},
		{"basic that is no base64", set("Authorization", "Basic %%%"), "library", 401, "invalid_client"},
		{"another scheme", set("Authorization", "Bearer "+newHandle()), "library", 401, "invalid_client"},
		{"two Authorization headers", func(r *http.Request, _ url.Values) {
			basic(r, "library", secret)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		}, "library", 400, "invalid_request"},
		{"basic and post", func(r *http.Request, f url.Values) { basic(r, "library", secret); f.Set("client_secret", secret) }, "library", 400, "invalid_request"},
		{"basic and an assertion", func(r *http.Request, f url.Values) {
			basic(r, "library", secret)
			f.Set("client_assertion", "x")
			f.Set("client_assertion_type", assertionType)
		}, "library", 400, "invalid_request"},
		{"basic and another client_id", func(r *http.Request, f url.Values) { basic(r, "library", secret); f.Set("client_id", "other") }, "library", 400, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code := w.code(func(g *login.Grant) { g.Client = tt.client })
			f := tokenForm(code)
			h := httptest.NewRequest("POST", PathToken, nil)
			tt.prove(h, f)
			r := post(PathToken, f)
			r.Header["Authorization"] = h.Header["Authorization"]
			got := w.do(r)
			if tt.code == "" {
				if got.status != tt.status {
					t.Errorf("got %d %s", got.status, got.body)
				}
				return
			}
			wantError(t, got, tt.status, tt.code)
			if tt.status == 401 && !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("WWW-Authenticate = %q", got.header.Get("WWW-Authenticate"))
			}
			if got := w.redeem(tokenForm(code), "library"); tt.client == "library" && got.status != 200 {
				t.Errorf("Z7: a request without a client has burnt the code: %d", got.status)
			}
		})
	}
}

// assert makes a client assertion of the client "jwt"; changes replace claims,
// and nil removes one.
func assert(t testing.TB, w *world, changes map[string]any, alg jose.SignatureAlgorithm, key any) string {
	t.Helper()
	claims := map[string]any{"iss": "jwt", "sub": "jwt", "aud": issuer, "exp": w.p.Now().Unix() + 60, "jti": newHandle()}
	for k, v := range changes {
		claims[k] = v
		if v == nil {
			delete(claims, k)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	opts := (&jose.SignerOptions{}).WithHeader("kid", "c1")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func assertionForm(w *world, assertion string, changes ...string) url.Values {
	code := w.code(func(g *login.Grant) { g.Client = "jwt" })
	return tokenForm(code, append([]string{"client_assertion", assertion, "client_assertion_type", assertionType}, changes...)...)
}

func TestClientAuth_PrivateKeyJWT_RFC7523_3_TK12(t *testing.T) {
	w := newWorld(t).serve()
	now := w.p.Now().Unix()
	good := func(changes map[string]any) string { return assert(t, w, changes, jose.ES256, clientKey()) }
	ok := good(nil)
	used := good(map[string]any{"jti": "once"})
	if got := w.do(post(PathToken, assertionForm(w, used))); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"c1"}`)) + "." + strings.Split(ok, ".")[1] + "."
	tests := []struct {
		name      string
		assertion string
		form      []string
		status    int
		code      string
	}{
		{"aud is the issuer", ok, nil, 200, ""},
		{"aud is the token endpoint", good(map[string]any{"aud": issuer + "/token"}), nil, 200, ""},
		{"client_id besides", good(nil), []string{"client_id", "jwt"}, 200, ""},
		{"iat and nbf 8 s ahead", good(map[string]any{"iat": now + 8, "nbf": now + 8}), nil, 200, ""},
		{"jti again", used, nil, 401, "invalid_client"},
		{"exp tomorrow", good(map[string]any{"exp": now + 86400}), nil, 401, "invalid_client"},
		{"exp past", good(map[string]any{"exp": now - 1}), nil, 401, "invalid_client"},
		{"exp missing", good(map[string]any{"exp": nil}), nil, 401, "invalid_client"},
		{"exp a string", good(map[string]any{"exp": "9999999999"}), nil, 401, "invalid_client"},
		{"exp a fraction", good(map[string]any{"exp": float64(now) + 60.5}), nil, 401, "invalid_client"},
		{"nbf 61 s ahead", good(map[string]any{"nbf": now + 61}), nil, 401, "invalid_client"},
		{"iat 61 s ahead", good(map[string]any{"iat": now + 61}), nil, 401, "invalid_client"},
		{"aud an array", good(map[string]any{"aud": []string{issuer}}), nil, 401, "invalid_client"},
		{"aud an array with another server", good(map[string]any{"aud": []string{issuer, "https://evil.example"}}), nil, 401, "invalid_client"},
		{"aud another server", good(map[string]any{"aud": "https://evil.example"}), nil, 401, "invalid_client"},
		{"aud the issuer and a slash", good(map[string]any{"aud": issuer + "/"}), nil, 401, "invalid_client"},
		{"aud missing", good(map[string]any{"aud": nil}), nil, 401, "invalid_client"},
		{"sub is not iss", good(map[string]any{"sub": "library"}), nil, 401, "invalid_client"},
		{"iss is another client", good(map[string]any{"iss": "library", "sub": "library"}), nil, 401, "invalid_client"},
		{"another client's id beside it", good(nil), []string{"client_id", "library"}, 401, "invalid_client"},
		{"jti missing", good(map[string]any{"jti": nil}), nil, 401, "invalid_client"},
		{"jti too long", good(map[string]any{"jti": strings.Repeat("j", 257)}), nil, 401, "invalid_client"},
		{"alg none", none, nil, 401, "invalid_client"},
		{"alg HS256 keyed with the public key", assert(t, w, nil, jose.HS256, []byte(clientJWKS())), nil, 401, "invalid_client"},
		{"a stranger's key", assert(t, w, nil, jose.EdDSA, mustEd()), nil, 401, "invalid_client"},
		{"changed after it was signed", ok[:len(ok)-4] + "AAAA", nil, 401, "invalid_client"},
		{"no JWT", "x", nil, 401, "invalid_client"},
		{"empty", "", nil, 401, "invalid_client"},
		{"too long", strings.Repeat("a", 9000), nil, 401, "invalid_client"},
		{"of another type", good(nil), []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, 401, "invalid_client"},
		{"without a type", good(nil), []string{"client_assertion_type", "-"}, 401, "invalid_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.do(post(PathToken, assertionForm(w, tt.assertion, tt.form...)))
			if tt.code != "" {
				wantError(t, got, tt.status, tt.code)
			} else if got.status != tt.status {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	t.Run("keys that cannot be fetched are no no", func(t *testing.T) {
		w.p.ClientKeys = func(*clients.Client) (KeySet, error) { return deadKeys{}, nil }
		wantUnavailable(t, w.do(post(PathToken, assertionForm(w, good(nil)))))
	})
}

type deadKeys struct{ KeySet }

func (deadKeys) Verify(_ context.Context, _, _ string) ([]byte, error) {
	return nil, keys.ErrUnavailable
}

func mustEd() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }
