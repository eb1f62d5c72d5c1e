package provider

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

func TestAuthorize_StartsAVisit_OIDCCore_3_1_2(t *testing.T) {
	w := newWorld(t).serve()
	age := 300 * time.Second
	q := request("prompt", "login consent", "max_age", "300", "acr_values", "eidas3 eidas2 urn:x", "login_hint", "élodie@example.org",
		"ui_locales", "fr-FR en", "idp_hint", "tax", "response_mode", "form_post", "display", "popup", "claims_locales", "fr",
		"unknown", "ignored", // AZ-19
		"claims", `{"userinfo":{"birthdate":{"essential":true},"nickname":null,"email":null},"id_token":{"acr":{"essential":true,"values":["eidas1"]},"age_over_18":{"essential":false}}}`)
	want := protocol.AuthRequest{
		ClientID: "library", RedirectURI: redirect, ResponseMode: protocol.ModeFormPost,
		Scopes: []protocol.Scope{"openid", "given_name", "email"}, State: "st~ate", Nonce: "n-0S6_WzA2Mj", CodeChallenge: s256,
		Prompt: protocol.Prompt{Login: true, Consent: true}, MaxAge: &age, MinACR: protocol.EIDAS2, LoginHint: "élodie@example.org",
		UILocales: []string{"fr-FR", "en"}, IdPHint: "tax",
		Claims: protocol.ClaimsRequest{
			UserInfo: map[protocol.Claim]protocol.ClaimRequest{"birthdate": {Essential: true}, "email": {}},
			IDToken:  map[protocol.Claim]protocol.ClaimRequest{"age_over_18": {}},
		},
	}
	for name, r := range map[string]*http.Request{"GET": get(PathAuthorize, q), "POST": post(PathAuthorize, q)} {
		t.Run(name, func(t *testing.T) {
			w.started = nil
			got := w.do(r)
			if got.status != http.StatusSeeOther || got.header.Get("Location") != "/login/flow" {
				t.Fatalf("got %d to %q, want 303 to /login/flow: %s", got.status, got.header.Get("Location"), got.body)
			}
			if c := got.header.Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-voussoir-flow-flow=handle; Path=/;") {
				t.Errorf("Set-Cookie = %q, want the flow's", c)
			}
			if len(w.started) != 1 || !reflect.DeepEqual(w.started[0], want) {
				t.Errorf("started with %+v, want %+v", w.started, want)
			}
		})
	}
}

