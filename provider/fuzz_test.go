package provider

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// FuzzAuthorizeQuery: whatever the query says, the browser is sent to our own
// next step or to the registered URI, or sees a page of ours.
func FuzzAuthorizeQuery(f *testing.F) {
	f.Add(request().Encode())
	f.Add(request("claims", `{"id_token":{"acr":{"essential":true}}}`, "response_mode", "form_post", "prompt", "none").Encode())
	for _, row := range authorizeErrors() {
		f.Add(row.q.Encode())
	}
	for _, uri := range badRedirects() {
		f.Add(request("redirect_uri", uri).Encode())
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", PathAuthorize, nil)
		r.URL.RawQuery = query
		w.started = w.started[:0]
		got := w.do(r)
		switch location := got.header.Get("Location"); {
		case got.status == http.StatusSeeOther && location == "/login/flow":
		case got.status == http.StatusSeeOther && (strings.HasPrefix(location, redirect+"?error=") || strings.HasPrefix(location, "https://rp.example/second?tenant=1&error=") || strings.HasPrefix(location, "http://127.0.0.1:9000/cb?error=")):
			if !strings.HasSuffix(location, "&iss=https%3A%2F%2Fbroker.example") || strings.ContainsAny(location, "\r\n#\"<> ") {
				t.Errorf("to %q", location)
			}
		case location == "" && (got.status == 400 || got.status == 413 || got.status == 200):
		default:
			t.Errorf("got %d to %q", got.status, location)
		}
	})
}

// FuzzTokenBody: no body buys a token without the code, nor breaks anything.
func FuzzTokenBody(f *testing.F) {
	f.Add(tokenForm(newHandle()).Encode(), "Basic bGlicmFyeTp4")
	f.Add(tokenForm("x", "client_assertion", "e30.e30.x", "client_assertion_type", assertionType).Encode(), "")
	f.Add("grant_type=authorization_code&grant_type=x", "Bearer x")
	f.Add("%", "Basic %")
	w := newWorld(f)
	w.code()
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := httptest.NewRequest("POST", PathToken, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		got := w.do(r)
		if got.status != 400 && got.status != 401 && got.status != 413 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if !json.Valid([]byte(got.body)) {
			t.Errorf("no JSON: %q", got.body)
		}
	})
}

// FuzzClaimsParameter: what is understood is known claims only, and reading it
// again from what was understood changes nothing.
func FuzzClaimsParameter(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"userinfo":{"email":null,"x":{"essential":true}}}`, `{"id_token":{"acr":{"essential":true,"values":["eidas2"]},"sub":{"value":"s"}}}`,
		`{"userinfo":{"email":{"essential":"true"}}}`, `{"userinfo":{"email":null,"email":null}}`, strings.Repeat(`{"a":`, 40),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > maxClaims {
			return
		}
		out, err := parseClaims([]byte(raw))
		if err != nil {
			return
		}
		for _, m := range []map[protocol.Claim]protocol.ClaimRequest{out.request.UserInfo, out.request.IDToken} {
			for c := range m {
				if !c.Known() {
					t.Errorf("claim %q got through", c)
				}
			}
		}
		again, err := json.Marshal(out.request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseClaims(again); err != nil {
			t.Errorf("%s does not read back: %v", again, err)
		}
	})
}

// FuzzRedirectMatch: a URI passes only if it is one of the registered, and an
// answer to it begins with exactly those bytes.
func FuzzRedirectMatch(f *testing.F) {
	for _, uri := range badRedirects() {
		f.Add(uri, "s")
	}
	f.Add(redirect, "a b&c#")
	w := newWorld(f)
	client, _ := w.set.Get("library")
	f.Fuzz(func(t *testing.T, uri, state string) {
		_, proven, err := w.p.prove(url.Values{"client_id": {"library"}, "redirect_uri": {uri}})
		registered := uri == client.RedirectURIs[0] || uri == client.RedirectURIs[1]
		if (err == nil) != registered || (err == nil && proven != uri) {
			t.Errorf("prove(%q) = %q, %v", uri, proven, err)
		}
		req := protocol.AuthRequest{RedirectURI: redirect, State: state}
		back, err := url.Parse(responseURL(redirect, w.codes.fields(req, login.Answer{Code: "c"})))
		if err != nil || back.Host != "rp.example" || back.Fragment != "" || back.Query().Get("state") != state || back.Query().Get("code") != "c" {
			t.Errorf("answer %v, %v", back, err)
		}
	})
}
