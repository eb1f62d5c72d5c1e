package outbound

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// ErrFull: so many calls to this peer are under way that this one was not made.
var ErrFull = errors.New("outbound: too many calls to this peer are under way")

// BulkheadConfig is what Bulkhead needs. Fields without a default are required.
type BulkheadConfig struct {
	Limit   int      // calls under way at once; default 64
	Breaker *Breaker // told what becomes of each call
	// Failed is called after each call that failed, from the goroutine that made it;
	// it does not block. nil: nobody is told.
	Failed func()
}

// Bulkhead returns a client that shares the connections of c, and keeps what goes
// wrong at one peer from the others: beyond the limit a call fails at once with
// ErrFull, while the breaker is open with ErrOpen. No answer, a broken body and a
// status of 500 or more count as failures; every other status is the answer of a peer
// that works, even when it is a refusal. The answer's body must be closed.
func Bulkhead(c *http.Client, b BulkheadConfig) (*http.Client, error) {
	if c == nil || c.Transport == nil || b.Breaker == nil || b.Limit < 0 {
		return nil, errors.New("outbound: a bulkhead needs a client of New and a breaker")
	}
	if b.Limit == 0 {
		b.Limit = 64
	}
	walled := *c
	walled.Transport = &bulkhead{BulkheadConfig: b, next: c.Transport, slots: make(chan struct{}, b.Limit)}
	return &walled, nil
}

type bulkhead struct {
	BulkheadConfig
	next  http.RoundTripper
	slots chan struct{}
}

func (b *bulkhead) RoundTrip(r *http.Request) (*http.Response, error) {
	refuse := func(err error) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of RoundTripper; nothing was read from it
		}
		return nil, err
	}
	select {
	case b.slots <- struct{}{}:
	default:
		return refuse(ErrFull)
	}
	done, err := b.Breaker.Allow()
	if err != nil {
		<-b.slots
		return refuse(err)
	}
	end := func(worked bool) {
		done(worked)
		<-b.slots
		if !worked && b.Failed != nil {
			b.Failed()
		}
	}
	settled := false
	defer func() { // a panic below must not hold the slot, and the probe, for ever
		if !settled {
			end(false)
		}
	}()
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	settled = true
	resp.Body = &counted{ReadCloser: resp.Body, worked: resp.StatusCode < http.StatusInternalServerError, end: end}
	return resp, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (b *bulkhead) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// counted is a body whose end is the end of the call. Only one goroutine reads it.
type counted struct {
	io.ReadCloser
	worked bool
	end    func(worked bool)
	once   sync.Once
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.worked = false
	}
	return n, err
}

func (c *counted) Close() error {
	err := c.ReadCloser.Close()
	c.once.Do(func() { c.end(c.worked) })
	return err
}
