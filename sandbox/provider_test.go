package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestSignIn_WholeWithGoOIDC(t *testing.T) {
	w := newWorld(t, Post, protocol.EIDAS2)
	v := w.start()
	resp, page := w.get(v.url)
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, `id="identity-solene"`) || !strings.Contains(page, `id="idp-cancel"`) {
		t.Fatalf("status %d, page %s", resp.StatusCode, page)
	}
	got, err := w.finish(v, w.press(v, "identity", "solene"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"sub": got.id.Subject, "given_name": "Solène", "family_name": "Voussure", "preferred_username": "Pilastre-Voussure",
		"birthdate": "1973-11-30", "gender": "female", "birthplace": "35238", "birthcountry": "99100",
		"email": "solene.voussure@mail.example", "email_verified": true,
	}
	if !maps.Equal(got.user, want) {
		t.Errorf("userinfo %v\nwant %v", got.user, want)
	}
	for c, want := range map[string]any{"acr": "eidas2", "auth_time": float64(w.clock.now().Unix()), "aud": "rp", "iss": w.url} {
		if got.claims[c] != want {
			t.Errorf("%s is %v, want %v", c, got.claims[c], want)
		}
	}
	for c := range want {
		if _, there := got.claims[c]; there && c != "sub" {
			t.Errorf("the ID token carries %s", c)
		}
	}
}

func TestUserInfo_WhatIsEmptyAndWhatIsAbsent(t *testing.T) {
	tests := []struct {
		name, identity, scope string
		want                  map[string]any
	}{
		{"born abroad: the birthplace is there and empty", "ines", "openid birth",
			map[string]any{"birthplace": "", "birthcountry": "99139"}},
		{"no e-mail: neither claim is there", "corentine", "openid email", map[string]any{}},
		{"an unverified e-mail says so", "bastien", "openid email",
			map[string]any{"email": "bastien.corniche@mail.example", "email_verified": false}},
		{"no usage name: the claim is absent", "y", "openid preferred_username family_name", map[string]any{"family_name": "Y"}},
		{"no address: the claim is absent", "y", "openid address", map[string]any{}},
		{"openid alone gives nothing but sub", "y", "openid", map[string]any{}},
		{"an unknown scope gives nothing", "y", "openid phone", map[string]any{}},
	}
	w := newWorld(t, Tax, protocol.EIDAS1)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := w.start("scope", tt.scope)
			got, err := w.finish(v, w.press(v, "identity", tt.identity))
			if err != nil {
				t.Fatal(err)
			}
			delete(got.user, "sub")
			if !maps.Equal(got.user, tt.want) {
				t.Errorf("%v, want %v", got.user, tt.want)
			}
		})
	}
}

func TestUserInfo_AnAddressIsAnObject_OIDCCore5_1_1(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	v := w.start("scope", "openid address")
	got, err := w.finish(v, w.press(v, "identity", "camille"))
	if err != nil {
		t.Fatal(err)
	}
	home, _ := got.user["address"].(map[string]any)
	if want := (map[string]any{"postal_code": "69100", "locality": "Villeurbanne", "country": "FR"}); !maps.Equal(home, want) {
		t.Errorf("%v, want %v", home, want)
	}
}

func TestSubject_StableAndOfThisProviderOnly(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	sub := func(id string) string {
		v := w.start()
		got, err := w.finish(v, w.press(v, "identity", id))
		if err != nil {
			t.Fatal(err)
		}
		return got.id.Subject
	}
	first := sub("camille")
	if again := sub("camille"); again != first {
		t.Errorf("the subject changed: %s, %s", first, again)
	}
	if other := sub("jade"); other == first {
		t.Error("two people have one subject")
	}
}

