package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Config is what New needs. All of it but the last three is required.
type Config struct {
	Store  Store
	Sealer Sealer
	Now    func() time.Time

	// Noted hears of the public part of each entry: when Append has made it durable,
	// or when Prepare has made it. Appended hears of each Append that came as far as
	// the store. Neither blocks. nil: nobody is told.
	Noted    func(p Public)
	Appended func(took time.Duration, err error)
	// Of is the keyed digest by which the entries of a person (hex PersonID) are found. nil:
	// they are not.
	Of func(person string) ([32]byte, error)
}

// Log writes entries. Safe for concurrent use.
type Log struct{ cfg Config }

// New refuses a missing collaborator.
func New(cfg Config) (*Log, error) {
	if cfg.Store == nil || cfg.Sealer == nil || cfg.Now == nil {
		return nil, errors.New("audit: a log needs a store, a sealer and a clock")
	}
	return &Log{cfg: cfg}, nil
}

// Append records the events, all or none, and is durable when it returns nil.
// The caller does not do what an event tells of when it fails. The receipt is
// that of the last event.
func (l *Log) Append(ctx context.Context, events ...Event) (Receipt, error) {
	if len(events) == 0 {
		return Receipt{}, errors.New("audit: nothing to append")
	}
	entries := make([]Entry, len(events))
	for i, e := range events {
		var err error
		if entries[i], err = l.prepare(e); err != nil {
			return Receipt{}, err
		}
	}
	began := l.cfg.Now()
	err := l.cfg.Store.AppendEntries(ctx, entries...)
	if l.cfg.Appended != nil {
		l.cfg.Appended(l.cfg.Now().Sub(began), err)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("audit %s: %w", events[0].Public.Kind, err)
	}
	for _, e := range events {
		l.noted(e)
	}
	return Receipt{ID: entries[len(entries)-1].ID, Index: -1}, nil
}

// Prepare makes the entry of an event without storing it, for a caller that
// stores it in a transaction of its own. The time is the log's, not the event's.
func (l *Log) Prepare(e Event) (Entry, error) {
	entry, err := l.prepare(e)
	if err == nil {
		l.noted(e)
	}
	return entry, err
}

func (l *Log) noted(e Event) {
	if l.cfg.Noted != nil {
		l.cfg.Noted(e.Public)
	}
}

func (l *Log) prepare(e Event) (Entry, error) {
	if e.Public.Kind == "" {
		return Entry{}, errors.New("audit: an event has no kind")
	}
	// Under the log's own key her part of the entry could never be erased.
	if e.Personal.Person != "" && len(e.SealKey) == 0 {
		return Entry{}, fmt.Errorf("audit %s: an event names a person and has no key of hers", e.Public.Kind)
	}
	e.Public.Time = l.cfg.Now().UTC().Truncate(time.Microsecond)
	entry := Entry{Version: VersionOf(e.Public.Kind), Time: e.Public.Time}
	rand.Read(entry.ID[:])
	var err error
	if entry.Public, err = json.Marshal(e.Public); err != nil {
		return Entry{}, fmt.Errorf("audit %s: %w", e.Public.Kind, err)
	}
	if len(entry.Public) > maxPublic {
		return Entry{}, fmt.Errorf("audit %s: the public part is too long", e.Public.Kind)
	}
	if entry.Sealed, err = l.seal(entry, e); err != nil {
		return Entry{}, fmt.Errorf("audit %s: %w", e.Public.Kind, err)
	}
	entry.Leaf = LeafHash(entry)
	if l.cfg.Of != nil && e.Personal.Person != "" {
		if entry.Of, err = l.cfg.Of(e.Personal.Person); err != nil {
			return Entry{}, fmt.Errorf("audit %s: %w", e.Public.Kind, err)
		}
	}
	return entry, nil
}

func (l *Log) seal(entry Entry, e Event) ([]byte, error) {
	personal, err := json.Marshal(e.Personal)
	if err != nil {
		return nil, err
	}
	var key []byte // nil: the log's own; a store may have turned nil into an empty slice
	if len(e.SealKey) > 0 {
		key = e.SealKey
	}
	sealed, err := l.cfg.Sealer.SealUnder(key, entry.aad(), personal)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize, saltSize+len(sealed))
	rand.Read(salt)
	return append(salt, sealed...), nil
}

// Open reads the personal part of an entry. wrapped is the person's key, nil for
// an entry that was made while no person was known.
func (l *Log) Open(e Entry, wrapped []byte) (Personal, error) {
	var p Personal
	if len(e.Sealed) < saltSize {
		return p, errors.New("audit: the personal part is cut short")
	}
	plain, err := l.cfg.Sealer.OpenUnder(wrapped, e.aad(), e.Sealed[saltSize:])
	if err != nil {
		return p, fmt.Errorf("audit: open the personal part: %w", err)
	}
	if err := json.Unmarshal(plain, &p); err != nil {
		return p, errors.New("audit: the personal part is malformed")
	}
	return p, nil
}