// authorizeErrors are requests with a proven redirect URI that do not hold.
func authorizeErrors() map[string]struct {
	q    url.Values
	want protocol.ErrorCode
} {
	type row = struct {
		q    url.Values
		want protocol.ErrorCode
	}
	dup := func(name, value string) url.Values { q := request(); q.Add(name, value); q.Add(name, value); return q }
	long := strings.Repeat("a", 513)
	return map[string]row{
		"AZ-01 state twice":                             {dup("state", "x"), "invalid_request"},
		"AZ-01 an unknown parameter twice":              {dup("foo", "x"), "invalid_request"},
		"AZ-01 scope twice":                             {dup("scope", "openid"), "invalid_request"},
		"AZ-01 response_mode twice":                     {dup("response_mode", "form_post"), "invalid_request"},
		"AZ-03 response_type missing":                   {request("response_type", "-"), "invalid_request"},
		"AZ-03 response_type token":                     {request("response_type", "token"), "unsupported_response_type"},
		"AZ-03 response_type id_token":                  {request("response_type", "id_token"), "unsupported_response_type"},
		"AZ-03 response_type code token":                {request("response_type", "code token"), "unsupported_response_type"},
		"AZ-03 response_type none":                      {request("response_type", "none"), "unsupported_response_type"},
		"AZ-03 response_type code code":                 {request("response_type", "code code"), "unsupported_response_type"},
		"AZ-04 response_mode fragment":                  {request("response_mode", "fragment"), "invalid_request"},
		"AZ-04 response_mode form_post.jwt":             {request("response_mode", "form_post.jwt"), "invalid_request"},
		"AZ-04 response_mode unknown":                   {request("response_mode", "smoke"), "invalid_request"},
		"AZ-06 state missing":                           {request("state", "-"), "invalid_request"},
		"AZ-06 state empty":                             {request("state", ""), "invalid_request"},
		"AZ-06 state too long":                          {request("state", long), "invalid_request"},
		"AZ-06 state with CRLF":                         {request("state", "a\r\nLocation: x"), "invalid_request"},
		"AZ-06 state with NUL":                          {request("state", "a\x00"), "invalid_request"},
		"AZ-06 state beyond ASCII":                      {request("state", "é"), "invalid_request"},
		"AZ-06 nonce missing":                           {request("nonce", "-"), "invalid_request"},
		"AZ-06 nonce too long":                          {request("nonce", long), "invalid_request"},
		"AZ-06 nonce with LF":                           {request("nonce", "a\n"), "invalid_request"},
		"AZ-07 request object":                          {request("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"},
		"AZ-08 request_uri of a metadata host":          {request("request_uri", "http://169.254.169.254/latest"), "request_uri_not_supported"},
		"AZ-08 request_uri of a file":                   {request("request_uri", "file:///etc/passwd"), "request_uri_not_supported"},
		"registration":                                  {request("registration", "{}"), "registration_not_supported"},
		"AZ-12 prompt none and login":                   {request("prompt", "none login"), "invalid_request"},
		"AZ-12 prompt none twice":                       {request("prompt", "none none"), "invalid_request"},
		"AZ-12 prompt unknown":                          {request("prompt", "create"), "invalid_request"},
		"AZ-12 prompt in upper case":                    {request("prompt", "Login"), "invalid_request"},
		"AZ-13 max_age negative":                        {request("max_age", "-1"), "invalid_request"},
		"AZ-13 max_age a word":                          {request("max_age", "abc"), "invalid_request"},
		"AZ-13 max_age huge":                            {request("max_age", "1000000000000000000"), "invalid_request"},
		"AZ-13 max_age with a sign":                     {request("max_age", "+5"), "invalid_request"},
		"AZ-13 max_age a fraction":                      {request("max_age", "1.5"), "invalid_request"},
		"AZ-13 max_age with a leading zero":             {request("max_age", "010"), "invalid_request"},
		"AZ-15 acr_values unknown":                      {request("acr_values", "urn:mace:incommon:iap:silver"), "unmet_authentication_requirements"},
		"AZ-15 essential acr unknown":                   {request("claims", `{"id_token":{"acr":{"essential":true,"value":"loa9"}}}`), "unmet_authentication_requirements"},
		"AZ-15 acr_values too long":                     {request("acr_values", strings.Repeat("eidas1 ", 60)), "invalid_request"},
		"AZ-16 claims too long":                         {request("claims", `{"x":"`+strings.Repeat("a", 8200)+`"}`), "invalid_request"},
		"AZ-16 claims too deep":                         {request("claims", strings.Repeat(`{"a":`, 300)+"1"+strings.Repeat("}", 300)), "invalid_request"},
		"AZ-16 claims with a double name":               {request("claims", `{"userinfo":{"email":null,"email":{"essential":true}}}`), "invalid_request"},
		"AZ-16 claims not JSON":                         {request("claims", "email"), "invalid_request"},
		"AZ-16 claims an array":                         {request("claims", "[]"), "invalid_request"},
		"AZ-16 claims null":                             {request("claims", "null"), "invalid_request"},
		"AZ-16 userinfo null":                           {request("claims", `{"userinfo":null}`), "invalid_request"},
		"AZ-16 a claim that is a string":                {request("claims", `{"userinfo":{"email":"yes"}}`), "invalid_request"},
		"AZ-16 essential as a string":                   {request("claims", `{"userinfo":{"email":{"essential":"true"}}}`), "invalid_request"},
		"AZ-16 values no array":                         {request("claims", `{"id_token":{"acr":{"values":"eidas1"}}}`), "invalid_request"},
		"AZ-16 two subjects":                            {request("claims", `{"id_token":{"sub":{"values":["a","b"]}}}`), "invalid_request"},
		"AZ-15 an essential acr that is a number":       {request("claims", `{"id_token":{"acr":{"essential":true,"value":3}}}`), "invalid_request"},
		"AZ-15 a number among the levels":               {request("claims", `{"id_token":{"acr":{"essential":true,"values":["eidas1",3]}}}`), "invalid_request"},
		"AZ-15 an essential acr of null":                {request("claims", `{"id_token":{"acr":{"essential":true,"values":[null]}}}`), "invalid_request"},
		"AZ-16 a subject that is a number":              {request("claims", `{"id_token":{"sub":{"value":5}}}`), "invalid_request"},
		"AZ-16 a subject that is empty":                 {request("claims", `{"userinfo":{"sub":{"value":""}}}`), "invalid_request"},
		"AZ-16 another subject in each":                 {request("claims", `{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`), "invalid_request"},
		"Z16 scope missing":                             {request("scope", "-"), "invalid_scope"},
		"Z16 scope without openid":                      {request("scope", "email"), "invalid_scope"},
		"scope with a control character":                {request("scope", "openid\temail"), "invalid_scope"},
		"scope too long":                                {request("scope", "openid "+strings.Repeat("a", 1024)), "invalid_scope"},
		"a known scope that the client may not use":     {request("client_id", "narrow", "scope", "openid birthdate"), "invalid_scope"},
		"TK-01 no challenge":                            {request("code_challenge", "-", "code_challenge_method", "-"), "invalid_request"},
		"TK-01 a method without a challenge":            {request("code_challenge", "-"), "invalid_request"},
		"TK-01 the same for a client with an exception": {request("client_id", "relaxed", "code_challenge", "-"), "invalid_request"},
		"TK-02 method plain":                            {request("code_challenge_method", "plain"), "invalid_request"},
		"TK-02 method absent":                           {request("code_challenge_method", "-"), "invalid_request"},
		"TK-02 method bogus":                            {request("code_challenge_method", "S512"), "invalid_request"},
		"TK-02 method in lower case":                    {request("code_challenge_method", "s256"), "invalid_request"},
		"TK-02 plain for a client with an exception":    {request("client_id", "relaxed", "code_challenge_method", "plain"), "invalid_request"},
		"TK-02 challenge of 42":                         {request("code_challenge", s256[:42]), "invalid_request"},
		"TK-02 challenge of 129":                        {request("code_challenge", strings.Repeat("a", 129)), "invalid_request"},
		"TK-02 challenge beyond the alphabet":           {request("code_challenge", s256[:42]+"+"), "invalid_request"},
		"login_hint too long":                           {request("login_hint", strings.Repeat("a", 257)), "invalid_request"},
		"login_hint with CRLF":                          {request("login_hint", "a\r\nb"), "invalid_request"},
		"login_hint no UTF-8":                           {request("login_hint", "\xff"), "invalid_request"},
		"ui_locales more than 10":                       {request("ui_locales", strings.Repeat("fr ", 11)), "invalid_request"},
		"ui_locales 100 KB":                             {request("ui_locales", strings.Repeat("a", 9000)), "invalid_request"},
		"idp_hint not allowed":                          {request("idp_hint", "post"), "invalid_request"},
		"id_token_hint too long":                        {request("id_token_hint", strings.Repeat("a", 8193)), "invalid_request"},
	}
}

func TestAuthorize_ErrorsGoBackToTheService_RFC6749_4_1_2_1(t *testing.T) {
	w := newWorld(t).serve()
	for name, row := range authorizeErrors() {
		t.Run(name, func(t *testing.T) {
			q := w.do(get(PathAuthorize, row.q)).location(t, redirect)
			wantErrorFields(t, q, row.q, row.want)
			form := maps(row.q)
			form.Set("response_mode", "form_post")
			if len(row.q["response_mode"]) > 0 {
				return
			}
			got := w.do(post(PathAuthorize, form))
			if got.status != http.StatusOK || !strings.Contains(got.body, `name="error" value="`+string(row.want)+`"`) {
				t.Errorf("by form_post: got %d %s", got.status, got.body)
			}
		})
	}
	if len(w.started) != 0 {
		t.Errorf("%d visits started, want none", len(w.started))
	}
}

func TestAuthorize_BeforeTheURIIsProvenPeopleGetAPage_AZ01_AZ02(t *testing.T) {
	w := newWorld(t).serve()
	twice := func(name string) url.Values { q := request(); q.Add(name, q.Get(name)); return q }
	tests := []struct {
		name string
		q    url.Values
		want web.Code
	}{
		{"AZ-01 client_id twice", twice("client_id"), web.RequestInvalid},
		{"AZ-01 redirect_uri twice", twice("redirect_uri"), web.RequestInvalid},
		{"AZ-02 client_id missing", request("client_id", "-"), web.ClientUnknown},
		{"AZ-02 client_id empty", request("client_id", ""), web.ClientUnknown},
		{"AZ-02 client_id unknown", request("client_id", "nobody"), web.ClientUnknown},
		{"AZ-02 client_id a script", request("client_id", "<script>alert(1)</script>"), web.ClientUnknown},
		{"AZ-09 a request_uri without the rest", url.Values{"client_id": {"library"}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}}, web.RedirectInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantPage(t, w.do(get(PathAuthorize, tt.q)), tt.want)
			wantPage(t, w.do(post(PathAuthorize, tt.q)), tt.want)
		})
	}
	t.Run("AZ-01 once in the query and once in the body", func(t *testing.T) {
		r := post(PathAuthorize, request())
		r.URL.RawQuery = "client_id=library"
		wantPage(t, w.do(r), web.RequestInvalid)
		r = post(PathAuthorize, request())
		r.URL.RawQuery = "prompt=none&prompt=login"
		if q := w.do(r).location(t, redirect); q.Get("error") != "invalid_request" {
			t.Errorf("got %v", q)
		}
	})
	t.Run("an unknown and a removed client look the same", func(t *testing.T) {
		a := w.do(get(PathAuthorize, request("client_id", "nobody")))
		w.mu.Lock()
		w.set = clients.NewSet()
		w.mu.Unlock()
		b := w.do(get(PathAuthorize, request()))
		number := regexp.MustCompile(`[a-z0-9]{4}(-[a-z0-9]{4}){3}`) // the correlation id
		if a.status != b.status || number.ReplaceAllString(a.body, "") != number.ReplaceAllString(b.body, "") {
			t.Errorf("got %d %q and %d %q", a.status, a.body, b.status, b.body)
		}
	})
	t.Run("a query that cannot be parsed", func(t *testing.T) {
		for _, raw := range []string{"client_id=%zz", "client_id=library;redirect_uri=x", request().Encode() + "&a=%"} {
			r := get(PathAuthorize, nil)
			r.URL.RawQuery = raw
			if got := w.do(r); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("%s: got %d", raw, got.status)
			}
		}
	})
}