// Each switch must be seen for what it is by a careful relying party.
func TestFaults(t *testing.T) {
	tests := []struct {
		fault Fault
		want  string // part of the error; "" for a sign-in that goes well
	}{
		{FaultNone, ""},
		{FaultServerError, "error server_error"},
		{FaultTokenError, "server_error"},
		{FaultWrongNonce, "nonce"},
		{FaultExpired, "token is expired"},
		{FaultWrongSub, "sub"},
		{FaultBadSignature, "failed to verify signature"},
		{FaultWrongIssuer, "iss"},
		{FaultLowerACR, ""},
		{FaultSlow, ""},
	}
	if len(tests) != len(faults()) {
		t.Errorf("%d rows for %d switches", len(tests), len(faults()))
	}
	for _, tt := range tests {
		t.Run("switch "+string(tt.fault), func(t *testing.T) {
			w := newWorld(t, Post, protocol.EIDAS2)
			v := w.start()
			if _, page := w.get(v.url); !strings.Contains(page, `id="`+tt.fault.elementID()+`"`) {
				t.Error("the page has no such switch")
			}
			got, err := w.finish(v, w.press(v, "identity", "camille", "fail", string(tt.fault)))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			wantACR, wantWait := "eidas2", time.Duration(0)
			switch tt.fault {
			case FaultLowerACR:
				wantACR = "eidas1"
			case FaultSlow:
				wantWait = SlowFor
			}
			if err == nil && got.claims["acr"] != wantACR || *w.waited != wantWait {
				t.Errorf("acr %v, waited %v", got.claims["acr"], *w.waited)
			}
		})
	}
}

func TestFault_BelowTheLowestLevelThereIsNone(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	v := w.start()
	got, err := w.finish(v, w.press(v, "identity", "camille", "fail", string(FaultLowerACR)))
	if err != nil {
		t.Fatal(err)
	}
	if acr := protocol.ACR(got.claims["acr"].(string)); acr.Known() {
		t.Errorf("acr %s is a level", acr)
	}
}

func TestAuthorize_SessionPromptAndMaxAge_OIDCCore_3_1_2_1(t *testing.T) {
	tests := []struct {
		name   string
		signed bool          // somebody signed in before
		pause  time.Duration // and then waited
		extra  []string
		want   string // "page", "code" or an error
	}{
		{"nobody is signed in", false, 0, nil, "page"},
		{"nobody is signed in and prompt=none", false, 0, []string{"prompt", "none"}, "login_required"},
		{"the session answers", true, time.Minute, nil, "code"},
		{"the session answers prompt=none", true, time.Minute, []string{"prompt", "none"}, "code"},
		{"the session has ended", true, sessionTTL, nil, "page"},
		{"prompt=login always shows the page", true, 0, []string{"prompt", "login"}, "page"},
		{"prompt=select_account always shows the page", true, 0, []string{"prompt", "select_account"}, "page"},
		{"the session is younger than max_age", true, time.Minute, []string{"max_age", "60"}, "code"},
		{"the session is older than max_age", true, time.Minute, []string{"max_age", "59"}, "page"},
		{"max_age=0 a second later", true, time.Second, []string{"max_age", "0"}, "page"},
		{"too old for max_age with prompt=none", true, time.Minute, []string{"max_age", "59", "prompt", "none"}, "login_required"},
		{"prompt=none with another", true, 0, []string{"prompt", "none login"}, "invalid_request"},
		{"an unknown prompt", true, 0, []string{"prompt", "dance"}, "invalid_request"},
		{"prompt=consent shows nothing", true, 0, []string{"prompt", "consent"}, "code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Tax, protocol.EIDAS1)
			at := w.clock.now()
			if tt.signed {
				w.press(w.start(), "identity", "zoe")
			}
			w.clock.add(tt.pause)
			v := w.start(tt.extra...)
			resp, page := w.get(v.url)
			if tt.want == "page" {
				if resp.StatusCode != http.StatusOK || !strings.Contains(page, `id="idp-sign-in"`) {
					t.Fatalf("status %d", resp.StatusCode)
				}
				return
			}
			got, err := w.finish(v, w.sentBack(resp))
			if tt.want != "code" {
				if err == nil || err.Error() != "error "+tt.want {
					t.Errorf("error %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.claims["auth_time"] != float64(at.Unix()) {
				t.Errorf("auth_time %v, want that of the sign-in, %d", got.claims["auth_time"], at.Unix())
			}
		})
	}
}

func TestAuthorize_BadRequests_RFC6749_4_1_2_1(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	tests := []struct {
		name   string
		change func(url.Values)
		want   string // the error sent to the client; "" for a page
	}{
		{"an unknown client is told to the person", func(v url.Values) { v.Set("client_id", "stranger") }, ""},
		{"a redirect URI with one more character", func(v url.Values) { v.Set("redirect_uri", rpCallback+"/") }, ""},
		{"no redirect URI", func(v url.Values) { v.Del("redirect_uri") }, ""},
		{"two redirect URIs", func(v url.Values) { v.Add("redirect_uri", "http://evil.example") }, ""},
		{"two states", func(v url.Values) { v.Add("state", "x") }, "invalid_request"},
		{"no response type", func(v url.Values) { v.Del("response_type") }, "invalid_request"},
		{"the implicit flow", func(v url.Values) { v.Set("response_type", "id_token") }, "unsupported_response_type"},
		{"no openid", func(v url.Values) { v.Set("scope", "profile") }, "invalid_scope"},
		{"no PKCE", func(v url.Values) { v.Del("code_challenge") }, "invalid_request"},
		{"plain PKCE", func(v url.Values) { v.Set("code_challenge_method", "plain") }, "invalid_request"},
		{"a challenge that is no SHA-256", func(v url.Values) { v.Set("code_challenge", "short") }, "invalid_request"},
		{"a request object", func(v url.Values) { v.Set("request", "e30.e30.") }, "request_not_supported"},
		{"a request URI", func(v url.Values) { v.Set("request_uri", "https://rp.example/r") }, "request_uri_not_supported"},
		{"fragments", func(v url.Values) { v.Set("response_mode", "fragment") }, "invalid_request"},
		{"a negative max_age", func(v url.Values) { v.Set("max_age", "-1") }, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(w.start().url)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			tt.change(q)
			u.RawQuery = q.Encode()
			viaPost, _ := w.post(w.url+"/authorize", q)
			viaGet, _ := w.get(u.String())
			viaForm, _ := w.post(w.url+"/sign-in", url.Values{"request": {q.Encode()}, "identity": {"zoe"}})
			for _, resp := range []*http.Response{viaGet, viaPost, viaForm} {
				if tt.want == "" {
					if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
						t.Errorf("status %d, location %q", resp.StatusCode, resp.Header.Get("Location"))
					}
					continue
				}
				back := w.sentBack(resp)
				if back.Get("error") != tt.want || back.Get("iss") != w.url || back.Get("code") != "" {
					t.Errorf("sent back %v, want %s", back, tt.want)
				}
			}
		})
	}
}

