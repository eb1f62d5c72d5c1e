package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestToken_Answer_OIDCCore_3_1_3_3(t *testing.T) {
	w := newWorld(t).serve()
	got := w.redeem(tokenForm(w.code()))
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s: %s", got.status, got.header.Get("Content-Type"), got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
		t.Errorf("the answer may be cached: %v", got.header)
	}
	m := got.json(t)
	access, id := m["access_token"].(string), m["id_token"].(string)
	delete(m, "access_token")
	delete(m, "id_token")
	if want := map[string]any{"token_type": "Bearer", "expires_in": 60.0, "scope": "openid given_name email"}; !reflect.DeepEqual(m, want) {
		t.Errorf("answer %v, want %v", m, want)
	}
	if !isHandle(access) {
		t.Error("the access token is no handle")
	}
	if _, err := verifyOwn(w.keys, id, jose.ES256); err != nil {
		t.Error(err)
	}
	if want := "token.issued"; w.audit.kinds() != want {
		t.Errorf("on record: %s, want %s", w.audit.kinds(), want)
	}
	want := audit.Event{
		Public:   audit.Public{Kind: audit.TokenIssued, Client: "library", Claims: []string{"given_name", "email"}, ACR: "eidas2", Outcome: "ok"},
		Personal: audit.Personal{Person: testPerson, Grant: "00112233445566778899aabbccddeeff"}, SealKey: []byte("wrapped"),
	}
	if !reflect.DeepEqual(w.audit.events[0], want) {
		t.Errorf("on record: %+v, want %+v", w.audit.events[0], want)
	}
}

func verifyOwn(k *testKeys, compact string, alg jose.SignatureAlgorithm) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(k.jwks, &set); err != nil {
		return nil, err
	}
	return jws.Verify(set.Key(jws.Signatures[0].Protected.KeyID)[0])
}

func TestIDToken_Golden_OIDCCore_2(t *testing.T) {
	tests := []struct {
		name   string
		client string
		change func(*login.Grant)
	}{
		{"minimal", "relaxed", func(g *login.Grant) {
			g.Client, g.Nonce, g.CodeChallenge, g.AuthTime = "relaxed", "", "", time.Time{}
		}},
		{"usual", "library", func(*login.Grant) {}},
		{"email_in_id_token", "library", func(g *login.Grant) { g.InIDToken = []protocol.Claim{"email", "birthdate"} }},
		{"eddsa_with_sha512_at_hash", "rich", func(g *login.Grant) { g.Client = "rich" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1) // handles are random, and at_hash with them
			w := newWorld(t)
			f := tokenForm(w.code(tt.change))
			if tt.client == "relaxed" {
				f.Del("code_verifier")
			}
			m := w.redeem(f, tt.client).json(t)
			golden(t, "id_token_"+tt.name+".json", indent(t, claimsOf(t, m["id_token"].(string))))
		})
	}
}

// TestToken_CodeMustMatch has one row for each way in which a good code comes
// with the wrong rest. The code is burnt each time.
func TestToken_CodeMustMatch_RFC6749_4_1_3(t *testing.T) {
	tests := []struct {
		name   string
		client string
		form   []string
		grant  func(*login.Grant)
		record string
	}{
		{"TK-03 verifier missing", "library", []string{"code_verifier", "-"}, nil, "code.misused:code_verifier"},
		{"TK-03 verifier wrong", "library", []string{"code_verifier", strings.Repeat("a", 43)}, nil, "code.misused:code_verifier"},
		{"TK-03 verifier is the challenge", "library", []string{"code_verifier", s256}, nil, "code.misused:code_verifier"},
		{"TK-03 verifier too short", "library", []string{"code_verifier", verifier[:42]}, nil, "code.misused:code_verifier"},
		{"TK-03 verifier sent though no challenge was", "library", nil, func(g *login.Grant) { g.CodeChallenge = "" }, "code.misused:code_verifier"},
		{"TK-06 another client's code", "other", nil, nil, "code.misused:client"},
		{"redirect_uri of the same client but not of this code", "library", []string{"redirect_uri", "https://rp.example/second?tenant=1"}, nil, "code.misused:redirect_uri"},
		{"redirect_uri in other letters", "library", []string{"redirect_uri", "https://rp.example/Callback"}, nil, "code.misused:redirect_uri"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t).serve()
			change := tt.grant
			if change == nil {
				change = func(*login.Grant) {}
			}
			code := w.code(change)
			wantError(t, w.redeem(tokenForm(code, tt.form...), tt.client), 400, "invalid_grant")
			if w.audit.kinds() != tt.record {
				t.Errorf("on record: %s, want %s", w.audit.kinds(), tt.record)
			}
			good := tokenForm(code)
			if tt.grant != nil {
				good.Del("code_verifier")
			}
			wantError(t, w.redeem(good), 400, "invalid_grant") // burnt
		})
	}
}

