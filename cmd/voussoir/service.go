package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/health"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/store/sql"
	"github.com/voussoir-id/voussoir/web"
)

// stopsEvery is how often a broker looks at what a command has taken out of service:
// with it a stop holds within five seconds.
const stopsEvery = 2 * time.Second

// known is a provider of the configuration, in service or not.
type known struct {
	federation.Entry
	disabled bool // by the configuration
}

// list is how a provider stands on the choice page. Its logo is served from the
// snapshot, under a path with a hash.
func (s *snapshot) list(id protocol.ProviderID, l config.Listing) federation.Listing {
	out := federation.Listing{Keywords: l.Keywords, Beta: l.Beta, Notice: l.Notice}
	if l.Logo != nil {
		sum := sha256.Sum256(l.Logo.Body)
		out.Logo = "/static/logo/" + string(id) + "-" + base64.RawURLEncoding.EncodeToString(sum[:9])
		s.logos[out.Logo] = web.Picture{MediaType: l.Logo.MediaType, Body: l.Logo.Body}
	}
	return out
}

// stop takes out of service what stops and the configuration say. The caller calls
// assemble afterwards.
func (s *snapshot) stop(stops []sql.Stop) {
	s.stops = stops
	var entries []federation.Entry
	for _, k := range s.known {
		if !k.disabled && !s.stopped(sql.StopProvider, string(k.ID)) {
			entries = append(entries, k.Entry)
		}
	}
	s.directory = federation.NewDirectory(entries...)
}

func (s *snapshot) stopped(kind sql.StopKind, id string) bool {
	return slices.ContainsFunc(s.stops, func(x sql.Stop) bool { return x.Kind == kind && x.ID == id })
}

// inService leaves out the clients that are stopped.
func (s *snapshot) inService(all []*clients.Client) []*clients.Client {
	return slices.DeleteFunc(all, func(c *clients.Client) bool { return s.stopped(sql.StopClient, string(c.ID)) })
}

// watchStops takes over what "voussoir kill" and "voussoir restore" do.
func (b *broker) watchStops(ctx context.Context) error {
	tick := time.NewTicker(stopsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := errors.Join(b.takeOverStops(ctx), b.takeOverPeople(ctx)); err != nil && ctx.Err() == nil {
				b.events.LogAttrs(ctx, slog.LevelError, "what is out of service could not be read; nothing changes", slog.Bool("alarm", true), slog.String("error", err.Error()))
			}
		}
	}
}

func (b *broker) takeOverStops(ctx context.Context) error {
	stops, err := b.records.Stops(ctx)
	if err != nil || slices.Equal(stops, b.current.Load().stops) {
		return err
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	if stops, err = b.records.Stops(ctx); err != nil { // again: a reload may have been faster
		return err
	}
	next := b.current.Load().copied()
	next.stop(stops)
	next.assemble()
	b.current.Store(next)
	b.events.LogAttrs(ctx, slog.LevelWarn, "what is out of service has changed", slog.Int("stops", len(stops)))
	return nil
}

// watchProviders makes the monitor of the providers' health.
func (b *broker) watchProviders() (*health.Monitor, error) {
	return health.New(health.Config{
		Directory: func() *federation.Directory { return b.current.Load().directory }, Now: b.now,
		Changed: func(id protocol.ProviderID, s federation.State, why error) {
			if s.Down {
				if why == nil {
					why = errors.New("its calls fail")
				}
				b.events.LogAttrs(context.Background(), slog.LevelWarn, "provider does not work", slog.String("provider", string(id)), slog.String("error", why.Error()))
				return
			}
			b.events.LogAttrs(context.Background(), slog.LevelInfo, "provider works again", slog.String("provider", string(id)))
		},
	})
}

// serveStatus answers GET /status.
func (b *broker) serveStatus(site *web.Site) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		now := b.current.Load()
		figures := b.openFigures()
		page := web.StatusPage{Statistics: &figures}
		for _, k := range now.known {
			state := b.health.State(k.ID)
			line := web.ProviderStatus{ID: k.ID, Name: k.Name, State: "works", Since: state.Since}
			if state.Down {
				line.State = "unavailable"
			}
			if _, ok := now.directory.Get(k.ID); !ok {
				line.State, line.Since = "switched_off", now.since(k.ID)
			}
			page.Providers = append(page.Providers, line)
		}
		return site.Status(w, r, page)
	}
}

// since is when a command stopped a provider; zero: none did.
func (s *snapshot) since(id protocol.ProviderID) time.Time {
	for _, x := range s.stops {
		if x.Kind == sql.StopProvider && x.ID == string(id) {
			return x.Since
		}
	}
	return time.Time{}
}
