package oidc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

func wantLogin() federation.Login {
	return federation.Login{
		Provider: "tax", Subject: "subject-1", ACR: protocol.EIDAS1,
		Identity: identity.Identity{
			Pivot: identity.Pivot{
				GivenName: "Angela Claire Louise", FamilyName: "DUBOIS", Birthdate: "1962-08-24", Gender: "female",
				Birthplace: "75107", Birthcountry: "99100",
			},
			Civil: true, PreferredUsername: "MARTIN", Email: "angela@example.test", EmailVerified: true,
			Provider: "tax", AMR: []string{"pwd"}, AsOf: now,
		},
	}
}

func TestFinish_AnHonestProviderSignsHerIn(t *testing.T) {
	h := newHostile(t)
	got, err := h.attempt(t)
	want := wantLogin()
	want.Issuer = h.URL
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Login = %+v, %v\nwant %+v", got, err, want)
	}
	if h.count("/token") != 1 || h.count("/userinfo") != 1 || h.count("/jwks") != 1 {
		t.Errorf("calls = %v, want one each", h.calls)
	}
}

func TestFinish_ClientSecretBasicIsFormEncodedFirst_RFC6749_2_3_1(t *testing.T) {
	h := newHostile(t)
	if _, err := h.attempt(t); err != nil {
		t.Fatal(err)
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("voussoir:s3cr%26t+%C3%BC"))
	if got := h.header.Get("Authorization"); got != want {
		t.Errorf("Authorization = %q, want %q", got, want)
	}
	if h.posted.Has("client_secret") || h.posted.Has("client_id") {
		t.Error("two ways of authentication in one request")
	}
}

func TestFinish_ClientSecretPost(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	c.AuthMethod = oidc.ClientSecretPost
	if _, err := h.signIn(t, newProvider(t, c), request); err != nil {
		t.Fatal(err)
	}
	if h.posted.Get("client_secret") != "s3cr&t ü" || h.posted.Get("client_id") != "voussoir" || h.header.Get("Authorization") != "" {
		t.Errorf("posted %v", h.posted)
	}
}

// signer shows what it was given to sign.
type signer struct{}

func (signer) Sign(_ context.Context, alg, typ string, payload []byte) (string, error) {
	return alg + "|" + typ + "|" + string(payload), nil
}

func TestMX_05_AnAssertionIsForThePinnedIssuerAlone(t *testing.T) {
	h := newHostile(t)
	h.discovery = func(d members) { d["token_endpoint"] = h.URL + "/token?of=https://honest-op.test/token" }
	c := h.config()
	c.AuthMethod, c.ClientSecret, c.Signer = oidc.PrivateKeyJWT, "", signer{}
	p := newProvider(t, c)
	ids := map[string]bool{}
	for range 2 {
		if _, err := h.signIn(t, p, request); err != nil {
			t.Fatal(err)
		}
		parts := strings.SplitN(h.posted.Get("client_assertion"), "|", 3)
		var claims members
		if err := json.Unmarshal([]byte(parts[2]), &claims); err != nil {
			t.Fatal(err)
		}
		id, _ := claims["jti"].(string)
		if len(id) < 22 || ids[id] {
			t.Errorf("jti = %q is short or was used before", id)
		}
		ids[id] = true
		delete(claims, "jti")
		want := members{
			"iss": "voussoir", "sub": "voussoir", "aud": h.URL, "iat": float64(now.Unix()), "exp": float64(now.Unix() + 60),
		}
		if parts[0] != "ES256" || parts[1] != "JWT" || !reflect.DeepEqual(claims, want) {
			t.Errorf("signed %s %s %v, want ES256 JWT %v", parts[0], parts[1], claims, want)
		}
		if got := h.posted.Get("client_assertion_type"); got != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("client_assertion_type = %q", got)
		}
	}
}

