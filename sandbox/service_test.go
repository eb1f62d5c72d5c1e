package sandbox

import (
	"crypto/sha256"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
)

// town is a sample service with a sandbox provider in the place of the broker:
// to the service any OpenID provider is as good as another.
type town struct {
	*world  // its browser visits both: cookies are shared by all ports
	service string
}

func newTown(t *testing.T) *town {
	t.Helper()
	srv := httptest.NewServer(nil)
	t.Cleanup(srv.Close)
	idp := httptest.NewServer(nil)
	t.Cleanup(idp.Close)
	w := &world{t: t, clock: newClock(), browser: newBrowser(t), url: idp.URL}
	h, err := NewProvider(ProviderConfig{
		ID: Post, Name: note("Test provider", "Fournisseur d’essai"), Issuer: idp.URL, ACR: protocol.EIDAS2,
		Identities: Identities(Post, w.clock.now()), Signer: newTestSigner(t), Now: w.clock.now,
		Clients: []ProviderClient{
			{ID: "city-library", SecretSHA256: sha256.Sum256([]byte(testSecret)), RedirectURIs: []string{srv.URL + "/callback"}},
			{ID: "civil-records", SecretSHA256: sha256.Sum256([]byte("another")), RedirectURIs: []string{srv.URL + "/callback"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	idp.Config.Handler = h
	accounts := SampleAccounts()
	accounts[0].Secret = testSecret
	accounts[2].Secret = "not the one that is registered"
	s, err := NewService(ServiceConfig{Issuer: idp.URL, BaseURL: srv.URL, Accounts: accounts, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = s
	return &town{world: w, service: srv.URL}
}

// leave starts a sign-in at the service and returns the provider's address.
func (w *town) leave(query string) string {
	w.t.Helper()
	resp, _ := w.get(w.service + "/sign-in?" + query)
	return resp.Header.Get("Location")
}

// come signs in at the provider and returns the address of the callback.
func (w *town) come(authorize string, fields ...string) string {
	w.t.Helper()
	_, raw, _ := strings.Cut(authorize, "?")
	form := url.Values{"request": {raw}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	resp, _ := w.post(w.url+"/sign-in", form)
	return resp.Header.Get("Location")
}

// follow gets an address and the redirects within the service.
func (w *town) follow(address string) (*http.Response, string) {
	w.t.Helper()
	resp, page := w.get(address)
	for resp.StatusCode == http.StatusSeeOther {
		resp, page = w.get(w.service + resp.Header.Get("Location"))
	}
	return resp, page
}

// text is the text content of the element with this id; "" when there is none.
func text(page, id string) string {
	m := regexp.MustCompile(`(?s) id="` + regexp.QuoteMeta(id) + `"[^>]*>(.*?)</`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

func TestService_ShowsWhatItReceived(t *testing.T) {
	w := newTown(t)
	resp, page := w.follow(w.come(w.leave("client=city-library"), "identity", "zoe"))
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, `<main id="service-signed-in"`) {
		t.Fatalf("status %d, page %s", resp.StatusCode, page)
	}
	for id, want := range map[string]string{
		"claim-given_name": "Zoé Maëlys", "claim-email": "zoe@etancon.example", "claim-email_verified": "true",
	} {
		if got := text(page, id); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	if text(page, "sub") == "" || !strings.Contains(text(page, "id-token-claims"), `"acr": "eidas2"`) ||
		!strings.Contains(text(page, "token-response"), `"token_type": "Bearer"`) || strings.Count(text(page, "id-token"), ".") != 2 {
		t.Error("the page does not show sub, ID token or token response")
	}
	if strings.Contains(page, `id="claim-sub"`) || strings.Contains(page, `id="claim-birthdate"`) {
		t.Error("the page shows claims that were not received")
	}
}

func TestService_ReloadIsHarmlessAndNobodyElseSees(t *testing.T) {
	w := newTown(t)
	callback := w.come(w.leave("client=city-library"), "identity", "zoe")
	resp, _ := w.get(callback)
	address := w.service + resp.Header.Get("Location")
	for range 2 {
		if _, page := w.get(address); !strings.Contains(page, "service-signed-in") {
			t.Error("the page is gone")
		}
	}
	if resp, _ := w.get(callback); w.service+resp.Header.Get("Location") != address {
		t.Errorf("back to the callback leads to %q, want what it led to before", resp.Header.Get("Location"))
	}
	w.browser = newBrowser(t)
	if _, page := w.get(address); strings.Contains(page, "Zoé") {
		t.Error("another browser sees it")
	}
}

func TestService_AnswerForAnotherBrowser(t *testing.T) {
	w := newTown(t)
	callback := w.come(w.leave("client=city-library"), "identity", "zoe")
	mine := w.browser
	w.browser = newBrowser(t)
	if resp, page := w.follow(callback); resp.StatusCode != http.StatusBadRequest || !strings.Contains(page, `data-error="state_unknown"`) {
		t.Errorf("status %d", resp.StatusCode)
	}
	w.browser = mine
	if _, page := w.follow(callback); !strings.Contains(page, "service-signed-in") {
		t.Error("a stranger spoilt the sign-in")
	}
}

func TestService_Errors(t *testing.T) {
	tests := []struct {
		name, client string
		press        []string
		want         string
	}{
		{"she turned back", "city-library", []string{"act", "cancel"}, "access_denied"},
		{"the provider fails", "city-library", []string{"identity", "zoe", "fail", "server_error"}, "server_error"},
		{"the token endpoint is down", "city-library", []string{"identity", "zoe", "fail", "token_error"}, "broker_unavailable"},
		{"a wrong nonce", "city-library", []string{"identity", "zoe", "fail", "wrong_nonce"}, "id_token_invalid"},
		{"an expired token", "city-library", []string{"identity", "zoe", "fail", "expired_token"}, "id_token_invalid"},
		{"a broken signature", "city-library", []string{"identity", "zoe", "fail", "bad_signature"}, "id_token_invalid"},
		{"another subject", "city-library", []string{"identity", "zoe", "fail", "wrong_sub"}, "userinfo_invalid"},
		{"another issuer (RFC 9207)", "city-library", []string{"identity", "zoe", "fail", "wrong_issuer"}, "issuer_wrong"},
		{"a secret that is not registered", "civil-records", []string{"identity", "zoe"}, "token_refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t)
			resp, page := w.follow(w.come(w.leave("client="+tt.client), tt.press...))
			if resp.StatusCode != http.StatusOK || !strings.Contains(page, `<main id="service-error" data-error="`+tt.want+`">`) {
				t.Errorf("status %d, page %s", resp.StatusCode, page)
			}
			if strings.Contains(page, "Zoé") {
				t.Error("the page shows a person all the same")
			}
		})
	}
}

// form_post arrives without the Lax cookie; the redirect brings it back.
func TestService_AnswerByFormPost(t *testing.T) {
	w := newTown(t)
	callback, err := url.Parse(w.come(w.leave("client=city-library"), "identity", "zoe"))
	if err != nil {
		t.Fatal(err)
	}
	cross, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.service+"/callback", strings.NewReader(callback.RawQuery))
	if err != nil {
		t.Fatal(err)
	}
	cross.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	cross.Header.Set("Origin", w.url)
	resp, err := newBrowser(t).Do(cross) // no cookie
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if _, page := w.follow(w.service + resp.Header.Get("Location")); !strings.Contains(page, "service-signed-in") {
		t.Errorf("page %s", page)
	}
}

func TestService_PassesOnWhatALinkAsksFor(t *testing.T) {
	w := newTown(t)
	got, err := url.Parse(w.leave("client=civil-records&prompt=login&ui_locales=fr&idp_hint=post&redirect_uri=http://evil.example&scope=email"))
	if err != nil {
		t.Fatal(err)
	}
	q := got.Query()
	for k, want := range map[string]string{
		"prompt": "login", "ui_locales": "fr", "idp_hint": "post", "acr_values": "eidas2", "redirect_uri": w.service + "/callback",
		"scope": "openid identite_pivot", "code_challenge_method": "S256", "response_type": "code",
	} {
		if q.Get(k) != want || len(q[k]) != 1 {
			t.Errorf("%s is %q, want %q", k, q[k], want)
		}
	}
	for _, k := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(k)) != 43 {
			t.Errorf("%s is not 256 bits", k)
		}
	}
}

func TestService_StartPages(t *testing.T) {
	w := newTown(t)
	_, page := w.get(w.service + "/")
	for _, id := range []string{"sign-in", "sign-in-city-library", "sign-in-school-canteen", "sign-in-civil-records"} {
		if !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("the front page has no #%s", id)
		}
	}
	_, page = w.get(w.service + "/at/city-library")
	for _, id := range []string{"sign-in", "again-login", "again-consent", "again-none", "again-select-account", "again-form-post", "again-eidas2", "again-fr", "again-en", "again-hint-tax"} {
		if !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("the page of the library has no #%s", id)
		}
	}
}

func TestService_BrokerNotThereYet(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	s, err := NewService(ServiceConfig{Issuer: dead.URL, BaseURL: "http://localhost:8090", Accounts: SampleAccounts(), Now: newClock().now})
	if err != nil {
		t.Fatalf("the service does not start before the broker: %v", err)
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/sign-in?client=city-library", nil))
	if rec.Code != http.StatusBadGateway || !strings.Contains(rec.Body.String(), `data-error="broker_unavailable"`) {
		t.Errorf("status %d", rec.Code)
	}
}

func TestNewService_RefusesWhatIsMissing(t *testing.T) {
	good := ServiceConfig{Issuer: "http://localhost:8080", BaseURL: "http://localhost:8090", Accounts: SampleAccounts(), Now: newClock().now}
	tests := []struct {
		name   string
		change func(*ServiceConfig)
	}{
		{"no issuer", func(c *ServiceConfig) { c.Issuer = "" }},
		{"a base address with a path", func(c *ServiceConfig) { c.BaseURL += "/app" }},
		{"no accounts", func(c *ServiceConfig) { c.Accounts = nil }},
		{"an account twice", func(c *ServiceConfig) { c.Accounts = append(SampleAccounts(), SampleAccounts()...) }},
		{"no clock", func(c *ServiceConfig) { c.Now = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			if _, err := NewService(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// Cookies are shared by all ports of a host.
func TestCookies_AllHaveNamesOfTheirOwn(t *testing.T) {
	tax, post := &provider{ProviderConfig: ProviderConfig{ID: Tax}}, &provider{ProviderConfig: ProviderConfig{ID: Post}}
	if a, b := tax.sessionCookie(), post.sessionCookie(); a == b || a == serviceCookie || b == serviceCookie {
		t.Errorf("%s, %s, %s", a, b, serviceCookie)
	}
}

func TestService_SpeaksTheLanguageOfTheBrowser(t *testing.T) {
	s, err := NewService(ServiceConfig{Issuer: "http://localhost:8080", BaseURL: "http://localhost:8090", Accounts: SampleAccounts(), Now: newClock().now})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ accept, lang, title string }{
		{"fr-FR,fr;q=0.9,en;q=0.8", "fr", "Médiathèque"},
		{"en-GB", "en", "City library"},
		{"pt", "en", "City library"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/at/city-library", nil)
		r.Header.Set("Accept-Language", tt.accept)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if page := w.Body.String(); !strings.Contains(page, `<html lang="`+tt.lang+`">`) || !strings.Contains(page, "<h1>"+tt.title+"</h1>") {
			t.Errorf("%s: want %q in %s, got %.300s", tt.accept, tt.title, tt.lang, page)
		}
	}
	for code, text := range errorText {
		if text.title["fr"] == "" || text.title["en"] == "" || text.sentence["fr"] == "" || text.sentence["en"] == "" {
			t.Errorf("error %q lacks a sentence", code)
		}
	}
}
