package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/provider"
)

// keysEvery is how often the broker looks whether a command has changed the keys.
const keysEvery = 10 * time.Second

// reload replaces clients, policies, providers and certificates by those of a new
// configuration, at once, for the requests that begin from now on. On any error
// nothing changes.
func (b *broker) reload(ctx context.Context, c *config.Loaded) error {
	for _, s := range []struct {
		name    string
		changed bool
	}{
		{"issuer", c.Issuer != b.started.Issuer}, {"listen", c.Listen != b.started.Listen}, {"metrics_listen", c.Metrics != b.started.Metrics},
		{"development", c.Development != b.started.Development}, {"data", c.Data != b.started.Data},
		{"tls", (c.TLS == nil) != (b.started.TLS == nil)},
		{"client_certificates", !sameCertificates(c.ClientCertificates, b.started.ClientCertificates)},
		{"keys.signer", c.KeysSigner != b.started.KeysSigner},
		{"audit.witnesses", !slices.EqualFunc(c.Witnesses, b.started.Witnesses, sameWitness)},
	} {
		if s.changed {
			return fmt.Errorf("%s has changed, which needs a restart", s.name)
		}
	}
	if ids := policies.Unversioned(b.current.Load().policies, c.Policies); len(ids) > 0 {
		return fmt.Errorf("the policy %s says something else under the same version: raise its version (voussoir policy diff shows what)", strings.Join(ids, ", "))
	}
	next, err := newSnapshot(c, b.outside())
	if err != nil {
		return err
	}
	for _, alg := range next.algs {
		if !slices.Contains(signingAlgs(b.started), alg) {
			return fmt.Errorf("a client wants %s, for which there is no key yet: that needs a restart", alg)
		}
	}
	if len(c.SAML) > 0 && len(b.started.SAML) == 0 {
		return errors.New("a SAML provider is there, for which there are no keys yet: the first one needs a restart")
	}
	for _, alg := range decryptionAlgs(c) {
		if !slices.Contains(decryptionAlgs(b.started), alg) {
			return fmt.Errorf("a provider is to encrypt with %s, for which there is no key yet: that needs a restart", alg)
		}
	}
	b.changing.Lock() // nobody registers between the reading of the registrations and their use
	defer b.changing.Unlock()
	if err := b.join(ctx, next); err != nil {
		return err
	}
	if err := b.recordConfig(ctx, next); err != nil {
		return err
	}
	b.current.Store(next)
	return nil
}

// clientKeys returns the public keys of a client of the current configuration.
func (b *broker) clientKeys(c *clients.Client) (provider.KeySet, error) {
	if set, ok := b.current.Load().keySets[c.ID]; ok {
		return set, nil
	}
	return nil, errors.New("no keys are known of this client")
}

// reloadFile is reload for the file that SIGHUP tells of. A file with mistakes
// changes nothing and raises an alarm.
func (b *broker) reloadFile(ctx context.Context, load func() (*config.Loaded, error)) {
	c, err := load()
	if err == nil {
		err = b.reload(ctx, c)
	}
	b.metrics.Reloaded(err)
	var mistakes config.Problems
	switch {
	case err == nil:
		b.events.LogAttrs(ctx, slog.LevelInfo, "configuration reloaded", slog.String("digest", c.Digest))
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			b.events.LogAttrs(ctx, slog.LevelError, "mistake in the configuration",
				slog.String("file", m.File), slog.Int("line", m.Line), slog.Int("column", m.Column),
				slog.String("path", m.Path), slog.String("what", m.What), slog.String("write_instead", m.Instead))
		}
		b.alarm(ctx, errors.New(count(len(mistakes), "mistake")))
	default:
		b.alarm(ctx, err)
	}
}

func (b *broker) alarm(ctx context.Context, err error) {
	b.events.LogAttrs(ctx, slog.LevelError, "configuration not reloaded; the one before stays in force",
		slog.Bool("alarm", true), slog.String("error", err.Error()))
}

