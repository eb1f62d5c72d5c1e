package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/metrics"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registry"
)

// Two sorts of calls to a provider: those of the sign-ins, behind its limit and its
// breaker, and those for what it publishes.
const (
	callSignIn    = "sign_in"
	callDocuments = "documents"
)

// newMetrics makes the figures of this broker. They are counted whether or not anybody
// listens for them: one way through the code, and a few microseconds for a login.
func (b *broker) newMetrics() (*metrics.Metrics, error) {
	return metrics.New(metrics.Config{Version: release, Facts: b.facts, Log: b.events})
}

// facts is what holds at the moment, for those who look at the figures.
func (b *broker) facts(ctx context.Context) metrics.Facts {
	now := b.current.Load()
	f := metrics.Facts{
		Queues:       map[string]int{"records": b.records.Queued(), "flow": b.flows.Queued()},
		Certificates: map[string]time.Time{}, Witnesses: map[string]time.Time{}, Loaded: now.loadedAt,
	}
	for _, k := range now.known {
		_, inService := now.directory.Get(k.ID)
		state := b.health.State(k.ID)
		f.Providers = append(f.Providers, metrics.Provider{
			ID: k.ID, InService: inService, Works: !state.Down, Changed: state.Since, Breaker: string(b.health.Breaker(k.ID)),
		})
	}
	for _, k := range b.ring.Keys() {
		if k.State == keys.Active {
			f.Keys = append(f.Keys, metrics.Key{Use: cmp.Or(string(k.Use), "services"), Alg: k.Alg, Since: k.Activated})
		}
	}
	if b.witnesses != nil {
		for _, w := range b.witnesses.States() {
			f.Witnesses[w.Name] = w.Last
		}
	}
	if now.tls != nil && now.tls.Leaf != nil {
		f.Certificates["server"] = now.tls.Leaf.NotAfter
	}
	if n, err := b.records.WaitingNotices(ctx); err == nil {
		f.Queues["notices"] = n
	} else {
		b.events.LogAttrs(ctx, slog.LevelError, "a figure could not be had", slog.String("error", err.Error()))
	}
	return f
}

// noted counts an entry of the audit log, and of the tokens that it tells of how the
// client had proved itself.
func (b *broker) noted(p audit.Public) {
	b.metrics.Noted(string(p.Kind))
	grant := ""
	switch p.Kind {
	case audit.TokenIssued:
		grant = "authorization_code"
	case audit.TokenRefreshed:
		grant = "refresh_token"
	}
	if grant == "" || p.Outcome != "ok" {
		return
	}
	if c, ok := b.current.Load().clients.Get(protocol.ClientID(p.Client)); ok {
		b.metrics.Issued(grant, string(c.AuthMethod))
	}
}

// outside is what a snapshot of this broker needs.
func (b *broker) outside() outside {
	return outside{
		Signer: b.ring.ForProviders(), Decrypt: b.ring.ForProviders(), SAMLKeys: b.ring, Once: b.records, Now: b.now, Log: b.events, Health: b.health, Metrics: b.metrics,
	}
}

// observed are the two clients for calls to a provider, whose outcomes are counted.
// Whatever the guard refuses is counted as well, so it stands inside.
func (o outside) observed(id protocol.ProviderID, documents *http.Client) (*http.Client, *http.Client, error) {
	calls := documents
	var err error
	if o.Health != nil {
		if calls, err = o.Health.Guard(id, documents); err != nil {
			return nil, nil, err
		}
	}
	if o.Metrics == nil {
		return documents, calls, nil
	}
	observe := func(c *http.Client, call string) (*http.Client, error) {
		return outbound.Observe(c, o.Now, func(outcome outbound.Outcome, took time.Duration) {
			o.Metrics.Fetched(id, call, string(outcome), took)
		})
	}
	if calls, err = observe(calls, callSignIn); err != nil {
		return nil, nil, err
	}
	documents, err = observe(documents, callDocuments)
	return documents, calls, err
}

// delivered counts what a provider promised and sent; nil: nobody counts.
func (o outside) delivered(id protocol.ProviderID) func(federation.Delivery) {
	if o.Metrics == nil {
		return nil
	}
	return func(d federation.Delivery) { o.Metrics.Delivered(id, d.Promised, d.Sent) }
}

// countedRegistry counts what the civil registry says.
type countedRegistry struct {
	registry.Registry
	metrics *metrics.Metrics
	now     func() time.Time
}

// Check implements registry.Registry.
func (c countedRegistry) Check(ctx context.Context, p identity.Pivot) (registry.Result, error) {
	began := c.now()
	r, err := c.Registry.Check(ctx, p)
	c.metrics.Checked(string(r.Outcome), c.now().Sub(began))
	return r, err
}

// serveMetrics shows the figures on a listener of their own until ctx ends. Whoever
// looks gets nothing else there, and nobody waits for her at the end.
func (b *broker) serveMetrics(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", b.metrics.Handler())
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(b.events.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// listenMetrics opens the address of the figures; nil when there is none.
func listenMetrics(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("metrics_listen: %w", err)
	}
	return l, nil
}
