package health

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// peer is a provider whose documents a test breaks and mends.
type peer struct {
	federation.Provider
	broken, hangs, panics atomic.Bool
	looks                 atomic.Int32
}

func (p *peer) Check(ctx context.Context) error {
	p.looks.Add(1)
	switch {
	case p.panics.Load():
		panic("what a stranger wrote")
	case p.hangs.Load():
		<-ctx.Done()
		return ctx.Err()
	case p.broken.Load():
		return errors.New("garbage")
	}
	return nil
}

type roundTrip func() (*http.Response, error)

func (f roundTrip) RoundTrip(*http.Request) (*http.Response, error) { return f() }

// run runs a monitor over providers until the test ends, on the clock of synctest.
func run(t *testing.T, entries ...federation.Entry) *Monitor {
	t.Helper()
	d := federation.NewDirectory(entries...)
	m, err := New(Config{Directory: func() *federation.Directory { return d }, Now: time.Now, Changed: func(protocol.ProviderID, federation.State, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { _ = m.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return m
}

func entry(id protocol.ProviderID, p federation.Provider) federation.Entry {
	return federation.Entry{Description: federation.Description{ID: id}, Provider: p}
}

// after lets the clock of synctest run.
func after(d time.Duration) { <-time.After(d); synctest.Wait() }

func TestMonitor_WhatIsBrokenIsSeenAndWhatIsMendedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, broken, hangs, panics := &peer{}, &peer{}, &peer{}, &peer{}
		broken.broken.Store(true)
		hangs.hangs.Store(true)
		panics.panics.Store(true)
		m := run(t, entry("good", good), entry("broken", broken), entry("hangs", hangs), entry("panics", panics))
		after(5 * time.Second)
		for id, down := range map[protocol.ProviderID]bool{"good": false, "broken": true, "hangs": true, "panics": true, "nobody": false} {
			if got := m.State(id); got.Down != down {
				t.Errorf("State(%s) = %+v, want down %t", id, got, down)
			}
		}
		broken.broken.Store(false)
		after(2 * again)
		if got := m.State("broken"); got.Down || got.Since.IsZero() {
			t.Errorf("mended: %+v", got)
		}
		if n := good.looks.Load(); n != 1 {
			t.Errorf("%d looks at one that works within 15 s, want 1", n)
		}
		after(2 * time.Minute)
		if n := good.looks.Load(); n < 2 || n > 4 {
			t.Errorf("%d looks at one that works within two minutes", n)
		}
	})
}

func TestMonitor_AFailedCallIsFollowedByALookAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{}
		m := run(t, entry("tax", p))
		after(10 * time.Second)
		c, err := m.Guard("tax", &http.Client{Transport: roundTrip(func() (*http.Response, error) { return nil, errors.New("no answer") })})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = outbound.Get(t.Context(), c, "https://tax.example/token", "*/*", 10)
		after(time.Second)
		if m.State("tax").Down || p.looks.Load() != 2 {
			t.Errorf("after one failed call %+v, %d looks; want a second look that finds it well", m.State("tax"), p.looks.Load())
		}
		p.broken.Store(true)
		_, _ = outbound.Get(t.Context(), c, "https://tax.example/token", "*/*", 10)
		after(5 * time.Second)
		if !m.State("tax").Down {
			t.Error("a provider that fails is not down within 5 s of the failure")
		}
	})
}

func TestMonitor_CallsThatFailInARowOpenTheBreakerAndOneProbeClosesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := run(t, entry("tax", &peer{}))
		works := false
		c, err := m.Guard("tax", &http.Client{Transport: roundTrip(func() (*http.Response, error) {
			if works {
				return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}, nil
			}
			return &http.Response{StatusCode: 502, Body: http.NoBody, Header: http.Header{}}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		call := func() error {
			_, err := outbound.Get(t.Context(), c, "https://tax.example/token", "*/*", 10)
			return err
		}
		for range failures {
			if err := call(); err != nil {
				t.Fatal(err)
			}
		}
		if err := call(); !errors.Is(err, outbound.ErrOpen) || !m.State("tax").Down {
			t.Errorf("after %d failures: %v, %+v", failures, err, m.State("tax"))
		}
		works = true
		after(11 * time.Second)
		if err := call(); err != nil || m.State("tax").Down {
			t.Errorf("the probe: %v, %+v", err, m.State("tax"))
		}
	})
}

func TestMonitor_AThousandProvidersAreLookedAtAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		slow := checker(func(ctx context.Context) error {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-ctx.Done()
			now.Add(-1)
			return ctx.Err()
		})
		var all []federation.Entry
		for i := range 200 {
			all = append(all, entry(protocol.ProviderID(strings.Repeat("x", i+1)), slow))
		}
		m := run(t, all...)
		after(time.Minute)
		for _, e := range all {
			if !m.State(e.ID).Down {
				t.Errorf("nobody has looked at provider %d within a minute", len(e.ID))
			}
		}
		if most.Load() != abreast {
			t.Errorf("%d looks at once, want %d", most.Load(), abreast)
		}
	})
}

type checker func(context.Context) error

func (c checker) Check(ctx context.Context) error { return c(ctx) }
func (checker) Start(context.Context, federation.Request) (federation.Started, error) {
	return federation.Started{}, nil
}

func (checker) Finish(context.Context, federation.Request, []byte, url.Values) (federation.Login, error) {
	return federation.Login{}, nil
}

func TestNew_RefusesAMissingCollaborator(t *testing.T) {
	if _, err := New(Config{Now: time.Now}); err == nil {
		t.Error("no error")
	}
}
