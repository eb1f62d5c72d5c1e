package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/citizen"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/health"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/metrics"
	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/stats"
	"github.com/voussoir-id/voussoir/store/sql"
	"github.com/voussoir-id/voussoir/web"
)

// keyFile and keySecret are the files of the keys in the data folder.
const (
	keyFile   = "keys"
	keySecret = "keys.secret"
)

// broker is a wired broker. Its owner calls handler, run and close.
type broker struct {
	handler  http.Handler
	started  *config.Loaded // what cannot change without a restart
	current  atomic.Pointer[snapshot]
	changing sync.Mutex // held by whoever replaces current
	// barredUntil says of people (hex PersonID) until when what they began counts no more.
	barredUntil atomic.Pointer[map[string]time.Time]

	ring     *keys.Ring
	records  *sql.Records
	flows    *sql.Flows
	log      *audit.Log
	tree     *audit.Tree
	sequence *audit.Sequencer
	// witnesses is nil where there are none.
	witnesses *audit.Witnesses
	ledger    *consent.Ledger
	days      atomic.Pointer[[]stats.Day] // counted, that are shown
	notices   *notices.Queue
	kinds     map[string]notices.Kind
	health    *health.Monitor
	metrics   *metrics.Metrics
	events    *slog.Logger
	now       func() time.Time
	undo      []func() // in the order of opening
}

// wire builds a broker, from the keys at the bottom to the routes at the top.
// It is one line of thought: each step needs only those above it.
func wire(ctx context.Context, c *config.Loaded, events *slog.Logger, now func() time.Time) (*broker, error) {
	b, whole := &broker{started: c, events: events, now: now}, false
	defer func() {
		if !whole {
			b.close()
		}
	}()

	// The data folder belongs to this process alone.
	if err := dataDir(c.Data); err != nil {
		return nil, err
	}
	unlock, err := lockData(c.Data)
	if err != nil {
		return nil, err
	}
	b.undo = append(b.undo, unlock)

	// What counts, before what is counted. Stores, keys, and the audit log that needs both.
	if b.metrics, err = b.newMetrics(); err != nil {
		return nil, err
	}
	if err := ownKeys(c.Data); err != nil {
		return nil, err
	}
	if err := b.openStores(ctx, c); err != nil {
		return nil, err
	}
	if b.ring, err = openRing(ctx, c, b.records, events, now); err != nil {
		return nil, err
	}
	b.undo = append(b.undo, b.ring.Close)
	if b.log, err = audit.New(audit.Config{Store: b.records, Sealer: b.ring, Now: now, Noted: b.noted, Appended: b.metrics.Appended, Of: entriesOf(b.ring)}); err != nil {
		return nil, err
	}
	if err := b.ring.AuditTo(ctx, b.log); err != nil {
		return nil, fmt.Errorf("put the keys on record: %w", err)
	}
	if err := syncKeys(ctx, b.ring, b.records, events); err != nil {
		return nil, err
	}
	if err := b.growTree(ctx, c); err != nil {
		return nil, err
	}

	if err := b.takeOverPeople(ctx); err != nil {
		return nil, err
	}

	// Who watches the providers; then what a reload replaces. The configuration is on record before it holds.
	if b.health, err = b.watchProviders(); err != nil {
		return nil, err
	}
	first, err := newSnapshot(c, b.outside())
	if err != nil {
		return nil, err
	}
	if err := b.join(ctx, first); err != nil {
		return nil, err
	}
	if err := b.recordConfig(ctx, first); err != nil {
		return nil, err
	}
	b.current.Store(first)
	currentClients := func() *clients.Set { return b.current.Load().clients }

	// People and their answers.
	people, err := identity.NewPeople(identity.PeopleConfig{Store: b.records, Deriver: b.ring, NewSealKey: b.ring.NewWrappedKey, Now: now})
	if err != nil {
		return nil, err
	}
	choices, err := preferences.New(preferences.Config{Store: b.records, Audit: b.log, Known: b.knownProviders, Now: now})
	if err != nil {
		return nil, err
	}

	// The site; then codes, the visits that end in one, and the provider in front.
	site, err := web.New(web.Config{Issuer: c.Issuer, Log: events, Now: now, Development: c.Development, Answered: b.metrics.Answered})
	if err != nil {
		return nil, err
	}
	b.notices, err = notices.New(notices.Config{
		Store: b.records, Client: func() *http.Client { return b.current.Load().toClients }, Now: now, Log: events,
	})
	if err != nil {
		return nil, err
	}
	codes, err := provider.NewCodes(provider.CodesConfig{
		Issuer: c.Issuer, Clients: currentClients, Grants: b.flows, Once: b.records, Refresh: b.records, Sealer: b.ring, Keys: b.ring, Site: site,
		Notices: b.notices, Audit: b.log, Now: now,
	})
	if err != nil {
		return nil, err
	}
	withdrawals, err := b.newWithdrawals(c, currentClients)
	if err != nil {
		return nil, err
	}
	b.ledger, err = consent.New(consent.Config{Store: b.records, Archive: b.records, Ender: withdrawals, Audit: b.log, Now: now})
	if err != nil {
		return nil, err
	}
	if err := b.ledger.Finish(ctx); err != nil { // before anybody is served
		return nil, err
	}
	b.kinds = map[string]notices.Kind{provider.NoticeLogout: codes, provider.NoticeWithdrawal: withdrawals}
	own := &ownCodes{Codes: codes}
	visits, err := login.New(login.Config{
		Flows: b.flows, Sessions: b.flows, Sealer: b.ring,
		Policies:  func() *policies.Table { return b.current.Load().policies },
		Clients:   currentClients,
		Directory: func() *federation.Directory { return b.current.Load().directory },
		Health:    b.health.State,
		Civil:     func() login.Civil { return b.current.Load().civil }, Once: b.records,
		Barred: b.barred, Caution: b.caution, Preferences: choices,
		People: people, Deriver: b.ring, Consent: b.ledger, Audit: b.log, Issuer: own,
		Site: site, Note: web.Note, Now: now, Meter: b.metrics,
	})
	if err != nil {
		return nil, err
	}
	documents, err := b.newDocuments(c.Issuer)
	if err != nil {
		return nil, err
	}
	if own.space, err = b.newSpace(citizen.Config{Issuer: c.Issuer, Consent: b.ledger, Receipts: documents, Start: visits.Start, Preferences: choices, Site: site}); err != nil {
		return nil, err
	}
	registrar, err := b.newRegistrar(c)
	if err != nil {
		return nil, err
	}
	op, err := provider.New(provider.Config{
		Issuer: c.Issuer, Clients: currentClients, Codes: codes, Once: b.records, Keys: b.ring,
		Start: func(ctx context.Context, req protocol.AuthRequest, h http.Header) (string, []*http.Cookie, error) {
			s, err := visits.Start(ctx, req, h)
			return s.URL, s.Cookies, err
		},
		Sessions: visits, Barred: b.barred, ClientKeys: b.clientKeys, Deriver: b.ring, Audit: b.log, Site: site, Note: web.Note, Log: events,
		ACRs: func() []protocol.ACR { return b.current.Load().acrs }, Registrar: registrar, Now: now,
		Certificates: b.certificates(c.ClientCertificates),
	})
	if err != nil {
		return nil, err
	}
	b.handler, whole = b.warned(b.routes(site, visits, own.space, op)), true
	if c.ClientCertificates != nil {
		b.handler = aliased(c.ClientCertificates.Address, c.Issuer, b.handler)
	}
	return b, nil
}

