package web

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPages_HeadersOfEachPage_FB13_FB19(t *testing.T) {
	s := newSite(t, io.Discard)
	forms := map[string]string{
		"choose": "'self' https:", "choose_notice": "'self' https:", "choose_none": "'self' https:", "consent": "'self' https:",
		"consent_public": "'self' https:", "consent_law": "'self' https:", "consent_nothing": "'self' https:", "consent_offline": "'self' https:", "form_post": "'self' https:",
		"choose_many": "'self' https:", "choose_step_up": "'self' https:", "consent_switched": "'self' https:", "error_person_blocked": "'self' https:", "choose_found": "'self' https:", "choose_nothing": "'self' https:", "leave": "'self' https:", "status": "'none'", "status_statistics": "'none'", "me": "'self' https:", "me_out": "'self' https:", "me_close": "'self' https:", "me_closed": "'self' https:",
		"flaws": "'self' https:", "wait": "'none'", "home": "'none'", "error": "'none'", "error_civil_status": "'none'", "logout": "'self' https:",
		"logged_out": "'none'", "logged_out_relay": "'none'", "logged_out_nothing": "'none'",
	}
	// The one page that loads something from elsewhere names it, origin by origin.
	frames := map[string]string{
		"logged_out": "; frame-src https://lib.example https://town.example", "logged_out_relay": "; frame-src https://lib.example",
	}
	want := map[string]string{
		"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Strict-Transport-Security": "max-age=31536000", "Content-Type": "text/html; charset=utf-8",
	}
	for name, h := range samples(s) {
		t.Run(name, func(t *testing.T) {
			w := get(s.Page(name, h), "/login/f1", "fr")
			for k, v := range want {
				if strings.HasPrefix(name, "status") && k == "Cache-Control" { // for everybody, and the same for everybody
					v = "private, max-age=5"
				}
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s = %q, want %q", k, got, v)
				}
			}
			if !strings.Contains(w.Header().Get("Permissions-Policy"), "camera=()") {
				t.Errorf("Permissions-Policy = %q", w.Header().Get("Permissions-Policy"))
			}
			got := nonceSource.ReplaceAllString(w.Header().Get("Content-Security-Policy"), "'nonce-N'")
			policy := "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action " + forms[name] + frames[name]
			if name == "form_post" {
				policy += "; script-src 'nonce-N'"
			}
			if got != policy {
				t.Errorf("policy %q, want %q", got, policy)
			}
		})
	}
}

func TestPage_AnErrorTakesBackALooserPolicy(t *testing.T) {
	s := newSite(t, io.Discard)
	h := s.Page("x", func(w http.ResponseWriter, _ *http.Request) error {
		s.allowForms(w, "", "; script-src 'nonce-x'")
		return Fail(Internal, nil)
	})
	if got := get(h, "/x", "fr").Header().Get("Content-Security-Policy"); !strings.HasSuffix(got, "form-action 'none'") {
		t.Errorf("policy %q", got)
	}
}

func TestForms_WhereTheyMayLead(t *testing.T) {
	tests := []struct{ name, issuer, target, want string }{
		{"a service on the web", issuer, "https://lib.example/cb", "'self' https:"},
		{"no target known", issuer, "", "'self' https:"},
		{"a native app on loopback, RFC 8252 7.3", issuer, "http://127.0.0.1:51004/cb", "'self' https: http://127.0.0.1:51004"},
		{"a native app on the other loopback", issuer, "http://[::1]:51004/cb", "'self' https: http:"},
		{"a native app's own scheme, RFC 8252 7.1", issuer, "com.example.app:/cb", "'self' https: com.example.app:"},
		{"development", "http://localhost:8080", "http://localhost:8090/cb", "'self' https: http: http://localhost:8090"},
		{"a script", issuer, "javascript:alert(1)", "'self' https:"},
		{"something that would end the directive", issuer, "http://a;script-src *", "'self' https:"},
		{"no address", issuer, "::", "'self' https:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(Config{Issuer: tt.issuer, Log: slog.New(slog.DiscardHandler), Now: time.Now, Development: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.forms(tt.target); got != tt.want {
				t.Errorf("forms(%q) = %q, want %q", tt.target, got, tt.want)
			}
		})
	}
}