// recordConfig puts the digest of a configuration on record.
func (b *broker) recordConfig(ctx context.Context, s *snapshot) error {
	_, err := b.log.Append(ctx, audit.Event{Public: audit.Public{Kind: audit.ConfigLoaded, Object: s.digest, Outcome: "ok"}})
	if err != nil {
		return fmt.Errorf("put the configuration on record: %w", err)
	}
	return nil
}

// watchKeys takes over what "voussoir keys" does to the key file of a running
// broker: a revoked key must not sign for long.
func (b *broker) watchKeys(ctx context.Context) error {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.takeOverKeys(ctx)
		}
	}
}

func (b *broker) takeOverKeys(ctx context.Context) {
	err := b.ring.Reload(ctx)
	if err == nil {
		err = syncKeys(ctx, b.ring, b.records, b.events)
	}
	if rerr := b.takeOverRegistrations(ctx); rerr != nil && ctx.Err() == nil {
		b.events.LogAttrs(ctx, slog.LevelError, "registrations were not taken over", slog.Bool("alarm", true), slog.String("error", rerr.Error()))
	}
	if err != nil && ctx.Err() == nil {
		b.events.LogAttrs(ctx, slog.LevelError, "the key file was not taken over", slog.Bool("alarm", true), slog.String("error", err.Error()))
	}
}

// signingAlgs are the algorithms that the keys must have: those of the clients,
// ES256, which new clients get, and what those may want that register by API.
func signingAlgs(c *config.Loaded) []string {
	algs := []string{"ES256"}
	if len(c.Initial) > 0 {
		algs = config.RegisteredAlgs()
	}
	for _, client := range c.Clients.All() {
		for _, alg := range client.SigningAlgs() {
			if !slices.Contains(algs, alg) {
				algs = append(algs, alg)
			}
		}
	}
	return algs
}

// decryptionAlgs are the algorithms that providers encrypt to us with.
func decryptionAlgs(c *config.Loaded) []string {
	var algs []string
	for _, p := range c.Providers {
		for _, alg := range []string{p.IDTokenEncryptionAlg, p.UserInfo.EncryptionAlg} {
			if alg != "" && !slices.Contains(algs, alg) {
				algs = append(algs, alg)
			}
		}
	}
	return algs
}

// ping is nil when a visit could begin, a consent could be recorded and a token
// signed now.
func (b *broker) ping(ctx context.Context) error {
	err := errors.Join(b.records.Ping(ctx), b.flows.Ping(ctx))
	if failed := b.ring.Ready(ctx); failed != nil {
		err = errors.Join(err, fmt.Errorf("%w: %w", errNoSigning, failed))
	}
	return err
}

// errNoSigning is the one reason that /readyz gives: it helps whoever has to
// decide which process to look at, and nobody else.
var errNoSigning = errors.New("nothing can be signed")

// readiness answers /readyz with a real write and, where a signer holds the keys,
// real signatures, at most once a second however often it is asked: it is open to
// everyone.
type readiness struct {
	ping func(context.Context) error
	now  func() time.Time
	log  *slog.Logger

	mu   sync.Mutex // held during a ping; guards what follows
	last time.Time
	err  error
}

func (p *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if now := p.now(); now.Sub(p.last) >= time.Second || now.Before(p.last) {
		// Not the request's context: its end must not count as a failure.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second)
		was := p.err
		p.last, p.err = now, p.ping(ctx)
		cancel()
		p.note(r.Context(), was)
	}
	err := p.err
	p.mu.Unlock()
	if err != nil {
		w.Header().Set("Retry-After", "5")
		text := "not ready" // the whole reason is in the log, not for everyone
		if errors.Is(err, errNoSigning) {
			text += ": " + errNoSigning.Error()
		}
		plain(w, http.StatusServiceUnavailable, text)
		return
	}
	plain(w, http.StatusOK, "ready")
}

// note logs a change for the worse or the better, once.
func (p *readiness) note(ctx context.Context, was error) {
	switch {
	case was == nil && p.err != nil:
		p.log.LogAttrs(ctx, slog.LevelError, "not ready", slog.Bool("alarm", true), slog.String("error", p.err.Error()))
	case was != nil && p.err == nil:
		p.log.LogAttrs(ctx, slog.LevelInfo, "ready again")
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client may be gone
}
