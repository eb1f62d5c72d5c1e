package provider

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/web"
)

// Each test here is a fault that the library has, or had, as shipped, turned into
// a promise of ours: an upgrade that brings one back stops here. The names are
// those of the catalogue; other tests of the room hold the longer tables.

func TestLibrary_Z1_TheAnswerIsNotAtAnAddressOfTheLibrary(t *testing.T) {
	w := newWorld(t).serve()
	for _, path := range []string{"/authorize/callback?id=flow", "/login?id=flow", "/authorize/?x=1"} {
		if got := w.do(httptest.NewRequest("GET", path, nil)); got.status != 404 {
			t.Errorf("%s: got %d, want 404", path, got.status)
		}
	}
	if got := w.do(get(PathAuthorize, request())); !strings.HasPrefix(got.header.Get("Set-Cookie"), "__Host-") {
		t.Error("a visit begins without the cookie that binds it to its browser")
	}
}

func TestLibrary_Z2_LoopbackIsComparedWhole(t *testing.T) {
	w := newWorld(t).serve() // the client "loopback" has http://127.0.0.1:9000/cb
	for _, uri := range []string{
		"http://evil@127.0.0.1:5/cb", "http://127.0.0.1:9000/cb#frag", "http://127.9.9.9/cb", "https://[::1]/cb",
		"http://127.0.0.1:9001/cb", "http://localhost:9000/cb", "https://127.0.0.1:9000/cb", "http://127.0.0.1/cb",
	} {
		wantPage(t, w.do(get(PathAuthorize, request("client_id", "loopback", "redirect_uri", uri))), web.RedirectInvalid)
	}
}

func TestLibrary_Z3_RedirectURIIsDecodedOnce(t *testing.T) {
	w := newWorld(t).serve()
	wantPage(t, w.do(get(PathAuthorize, request("redirect_uri", url.QueryEscape(redirect)))), web.RedirectInvalid)
}

func TestLibrary_Z4_NoParameterTwice(t *testing.T) {
	w := newWorld(t).serve()
	q := request()
	q["redirect_uri"] = []string{"https://evil.example/", redirect}
	wantPage(t, w.do(get(PathAuthorize, q)), web.RequestInvalid)
	f := tokenForm(w.code())
	f["code"] = []string{"x", f.Get("code")}
	wantError(t, w.redeem(f), 400, "invalid_request")
}

func TestLibrary_Z5_PKCEForConfidentialClientsToo(t *testing.T) {
	w := newWorld(t).serve()
	for _, q := range []url.Values{
		request("code_challenge", "-", "code_challenge_method", "-"), request("code_challenge_method", "-"), request("code_challenge_method", "plain"),
	} {
		if got := w.do(get(PathAuthorize, q)).location(t, redirect); got.Get("error") != "invalid_request" {
			t.Errorf("got %v", got)
		}
	}
}

func TestLibrary_Z6_AMissingVerifierIsInvalidGrant(t *testing.T) {
	w := newWorld(t).serve()
	wantError(t, w.redeem(tokenForm(w.code(), "code_verifier", "-")), 400, "invalid_grant")
}

func TestLibrary_Z7_TheClientFirstThenTheCode(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	r := post(PathToken, tokenForm(code, "code_verifier", "wrong"))
	basic(r, "library", "wrong")
	wantError(t, w.do(r), 401, "invalid_client") // not invalid_grant: the code was not looked at
	if got := w.redeem(tokenForm(code)); got.status != 200 {
		t.Errorf("the code was burnt by a stranger: %d", got.status)
	}
}

func TestLibrary_Z9_ASecondUseRevokesTheFirst(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	access := w.redeem(tokenForm(code)).json(t)["access_token"].(string)
	w.redeem(tokenForm(code))
	wantError(t, w.userinfo(access), 401, "invalid_token")
}

func TestLibrary_Z10_Z11_ADeadStoreIs503WithoutItsText(t *testing.T) {
	w := newWorld(t).serve()
	access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
	code := w.code(func(g *login.Grant) { g.ID = "another" })
	w.store.fail = "get"
	wantUnavailable(t, w.redeem(tokenForm(code)))
	wantUnavailable(t, w.userinfo(access))
}

func TestLibrary_Z12_NoSecretOrTokenInTheURL(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code(func(g *login.Grant) { g.Client = "post" })
	q := tokenForm(code, "client_id", "post", "client_secret", secret)
	if got := w.do(get(PathToken, q)); got.status != 405 {
		t.Errorf("GET: got %d, want 405", got.status)
	}
	r := post(PathToken, tokenForm(code))
	r.URL.RawQuery = url.Values{"client_id": {"post"}, "client_secret": {secret}}.Encode()
	wantError(t, w.do(r), 400, "invalid_request")
	access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string)
	wantError(t, w.do(get(PathUserInfo, url.Values{"access_token": {access}})), 400, "invalid_request")
}

func TestLibrary_Z13_NoAnswerOfOursIsCached(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	for name, got := range map[string]reply{
		"tokens": w.redeem(tokenForm(code)), "token error": w.redeem(tokenForm("x")), "userinfo error": w.userinfo("x"),
		"start of a visit": w.do(get(PathAuthorize, request())), "authorization error": w.do(get(PathAuthorize, request("prompt", "x"))),
	} {
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control = %q", name, got.header.Get("Cache-Control"))
		}
	}
}