func TestAuthorize_EchoesStateByteForByte_AZ06(t *testing.T) {
	w := newWorld(t).serve()
	for _, state := range []string{"x", strings.Repeat("~", 512), `"><script>alert(1)</script>`, "a+b %41&code=1#f?=/\\", " "} {
		q := w.do(get(PathAuthorize, request("state", state, "prompt", "bogus"))).location(t, redirect)
		if q.Get("state") != state || q.Get("error") != "invalid_request" {
			t.Errorf("state %q came back as %q (%v)", state, q.Get("state"), q)
		}
	}
}

func TestAuthorize_ExceptionsOfAClient(t *testing.T) {
	w := newWorld(t).serve()
	q := request("client_id", "relaxed", "state", "-", "nonce", "-", "code_challenge", "-", "code_challenge_method", "-")
	if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "/login/flow" {
		t.Fatalf("got %d to %q", got.status, got.header.Get("Location"))
	}
	if r := w.started[0]; r.State+r.Nonce+r.CodeChallenge != "" {
		t.Errorf("started with %+v", r)
	}
}

func TestAuthorize_AsksForTheWeakestKnownLevel_AZ15(t *testing.T) {
	w := newWorld(t).serve()
	tests := []struct {
		name, acrValues, claims string
		want                    protocol.ACR
	}{
		{"nothing asked", "-", "-", ""},
		{"one level", "eidas2", "-", protocol.EIDAS2},
		{"the weakest of several, whatever their order", "eidas3 eidas1 eidas2", "-", protocol.EIDAS1},
		{"an unknown one beside a known one never lowers it", "level-of-comfort eidas3", "-", protocol.EIDAS3},
		{"an essential acr", "-", `{"id_token":{"acr":{"essential":true,"values":["eidas3","eidas2"]}}}`, protocol.EIDAS2},
		{"two demands: the stronger", "eidas1", `{"id_token":{"acr":{"essential":true,"value":"eidas2"}}}`, protocol.EIDAS2},
		{"a voluntary acr that nobody knows", "-", `{"id_token":{"acr":{"value":"x"}}}`, ""},
		{"an acr in userinfo means nothing", "-", `{"userinfo":{"acr":{"essential":true,"value":"x"}}}`, ""},
		{"an acr without values is met by any", "-", `{"id_token":{"acr":{"essential":true}}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.started = nil
			got := w.do(get(PathAuthorize, request("acr_values", tt.acrValues, "claims", tt.claims)))
			if len(w.started) != 1 || w.started[0].MinACR != tt.want {
				t.Errorf("started %+v (%d), want MinACR %q", w.started, got.status, tt.want)
			}
		})
	}
}

func TestAuthorize_TheClaimsParameterIsNoWayAroundTheScopesOfAClient_PV04(t *testing.T) {
	w := newWorld(t).serve()
	asked := `{"userinfo":{"birthdate":{"essential":true},"email":null},"id_token":{"family_name":null,"email":{"essential":true}}}`
	got := w.do(get(PathAuthorize, request("client_id", "narrow", "scope", "openid", "claims", asked)))
	want := protocol.ClaimsRequest{
		UserInfo: map[protocol.Claim]protocol.ClaimRequest{"email": {}},
		IDToken:  map[protocol.Claim]protocol.ClaimRequest{"email": {Essential: true}},
	}
	if len(w.started) != 1 || !reflect.DeepEqual(w.started[0].Claims, want) {
		t.Errorf("started %+v (%d), want the claims of its scopes only: %+v", w.started, got.status, want)
	}
}

func TestAuthorize_BoundsThatStillPass(t *testing.T) {
	w := newWorld(t).serve()
	for name, q := range map[string]url.Values{
		"AZ-13 max_age 0":                 request("max_age", "0"),
		"AZ-13 max_age 10000":             request("max_age", "10000"),
		"AZ-06 nonce of 512":              request("nonce", strings.Repeat("n", 512)),
		"unknown scopes":                  request("scope", "openid phone offline_access email"),
		"a scope twice":                   request("scope", "email openid email"),
		"prompt select_account":           request("prompt", "select_account"),
		"parameters without a value":      request("prompt", "", "max_age", "", "claims", "", "acr_values", "", "request", ""),
		"ui_locales that nobody speaks":   request("ui_locales", "tlh-Latn x_bad fr"),
		"claims: unknown members and all": request("claims", `{"other":1,"userinfo":{"https://x/y":{"essential":true}}}`),
		"claims: only id_token":           request("claims", `{"id_token":{"given_name":null}}`),
		"an id_token_hint of somebody":    request("id_token_hint", "eyJhbGciOiJub25lIn0.e30."),
	} {
		if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "/login/flow" {
			t.Errorf("%s: got %d to %q", name, got.status, got.header.Get("Location"))
		}
	}
}

func TestAuthorize_IDTokenHint_AZ14(t *testing.T) {
	w := newWorld(t).serve()
	token := w.redeem(tokenForm(w.code())).json(t)["id_token"].(string)
	foreign, err := w.keys.Sign(t.Context(), "EdDSA", "JWT", []byte(`{"iss":"https://evil.example","aud":"library","sub":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	tests := []struct {
		name, client, hint, want string
	}{
		{"our own for this client", "library", token, "pairwise-sub"},
		{"another client's", "other", token, ""},
		{"another issuer's", "library", foreign, ""},
		{"alg none", "library", "eyJhbGciOiJub25lIn0." + parts[1] + ".", ""},
		{"a payload that was changed", "library", parts[0] + "." + parts[1] + "x." + parts[2], ""},
		{"a code", "library", w.code(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.started = nil
			w.advance(time.Hour) // long expired
			w.do(get(PathAuthorize, request("client_id", tt.client, "id_token_hint", tt.hint)))
			if len(w.started) != 1 || w.started[0].SubHint != tt.want {
				t.Errorf("started %+v, want SubHint %q", w.started, tt.want)
			}
		})
	}
	t.Run("a hint and another subject in claims", func(t *testing.T) {
		q := request("id_token_hint", token, "claims", `{"id_token":{"sub":{"value":"somebody"}}}`)
		if q := w.do(get(PathAuthorize, q)).location(t, redirect); q.Get("error") != "invalid_request" {
			t.Errorf("got %v", q)
		}
	})
}

func TestAuthorize_MethodsAndSize_AZ18_DO02(t *testing.T) {
	w := newWorld(t).serve()
	for _, method := range []string{"HEAD", "PUT", "DELETE", "TRACE", "OPTIONS", "PATCH"} {
		r := httptest.NewRequest(method, PathAuthorize+"?"+request().Encode(), nil)
		r.Header.Set("X-HTTP-Method-Override", "GET")
		if got := w.do(r); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, POST" {
			t.Errorf("%s: got %d, Allow %q", method, got.status, got.header.Get("Allow"))
		}
	}
	if got := w.do(get(PathAuthorize, request("x", strings.Repeat("a", 17<<10)))); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("long URL: got %d", got.status)
	}
	if got := w.do(post(PathAuthorize, request("x", strings.Repeat("a", 65<<10)))); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("large body: got %d", got.status)
	}
	r := post(PathAuthorize, request())
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	wantPage(t, w.do(r), web.RequestInvalid)
	r = post(PathAuthorize, request())
	r.Header.Set("Content-Encoding", "gzip")
	if got := w.do(r); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("gzip: got %d", got.status)
	}
}

