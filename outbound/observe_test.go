package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestObserve_TellsWhatBecameOfACallInOneWord(t *testing.T) {
	text := func() io.ReadCloser { return io.NopCloser(strings.NewReader("{}")) }
	fails := func(err error) peer { return func(*http.Request) (*http.Response, error) { return nil, err } }
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, tt := range []struct {
		name string
		peer peer
		want Outcome
	}{
		{"an answer", answer(200, text()), Answered},
		{"a redirect is an answer", answer(302, text()), Answered},
		{"a refusal", answer(404, text()), ClientError},
		{"too many requests", answer(429, text()), TooMany},
		{"an outage", answer(503, text()), ServerError},
		{"a body that breaks off", answer(200, brokenBody{}), Broken},
		{"no answer before the end", fails(io.EOF), Broken},
		{"a reset", fails(op(syscall.ECONNRESET)), Broken},
		{"nobody listens", fails(op(syscall.ECONNREFUSED)), NoConnection},
		{"no such name", fails(op(&net.DNSError{Err: "no such host", IsNotFound: true})), NoName},
		{"too slow", fails(context.DeadlineExceeded), TimedOut},
		{"a certificate of nobody", fails(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), BadTLS},
		{"an old TLS", fails(errors.New("tls: server selected unsupported protocol version 301")), BadTLS},
		{"whoever asked has gone", fails(context.Canceled), GivenUp},
		{"a forbidden address", fails(fmt.Errorf("%w: 169.254.169.254", ErrNotAllowed)), NotAllowed},
		{"too many at once", fails(ErrFull), Full},
		{"the breaker is open", fails(ErrOpen), Open},
		{"something else", fails(errors.New("strange")), Other},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var heard []Outcome
			c, err := Observe(&http.Client{Transport: tt.peer}, time.Now, func(o Outcome, _ time.Duration) { heard = append(heard, o) })
			if err != nil {
				t.Fatal(err)
			}
			_, _ = Get(t.Context(), c, "https://idp.test/", "*/*", 100)
			if len(heard) != 1 || heard[0] != tt.want {
				t.Errorf("heard %q, want %q once", heard, tt.want)
			}
		})
	}
}

// With real connections, because the errors of net and crypto/tls are theirs to change.
func TestObserve_OnRealConnections(t *testing.T) {
	heard := make(chan Outcome, 1)
	call := func(cfg Config, url string) Outcome {
		t.Helper()
		c, err := Observe(New(cfg), time.Now, func(o Outcome, _ time.Duration) { heard <- o })
		if err != nil {
			t.Fatal(err)
		}
		_, _ = Get(t.Context(), c, url, "*/*", 100)
		c.CloseIdleConnections()
		return <-heard
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	defer secure.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer plain.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	loose := Config{AllowPrivate: true, AllowHTTP: true}
	for _, tt := range []struct {
		name, url string
		cfg       Config
		want      Outcome
	}{
		{"a self-signed certificate", secure.URL, loose, BadTLS},
		{"TLS 1.1", old.URL, loose, BadTLS},
		{"no TLS at all", strings.Replace(plain.URL, "http:", "https:", 1), loose, BadTLS},
		{"the connection is cut", plain.URL, loose, Broken},
		{"nobody listens", gone.URL, loose, NoConnection},
		{"a private address", plain.URL, Config{AllowHTTP: true}, NotAllowed},
	} {
		if got := call(tt.cfg, tt.url); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestBreaker_StateIsClosedThenOpenThenHalfOpen(t *testing.T) {
	now := time.Unix(0, 0)
	b, err := NewBreaker(BreakerConfig{Failures: 1, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	states := []BreakerState{b.State()}
	done, _ := b.Allow()
	done(false)
	states = append(states, b.State())
	now = now.Add(10 * time.Second)
	states = append(states, b.State())
	done, _ = b.Allow()
	states = append(states, b.State())
	done(true)
	states = append(states, b.State())
	if got, want := fmt.Sprint(states), "[closed open half_open half_open closed]"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
}
