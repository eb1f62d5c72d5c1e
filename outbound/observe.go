package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Outcome is what became of a call, in one word.
type Outcome string

// The outcomes. The last three calls were not made.
const (
	Answered     Outcome = "ok"            // a status below 400
	ClientError  Outcome = "client_error"  // 400 to 499, but
	TooMany      Outcome = "rate_limited"  // 429
	ServerError  Outcome = "server_error"  // 500 and more
	TimedOut     Outcome = "timeout"       // in any phase
	NoName       Outcome = "dns"           // its name leads nowhere
	NoConnection Outcome = "no_connection" // refused, or no way to it
	BadTLS       Outcome = "certificate"   // a certificate that will not do, or no TLS that we accept
	Broken       Outcome = "broken"        // it broke off before the answer was whole
	GivenUp      Outcome = "abandoned"     // whoever waited went away
	Other        Outcome = "other"
	NotAllowed   Outcome = "not_allowed"  // an address that we do not call
	Full         Outcome = "full"         // see ErrFull
	Open         Outcome = "breaker_open" // see ErrOpen
)

// Outcomes lists them all.
func Outcomes() []Outcome {
	return []Outcome{
		Answered, ClientError, TooMany, ServerError, TimedOut, NoName, NoConnection, BadTLS, Broken, GivenUp, Other, NotAllowed, Full, Open,
	}
}

// ErrNotAllowed: the address is not one that may be called.
var ErrNotAllowed = errors.New("outbound: the address is not allowed")

// Observe returns a client that does what c does and tells heard what became of each
// call and how long it took, to the end of the body, which must be closed. heard does
// not block.
func Observe(c *http.Client, now func() time.Time, heard func(o Outcome, took time.Duration)) (*http.Client, error) {
	if c == nil || c.Transport == nil || now == nil || heard == nil {
		return nil, errors.New("outbound: an observer needs a client of New, a clock and somebody to tell")
	}
	observed := *c
	observed.Transport = &observer{next: c.Transport, now: now, heard: heard}
	return &observed, nil
}

type observer struct {
	next  http.RoundTripper
	now   func() time.Time
	heard func(Outcome, time.Duration)
}

func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	began := o.now()
	resp, err := o.next.RoundTrip(r)
	if err != nil {
		o.heard(outcomeOf(err), o.now().Sub(began))
		return nil, err
	}
	resp.Body = &watched{ReadCloser: resp.Body, o: o, began: began, outcome: outcomeOfStatus(resp.StatusCode)}
	return resp, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (o *observer) CloseIdleConnections() {
	if c, ok := o.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// watched is a body whose end is the end of the call. Only one goroutine reads it.
type watched struct {
	io.ReadCloser
	o       *observer
	began   time.Time
	outcome Outcome
	once    sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		if w.outcome = outcomeOf(err); w.outcome == Other {
			w.outcome = Broken
		}
	}
	return n, err
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.once.Do(func() { w.o.heard(w.outcome, w.o.now().Sub(w.began)) })
	return err
}

func outcomeOfStatus(status int) Outcome {
	switch {
	case status >= http.StatusInternalServerError:
		return ServerError
	case status == http.StatusTooManyRequests:
		return TooMany
	case status >= http.StatusBadRequest:
		return ClientError
	}
	return Answered
}

// outcomeOf sorts an error of net/http. What is more telling comes first: an
// authority that nobody knows is found out within a connection that then ends.
func outcomeOf(err error) Outcome {
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	_, noName := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, ErrFull):
		return Full
	case errors.Is(err, ErrOpen):
		return Open
	case errors.Is(err, ErrNotAllowed):
		return NotAllowed
	case unverified, noTLS, isCertificate(err), strings.Contains(err.Error(), "tls: "): // most of crypto/tls's errors have no type
		return BadTLS
	case errors.Is(err, context.Canceled):
		return GivenUp
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isNet && timeout.Timeout():
		return TimedOut
	case noName:
		return NoName
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return NoConnection
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Broken
	}
	return Other
}

func isCertificate(err error) bool {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return authority || host || invalid
}