func TestMX_01_02_TheAnswerMustComeFromThisIssuer(t *testing.T) {
	for name, change := range map[string]func(h *hostile){
		"MX-01 another issuer": func(h *hostile) { h.answer = func(q url.Values) { q.Set("iss", "https://other.test") } },
		"MX-01 with a slash":   func(h *hostile) { h.answer = func(q url.Values) { q.Set("iss", h.URL+"/") } },
		"MX-01 in an error": func(h *hostile) {
			h.answer = func(q url.Values) { q.Del("code"); q.Set("error", "access_denied"); q.Set("iss", "x") }
		},
		"MX-01 twice":                 func(h *hostile) { h.answer = func(q url.Values) { q.Add("iss", h.URL) } },
		"MX-01 empty":                 func(h *hostile) { h.answer = func(q url.Values) { q.Set("iss", "") } },
		"MX-02 announced but missing": func(h *hostile) { h.answer = func(q url.Values) { q.Del("iss") } },
		"MX-02 missing in an error": func(h *hostile) {
			h.answer = func(q url.Values) { q.Del("iss"); q.Del("code"); q.Set("error", "access_denied") }
		},
		"not announced, but another's": func(h *hostile) { silent(h); h.answer = func(q url.Values) { q.Set("iss", "https://other.test") } },
		"code twice":                   func(h *hostile) { h.answer = func(q url.Values) { q.Add("code", "code-2") } },
		"error and code":               func(h *hostile) { h.answer = func(q url.Values) { q.Set("error", "access_denied") } },
		"no code":                      func(h *hostile) { h.answer = func(q url.Values) { q.Del("code") } },
		"code with a line break":       func(h *hostile) { h.answer = func(q url.Values) { q.Set("code", "a\nb") } },
		"code of 5 KB":                 func(h *hostile) { h.answer = func(q url.Values) { q.Set("code", strings.Repeat("c", 5<<10)) } },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			change(h)
			_, err := h.attempt(t)
			wantKind(t, err, federation.Invalid)
			if h.count("/token") != 0 {
				t.Error("the code was sent before the answer held")
			}
		})
	}
}

func silent(h *hostile) {
	h.discovery = func(d members) { delete(d, "authorization_response_iss_parameter_supported") }
}

func TestFinish_WithoutAnnouncementIssMayBeMissing(t *testing.T) {
	h := newHostile(t)
	silent(h)
	h.answer = func(q url.Values) { q.Del("iss") }
	if _, err := h.attempt(t); err != nil {
		t.Error(err)
	}
}

func TestFinish_ErrorsOfTheProvider(t *testing.T) {
	for code, want := range map[string]struct {
		kind federation.Kind
		text string
	}{
		"access_denied": {federation.Cancelled, "provider tax: answered access_denied"},
		// LemonLDAP::NG, where a person refuses; and another Voussoir that has nobody at the level.
		"consent_required":                  {federation.Cancelled, "provider tax: answered consent_required"},
		"unmet_authentication_requirements": {federation.TooWeak, "provider tax: answered unmet_authentication_requirements"},
		"server_error":                      {federation.Unavailable, "provider tax: answered server_error"},
		"<script>alert(1)":                  {federation.Refused, "provider tax: answered an unreadable error"},
		"a\nlevel=INFO msg=fake":            {federation.Refused, "provider tax: answered an unreadable error"},
		"":                                  {federation.Refused, "provider tax: answered an unreadable error"},
		strings.Repeat("a", 65):             {federation.Refused, "provider tax: answered an unreadable error"},
		"access_denied DUBOIS":              {federation.Refused, "provider tax: answered an unreadable error"},
		"Access_Denied":                     {federation.Refused, "provider tax: answered an unreadable error"},
		"temporarily_unavailable":           {federation.Unavailable, "provider tax: answered temporarily_unavailable"},
	} {
		t.Run(code, func(t *testing.T) {
			h := newHostile(t)
			h.answer = func(q url.Values) {
				q.Del("code")
				q.Set("error", code)
				q.Set("error_description", "<script>DUBOIS</script>")
				q.Set("error_uri", "https://evil.test/")
			}
			_, err := h.attempt(t)
			wantKind(t, err, want.kind)
			if err.Error() != want.text {
				t.Errorf("err = %q, want %q", err, want.text)
			}
		})
	}
}

