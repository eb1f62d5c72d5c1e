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
	"github.com/voussoir-id/voussoir/web"
)

// bareSite leaves out web's headers, events and pages, which have budgets of
// their own.
type bareSite struct{ Site }

func (bareSite) PageFromAnySite(_ string, h web.Handler) http.Handler { return bare(h) }
func (bareSite) API(_ string, h web.Handler) http.Handler             { return bare(h) }

func bare(h web.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h(w, r) != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
}

// newBareWorld is a world whose provider is measured by itself.
func newBareWorld(b testing.TB) *world {
	w := newWorld(b)
	cfg := w.p.Config
	cfg.Site = bareSite{cfg.Site}
	p, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	w.p = p
	return w
}

// loginCost runs one login against w, again and again: authorize, code and
// answer, token, userinfo, with ES256 and PKCE.
func loginCost(b testing.TB, w *world) func() {
	q, g := PathAuthorize+"?"+request().Encode(), grant()
	serve := func(r *http.Request, want int) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.p.ServeHTTP(rec, r)
		if rec.Code != want {
			b.Fatalf("got %d %s, want %d", rec.Code, rec.Body, want)
		}
		return rec
	}
	probe := httptest.NewRequest("POST", PathToken, nil)
	basic(probe, "library", secret)
	auth := probe.Header["Authorization"]
	return func() {
		serve(httptest.NewRequest("GET", q, nil), http.StatusSeeOther)
		w.started = w.started[:0]
		code, err := w.codes.IssueCode(b.Context(), g)
		if err != nil {
			b.Fatal(err)
		}
		rec := httptest.NewRecorder()
		if err := w.codes.Answer(rec, nil, protocol.AuthRequest{ClientID: "library", RedirectURI: redirect, State: "st~ate"}, login.Answer{Code: code}); err != nil {
			b.Fatal(err)
		}
		body := "grant_type=authorization_code&code=" + code + "&redirect_uri=" + url.QueryEscape(redirect) + "&code_verifier=" + verifier
		r := httptest.NewRequest("POST", PathToken, strings.NewReader(body))
		r.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
		r.Header["Authorization"] = auth
		var tokens struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal(serve(r, http.StatusOK).Body.Bytes(), &tokens); err != nil {
			b.Fatal(err)
		}
		r = httptest.NewRequest("GET", PathUserInfo, nil)
		r.Header["Authorization"] = []string{"Bearer " + tokens.AccessToken}
		serve(r, http.StatusOK)
		clear(w.store.grants)
		clear(w.store.once)
		w.audit.events = w.audit.events[:0]
	}
}

// BenchmarkLogin is the provider's side of one login in process. The budget is
// 100 µs of CPU, of which one signature is 31 and building the requests 5.
func BenchmarkLogin(b *testing.B) {
	cost := loginCost(b, newBareWorld(b))
	b.ReportAllocs()
	for b.Loop() {
		cost()
	}
}

// TestLogin_StaysWithinItsAllocations is the part of the budget that does not
// depend on the machine: 400, and some 40 for building and reading requests.
func TestLogin_StaysWithinItsAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(100, loginCost(t, newBareWorld(t))); n > 440 {
		t.Errorf("a login costs %.0f allocations, want at most 440", n)
	}
}

// BenchmarkMetadata must not marshal: two documents are bytes, computed once.
func BenchmarkMetadata(b *testing.B) {
	w := newBareWorld(b)
	r := httptest.NewRequest("GET", PathDiscovery, nil)
	b.ReportAllocs()
	for b.Loop() {
		w.p.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// BenchmarkSign is the floor: the one signature of a login.
func BenchmarkSign(b *testing.B) {
	k := sharedKeys()
	payload := []byte(`{"iss":"https://broker.example","sub":"pairwise-sub","aud":"library"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Sign(b.Context(), "ES256", "JWT", payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLibrary is what the library's adapter costs on the two routes.
func BenchmarkLibrary(b *testing.B) {
	w := newWorld(b)
	for _, q := range []url.Values{request(), request("state", "-")} {
		name := map[bool]string{true: "start", false: "error"}[q.Has("state")]
		b.Run(name+"/through", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.p.library.run(b.Context(), "GET", PathAuthorize, &exchange{form: q})
				w.started = w.started[:0]
			}
		})
		b.Run(name+"/without", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x := &exchange{form: q}
				client, uri, err := w.p.prove(q)
				if err != nil {
					b.Fatal(err)
				}
				x.client, x.req.ClientID, x.req.RedirectURI = client, client.ID, uri
				_ = w.p.begin(b.Context(), x)
				w.started = w.started[:0]
			}
		})
	}
}