func TestSignIn_TurningBackIsAccessDenied(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	v := w.start()
	back := w.press(v, "act", "cancel")
	if back.Get("error") != "access_denied" || back.Get("state") != v.state || back.Get("iss") != w.url {
		t.Errorf("sent back %v", back)
	}
}

func TestSignIn_RefusesStrangersAndOtherSites(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	_, raw, _ := strings.Cut(w.start().url, "?")
	tests := []struct {
		name   string
		form   url.Values
		origin string
		want   int
	}{
		{"an identity that this provider does not know", url.Values{"request": {raw}, "identity": {"oriane"}}, "", http.StatusBadRequest},
		{"no identity", url.Values{"request": {raw}}, "", http.StatusBadRequest},
		{"an unknown switch", url.Values{"request": {raw}, "identity": {"zoe"}, "fail": {"kindly"}}, "", http.StatusBadRequest},
		{"no request", url.Values{"identity": {"zoe"}}, "", http.StatusBadRequest},
		{"another site's form", url.Values{"request": {raw}, "identity": {"zoe"}}, "https://evil.example", http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/sign-in", strings.NewReader(tt.form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tt.origin != "" {
				req.Header.Set("Origin", tt.origin)
			}
			if resp, _ := w.do(req); resp.StatusCode != tt.want {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.want)
			}
		})
	}
}

func TestToken_CodeUsedTwice_RFC6749_4_1_2(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	v := w.start()
	code := w.press(v, "identity", "zoe").Get("code")
	tok, err := w.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(v.verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(v.verifier)); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("second use: %v", err)
	}
	if _, err := w.rp.UserInfo(t.Context(), oauth2.StaticTokenSource(tok)); err == nil {
		t.Error("what the first use bought still works")
	}
}

// tokenCall is how a token request differs from the usual one besides its form.
type tokenCall struct {
	query string
	basic bool
}

