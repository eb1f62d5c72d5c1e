package provider

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/web"
)

// badRedirects are deviations from the registered URI; none may pass for it.
func badRedirects() map[string]string {
	return map[string]string{
		"RU-01 unregistered":                 "https://evil.example/callback",
		"RU-02 empty":                        "",
		"RU-03 query added":                  redirect + "?x=1",
		"RU-03 empty query":                  redirect + "?",
		"RU-03 query changed":                "https://rp.example/second?tenant=2",
		"RU-03 query dropped":                "https://rp.example/second",
		"RU-03 query extended":               "https://rp.example/second?tenant=1&x=2",
		"RU-05 percent-encoded letter":       "https://rp.example/%63allback",
		"RU-05 double encoding":              "https://rp.example/%2563allback",
		"RU-05 dot segments":                 "https://rp.example/x/../callback",
		"RU-05 encoded dot segments":         "https://rp.example/%2e%2e/callback",
		"RU-05 encoded scheme":               "https%3A//rp.example/callback",
		"RU-05 encoded as a whole":           url.QueryEscape(redirect),
		"RU-06 userinfo before the host":     "https://rp.example@evil.example/callback",
		"RU-06 doubled at":                   "https://rp.example@@evil.example/callback",
		"RU-06 userinfo on the host":         "https://evil@rp.example/callback",
		"RU-06 encoded at":                   "https://rp.example%40evil.example/callback",
		"RU-07 fragment":                     redirect + "#frag",
		"RU-07 encoded fragment":             redirect + "%23",
		"RU-07 empty fragment":               redirect + "#",
		"RU-08 homograph":                    "https://rр.example/callback",
		"RU-08 full-width dot":               "https://rp。example/callback",
		"RU-08 trailing dot":                 "https://rp.example./callback",
		"RU-08 default port":                 "https://rp.example:443/callback",
		"RU-08 upper-case host":              "https://RP.example/callback",
		"RU-08 trailing slash":               redirect + "/",
		"RU-08 leading space":                " " + redirect,
		"RU-08 newline":                      redirect + "\r\nX: y",
		"RU-08 http":                         "http://rp.example/callback",
		"RU-08 no scheme":                    "//rp.example/callback",
		"RU-09 javascript":                   "javascript:alert(1)",
		"RU-09 mixed-case javascript":        "JaVaScRiPt:alert(1)",
		"RU-09 data":                         "data:text/html,x",
		"RU-09 vbscript":                     "vbscript:x",
		"RU-09 file":                         "file:///etc/passwd",
		"RU-11 web client on loopback":       "http://127.0.0.1/callback",
		"RU-11 localhost":                    "http://localhost:9000/cb",
		"RU-12 carries a code":               redirect + "?code=x",
		"RU-12 carries iss and state":        redirect + "?iss=x&state=y",
		"RU-13 wildcard":                     "https://*.example/callback",
		"RU-17 outside URL in our own words": "https://broker.example/login?return_to=https://evil.example",
		"Z2 loopback with userinfo":          "http://evil@127.0.0.1:5/cb",
		"Z2 other loopback address":          "http://127.9.9.9/cb",
		"Z2 loopback with another port":      "http://127.0.0.1:9001/cb",
		"Z2 loopback in IPv6 with TLS":       "https://[::1]/cb",
	}
}

func TestAuthorize_RedirectURIIsExact_RFC9700_2_1(t *testing.T) {
	w := newWorld(t).serve()
	for name, uri := range badRedirects() {
		for _, client := range []string{"library", "relaxed", "loopback"} {
			t.Run(name+" for "+client, func(t *testing.T) {
				wantPage(t, w.do(get(PathAuthorize, request("redirect_uri", uri, "client_id", client))), web.RedirectInvalid)
				wantPage(t, w.do(post(PathAuthorize, request("redirect_uri", uri, "client_id", client))), web.RedirectInvalid)
			})
		}
	}
	t.Run("RU-02 missing, though the client has one", func(t *testing.T) {
		wantPage(t, w.do(get(PathAuthorize, request("redirect_uri", "-", "client_id", "relaxed"))), web.RedirectInvalid)
	})
	t.Run("RU-02 missing, and the client has two", func(t *testing.T) {
		wantPage(t, w.do(get(PathAuthorize, request("redirect_uri", "-"))), web.RedirectInvalid)
	})
	if len(w.started) != 0 {
		t.Errorf("%d visits started, want none", len(w.started))
	}
	t.Run("the registered ones pass, with their query", func(t *testing.T) {
		for client, uri := range map[string]string{"library": "https://rp.example/second?tenant=1", "loopback": "http://127.0.0.1:9000/cb"} {
			if got := w.do(get(PathAuthorize, request("client_id", client, "redirect_uri", uri))); got.status != http.StatusSeeOther {
				t.Errorf("%s for %s: got %d", uri, client, got.status)
			}
		}
	})
}

// TestAuthorize_RegisteredButDangerousURI is the second lock, should a loader let
// one through.
func TestAuthorize_RegisteredButDangerousURI_RU09(t *testing.T) {
	w := newWorld(t).serve()
	uris := []string{"javascript:alert(1)", "data:text/html,x", "file:///x", "//rp.example/cb", "rp"}
	w.set = clients.NewSet(&clients.Client{ID: "library", RedirectURIs: uris})
	for _, uri := range uris {
		wantPage(t, w.do(get(PathAuthorize, request("redirect_uri", uri))), web.RedirectInvalid)
	}
}

// TestAuthorize_NoErrorLeavesForABadURI is the matrix of every error with a
// redirect URI that is not the client's (CVE-2026-41479).
func TestAuthorize_NoErrorLeavesForABadURI_RU14(t *testing.T) {
	w := newWorld(t)
	rows := authorizeErrors()
	if len(rows) < 25 {
		t.Fatalf("%d errors, want at least 25", len(rows))
	}
	for name, row := range rows {
		for _, uri := range badRedirects() {
			q := maps(row.q)
			q.Set("redirect_uri", uri)
			if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "" || got.status != http.StatusBadRequest {
				t.Errorf("%s with %q: got %d to %q", name, uri, got.status, got.header.Get("Location"))
			}
		}
	}
	for _, uri := range badRedirects() { // RU-15
		wantPage(t, w.do(get(PathAuthorize, request("prompt", "none", "redirect_uri", uri))), web.RedirectInvalid)
	}
}
