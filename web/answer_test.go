package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestErrorPage_EveryCodeHasASentenceInEveryLanguageAndItsStatus(t *testing.T) {
	status := map[Code]int{
		FlowUnknown: 400, FlowNotYours: 400, AlreadyAnswered: 400, ClientUnknown: 400, RedirectInvalid: 400,
		RequestInvalid: 400, ProviderUnknown: 400, CallbackInvalid: 400, CivilStatus: 403, PersonBlocked: 403, CrossSite: 403,
		LogoutInvalid: 400, LogoutRedirectInvalid: 400, NotFound: 404, MethodNotAllowed: 405,
		TooLarge: 413, Unavailable: 503, Internal: 500,
	}
	if len(status) != len(Codes()) {
		t.Fatalf("Codes() has %d codes, this test %d", len(Codes()), len(status))
	}
	s := newSite(t, io.Discard)
	for _, lang := range s.langs {
		seen := map[string]Code{}
		for _, c := range Codes() {
			t.Run(lang+"/"+string(c), func(t *testing.T) {
				h := s.Page("x", func(http.ResponseWriter, *http.Request) error {
					return fmt.Errorf("do: %w", Fail(c, errors.New("INNER")))
				})
				w := get(h, "/x", lang)
				page := parse(t, w.Body.String())
				main := page.one(t, "main")
				if w.Code != status[c] || main.attr("id") != "error" || main.attr("data-code") != string(c) {
					t.Errorf("status %d id %q code %q, want %d error %s", w.Code, main.attr("id"), main.attr("data-code"), status[c], c)
				}
				sentence := page.one(t, "h1").text()
				if before, twice := seen[sentence]; twice || len(sentence) < 10 {
					t.Errorf("sentence %q, already that of %q", sentence, before)
				}
				seen[sentence] = c
				if page.one(t, "p").text() == "" || page.id(t, "number").text() != w.Header().Get("X-Correlation-Id") {
					t.Error("nothing says what to do, or the correlation id is missing")
				}
				if strings.Contains(w.Body.String(), "INNER") || page.find("back") != nil {
					t.Error("the page shows an inner error, or a way back that leads nowhere")
				}
				if got := w.Header().Get("Retry-After"); (got != "") != (c == Unavailable) {
					t.Errorf("Retry-After = %q", got)
				}
			})
		}
	}
}

func TestErrorPage_TheWayBackNeverRunsInOurPage(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"a web address", "https://lib.example/cb?error=access_denied&state=a%26b", "https://lib.example/cb?error=access_denied&state=a%26b"},
		{"a native app's own scheme", "com.example.app:/cb?error=x", "com.example.app:/cb?error=x"},
		{"a script", "javascript:alert(1)", ""},
		{"a script in capitals", "JaVaScRiPt:alert(1)", ""},
		{"data", "data:text/html,x", ""},
		{"a path of ours", "/me", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newSite(t, io.Discard).Page("x", func(http.ResponseWriter, *http.Request) error {
				return &Problem{Code: AlreadyAnswered, Back: &Back{Client: text("Médiathèque", "Library"), URL: tt.url}}
			})
			back := parse(t, get(h, "/x", "en").Body.String()).find("back")
			if got := back.attr("href"); got != tt.want {
				t.Errorf("href %q, want %q", got, tt.want)
			}
			if tt.want != "" && back.text() != "Go back to Library" {
				t.Errorf("link says %q", back.text())
			}
		})
	}
}