// routes joins everything that is served. The provider's paths are matched as
// they came, in front of the mux, which would clean them with a redirect.
func (b *broker) routes(site *web.Site, visits *login.Service, space *citizen.Space, op *provider.Provider) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", site.Page("home", site.Home))
	mux.Handle("GET /static/", site.Static())
	mux.Handle("GET /static/logo/", site.Pictures(func(path string) (web.Picture, bool) { p, ok := b.current.Load().logos[path]; return p, ok }))
	mux.Handle("GET /status", site.Page("status", b.serveStatus(site)))
	mux.Handle("GET /status/statistics.json", site.API("statistics", b.serveFigures(site.StatisticsJSON)))
	mux.Handle("GET /status/statistics.csv", site.API("statistics", b.serveFigures(site.StatisticsCSV)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.Handle("GET /readyz", &readiness{ping: b.ping, now: b.now, log: b.events})
	mux.Handle("GET "+provider.PathProviderKeys, site.API("provider_jwks", provider.ServeKeys(b.ring.ForProviders())))
	b.treeRoutes(site, mux)
	visits.Routes(mux)
	space.Routes(mux)
	mux.Handle("GET /saml/{provider}/metadata", site.Page("saml.metadata", b.samlMetadata))
	pages := site.Fallback(mux)
	return site.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if op.Serves(r.URL.Path) {
			op.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	}))
}

// knownProviders are those of the configuration, in service or not.
func (b *broker) knownProviders() []protocol.ProviderID {
	var out []protocol.ProviderID
	for _, k := range b.current.Load().known {
		out = append(out, k.ID)
	}
	return out
}

func (b *broker) openStores(ctx context.Context, c *config.Loaded) (err error) {
	cfg := func(store string) sql.Config {
		return sql.Config{
			Dir: c.Data, Now: b.now, Log: b.events,
			Committed: func(took time.Duration, err error) { b.metrics.Committed(store, took, err) },
		}
	}
	if b.records, err = sql.OpenRecords(ctx, cfg("records")); err != nil {
		return err
	}
	b.undo = append(b.undo, b.closing("records", b.records.Close))
	if b.flows, err = sql.OpenFlows(ctx, cfg("flow")); err != nil {
		return err
	}
	b.undo = append(b.undo, b.closing("flows", b.flows.Close))
	return nil
}

// run does what goes on beside the requests, until ctx ends.
func (b *broker) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.records.Run(ctx) })
	g.Go(func() error { return b.flows.Run(ctx) })
	g.Go(func() error { return b.sequence.Run(ctx) })
	g.Go(func() error { return b.expirePersonal(ctx) })
	g.Go(func() error { return b.cosign(ctx) })
	g.Go(func() error { return b.tendConsent(ctx) })
	g.Go(func() error { return b.countDays(ctx) })
	g.Go(func() error { return b.watchKeys(ctx) })
	g.Go(func() error { return b.notices.Run(ctx, b.kinds) })
	g.Go(func() error { return b.watchStops(ctx) })
	g.Go(func() error { return b.health.Run(ctx) })
	return g.Wait()
}

// close undoes what wire has opened, last things first.
func (b *broker) close() {
	for _, undo := range slices.Backward(b.undo) {
		undo()
	}
	b.undo = nil
}

func (b *broker) closing(what string, close func() error) func() {
	return func() {
		if err := close(); err != nil {
			b.events.LogAttrs(context.Background(), slog.LevelError, "a store did not close cleanly",
				slog.String("store", what), slog.String("error", err.Error()))
		}
	}
}