func TestToken_Refusals_RFC6749_5_2(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world, f url.Values, c *tokenCall)
		status int
		want   string
	}{
		{"a wrong secret", func(_ *world, f url.Values, _ *tokenCall) { f.Set("client_secret", "guess") }, 401, "invalid_client"},
		{"an unknown client", func(_ *world, f url.Values, _ *tokenCall) { f.Set("client_id", "stranger") }, 401, "invalid_client"},
		{"no secret", func(_ *world, f url.Values, _ *tokenCall) { f.Del("client_secret") }, 401, "invalid_client"},
		{"two ways of authentication", func(_ *world, _ url.Values, c *tokenCall) { c.basic = true }, 400, "invalid_request"},
		{"parameters in the query", func(_ *world, _ url.Values, c *tokenCall) { c.query = "?client_id=rp" }, 400, "invalid_request"},
		{"a parameter twice", func(_ *world, f url.Values, _ *tokenCall) { f.Add("code", "x") }, 400, "invalid_request"},
		{"another grant", func(_ *world, f url.Values, _ *tokenCall) { f.Set("grant_type", "password") }, 400, "unsupported_grant_type"},
		{"another redirect URI", func(_ *world, f url.Values, _ *tokenCall) { f.Set("redirect_uri", "http://x.example") }, 400, "invalid_grant"},
		{"a wrong verifier", func(_ *world, f url.Values, _ *tokenCall) { f.Set("code_verifier", oauth2.GenerateVerifier()) }, 400, "invalid_grant"},
		{"no verifier", func(_ *world, f url.Values, _ *tokenCall) { f.Del("code_verifier") }, 400, "invalid_grant"},
		{"an invented code", func(_ *world, f url.Values, _ *tokenCall) { f.Set("code", newHandle()) }, 400, "invalid_grant"},
		{"a code of sixty seconds ago", func(w *world, _ url.Values, _ *tokenCall) { w.clock.add(codeTTL) }, 400, "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Tax, protocol.EIDAS1)
			v := w.start()
			f := url.Values{
				"grant_type": {"authorization_code"}, "code": {w.press(v, "identity", "zoe").Get("code")}, "redirect_uri": {rpCallback},
				"code_verifier": {v.verifier}, "client_id": {"rp"}, "client_secret": {testSecret},
			}
			var call tokenCall
			tt.change(w, f, &call)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/token"+call.query, strings.NewReader(f.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if call.basic {
				req.SetBasicAuth("rp", url.QueryEscape(testSecret))
			}
			resp, answer := w.do(req)
			var got map[string]string
			if err := json.Unmarshal([]byte(answer), &got); err != nil {
				t.Fatalf("body %q: %v", answer, err)
			}
			if resp.StatusCode != tt.status || got["error"] != tt.want || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, %v; want %d %s", resp.StatusCode, got, tt.status, tt.want)
			}
		})
	}
}

// A wrong verifier burns the code: nobody gets a second try.
func TestToken_WrongVerifierBurnsTheCode_RFC7636_4_6(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	v := w.start()
	code := w.press(v, "identity", "zoe").Get("code")
	_, _ = w.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(oauth2.GenerateVerifier())) // refused, as above
	if _, err := w.oauth.Exchange(t.Context(), code, oauth2.VerifierOption(v.verifier)); err == nil {
		t.Error("a second try was allowed")
	}
}

func TestToken_ClientSecretPost(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	w.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	v := w.start()
	if _, err := w.finish(v, w.press(v, "identity", "zoe")); err != nil {
		t.Fatal(err)
	}
}

func TestUserInfo_NeedsALiveToken_RFC6750_3_1(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	v := w.start()
	tok, err := w.oauth.Exchange(t.Context(), w.press(v, "identity", "zoe").Get("code"), oauth2.VerifierOption(v.verifier))
	if err != nil {
		t.Fatal(err)
	}
	w.clock.add(tokenTTL)
	for name, auth := range map[string]string{"expired": "Bearer " + tok.AccessToken, "none": "", "invented": "Bearer " + newHandle()} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/userinfo", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		resp, _ := w.do(req)
		if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: status %d, %q", name, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestPages_SpeakTheLanguageThatIsAskedFor(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	for locales, want := range map[string]string{"fr en": `lang="fr"`, "fr-CA": `lang="fr"`, "en": `lang="en"`, "de": `lang="en"`, "": `lang="en"`} {
		if _, page := w.get(w.start("ui_locales", locales).url); !strings.Contains(page, want) {
			t.Errorf("ui_locales=%q: no %s", locales, want)
		}
	}
}