func TestToken_CodeUsedTwice_RFC6749_4_1_2_TK04(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "after the code has expired (oidcc-codereuse-30seconds)": 40 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).serve()
			code := w.code()
			access := w.redeem(tokenForm(code)).json(t)["access_token"].(string)
			if got := w.userinfo(access); got.status != http.StatusOK {
				t.Fatalf("userinfo before: %d", got.status)
			}
			w.advance(wait)
			wantError(t, w.redeem(tokenForm(code)), 400, "invalid_grant")
			wantError(t, w.userinfo(access), 401, "invalid_token")
			if want := "token.issued userinfo.served code.reused"; w.audit.kinds() != want {
				t.Errorf("on record: %s, want %s", w.audit.kinds(), want)
			}
		})
	}
}

func TestToken_ParallelRedemptionsOneWins_Z8(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		code := w.code()
		w.store.revoked = map[login.GrantID]bool{}
		var wg sync.WaitGroup
		statuses := make([]int, 200)
		for i := range statuses {
			wg.Go(func() { statuses[i] = w.redeem(tokenForm(code)).status })
		}
		wg.Wait()
		won := 0
		for _, s := range statuses {
			if s == http.StatusOK {
				won++
			} else if s != http.StatusBadRequest {
				t.Errorf("got %d", s)
			}
		}
		if won != 1 {
			t.Fatalf("%d redemptions succeeded, want exactly 1", won)
		}
	}
}

func TestToken_CodeLives30Seconds_TK07(t *testing.T) {
	for after, want := range map[time.Duration]int{29 * time.Second: 200, 30 * time.Second: 400, 31 * time.Second: 400, 61 * time.Second: 400, time.Hour: 400, -time.Hour: 200} {
		w := newWorld(t)
		code := w.code()
		w.advance(after)
		if got := w.redeem(tokenForm(code)); got.status != want {
			t.Errorf("%s later: got %d, want %d", after, got.status, want)
		}
	}
}

// A reload may lengthen the life of a client's tokens between code and token. The
// memory of the code was measured by the old life.
func TestToken_NoneOutlivesTheMemoryOfItsCode_TK04(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	c, _ := w.p.Clients().Get("library")
	c.AccessTokenTTL = time.Hour
	got := w.redeem(tokenForm(code)).json(t)
	if life := got["expires_in"]; life != float64(90) { // 30 s of the code and 60 s of the tokens that it was to buy
		t.Errorf("expires_in = %v, want 90", life)
	}
}

func TestToken_StrangeCodes_TK08(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	elsewhere, err := NewCodes(CodesConfig{Issuer: "https://staging.example", Clients: w.p.Clients, Grants: w.store, Once: w.store, Refresh: w.families, Sealer: w.keys, Keys: w.keys, Site: w.p.Site, Notices: w.queue, Audit: w.audit, Now: w.p.Now})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := elsewhere.IssueCode(t.Context(), grant())
	if err != nil {
		t.Fatal(err)
	}
	access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
	for name, c := range map[string]string{
		"truncated": code[:42], "extended": code + "A", "case flipped": strings.ToUpper(code), "padded": code + "=",
		"random": newHandle(), "from another environment": foreign, "an access token": access, "with NUL": "\x00", "long": strings.Repeat("a", 60000),
	} {
		t.Run(name, func(t *testing.T) { wantError(t, w.redeem(tokenForm(c)), 400, "invalid_grant") })
	}
	if got := w.redeem(tokenForm(code)); got.status != http.StatusOK {
		t.Errorf("the real code: got %d", got.status)
	}
}

