// Package preferences owns what a person has said about herself as a user of the
// broker: which providers must not be used in her name, those of the future included.
// It holds who (a PersonID), which provider and since when, and nothing else. It never
// decides whether a sign-in may go on; see login, which asks it at every one.
package preferences

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// Future stands for every provider of which nothing is said. No provider has this id.
const Future protocol.ProviderID = "*"

// Choice is what a person has said of one provider, or of Future.
type Choice struct {
	Provider protocol.ProviderID
	Blocked  bool
	Since    time.Time
}

// Providers is all that a person has said of providers. The zero value blocks none.
type Providers struct {
	choices map[protocol.ProviderID]Choice
}

// NewProviders makes one of choices, at most one for each provider.
func NewProviders(cs ...Choice) Providers {
	if len(cs) == 0 {
		return Providers{}
	}
	p := Providers{make(map[protocol.ProviderID]Choice, len(cs))}
	for _, c := range cs {
		p.choices[c.Provider] = c
	}
	return p
}

// Blocks reports whether a provider must not be used in her name: because she said so
// of it, or of every one that was not there when she said so.
func (p Providers) Blocks(id protocol.ProviderID) bool {
	if c, said := p.choices[id]; said {
		return c.Blocked
	}
	return p.choices[Future].Blocked
}

// Of is what she said of one provider, or of Future; false: nothing.
func (p Providers) Of(id protocol.ProviderID) (Choice, bool) { c, ok := p.choices[id]; return c, ok }

// Store keeps choices for as long as the person is known. Any error means that nobody
// can tell. Safe for concurrent use.
type Store interface {
	// Choices are those of a person, in the order of their providers.
	Choices(ctx context.Context, person identity.PersonID) ([]Choice, error)
	// Choose keeps set in the place of what was said of the same providers, and adds
	// those of fresh whose providers nothing was said of, together with e: all or
	// nothing, and durable when it returns nil.
	Choose(ctx context.Context, person identity.PersonID, set, fresh []Choice, e audit.Entry) error
}

// Preparer makes audit entries. Implemented by audit.Log.
type Preparer interface {
	Prepare(e audit.Event) (audit.Entry, error)
}

// Config is what New needs; all of it.
type Config struct {
	Store Store
	Audit Preparer
	// Known are the providers of the configuration, those out of service included.
	Known func() []protocol.ProviderID
	Now   func() time.Time
}

// Service keeps what people say. Safe for concurrent use.
type Service struct{ Config }

// New refuses a missing collaborator.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Audit == nil || c.Known == nil || c.Now == nil {
		return nil, errors.New("preferences: config: a collaborator is missing")
	}
	return &Service{c}, nil
}

// ErrLast: with this provider blocked too she could not sign in any more, and so not
// change her mind either.
var ErrLast = errors.New("no other provider would be left")

// ErrUnknown: there is no such provider.
var ErrUnknown = errors.New("no such provider")

// List is what a person has said of providers. An error means that nobody can tell.
func (s *Service) List(ctx context.Context, person identity.PersonID) (Providers, error) {
	cs, err := s.Store.Choices(ctx, person)
	if err != nil {
		return Providers{}, fmt.Errorf("choices of a person: %w", err)
	}
	return NewProviders(cs...), nil
}

// Block has no sign-in through this provider count for her any more, from the next on;
// with Future, none through a provider that is not there yet. It is durable and on record
// when it returns nil. ErrLast and ErrUnknown: nothing has changed.
func (s *Service) Block(ctx context.Context, person identity.Person, id protocol.ProviderID) error {
	now, known := s.Now(), s.Known()
	if id == Future {
		allowed := make([]Choice, len(known))
		for i, k := range known {
			allowed[i] = Choice{Provider: k, Since: now}
		}
		return s.choose(ctx, person, audit.ProviderBlocked, Choice{id, true, now}, allowed)
	}
	said, err := s.List(ctx, person.ID)
	if err != nil {
		return err
	}
	found, others := false, 0
	for _, k := range known {
		switch {
		case k == id:
			found = true
		case !said.Blocks(k):
			others++
		}
	}
	switch {
	case !found:
		return ErrUnknown
	case others == 0:
		return ErrLast
	}
	return s.choose(ctx, person, audit.ProviderBlocked, Choice{id, true, now}, nil)
}

// Unblock lets a provider be used in her name again; with Future, every one that she
// has not blocked by name. It is durable and on record when it returns nil.
func (s *Service) Unblock(ctx context.Context, person identity.Person, id protocol.ProviderID) error {
	return s.choose(ctx, person, audit.ProviderUnblocked, Choice{id, false, s.Now()}, nil)
}

// choose puts on record what she said and keeps it. Which provider is in the sealed
// part of the entry: who avoids which one is nobody else's business.
func (s *Service) choose(ctx context.Context, person identity.Person, kind audit.Kind, c Choice, fresh []Choice) error {
	entry, err := s.Audit.Prepare(audit.Event{
		Public:   audit.Public{Kind: kind, Outcome: "ok"},
		Personal: audit.Personal{Person: person.ID.String(), Provider: string(c.Provider)},
		SealKey:  person.SealKey,
	})
	if err != nil {
		return fmt.Errorf("audit %s: %w", kind, err)
	}
	if err := s.Store.Choose(ctx, person.ID, []Choice{c}, fresh, entry); err != nil {
		return fmt.Errorf("keep a choice: %w", err)
	}
	return nil
}
