package provider

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
)

func twoTokens() *http.Request {
	r := post(PathUserInfo, url.Values{"access_token": {"x"}})
	r.Header.Set("Authorization", "Bearer x")
	return r
}

func TestUserInfo_DisclosesWhatWasReleased_OIDCCore_5_3(t *testing.T) {
	w := newWorld(t).serve()
	access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
	want := map[string]any{"sub": "pairwise-sub", "given_name": canary, "email": "elodie@example.org", "email_verified": true}
	byHeader := func(method string) *http.Request {
		r := httptest.NewRequest(method, PathUserInfo, nil)
		r.Header.Set("Authorization", "bearer "+access) // the scheme's case does not matter (RFC 9110 section 11.1)
		if method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return r
	}
	empty := byHeader("POST")
	empty.Header.Del("Content-Type") // there is no content
	for name, r := range map[string]*http.Request{
		"GET": byHeader("GET"), "POST with the header": byHeader("POST"), "POST without a body": empty, "POST with the form": post(PathUserInfo, url.Values{"access_token": {access}}),
	} {
		t.Run(name, func(t *testing.T) {
			w.audit.events = nil
			got := w.do(r)
			if m := got.json(t); got.status != 200 || !reflect.DeepEqual(m, want) {
				t.Errorf("got %d %v, want %v", got.status, m, want)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be cached")
			}
			if len(w.audit.events) != 1 || w.audit.events[0].Public.Kind != audit.UserInfoServed || w.audit.events[0].Public.Outcome != "ok" {
				t.Errorf("on record: %+v", w.audit.events)
			}
		})
	}
}

func TestUserInfo_RefusesWhatIsNoAccessToken_RS02_RFC6750_3_1(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	m := w.redeem(tokenForm(code)).json(t)
	access, id := m["access_token"].(string), m["id_token"].(string)
	unspent := w.code()
	for name, token := range map[string]string{
		"RS-02 an id token": id, "RS-02 a code that was used": code, "RS-02 a code that was not": unspent, "truncated": access[:42],
		"extended": access + "A", "random": newHandle(), "empty": "", "after two spaces": " " + access, "two": access + "," + access,
	} {
		t.Run(name, func(t *testing.T) {
			got := w.userinfo(token)
			wantError(t, got, 401, "invalid_token")
			if !strings.Contains(got.header.Get("WWW-Authenticate"), `Bearer realm="userinfo"`) {
				t.Errorf("WWW-Authenticate = %q", got.header.Get("WWW-Authenticate"))
			}
		})
	}
	bad := func(change func(*http.Request)) *http.Request {
		r := httptest.NewRequest("GET", PathUserInfo, nil)
		change(r)
		return r
	}
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   string
	}{
		{"Z12 the token in the query", bad(func(r *http.Request) { r.URL.RawQuery = "access_token=" + access }), 400, "invalid_request"},
		{"the token in the query and the header", bad(func(r *http.Request) {
			r.URL.RawQuery = "access_token=" + access
			r.Header.Set("Authorization", "Bearer "+access)
		}), 400, "invalid_request"},
		{"two tokens", twoTokens(), 400, "invalid_request"},
		{"two headers", bad(func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + access, "Bearer " + access} }), 400, "invalid_request"},
		{"two in the form", post(PathUserInfo, url.Values{"access_token": {access, access}}), 400, "invalid_request"},
		{"another scheme", bad(func(r *http.Request) { basic(r, "library", secret) }), 401, "invalid_token"},
		{"RFC9449 7.1 a plain token with the scheme DPoP", bad(func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+access) }), 401, "invalid_token"},
		{"no token", bad(func(*http.Request) {}), 401, "invalid_token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, w.do(tt.r), tt.status, tt.code) })
	}
	t.Run("no token: no error code in the challenge", func(t *testing.T) {
		if h := w.do(httptest.NewRequest("GET", PathUserInfo, nil)).header.Get("WWW-Authenticate"); h != `Bearer realm="userinfo"` {
			t.Errorf("WWW-Authenticate = %q", h)
		}
	})
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS"} {
		r := httptest.NewRequest(method, PathUserInfo, nil)
		r.Header.Set("Authorization", "Bearer "+access)
		if got := w.do(r); got.status != 405 || got.header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: got %d", method, got.status)
		}
	}
}

func TestUserInfo_EndsWithTheToken(t *testing.T) {
	t.Run("after its life", func(t *testing.T) {
		w := newWorld(t)
		access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
		w.advance(59 * time.Second)
		if got := w.userinfo(access); got.status != 200 {
			t.Errorf("at 59 s: %d", got.status)
		}
		w.advance(time.Second)
		wantError(t, w.userinfo(access), 401, "invalid_token")
	})
	t.Run("RS-03 when the client is gone", func(t *testing.T) {
		w := newWorld(t)
		access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
		w.set = clients.NewSet()
		wantError(t, w.userinfo(access), 401, "invalid_token")
	})
	t.Run("RS-07 a dead store is no refusal", func(t *testing.T) {
		w := newWorld(t)
		access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
		w.store.fail = "get"
		wantUnavailable(t, w.userinfo(access))
		wantUnavailable(t, w.userinfo(newHandle()))
	})
	t.Run("nothing is disclosed that is not on record", func(t *testing.T) {
		w := newWorld(t)
		access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
		w.audit.fail = audit.UserInfoServed
		wantUnavailable(t, w.userinfo(access))
	})
}
