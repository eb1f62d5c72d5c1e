// Package outbound makes the HTTP clients for every call that Voussoir makes to
// others: 2 s to connect, 5 s in all, 1 MiB of body, no redirects, no proxy from
// the environment, and no loopback, link-local or private address unless the
// configuration allows it (checked on the resolved address, at dial time). It
// also keeps the last good answer of documents that are fetched again and again
// (Latest). It knows nothing of what is sent or read.
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
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// The bounds of every call.
const (
	ConnectTimeout = 2 * time.Second
	TotalTimeout   = 5 * time.Second // from dialling to the last byte of the body
	MaxBody        = 1 << 20         // bytes; callers may set less
	maxHeader      = 64 << 10        // bytes of answer headers; Go's default is 1 MiB
)

// Config says what a client may reach. Its zero value is the strict one.
type Config struct {
	// AllowPrivate permits loopback, private (RFC 1918, RFC 4193) and shared
	// (RFC 6598) addresses: for the demo and for providers inside one network.
	// Link-local addresses stay refused: cloud metadata services live there.
	AllowPrivate bool
	// AllowHTTP permits http besides https. For development only.
	AllowHTTP bool
	// RootCAs replaces the system's trusted certificates; nil: the system's.
	RootCAs *x509.CertPool
	// Certificate is shown to whoever asks for one in the handshake; nil: none.
	Certificate *tls.Certificate
}

// New returns a client for calls to others. It is safe for concurrent use and
// keeps connections alive, so make one and keep it. A redirect is returned as
// the answer that it is; callers treat anything but the status they expect as a
// failure. Callers read answers through Do or ReadBody, never without a limit.
func New(c Config) *http.Client {
	dialer := &net.Dialer{
		Timeout:   ConnectTimeout,
		KeepAlive: 30 * time.Second,
		// Control sees the address after name resolution, each one that is tried:
		// a name that resolves differently the second time (DNS rebinding) gains nothing.
		Control: func(_, address string, _ syscall.RawConn) error { return c.checkAddress(address) },
	}
	// HTTP/1.1 only: the calls are few and small, a pool of connections costs less
	// CPU than multiplexing, and the attack surface is smaller.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs}
	if c.Certificate != nil {
		tlsConfig.Certificates = []tls.Certificate{*c.Certificate}
	}
	t := &http.Transport{
		Proxy:                  nil, // an environment variable must not redirect tokens
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    ConnectTimeout,
		ResponseHeaderTimeout:  TotalTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,  // every login calls the same few hosts
		MaxConnsPerHost:        256, // a provider that hangs must not take every file descriptor
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true, // nothing to inflate, so no inflation bomb
	}
	return &http.Client{
		Transport:     &guard{next: t, allowHTTP: c.AllowHTTP},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       TotalTimeout,
	}
}

// guard refuses URLs before anything is resolved or dialled.
type guard struct {
	next      *http.Transport
	allowHTTP bool
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := CheckURL(r.URL, g.allowHTTP); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of RoundTripper; nothing was read from it
		}
		return nil, err
	}
	return g.next.RoundTrip(r)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

// CheckURL reports why u is not an address that a client may be pointed at:
// absolute https (or http where allowed) with a host, no user, no fragment. Its
// errors do not repeat u.
func CheckURL(u *url.URL, allowHTTP bool) error {
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return errors.New("outbound: scheme is not allowed")
	case u.Hostname() == "" || u.Opaque != "":
		return errors.New("outbound: no host")
	case u.User != nil:
		return errors.New("outbound: credentials in a URL")
	case u.Fragment != "":
		return errors.New("outbound: fragment in a URL")
	}
	return nil
}

// What ReadBody refuses. Nothing of a refused body is returned.
var (
	ErrTooLarge = errors.New("outbound: answer is too large")
	ErrEncoded  = errors.New("outbound: answer has a content encoding that was not asked for")
)

// ReadBody reads and closes the body of resp. It refuses a body longer than
// limit bytes (ErrTooLarge) instead of cutting it, and one with a content
// encoding (ErrEncoded).
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }() // read to the end or given up; nothing left to learn
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, ErrEncoded
	}
	if resp.ContentLength > limit {
		return nil, ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("outbound: read answer: %w", Bare(err))
	}
	if int64(len(body)) > limit {
		return nil, ErrTooLarge
	}
	return body, nil
}

// Answer is a whole HTTP answer.
type Answer struct {
	Status      int
	ContentType string // as sent, with parameters
	Header      http.Header
	Body        []byte
}

// Do sends req and reads the whole answer, at most limit bytes. Unlike those of
// http.Client.Do, its errors do not repeat the URL, whose query may hold secrets.
func Do(c *http.Client, req *http.Request, limit int64) (Answer, error) {
	resp, err := c.Do(req) //nolint:bodyclose // ReadBody closes it
	if err != nil {
		return Answer{}, fmt.Errorf("outbound: call %s: %w", req.URL.Host, Bare(err))
	}
	body, err := ReadBody(resp, limit)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Header: resp.Header, Body: body}, nil
}

// Get is Do for a GET of a document.
func Get(ctx context.Context, c *http.Client, rawURL, accept string, limit int64) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return Answer{}, errors.New("outbound: not a URL")
	}
	req.Header.Set("Accept", accept)
	return Do(c, req, limit)
}

// Bare takes the URL out of an error of net/http.
func Bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// checkAddress judges the resolved address that is about to be dialled.
func (c Config) checkAddress(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("outbound: not an internet address")
	}
	switch judge(ap.Addr()) {
	case public:
		return nil
	case private:
		if c.AllowPrivate {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNotAllowed, ap.Addr())
}
