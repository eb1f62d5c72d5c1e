package provider

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// revoke sends a revocation as client, with client_secret_basic.
func (w *world) revoke(client, token string, more ...string) reply {
	w.t.Helper()
	f := url.Values{"token": {token}}
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	r := post(PathRevoke, f)
	basic(r, client, secret)
	return w.do(r)
}

// accessToken is one of client library.
func (w *world) accessToken(changes ...func(*login.Grant)) string {
	w.t.Helper()
	return w.redeem(tokenForm(w.code(changes...))).json(w.t)["access_token"].(string)
}

func wantEmpty200(t testing.TB, got reply) {
	t.Helper()
	if got.status != 200 || got.body != "" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %q %v, want an empty 200", got.status, got.body, got.header)
	}
}

func TestRevoke_UserInfoDiesAtOnce_RFC7009_2(t *testing.T) {
	for _, hint := range []string{"", "access_token", "refresh_token", "nonsense"} {
		t.Run("hint "+hint, func(t *testing.T) {
			w := newWorld(t).serve()
			access := w.accessToken()
			if got := w.userinfo(access); got.status != 200 {
				t.Fatalf("userinfo before: %d", got.status)
			}
			wantEmpty200(t, w.revoke("library", access, "token_type_hint", hint))
			wantError(t, w.userinfo(access), 401, "invalid_token")
			if want := "token.issued userinfo.served token.revoked:access"; w.audit.kinds() != want {
				t.Errorf("on record: %s, want %s", w.audit.kinds(), want)
			}
			want := audit.Event{
				Public: audit.Public{
					Kind: audit.TokenRevoked, Client: "library", Rule: "access", Claims: []string{"given_name", "email"}, ACR: "eidas2", Outcome: "ok",
				},
				Personal: audit.Personal{Person: testPerson, Grant: "00112233445566778899aabbccddeeff"}, SealKey: []byte("wrapped"),
			}
			if got := w.audit.events[2]; !reflect.DeepEqual(got, want) {
				t.Errorf("on record: %+v, want %+v", got, want)
			}
			wantEmpty200(t, w.revoke("library", access)) // once more: nothing is left to do
			if len(w.audit.events) != 3 {
				t.Errorf("on record: %s", w.audit.kinds())
			}
		})
	}
}

func TestRevoke_ACodeCannotBeRedeemedAfterwards(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	wantEmpty200(t, w.revoke("library", code))
	wantError(t, w.redeem(tokenForm(code)), 400, "invalid_grant")
	if want := "token.revoked:code"; w.audit.kinds() != want {
		t.Errorf("on record: %s, want %s", w.audit.kinds(), want)
	}
}

func TestRevoke_AUsedCodeTakesItsTokenAlong(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	access := w.redeem(tokenForm(code)).json(t)["access_token"].(string)
	wantEmpty200(t, w.revoke("library", code))
	wantError(t, w.userinfo(access), 401, "invalid_token")
}

func TestRS_05_RevocationOfWhatIsNotItsOwn_RFC7009_2_1(t *testing.T) {
	w := newWorld(t).serve()
	m := w.redeem(tokenForm(w.code())).json(t)
	access, id := m["access_token"].(string), m["id_token"].(string)
	code := w.code()
	for name, got := range map[string]reply{
		"another client's token": w.revoke("other", access), "another client's code": w.revoke("other", code),
		"unknown": w.revoke("library", newHandle()), "an id token": w.revoke("library", id),
		"truncated": w.revoke("library", access[:42]), "very long": w.revoke("library", strings.Repeat("a", 60000)),
	} {
		t.Run(name, func(t *testing.T) { wantEmpty200(t, got) })
	}
	if got := w.userinfo(access); got.status != 200 {
		t.Errorf("the token has died: %d", got.status)
	}
	if got := w.redeem(tokenForm(code)); got.status != 200 {
		t.Errorf("the code has died: %d", got.status)
	}
	if strings.Contains(w.audit.kinds(), "token.revoked") {
		t.Errorf("on record: %s", w.audit.kinds())
	}
	if !strings.Contains(w.logs.String(), "revocation of another client's token") || strings.Contains(w.logs.String(), access) {
		t.Error("nobody is told, or the token is in the log")
	}
}

func TestRevoke_OnlyForClientsThatProveThemselves_RFC7009_2_1(t *testing.T) {
	w := newWorld(t).serve()
	access := w.accessToken()
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   string
	}{
		{"no credentials", post(PathRevoke, url.Values{"token": {access}}), 401, "invalid_client"},
		{"only a client_id", post(PathRevoke, url.Values{"token": {access}, "client_id": {"library"}}), 401, "invalid_client"},
		{"another method than the registered one", post(PathRevoke, url.Values{"token": {access}, "client_id": {"library"}, "client_secret": {secret}}), 401, "invalid_client"},
		{"no token", asLibrary(post(PathRevoke, nil)), 400, "invalid_request"},
		{"two tokens", asLibrary(post(PathRevoke, url.Values{"token": {access, access}})), 400, "invalid_request"},
		{"in the URL", asLibrary(post(PathRevoke+"?token="+access, nil)), 400, "invalid_request"},
		{"GET", asLibrary(get(PathRevoke, url.Values{"token": {access}})), 405, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, w.do(tt.r), tt.status, tt.code) })
	}
	if got := w.userinfo(access); got.status != 200 {
		t.Errorf("the token has died: %d", got.status)
	}
}

func asLibrary(r *http.Request) *http.Request {
	basic(r, "library", secret)
	return r
}

// Each registered method works here as it does at /token.
func TestRevoke_EveryMethodOfClientAuthentication(t *testing.T) {
	prove := map[protocol.ClientID]func(w *world, f url.Values) *http.Request{
		"library": func(_ *world, f url.Values) *http.Request { return asLibrary(post(PathRevoke, f)) },
		"post": func(_ *world, f url.Values) *http.Request {
			f.Set("client_id", "post")
			f.Set("client_secret", secret)
			return post(PathRevoke, f)
		},
		"jwt": func(w *world, f url.Values) *http.Request {
			f.Set("client_assertion_type", assertionType)
			f.Set("client_assertion", assert(t, w, nil, "ES256", clientKey()))
			return post(PathRevoke, f)
		},
	}
	for client, request := range prove {
		t.Run(string(client), func(t *testing.T) {
			w := newWorld(t).serve()
			code := w.code(func(g *login.Grant) { g.Client = client })
			wantEmpty200(t, w.do(request(w, url.Values{"token": {code}})))
			if want := "token.revoked:code"; w.audit.kinds() != want {
				t.Errorf("on record: %s, want %s", w.audit.kinds(), want)
			}
		})
	}
}

func TestRS_07_RevokeWithoutAStoreIs503(t *testing.T) {
	for _, call := range []string{"get", "revoke"} {
		t.Run(call, func(t *testing.T) {
			w := newWorld(t)
			access := w.accessToken()
			w.store.fail = call
			wantUnavailable(t, w.revoke("library", access))
			if call == "get" {
				wantUnavailable(t, w.revoke("library", newHandle()))
			}
		})
	}
	t.Run("not on record, not revoked; asked again, both", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		w.audit.fail = audit.TokenRevoked
		wantUnavailable(t, w.revoke("library", access))
		if got := w.userinfo(access); got.status != 200 {
			t.Errorf("userinfo: %d", got.status)
		}
		w.audit.fail = ""
		wantEmpty200(t, w.revoke("library", access))
		wantError(t, w.userinfo(access), 401, "invalid_token")
	})
}
