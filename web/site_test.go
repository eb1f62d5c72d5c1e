package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

var noon = time.Date(2026, 3, 12, 12, 0, 0, 0, time.UTC)

const issuer = "https://id.example"

func newSite(t testing.TB, log io.Writer) *Site {
	t.Helper()
	s, err := New(Config{Issuer: issuer, Log: slog.New(slog.NewJSONHandler(log, nil)), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

// get asks h for a page in a language.
func get(h http.Handler, target, lang string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, issuer+target, nil)
	r.Header.Set("Accept-Language", lang)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func text(fr, en string) protocol.Text { return protocol.Text{"fr": fr, "en": en} }

func TestNew_RefusesAMissingCollaboratorOrAnUnsafeIssuer(t *testing.T) {
	log, now := slog.New(slog.DiscardHandler), func() time.Time { return noon }
	tests := []struct {
		name string
		c    Config
		ok   bool
	}{
		{"everything there", Config{Issuer: issuer, Log: log, Now: now}, true},
		{"no log", Config{Issuer: issuer, Now: now}, false},
		{"no clock", Config{Issuer: issuer, Log: log}, false},
		{"no issuer", Config{Log: log, Now: now}, false},
		{"http outside development", Config{Issuer: "http://localhost:8080", Log: log, Now: now}, false},
		{"http in development", Config{Issuer: "http://localhost:8080", Log: log, Now: now, Development: true}, true},
		{"another scheme", Config{Issuer: "ftp://id.example", Log: log, Now: now, Development: true}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.c); (err == nil) != tt.ok {
				t.Errorf("New(%+v) = %v, want ok %t", tt.c, err, tt.ok)
			}
		})
	}
}

func TestEvent_OneLinePerRequestWithoutPathQueryOrCookie(t *testing.T) {
	var log bytes.Buffer
	h := newSite(t, &log).Page("login.choose", func(w http.ResponseWriter, r *http.Request) error {
		Note(r, slog.String("flow", "f1"), slog.String("client", strings.Repeat("x", 5000)+"\n"), slog.Int("n", 3))
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	r := httptest.NewRequest(http.MethodGet, issuer+"/callback/tax?code=SECRETCODE&state=SECRETSTATE", nil)
	r.Header.Set("Cookie", "__Host-voussoir-session=SECRETCOOKIE")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)

	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Fatalf("%d lines, want 1: %s", n, log.String())
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{
		"msg": "request", "route": "login.choose", "method": "GET", "status": 204.0, "flow": "f1", "n": 3.0,
		"id": w.Header().Get("X-Correlation-Id"), "level": "INFO", "client": strings.Repeat("x", maxAttr) + "…",
	} {
		if line[k] != want {
			t.Errorf("event %s = %v, want %v", k, line[k], want)
		}
	}
	if strings.Contains(log.String(), "SECRET") || strings.Contains(log.String(), "/callback") {
		t.Errorf("the event line tells too much: %s", log.String())
	}
}

func TestEvent_ErrorTextKeepsOnlyTheOriginOfAddresses(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"an error of the HTTP client", fmt.Errorf("fetch: %w", &url.Error{Op: "Get", URL: "https://idp.example/token?code=SECRET", Err: errors.New("refused")}), `fetch: Get "https://idp.example": refused`},
		{"an address with a password", errors.New("dial https://user:SECRET@idp.example:444/x y"), "dial https://idp.example:444 y"},
		{"two addresses", errors.New("http://a.example/?x=SECRET, then http://b.example/#SECRET"), "http://a.example then http://b.example"},
		{"an address at the end", errors.New("see https://a.example/SECRET"), "see https://a.example"},
		{"no address", errors.New("load flow: database is locked"), "load flow: database is locked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := errorText(tt.err); got != tt.want {
				t.Errorf("errorText(%q) = %q, want %q", tt.err, got, tt.want)
			}
		})
	}
}

func TestPage_CrossSitePOSTIsRefused_FB12(t *testing.T) {
	tests := []struct {
		name   string
		header map[string]string
		ok     bool
	}{
		{"our own form in a new browser", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "null"}, true},
		{"our own form in an old browser", map[string]string{"Origin": issuer}, true},
		{"another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		{"another host of our site", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://www.id.example"}, false},
		{"another site in an old browser", map[string]string{"Origin": "https://evil.example"}, false},
		{"a frame without origin in an old browser", map[string]string{"Origin": "null"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ran := newSite(t, io.Discard), false
			h := func(http.ResponseWriter, *http.Request) error { ran = true; return nil }
			r := httptest.NewRequest(http.MethodPost, issuer+"/login/x/consent", strings.NewReader("answer=agree"))
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			s.Page("consent", h).ServeHTTP(w, r)
			if ran != tt.ok || (w.Code == http.StatusForbidden) == tt.ok || strings.Contains(w.Body.String(), `data-code="cross_site"`) == tt.ok {
				t.Errorf("handler ran %t, status %d, want ran %t", ran, w.Code, tt.ok)
			}
			ran = false
			s.PageFromAnySite("authorize", h).ServeHTTP(httptest.NewRecorder(), r)
			if !ran {
				t.Error("a route for any site refused the POST")
			}
		})
	}
}

func TestPage_APanicIsABlandPageAndOneLine(t *testing.T) {
	var log bytes.Buffer
	h := newSite(t, &log).Page("x", func(http.ResponseWriter, *http.Request) error { panic("SECRET value") })
	w := get(h, "/", "en")
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `data-code="internal"`) {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "SECRET") || strings.Contains(strings.ReplaceAll(log.String(), "SECRETS", ""), "SECRET value") {
		t.Error("the panic's text is shown or logged")
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `"level":"ERROR"`) || !strings.Contains(log.String(), `"stack"`) {
		t.Errorf("log: %s", log.String())
	}
}

func TestPage_AnAbortedConnectionStaysAborted(t *testing.T) {
	h := newSite(t, io.Discard).Page("x", func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) })
	defer func() {
		if p := recover(); p != any(http.ErrAbortHandler) {
			t.Errorf("recovered %v", p)
		}
	}()
	get(h, "/", "en")
}

func TestPage_ABodyAbove64KiBIs413(t *testing.T) {
	s := newSite(t, io.Discard)
	read := func(_ http.ResponseWriter, r *http.Request) error { return r.ParseForm() }
	for name, h := range map[string]http.Handler{"page": s.Page("x", read), "api": s.API("x", read)} {
		for size, want := range map[int]int{maxBody - 2: 200, maxBody + 1: 413} {
			r := httptest.NewRequest(http.MethodPost, issuer+"/x", strings.NewReader("a="+strings.Repeat("x", size-2)))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s: %d bytes answer %d, want %d", name, size, w.Code, want)
			}
		}
	}
}

func TestFormFromAnySite_HasALimitOfItsOwn(t *testing.T) {
	h := newSite(t, io.Discard).FormFromAnySite("x", 2*maxBody, func(_ http.ResponseWriter, r *http.Request) error { return r.ParseForm() })
	for size, want := range map[int]int{2*maxBody - 2: 200, 2*maxBody + 1: 413} {
		r := httptest.NewRequest(http.MethodPost, issuer+"/x", strings.NewReader("a="+strings.Repeat("x", size-2)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d bytes answer %d, want %d", size, w.Code, want)
		}
	}
}

func TestEvent_AClientThatLeftIsNoAlarm(t *testing.T) {
	var log bytes.Buffer
	h := newSite(t, &log).Page("x", func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, issuer+"/", nil).WithContext(ctx))
	if !strings.Contains(log.String(), `"level":"INFO"`) {
		t.Errorf("log: %s", log.String())
	}
}