func TestPages_MarkTheHintedPerson(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	_, page := w.get(w.start("login_hint", "noe.trumeau@mail.example").url)
	_, after, _ := strings.Cut(page, `id="identity-noe"`)
	button, _, _ := strings.Cut(after, "</button>")
	if !strings.Contains(button, vocabulary["en"].Hinted) || strings.Count(page, vocabulary["en"].Hinted) != 1 {
		t.Errorf("button %q", button)
	}
}

func TestSignOut_EndsTheSession(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	w.press(w.start(), "identity", "zoe")
	if _, page := w.get(w.url + "/"); !strings.Contains(page, "Zoé Maëlys") {
		t.Error("the front page does not say who is signed in")
	}
	w.post(w.url+"/sign-out", nil)
	v := w.start("prompt", "none")
	resp, _ := w.get(v.url)
	if got := w.sentBack(resp).Get("error"); got != "login_required" {
		t.Errorf("error %q", got)
	}
}

func TestEndSession_ForgetsHerAndSendsHerBack_RPInitiatedLogout_2(t *testing.T) {
	w := newWorld(t, Tax, protocol.EIDAS1)
	w.press(w.start(), "identity", "zoe")
	ask := url.Values{"client_id": {"rp"}, "post_logout_redirect_uri": {"http://rp.example/out"}, "state": {"s&t"}}
	resp, _ := w.get(w.url + "/end-session?" + ask.Encode())
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != "http://rp.example/out?state=s%26t" {
		t.Errorf("got %d to %s", resp.StatusCode, got)
	}
	resp, _ = w.get(w.start("prompt", "none").url)
	if got := w.sentBack(resp).Get("error"); got != "login_required" {
		t.Errorf("error %q", got)
	}
	for _, uri := range []string{"http://evil.example/", "http://rp.example/out?x=1", ""} {
		ask.Set("post_logout_redirect_uri", uri)
		if resp, _ := w.get(w.url + "/end-session?" + ask.Encode()); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("%q: got %d to %s", uri, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

func TestNewProvider_RefusesWhatIsMissing(t *testing.T) {
	good := ProviderConfig{
		ID: Tax, Name: note("x", "x"), Issuer: "http://localhost:8081", ACR: protocol.EIDAS1, Identities: Identities(Tax, testDay),
		Clients: []ProviderClient{{ID: "rp", RedirectURIs: []string{rpCallback}}}, Signer: newTestSigner(t), Now: newClock().now,
	}
	if _, err := NewProvider(good); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*ProviderConfig)
	}{
		{"an id that cannot name a cookie", func(c *ProviderConfig) { c.ID = "tax office" }},
		{"no name", func(c *ProviderConfig) { c.Name = nil }},
		{"an issuer with a path", func(c *ProviderConfig) { c.Issuer += "/" }},
		{"no level", func(c *ProviderConfig) { c.ACR = "" }},
		{"no signer", func(c *ProviderConfig) { c.Signer = nil }},
		{"no clock", func(c *ProviderConfig) { c.Now = nil }},
		{"nobody", func(c *ProviderConfig) { c.Identities = nil }},
		{"no client", func(c *ProviderConfig) { c.Clients = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			if _, err := NewProvider(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestShelf_WhenFullTheOldestGivesWay(t *testing.T) {
	now := testDay
	s := newShelf[int](time.Minute, 2)
	a, b, c := s.put(1, now), s.put(2, now), s.put(3, now)
	if _, ok := s.get(a, now); ok {
		t.Error("the oldest is still there")
	}
	if v, ok := s.take(b, now); !ok || v != 2 {
		t.Error("the second is gone")
	}
	if _, ok := s.take(b, now); ok {
		t.Error("taken twice")
	}
	if _, ok := s.get(c, now.Add(time.Minute)); ok {
		t.Error("still there after its time")
	}
	s.put(4, now.Add(time.Minute))
	if len(s.items) != 1 || len(s.order) != 1 {
		t.Errorf("%d items, %d in order, want 1 and 1", len(s.items), len(s.order))
	}
}