func TestFinish_AnotherProvidersStartIsNotFinishedHere(t *testing.T) {
	h := newHostile(t)
	p := newProvider(t, h.config())
	started, err := p.Start(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	other := []byte(strings.Replace(string(started.Pending), `"tax"`, `"post"`, 1))
	for _, pend := range [][]byte{other, nil, []byte("{}"), []byte("x")} {
		_, err = p.Finish(context.Background(), request, pend, h.visit(t, started.URL))
		wantKind(t, err, federation.Invalid)
	}
	if h.count("/token") != 0 {
		t.Error("the code was sent")
	}
}

func TestUT_18_TokenAnswersThatAreNone(t *testing.T) {
	raw := func(status int, contentType, body string) func(h *hostile) {
		return func(h *hostile) {
			h.token = func(w http.ResponseWriter) bool {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return true
			}
		}
	}
	edit := func(change func(d members)) func(h *hostile) { return func(h *hostile) { h.tokens = change } }
	for name, tt := range map[string]struct {
		change func(h *hostile)
		want   federation.Kind
	}{
		"no ID token":           {edit(func(d members) { delete(d, "id_token") }), federation.Invalid},
		"ID token is null":      {edit(func(d members) { d["id_token"] = nil }), federation.Invalid},
		"ID token is a list":    {edit(func(d members) { d["id_token"] = []any{d["id_token"]} }), federation.Invalid},
		"type mac":              {edit(func(d members) { d["token_type"] = "mac" }), federation.Invalid},
		"type DPoP":             {edit(func(d members) { d["token_type"] = "DPoP" }), federation.Invalid},
		"no type":               {edit(func(d members) { delete(d, "token_type") }), federation.Invalid},
		"no access token":       {edit(func(d members) { delete(d, "access_token") }), federation.Invalid},
		"access token CRLF":     {edit(func(d members) { d["access_token"] = "a\r\nX-Evil: 1" }), federation.Invalid},
		"names in other case":   {edit(func(d members) { d["Id_Token"] = d["id_token"]; delete(d, "id_token") }), federation.Invalid},
		"an error with 200":     {edit(func(d members) { d["error"] = "<script" }), federation.Refused},
		"HTML with 200":         {raw(200, "text/html", "<html>"), federation.Invalid},
		"JSON called text":      {raw(200, "text/plain", "{}"), federation.Invalid},
		"no content type":       {raw(200, "", "{}"), federation.Invalid},
		"empty":                 {raw(200, "application/json", ""), federation.Invalid},
		"null":                  {raw(200, "application/json", "null"), federation.Invalid},
		"member twice":          {raw(200, "application/json", `{"id_token":"a","id_token":"b"}`), federation.Invalid},
		"trailing bytes":        {raw(200, "application/json", `{}x`), federation.Invalid},
		"byte order mark":       {raw(200, "application/json", "\ufeff{}"), federation.Invalid},
		"5 MB":                  {raw(200, "application/json", `{"x":"`+strings.Repeat("x", 5<<20)+`"}`), federation.Invalid},
		"500":                   {raw(500, "application/json", "{}"), federation.Unavailable},
		"500 in HTML":           {raw(503, "text/html", "<html>"), federation.Unavailable},
		"429":                   {raw(429, "text/html", "slow down"), federation.Unavailable},
		"invalid_grant":         {raw(400, "application/json", `{"error":"invalid_grant","error_description":"DUBOIS"}`), federation.Refused},
		"an error with a break": {raw(400, "application/json", `{"error":"a\nb"}`), federation.Refused},
		"204":                   {raw(204, "application/json", ""), federation.Invalid},
		"201":                   {raw(201, "application/json", "{}"), federation.Refused},
		"gzip": {func(h *hostile) {
			h.token = func(w http.ResponseWriter) bool { w.Header().Set("Content-Encoding", "gzip"); return false }
		}, federation.Invalid},
		"redirect": {func(h *hostile) {
			h.token = func(w http.ResponseWriter) bool {
				w.Header().Set("Location", h.URL+"/userinfo")
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			}
		}, federation.Invalid},
		"cut": {func(h *hostile) { h.token = func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) } }, federation.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			tt.change(h)
			_, err := h.attempt(t)
			wantKind(t, err, tt.want)
			if h.count("/userinfo") != 0 {
				t.Error("userinfo was asked all the same")
			}
		})
	}
}