func TestAuthorize_WhenAVisitCannotStart(t *testing.T) {
	w := newWorld(t).serve()
	t.Run("a dead store is temporarily_unavailable", func(t *testing.T) {
		w.startErr = errStore
		q := w.do(get(PathAuthorize, request())).location(t, redirect)
		if q.Get("error") != "temporarily_unavailable" || strings.Contains(q.Encode(), "10.1.2.3") {
			t.Errorf("got %v", q)
		}
		if !strings.Contains(w.logs.String(), "connection refused") {
			t.Errorf("the cause is not in the log: %s", w.logs)
		}
	})
	t.Run("an error of the protocol is passed on", func(t *testing.T) {
		w.startErr = protocol.Fail(protocol.UnmetAuthentication, nil, "no provider reaches the level")
		if q := w.do(get(PathAuthorize, request())).location(t, redirect); q.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("got %v", q)
		}
	})
	t.Run("a page stays a page", func(t *testing.T) {
		w.startErr = web.Fail(web.Unavailable, errStore)
		if got := w.do(get(PathAuthorize, request())); got.status != http.StatusServiceUnavailable || got.header.Get("Location") != "" {
			t.Errorf("got %d", got.status)
		}
	})
}

func TestAnswer_Golden_RFC9207(t *testing.T) {
	w := newWorld(t)
	refused := login.Answer{Err: protocol.Fail(protocol.AccessDenied, errors.New("inside"), "the person refused")}
	tests := []struct {
		name string
		req  protocol.AuthRequest
		a    login.Answer
	}{
		{"query_code", protocol.AuthRequest{RedirectURI: redirect, State: "a b&c=d+é%"}, login.Answer{Code: "the-code"}},
		{"query_code_no_state", protocol.AuthRequest{RedirectURI: redirect}, login.Answer{Code: "the-code"}},
		{"query_code_uri_with_query", protocol.AuthRequest{RedirectURI: "https://rp.example/second?tenant=1", State: "s"}, login.Answer{Code: "the-code"}},
		{"query_error", protocol.AuthRequest{RedirectURI: redirect, State: "s"}, refused},
		{"form_post_code", protocol.AuthRequest{ClientID: "library", RedirectURI: redirect, State: `"><b>`, ResponseMode: protocol.ModeFormPost}, login.Answer{Code: "the-code"}},
		{"form_post_error", protocol.AuthRequest{ClientID: "library", RedirectURI: redirect, State: "s", ResponseMode: protocol.ModeFormPost}, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			if err := w.codes.Answer(rec, httptest.NewRequest("GET", "/", nil), tt.req, tt.a); err != nil {
				t.Fatal(err)
			}
			if cc := rec.Header().Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control = %q", cc)
			}
			golden(t, "answer_"+tt.name+".txt", http.StatusText(rec.Code)+"\n"+rec.Header().Get("Location")+"\n"+formOf(rec.Body.String()))
		})
	}
	for _, a := range []login.Answer{{}, {Code: "x", Err: refused.Err}} {
		if err := w.codes.Answer(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), protocol.AuthRequest{RedirectURI: redirect}, a); err == nil {
			t.Errorf("Answer(%+v) = nil, want an error", a)
		}
	}
}

