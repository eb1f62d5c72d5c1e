package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/registration"
)

// book is the list of services: those of the configuration, and those that
// registered by API. The current snapshot holds both. It implements
// registration.Book. The store is only written while changing is held, so that a
// snapshot is never older than what it was made from.
type book struct{ *broker }

// Tokens implements registration.Book.
func (b book) Tokens() []registration.Token { return b.current.Load().tokens }

// Find implements registration.Book.
func (b book) Find(id protocol.ClientID) (registration.Registration, bool) {
	r, ok := b.current.Load().registered[id]
	return r, ok
}

// Check implements registration.Book.
func (b book) Check(r registration.Registration) (registration.Metadata, error) {
	_, _, m, err := b.current.Load().admit(r, b.now)
	return m, err
}

// Put implements registration.Book.
func (b book) Put(r registration.Registration, write func() error) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	next := b.current.Load().copied()
	client, set, _, err := next.admit(r, b.now)
	if err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	next.registered[r.ID], next.joined[r.ID] = r, client
	delete(next.keySets, r.ID)
	if set != nil {
		next.keySets[r.ID] = set
	}
	next.assemble()
	b.current.Store(next)
	return nil
}

// Drop implements registration.Book.
func (b book) Drop(id protocol.ClientID, write func() error) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := write(); err != nil {
		return err
	}
	next := b.current.Load().copied()
	delete(next.registered, id)
	delete(next.joined, id)
	delete(next.keySets, id)
	next.assemble()
	b.current.Store(next)
	return nil
}

// copied is s with tables of its own.
func (s *snapshot) copied() *snapshot {
	next := *s
	next.registered, next.joined, next.keySets = maps.Clone(s.registered), maps.Clone(s.joined), maps.Clone(s.keySets)
	next.outOfService = maps.Clone(s.outOfService)
	return &next
}

// assemble makes the set of all clients: first those of the configuration, then those
// that registered, by id.
func (s *snapshot) assemble() {
	all := slices.Clone(s.loaded.Clients.All())
	for _, id := range slices.Sorted(maps.Keys(s.joined)) {
		all = append(all, s.joined[id])
	}
	s.clients = clients.NewSet(append(s.inService(all), ownClient(s.loaded.Issuer))...)
}

// admit makes a client of a registration by the rules of the configuration, with its
// keys if we need any (else nil), and its metadata without what is of no effect. The
// error is a *protocol.Error when the metadata will not do.
func (s *snapshot) admit(r registration.Registration, now func() time.Time) (*clients.Client, provider.KeySet, registration.Metadata, error) {
	var metadata map[string]json.RawMessage
	if err := json.Unmarshal(r.Metadata, &metadata); err != nil {
		return nil, nil, nil, errors.New("its metadata cannot be read")
	}
	client, kept, err := s.loaded.Admit(config.Applicant{ID: r.ID, Initial: r.Initial, Metadata: metadata, Secret: r.Secret})
	if err != nil {
		return nil, nil, nil, err
	}
	if !needsKeys(client) {
		return client, nil, kept, nil
	}
	set, err := clientKeys(client, s.toClients, now)
	if err != nil {
		return nil, nil, nil, protocol.Fail(protocol.InvalidClientMetadata, err, "jwks: a key that is needed is missing or cannot be read")
	}
	return client, set, kept, nil
}

// join puts the registered services of the store into a snapshot that nobody sees yet.
// One that the configuration no longer allows stays in the store, out of service.
// The caller holds changing.
func (b *broker) join(ctx context.Context, s *snapshot) error {
	all, err := b.records.Registrations(ctx)
	if err != nil {
		return err
	}
	s.registered, s.joined, s.outOfService = map[protocol.ClientID]registration.Registration{}, map[protocol.ClientID]*clients.Client{}, map[protocol.ClientID]registration.Registration{}
	for _, r := range all {
		client, set, _, err := s.admit(r, b.now)
		if err != nil {
			s.outOfService[r.ID] = r
			b.events.LogAttrs(ctx, slog.LevelWarn, "a registered client is out of service", slog.String("client", string(r.ID)),
				slog.String("initial_token", r.Initial), slog.String("error", err.Error()))
			continue
		}
		s.registered[r.ID], s.joined[r.ID] = r, client
		if set != nil {
			s.keySets[r.ID] = set
		}
	}
	stops, err := b.records.Stops(ctx)
	if err != nil {
		return err
	}
	s.stop(stops)
	s.assemble()
	return nil
}

// takeOverRegistrations follows the store: what a command has removed, and a change
// whose outcome nobody knew when its caller went away.
func (b *broker) takeOverRegistrations(ctx context.Context) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	current := b.current.Load()
	if len(current.tokens)+len(current.registered) == 0 {
		return nil
	}
	all, err := b.records.Registrations(ctx)
	if err != nil || current.follows(all) {
		return err
	}
	next := current.copied()
	for id := range current.registered {
		delete(next.keySets, id)
	}
	if err := b.join(ctx, next); err != nil {
		return err
	}
	b.current.Store(next)
	return nil
}

// follows reports whether s was made from these registrations.
func (s *snapshot) follows(all []registration.Registration) bool {
	same := len(all) == len(s.registered)+len(s.outOfService)
	for _, r := range all {
		known, ok := s.registered[r.ID]
		if !ok {
			known, ok = s.outOfService[r.ID]
		}
		same = same && ok && known.Changed.Equal(r.Changed)
	}
	return same
}

// newRegistrar is the service behind /register.
func (b *broker) newRegistrar(c *config.Loaded) (*registration.Service, error) {
	return registration.New(registration.Config{
		Endpoint: c.Issuer + provider.PathRegister, Store: b.records, Audit: b.log, Book: book{b},
		Fetch: outbound.New(sectorCalls(c)), Loopback: c.Development, Now: b.now,
	})
}

// tokensOf are the initial access tokens of a configuration.
func tokensOf(c *config.Loaded) []registration.Token {
	out := make([]registration.Token, 0, len(c.Initial))
	for _, t := range c.Initial {
		out = append(out, registration.Token(t))
	}
	return out
}

// sectorCalls says where a sector_identifier_uri may lead: not into our own network,
// whatever an operator allows for providers. Its address comes from whoever has an
// initial token, and our answer would tell him what is there.
func sectorCalls(c *config.Loaded) outbound.Config {
	return outbound.Config{AllowPrivate: c.Development, AllowHTTP: c.Development}
}