func TestUT_18_ATokenAnswerThatIsNotCalledJSONIsNotRead(t *testing.T) {
	h := newHostile(t)
	h.token = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`{"access_token":"a","token_type":"Bearer","id_token":"a.b.c"}`))
		return true
	}
	_, err := h.attempt(t)
	wantKind(t, err, federation.Invalid)
	if want := "provider tax: token answer is not JSON"; err.Error() != want {
		t.Errorf("err = %q, want %q", err, want)
	}
}

func TestFinish_TokenTypeInAnyCase_RFC6749_5_1(t *testing.T) {
	h := newHostile(t)
	h.tokens = func(d members) { d["token_type"] = "bEARER" }
	if _, err := h.attempt(t); err != nil {
		t.Error(err)
	}
}

func TestUT_16_AProviderThatHangsEndsWithTheCallersDeadline(t *testing.T) {
	h := newHostile(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	h.token = func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		<-release
		return true
	}
	p := newProvider(t, h.config())
	started, err := p.Start(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = p.Finish(ctx, request, started.Pending, h.visit(t, started.URL))
	wantKind(t, err, federation.Unavailable)
}

func TestFinish_LevelsAreMappedCappedAndNeverRaised_UT_20(t *testing.T) {
	tests := []struct {
		name   string
		acr    any // nil: absent
		asked  protocol.ACR
		config func(*oidc.ACR)
		want   protocol.ACR
		fails  federation.Kind
	}{
		{"the level that was proved", "urn:x:low", "", nil, protocol.EIDAS1, 0},
		{"the level that was asked", "urn:x:sub", protocol.EIDAS2, nil, protocol.EIDAS2, 0},
		{"a higher one than was asked is told as it is", "urn:x:sub", protocol.EIDAS1, nil, protocol.EIDAS2, 0},
		{"one above the maximum counts as the maximum", "urn:x:high", protocol.EIDAS2, nil, protocol.EIDAS2, 0},
		{"a lower one than was asked", "urn:x:low", protocol.EIDAS2, nil, "", federation.TooWeak},
		{"unknown is none", "urn:x:other", "", nil, "", 0},
		{"unknown does not satisfy", "urn:x:other", protocol.EIDAS1, nil, "", federation.TooWeak},
		{"our own names mean nothing here", "eidas2", protocol.EIDAS1, nil, "", federation.TooWeak},
		{"higher by name but not mapped", "urn:x:low+", protocol.EIDAS1, nil, "", federation.TooWeak},
		{"empty", "", protocol.EIDAS1, nil, "", federation.TooWeak},
		{"missing", nil, protocol.EIDAS1, nil, "", federation.TooWeak},
		{"missing, nothing asked", nil, "", nil, "", 0},
		{"missing, with a default", nil, protocol.EIDAS1, func(a *oidc.ACR) { a.Default = protocol.EIDAS1 }, protocol.EIDAS1, 0},
		{"a default above the maximum", nil, "", func(a *oidc.ACR) { a.Default = protocol.EIDAS3 }, protocol.EIDAS2, 0},
		{"the default is not for unknown ones", "urn:x:other", protocol.EIDAS1, func(a *oidc.ACR) { a.Default = protocol.EIDAS1 }, "", federation.TooWeak},
		{"without a map our names mean themselves", "eidas2", protocol.EIDAS2, func(a *oidc.ACR) { a.Map = nil }, protocol.EIDAS2, 0},
		{"a list", []string{"urn:x:sub"}, "", nil, "", federation.Invalid},
		{"a number", 2, "", nil, "", federation.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHostile(t)
			h.idToken = func(c members) { c["acr"] = tt.acr }
			if tt.acr == nil {
				h.idToken = func(c members) { delete(c, "acr") }
			}
			h.userinfo = func(c members) { c["acr"] = "urn:x:high" } // never read from there
			c := h.config()
			if tt.config != nil {
				tt.config(&c.ACR)
			}
			r := request
			r.MinACR = tt.asked
			login, err := h.signIn(t, newProvider(t, c), r)
			if tt.fails != 0 {
				wantKind(t, err, tt.fails)
				return
			}
			if err != nil || login.ACR != tt.want {
				t.Errorf("ACR = %q, %v; want %q", login.ACR, err, tt.want)
			}
		})
	}
}