// formOf is the protocol's part of a form_post page: the form and its hidden inputs.
func formOf(page string) string {
	var out strings.Builder
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "<form ") || strings.HasPrefix(line, "<input ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func wantPage(t *testing.T, got reply, want web.Code) {
	t.Helper()
	if got.status != http.StatusBadRequest || got.header.Get("Location") != "" || !strings.Contains(got.body, `data-code="`+string(want)+`"`) {
		t.Errorf("got %d to %q: %s, want page %s", got.status, got.header.Get("Location"), got.body, want)
	}
	if strings.Contains(got.body, "<script") || strings.Contains(got.body, "evil") {
		t.Errorf("the page echoes the request: %s", got.body)
	}
}

// wantErrorFields checks the whole error response: code, iss, and the state of
// the request or none.
func wantErrorFields(t *testing.T, got, sent url.Values, want protocol.ErrorCode) {
	t.Helper()
	if got.Get("error") != string(want) || got.Get("iss") != issuer || got.Has("code") || got.Get("error_description") == "" {
		t.Errorf("got %v, want error %s with iss", got, want)
	}
	state := ""
	if s := sent["state"]; len(s) == 1 && isOpaque(s[0]) {
		state = s[0]
	}
	if got.Get("state") != state {
		t.Errorf("state = %q, want %q", got.Get("state"), state)
	}
}

func maps(q url.Values) url.Values {
	out := url.Values{}
	for k, v := range q {
		out[k] = append([]string(nil), v...)
	}
	return out
}