func TestLibrary_Z14_NoOriginReadsAnswers(t *testing.T) {
	w := newWorld(t).serve()
	for _, r := range []*http.Request{
		get(PathAuthorize, request()), post(PathToken, tokenForm("x")), get(PathUserInfo, nil),
		httptest.NewRequest("OPTIONS", PathToken, nil), httptest.NewRequest("OPTIONS", PathUserInfo, nil),
	} {
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		got := w.do(r)
		for h := range got.header {
			if strings.HasPrefix(h, "Access-Control-") {
				t.Errorf("%s %s answers %s: %v", r.Method, r.URL.Path, h, got.header[h])
			}
		}
	}
}

func TestLibrary_Z15_IssAndTheParametersThatItIgnores(t *testing.T) {
	w := newWorld(t).serve()
	for q, want := range map[string]string{
		"request_uri=https%3A%2F%2Fx": "request_uri_not_supported", "request=x": "request_not_supported",
		"response_mode=fragment": "invalid_request", "acr_values=loa4": "unmet_authentication_requirements", "claims=x": "invalid_request",
	} {
		r := get(PathAuthorize, request())
		r.URL.RawQuery += "&" + q
		if got := w.do(r).location(t, redirect); got.Get("error") != want || got.Get("iss") != issuer {
			t.Errorf("%s: got %v, want %s and iss", q, got, want)
		}
	}
}

func TestLibrary_Z16_OpenIDIsAskedForAndMethodsAreNotInterchangeable(t *testing.T) {
	w := newWorld(t).serve()
	if got := w.do(get(PathAuthorize, request("scope", "email"))).location(t, redirect); got.Get("error") != "invalid_scope" {
		t.Errorf("got %v", got)
	}
	wantError(t, w.do(post(PathToken, tokenForm(w.code(), "client_id", "library", "client_secret", secret))), 401, "invalid_client")
}

func TestLibrary_Z19_ErrorsByFormPostToo(t *testing.T) {
	w := newWorld(t).serve()
	got := w.do(get(PathAuthorize, request("response_mode", "form_post", "prompt", "x")))
	if got.status != 200 || !strings.Contains(got.body, `name="error" value="invalid_request"`) || got.header.Get("Location") != "" {
		t.Errorf("got %d to %q: %s", got.status, got.header.Get("Location"), got.body)
	}
}

func TestLibrary_Z20_TokensSayNothingAndBodiesAreSmall(t *testing.T) {
	w := newWorld(t).serve()
	if access := w.redeem(tokenForm(w.code())).json(t)["access_token"].(string); len(access) != handleLength {
		t.Errorf("an access token of %d characters is more than a handle", len(access))
	}
	f := tokenForm("x", "padding", strings.Repeat("a", 1<<20))
	if got := w.redeem(f); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d, want 413", got.status)
	}
}

func TestLibrary_InvalidClientIs401WithAChallenge(t *testing.T) {
	got := newWorld(t).serve().do(post(PathToken, tokenForm("x")))
	wantError(t, got, 401, "invalid_client")
	if got.header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
}

// TestLibrary_FB18_RedirectsAre303 and nothing else, whatever the library writes.
func TestLibrary_FB18_RedirectsAre303_RFC9700_4_12(t *testing.T) {
	w := newWorld(t).serve()
	for _, r := range []*http.Request{
		get(PathAuthorize, request()), post(PathAuthorize, request()), get(PathAuthorize, request("prompt", "x")), post(PathAuthorize, request("prompt", "x")),
	} {
		if got := w.do(r); got.status != http.StatusSeeOther || got.body != "" {
			t.Errorf("%s: got %d %q, want 303", r.Method, got.status, got.body)
		}
	}
}

// TestLibrary_LogsNothingOfARequest: the library writes to the default logger,
// with whole URLs, if it is given any.
func TestLibrary_LogsNothingOfARequest_PV02(t *testing.T) {
	w := newWorld(t).serve()
	const state, nonce, hint = "canary-state", "canary-nonce", "canary-hint"
	code := w.code()
	for _, change := range [][]string{{}, {"prompt", "x"}, {"redirect_uri", "https://canary-uri.example"}, {"client_id", "canary-client"}, {"max_age", "canary-age"}} {
		w.do(get(PathAuthorize, request(append([]string{"state", state, "nonce", nonce, "login_hint", hint}, change...)...)))
	}
	tokens := w.redeem(tokenForm(code)).json(t)
	w.redeem(tokenForm(code))
	bad := post(PathToken, tokenForm(code))
	bad.SetBasicAuth("library", "%zzcanary-secret")
	w.do(bad)
	w.redeem(tokenForm("canary-code", "grant_type", "canary-grant"))
	logs := libraryLogs.String() + w.logs.String()
	for _, s := range []string{"canary-", canary, code, tokens["access_token"].(string), tokens["id_token"].(string), verifier, secret, "%zz", redirect + "?"} {
		if strings.Contains(logs, s) {
			t.Errorf("a log line holds %q", s)
		}
	}
}