func TestUT_21_AgeOfTheSignIn(t *testing.T) {
	minute := time.Minute
	at := func(d time.Duration) any { return now.Add(d).Unix() }
	tests := []struct {
		name     string
		request  federation.Request
		authTime any // nil: absent
		fails    federation.Kind
	}{
		{"nobody asked and nobody says", federation.Request{}, nil, 0},
		{"nobody asked", federation.Request{}, at(-time.Hour), 0},
		{"young enough", federation.Request{MaxAge: &minute}, at(-time.Minute), 0},
		{"young enough within the skew", federation.Request{MaxAge: &minute}, at(-70 * time.Second), 0},
		{"too old", federation.Request{MaxAge: &minute}, at(-71 * time.Second), federation.TooOld},
		{"asked, but nobody says", federation.Request{MaxAge: &minute}, nil, federation.TooOld},
		{"forced and fresh", federation.Request{ForceLogin: true}, at(0), 0},
		{"forced, but the old session was used", federation.Request{ForceLogin: true}, at(-11 * time.Second), federation.TooOld},
		{"forced, and any age would do", federation.Request{ForceLogin: true, MaxAge: &minute}, at(-30 * time.Second), federation.TooOld},
		{"forced, but nobody says", federation.Request{ForceLogin: true}, nil, federation.TooOld},
		{"in the future", federation.Request{}, at(time.Minute), federation.Invalid},
		{"as text", federation.Request{}, "1800000000", federation.Invalid},
		{"negative", federation.Request{}, -1, federation.Invalid},
		{"a fraction", federation.Request{}, json.RawMessage("1795435200.5"), federation.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHostile(t)
			if tt.authTime != nil {
				h.idToken = func(c members) { c["auth_time"] = tt.authTime }
			}
			tt.request.State = "s"
			login, err := h.signIn(t, newProvider(t, h.config()), tt.request)
			if tt.fails != 0 {
				wantKind(t, err, tt.fails)
				return
			}
			if err != nil || tt.authTime == nil != login.AuthTime.IsZero() {
				t.Errorf("AuthTime = %v, %v", login.AuthTime, err)
			}
		})
	}
}

func TestUT_21_AgeCountsFromTheStartAndNotFromTheReturn(t *testing.T) {
	h := newHostile(t)
	c := h.config()
	started, minute := now.Add(-20*time.Minute), time.Minute
	c.Now = func() time.Time { return started }
	p := newProvider(t, c)
	r := federation.Request{State: "s", MaxAge: &minute}
	s, err := p.Start(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.idToken = func(c members) { c["auth_time"] = started.Add(-30 * time.Second).Unix() }
	started = now // she reads a page there for twenty minutes
	if _, err := p.Finish(context.Background(), r, s.Pending, h.visit(t, s.URL)); err != nil {
		t.Error(err)
	}
}