func TestToken_RequestIsStrict_TK09_TK10(t *testing.T) {
	w := newWorld(t).serve()
	twice := func(name string) url.Values { f := tokenForm("x"); f.Add(name, f.Get(name)); return f }
	with := func(f url.Values, change func(*http.Request)) *http.Request {
		r := post(PathToken, f)
		basic(r, "library", secret)
		if change != nil {
			change(r)
		}
		return r
	}
	body := func(s string) func(*http.Request) {
		return func(r *http.Request) {
			*r = *httptest.NewRequest("POST", PathToken, strings.NewReader(s))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			basic(r, "library", secret)
		}
	}
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   string
	}{
		{"TK-09 two grant types", with(twice("grant_type"), nil), 400, "invalid_request"},
		{"TK-09 the code twice", with(twice("code"), nil), 400, "invalid_request"},
		{"TK-09 an unknown parameter twice", with(url.Values{"grant_type": {"authorization_code"}, "x": {"1", "1"}}, nil), 400, "invalid_request"},
		{"TK-09 JSON", with(nil, header("Content-Type", "application/json")), 400, "invalid_request"},
		{"TK-09 no content type", with(tokenForm("x"), func(r *http.Request) { r.Header.Del("Content-Type") }), 400, "invalid_request"},
		{"TK-09 another charset", with(tokenForm("x"), header("Content-Type", "application/x-www-form-urlencoded; charset=utf-7")), 400, "invalid_request"},
		{"TK-09 parameters in the query", with(tokenForm("x"), func(r *http.Request) { r.URL.RawQuery = "client_id=library" }), 400, "invalid_request"},
		{"TK-09 a body that cannot be parsed", with(nil, body("grant_type=%zz")), 400, "invalid_request"},
		{"DO-01 a large body", with(nil, body("a="+strings.Repeat("b", 65<<10))), 413, "invalid_request"},
		{"DO-04 a compressed body", with(tokenForm("x"), header("Content-Encoding", "gzip")), 415, "invalid_request"},
		{"grant_type missing", with(tokenForm("x", "grant_type", "-"), nil), 400, "invalid_request"},
		{"code missing", with(tokenForm("x", "code", "-"), nil), 400, "invalid_request"},
		{"redirect_uri missing", with(tokenForm("x", "redirect_uri", "-"), nil), 400, "invalid_request"},
		{"TK-10 password", with(tokenForm("x", "grant_type", "password"), nil), 400, "unsupported_grant_type"},
		{"TK-10 implicit", with(tokenForm("x", "grant_type", "implicit"), nil), 400, "unsupported_grant_type"},
		{"TK-10 client_credentials", with(tokenForm("x", "grant_type", "client_credentials"), nil), 400, "unsupported_grant_type"},
		{"TK-10 refresh_token", with(tokenForm("x", "grant_type", "refresh_token"), nil), 400, "invalid_request"},
		{"TK-10 jwt-bearer", with(tokenForm("x", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", "x"), nil), 400, "unsupported_grant_type"},
		{"TK-10 exchange", with(tokenForm("x", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), nil), 400, "unsupported_grant_type"},
		{"TK-10 device", with(tokenForm("x", "grant_type", "urn:ietf:params:oauth:grant-type:device_code"), nil), 400, "unsupported_grant_type"},
		{"TK-10 a scope wider than granted", with(tokenForm(w.code(), "scope", "openid birthdate"), nil), 400, "invalid_scope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, w.do(tt.r), tt.status, tt.code) })
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
		r := httptest.NewRequest(method, PathToken+"?"+tokenForm(w.code()).Encode(), nil)
		basic(r, "library", secret)
		r.Header.Set("X-HTTP-Method-Override", "POST")
		if got := w.do(r); got.status != 405 || got.header.Get("Allow") != "POST" {
			t.Errorf("%s: got %d, Allow %q", method, got.status, got.header.Get("Allow"))
		}
	}
	t.Run("a narrower scope and a charset of UTF-8 pass", func(t *testing.T) {
		r := with(tokenForm(w.code(), "scope", "openid"), header("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8"))
		if got := w.do(r); got.status != http.StatusOK {
			t.Errorf("got %d: %s", got.status, got.body)
		}
	})
}

// TestToken_CannotTellIsNotNo_Z10 makes each collaborator fail in turn: 503 each
// time, no word of the cause, and no token.
func TestToken_CannotTellIsNotNo_Z10(t *testing.T) {
	tests := []struct {
		name string
		fail func(*world)
		form func(*world) url.Values
	}{
		{"the code cannot be read", func(w *world) { w.store.fail = "get" }, nil},
		{"an unknown code, by a dead store", func(w *world) { w.store.fail = "get" }, func(*world) url.Values { return tokenForm(newHandle()) }},
		{"its use cannot be noted", func(w *world) { w.store.fail = "consume" }, nil},
		{"the record cannot be written", func(w *world) { w.audit.fail = audit.TokenIssued }, nil},
		{"the access token cannot be stored", func(w *world) { w.store.fail = "put access" }, nil},
		{"the key is gone", func(w *world) { w.keys.fail = true }, nil},
		{"a misuse cannot be recorded", func(w *world) { w.audit.fail = audit.CodeMisused }, func(w *world) url.Values { return tokenForm(w.code(), "code_verifier", "-") }},
		{"a second use cannot be revoked", func(w *world) { w.store.fail = "revoke" }, func(w *world) url.Values {
			code := w.code()
			w.redeem(tokenForm(code))
			return tokenForm(code)
		}},
		{"a second use cannot be recorded", func(w *world) { w.audit.fail = audit.CodeReused }, func(w *world) url.Values {
			code := w.code()
			w.redeem(tokenForm(code))
			return tokenForm(code)
		}},
		{"the grant does not open: the key is wrong, not the code", func(w *world) {
			for d, g := range w.store.grants {
				g.Sealed[20] ^= 1
				w.store.grants[d] = g
			}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t).serve()
			own := *w.keys
			w.keys, w.p.Keys = &own, &own
			form := tt.form
			if form == nil {
				form = func(w *world) url.Values { return tokenForm(w.code()) }
			}
			f := form(w)
			tt.fail(w)
			wantUnavailable(t, w.redeem(f))
		})
	}
}

// TestToken_NothingIsSignedBeforeItIsOnRecord: the audit entry comes first.
func TestToken_NothingIsSignedBeforeItIsOnRecord(t *testing.T) {
	w := newWorld(t)
	w.audit.fail = audit.TokenIssued
	wantUnavailable(t, w.redeem(tokenForm(w.code())))
	for _, g := range w.store.grants {
		if g.Kind == AccessGrant {
			t.Error("an access token was stored without a record")
		}
	}
}

// TestStore_SeesNeitherCodesNorPeople: a store holds digests and sealed bytes.
func TestStore_SeesNeitherCodesNorPeople(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	access := w.redeem(tokenForm(code)).json(t)["access_token"].(string)
	for _, g := range w.store.grants {
		for _, s := range []string{code, access, canary, "pairwise-sub", "elodie@example.org"} {
			if bytes.Contains(g.Sealed, []byte(s)) || bytes.Contains(g.Digest[:], []byte(s)) {
				t.Errorf("a stored grant holds %q", s)
			}
		}
	}
}

func TestErrorBodies_Golden(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	w.redeem(tokenForm(code))
	noAuth := post(PathToken, tokenForm(code))
	answers := map[string]reply{
		"invalid_client":         w.do(noAuth),
		"invalid_grant":          w.redeem(tokenForm(code)),
		"invalid_request":        w.redeem(tokenForm("")),
		"unsupported_grant_type": w.redeem(tokenForm("", "grant_type", "password")),
		"invalid_scope":          w.redeem(tokenForm(w.code(func(g *login.Grant) { g.ID = "2" }), "scope", "openid birth")),
		"userinfo_no_token":      w.do(httptest.NewRequest("GET", PathUserInfo, nil)),
		"userinfo_bad_token":     w.userinfo(newHandle()),
		"userinfo_two_tokens":    w.do(twoTokens()),
	}
	w.store.fail = "get"
	answers["temporarily_unavailable"] = w.redeem(tokenForm(newHandle()))
	for name, got := range answers {
		text := http.StatusText(got.status) + "\n"
		for _, h := range []string{"Content-Type", "Cache-Control", "Pragma", "WWW-Authenticate", "Retry-After"} {
			if v := got.header.Get(h); v != "" {
				text += h + ": " + v + "\n"
			}
		}
		golden(t, "error_"+name+".txt", text+got.body+"\n")
	}
}

func wantError(t *testing.T, got reply, status int, code string) {
	t.Helper()
	if got.status != status || got.json(t)["error"] != code {
		t.Errorf("got %d %s, want %d %s", got.status, got.body, status, code)
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control = %q", got.header.Get("Cache-Control"))
	}
}

func wantUnavailable(t *testing.T, got reply) {
	t.Helper()
	wantError(t, got, http.StatusServiceUnavailable, "temporarily_unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if strings.Contains(got.body, "10.1.2.3") || strings.Contains(got.body, "key") {
		t.Errorf("Z11: the cause shows: %s", got.body)
	}
}