func TestAPI_HeadersAreStrictAndTheHandlerMayCache(t *testing.T) {
	s := newSite(t, io.Discard)
	h := s.API("jwks", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, err := io.WriteString(w, "{}")
		return err
	})
	w := get(h, "/jwks", "en")
	for k, want := range map[string]string{
		"Cache-Control": "public, max-age=300", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Set-Cookie": "",
	} {
		if got := w.Header().Get(k); got != want {
			t.Errorf("%s = %q, want %q", k, got, want)
		}
	}
}

func TestHSTS_OnlyWhenTheIssuerIsHTTPS(t *testing.T) {
	s, err := New(Config{Issuer: "http://localhost:8080", Log: slog.New(slog.DiscardHandler), Now: time.Now, Development: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(s.Page("x", s.Home), "/", "en").Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("Strict-Transport-Security = %q", got)
	}
}

func TestGuard_HostsAndLimits_IN01(t *testing.T) {
	tests := []struct {
		name, issuer string
		dev          bool
		method, host string
		target       string
		want         int
	}{
		{"our host", issuer, false, "GET", "id.example", "/", 200},
		{"our host in capitals", issuer, false, "GET", "ID.EXAMPLE", "/", 200},
		{"our host with the scheme's port", issuer, false, "GET", "id.example:443", "/", 200},
		{"another port", issuer, false, "GET", "id.example:8443", "/", 421},
		{"another host", issuer, false, "GET", "evil.example", "/", 421},
		{"no host", issuer, false, "GET", "", "/", 421},
		{"our host as a prefix", issuer, false, "GET", "id.example.evil.example", "/", 421},
		{"loopback outside development", issuer, false, "GET", "127.0.0.1", "/", 421},
		{"an orchestrator that asks by address", issuer, false, "GET", "10.1.2.3:8080", "/healthz", 200},
		{"development by name", "http://localhost:8080", true, "GET", "localhost:8080", "/", 200},
		{"development by address", "http://localhost:8080", true, "GET", "127.0.0.1:8080", "/", 200},
		{"development, another port", "http://localhost:8080", true, "GET", "127.0.0.1:8081", "/", 421},
		{"an issuer that is an IPv6 address", "http://[::1]:8080", true, "GET", "[::1]:8080", "/", 200},
		{"a long address", issuer, false, "GET", "id.example", "/?q=" + strings.Repeat("x", 16<<10), 414},
		{"an address just short enough", issuer, false, "GET", "id.example", "/?q=" + strings.Repeat("x", 16<<10-4), 200},
		{"TRACE", issuer, false, "TRACE", "id.example", "/", 405},
		{"a method in a header is no method", issuer, false, "POST", "id.example", "/", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(Config{Issuer: tt.issuer, Log: slog.New(slog.DiscardHandler), Now: time.Now, Development: tt.dev})
			if err != nil {
				t.Fatal(err)
			}
			method := ""
			h := s.Guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { method = r.Method }))
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Host = tt.host
			r.Header.Set("X-Forwarded-Host", "id.example")
			r.Header.Set("X-HTTP-Method-Override", "DELETE")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want || (method != "") != (tt.want == 200) || (method != "" && method != tt.method) {
				t.Errorf("status %d, handler saw %q, want %d", w.Code, method, tt.want)
			}
			if tt.want == 405 && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow (RFC 9110 section 15.5.6)")
			}
			if tt.want != 200 && (!strings.Contains(w.Body.String(), `<main id="error"`) || strings.Contains(w.Body.String(), "evil")) {
				t.Errorf("the refusal is no page of ours, or repeats the host: %s", w.Body)
			}
		})
	}
}

func TestEvent_AStrangersMethodDoesNotReachTheLog(t *testing.T) {
	var log bytes.Buffer
	h := newSite(t, &log).API("x", func(http.ResponseWriter, *http.Request) error { return nil })
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("EVIL", issuer+"/", nil))
	if !strings.Contains(log.String(), `"method":"other"`) {
		t.Errorf("log: %s", log.String())
	}
}