func TestAnswer_AnErrorOfEachKind(t *testing.T) {
	tests := []struct {
		name string
		err  error
		page int
		code Code
		api  int
		body string
	}{
		{"a store that is away", Fail(Unavailable, errors.New("disk")), 503, Unavailable, 503, `{"error":"temporarily_unavailable"}`},
		{"something unknown", errors.New("boom"), 500, Internal, 500, `{"error":"server_error"}`},
		{"time ran out", fmt.Errorf("load: %w", context.DeadlineExceeded), 503, Unavailable, 503, `{"error":"temporarily_unavailable"}`},
		{"too large", &http.MaxBytesError{Limit: 1}, 413, TooLarge, 413, `{"error":"invalid_request"}`},
		{"not found", Fail(NotFound, nil), 404, NotFound, 404, `{"error":"invalid_request"}`},
		{"a bad grant", protocol.Fail(protocol.InvalidGrant, errors.New("INNER"), "code is not valid"), 400, RequestInvalid, 400, `{"error":"invalid_grant","error_description":"code is not valid"}`},
		{"a bad secret, RFC 6749 5.2", protocol.Fail(protocol.InvalidClient, nil, "bad secret"), 400, RequestInvalid, 401, `{"error":"invalid_client","error_description":"bad secret"}`},
		{"a bad token, RFC 6750 3", protocol.Fail(protocol.InvalidToken, nil, "a \"quote\"\r\nX: y"), 400, RequestInvalid, 401, `{"error":"invalid_token","error_description":"a quoteX: y"}`},
		{"our own fault in the protocol's words", protocol.Fail(protocol.ServerError, nil, ""), 500, Internal, 500, `{"error":"server_error"}`},
		{"a bad proof for a resource, RFC 9449 7.1", &protocol.Error{Code: protocol.InvalidDPoPProof, Status: 401}, 400, RequestInvalid, 401, `{"error":"invalid_dpop_proof"}`},
		{"away in the protocol's words", protocol.Fail(protocol.TemporarilyUnavailable, nil, ""), 503, Unavailable, 503, `{"error":"temporarily_unavailable"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSite(t, &log)
			h := func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Content-Type", "image/png")
				w.Header().Set("Location", "https://elsewhere.example")
				w.Header().Set("Cache-Control", "public")
				return tt.err
			}
			w := get(s.Page("x", h), "/x", "en")
			if w.Code != tt.page || !strings.Contains(w.Body.String(), `data-code="`+string(tt.code)+`"`) {
				t.Errorf("page: %d %s", w.Code, w.Body)
			}
			if w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Location") != "" {
				t.Errorf("page headers: %v", w.Header())
			}
			r := httptest.NewRequest(http.MethodPost, issuer+"/token", nil)
			w = httptest.NewRecorder()
			s.API("token", h).ServeHTTP(w, r)
			if w.Code != tt.api || w.Body.String() != tt.body {
				t.Errorf("api: %d %s, want %d %s", w.Code, w.Body, tt.api, tt.body)
			}
			if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Location") != "" {
				t.Errorf("api headers: %v", w.Header())
			}
			if (w.Header().Get("Retry-After") != "") != (tt.api == 503) {
				t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
			}
			if strings.Count(log.String(), "\n") != 2 {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}

func TestAnswer_AnErrorAfterTheFirstByteChangesNothing(t *testing.T) {
	var log bytes.Buffer
	h := newSite(t, &log).Page("x", func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("boom")
	})
	if w := get(h, "/x", "en"); w.Code != 200 || w.Body.String() != "half" || !strings.Contains(log.String(), `"err":"boom"`) {
		t.Errorf("%d %q %s", w.Code, w.Body, log.String())
	}
}

func TestErrorPage_TellsTheServiceWhatItsRequestLacks(t *testing.T) {
	h := newSite(t, io.Discard).Page("authorize", func(http.ResponseWriter, *http.Request) error {
		return protocol.Fail(protocol.InvalidRequest, nil, "code_challenge is missing")
	})
	if got := parse(t, get(h, "/authorize", "en").Body.String()).id(t, "detail").text(); got != "invalid_request: code_challenge is missing" {
		t.Errorf("detail %q", got)
	}
}

func TestFallback_TheMuxAnswersWithOurPages(t *testing.T) {
	s := newSite(t, io.Discard)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/{flow}/consent", func(http.ResponseWriter, *http.Request) {})
	h := s.Fallback(mux)
	if w := get(h, "/login/x/consent", "en"); w.Code != 405 || !strings.Contains(w.Body.String(), `data-code="method_not_allowed"`) || w.Header().Get("Allow") != "POST" {
		t.Errorf("wrong method: %d %v", w.Code, w.Header())
	}
	if w := get(h, "/nobody", "en"); w.Code != 404 || !strings.Contains(w.Body.String(), `data-code="not_found"`) {
		t.Errorf("unknown path: %d", w.Code)
	}
	mux.HandleFunc("GET /static/", func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{"//login/x/consent", "/login/./x/consent", "/login//x/consent", "/static", "//static/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} { // FB-18: never 307
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, issuer+path, nil))
			if w.Code < 400 || w.Header().Get("Location") != "" || w.Header().Get("Content-Security-Policy") == "" {
				t.Errorf("%s %s: %d to %q", method, path, w.Code, w.Header().Get("Location"))
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, issuer+"/login/x/consent", nil))
	if w.Code != 200 {
		t.Errorf("known path: %d", w.Code)
	}
}

func TestErrorPage_isInBothLanguagesWhereNoLinkCouldShowItAgain(t *testing.T) {
	site := newSite(t, io.Discard)
	h := site.Page("x", func(http.ResponseWriter, *http.Request) error { return Fail(CallbackInvalid, nil) })
	for _, tt := range []struct {
		name, target string
		want         bool
	}{
		{"an address with a query", "/callback/tax?state=x", true},
		{"a plain address, which has the switch", "/login/x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.target, nil))
			page := parse(t, w.Body.String())
			others := page.all("details")
			if got := len(others) == 1 && others[0].attr("lang") == "en" && strings.Contains(others[0].text(), "We did not expect this answer."); got != tt.want {
				t.Errorf("English beside French: %v, want %v", got, tt.want)
			}
			if got := len(page.all("nav")) == 0; got != tt.want {
				t.Errorf("without switch: %v, want %v", got, tt.want)
			}
		})
	}
}
