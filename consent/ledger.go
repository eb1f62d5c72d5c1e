package consent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// Config is what New needs; all of it.
type Config struct {
	Store   Store
	Archive Archive
	Ender   Ender
	Audit   *audit.Log
	Now     func() time.Time
}

// Ledger writes receipts. Safe for concurrent use.
type Ledger struct{ cfg Config }

// New refuses a missing collaborator.
func New(cfg Config) (*Ledger, error) {
	if cfg.Store == nil || cfg.Archive == nil || cfg.Ender == nil || cfg.Audit == nil || cfg.Now == nil {
		return nil, errors.New("consent: a ledger needs a store, an archive, an ender, an audit log and a clock")
	}
	return &Ledger{cfg: cfg}, nil
}

// Record writes the act down, with its audit entry, in one durable transaction,
// and returns the receipt with its id, time and audit id. When it fails nothing
// may leave: either nothing is on record, or we do not know.
//
// The audit entry says what the receipt says: of e only Personal.Flow, SealKey
// and a non-empty Public.Outcome count, the rest is taken from r.
//
// An answer that she has just given stands until r.Until; zero: it is not
// remembered. Neither is a refusal, so that she is asked again, nor a Reused
// answer, which would prolong itself for ever. The one whose place it takes is
// superseded, or has expired, and that is on record with it.
//
// ErrMoved: a Reused receipt is about an answer that she has taken back, or changed,
// meanwhile. Nothing may leave.
func (l *Ledger) Record(ctx context.Context, r Receipt, e audit.Event) (Receipt, error) {
	if err := r.check(); err != nil {
		return Receipt{}, fmt.Errorf("consent for client %s: %w", r.Client, err)
	}
	r.ID, r.Time = newID(), l.now()
	r.OfflineUntil = r.OfflineUntil.UTC().Truncate(time.Microsecond)
	standing := r.standing()
	if standing == nil && r.Act != Reused {
		r.Until = time.Time{} // a receipt does not promise what nobody remembers
	}
	entry, err := l.cfg.Audit.Prepare(r.event(e))
	if err != nil {
		return Receipt{}, fmt.Errorf("consent for client %s: %w", r.Client, err)
	}
	r.Audit = entry.ID
	for range recordTries {
		var ended []Ended
		if ended, err = l.replaced(ctx, standing, e.SealKey, r.Time); err != nil {
			break
		}
		err = l.cfg.Store.Record(ctx, r, standing, entry, ended...)
		if !errors.Is(err, ErrMoved) || standing == nil {
			break
		}
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("record consent for client %s: %w", r.Client, err)
	}
	return r, nil
}

// recordTries is how often an answer is recorded while others of the same person to
// the same service come in between: a double click in two tabs, and no more.
const recordTries = 3

// replaced is what happens to the answer that stands where s will.
func (l *Ledger) replaced(ctx context.Context, s *Standing, sealKey []byte, now time.Time) ([]Ended, error) {
	if s == nil {
		return nil, nil
	}
	old, err := l.cfg.Store.Standing(ctx, s.Person, s.Client, time.Time{}) // one that is over as well
	if err != nil || old == nil {
		return nil, err
	}
	act := Superseded
	if !old.Until.After(now) {
		act = Expired
	}
	end, err := l.ended(act, old.receipt(), sealKey, now)
	return []Ended{end}, err
}

func (l *Ledger) now() time.Time { return l.cfg.Now().UTC().Truncate(time.Microsecond) }

func newID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails, see crypto/rand
	return id
}

// Standing returns the person's answer to this client that still stands, or nil.
// An error means that we do not know.
func (l *Ledger) Standing(ctx context.Context, person identity.PersonID, client protocol.ClientID) (*Standing, error) {
	s, err := l.cfg.Store.Standing(ctx, person, client, l.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("standing consent for client %s: %w", client, err)
	}
	return s, nil
}

// check refuses what must never be on record, because it must never happen.
func (r Receipt) check() error {
	if r.kind() == "" || r.Act.ends() {
		return fmt.Errorf("unknown act %q", r.Act)
	}
	if r.Person == (identity.PersonID{}) || r.Client == "" || r.PolicyID == "" {
		return errors.New("a receipt needs a person, a client and a policy")
	}
	if r.Notice == ([32]byte{}) && r.Act != Reused {
		return errors.New("a receipt needs the hash of what was shown")
	}
	for _, c := range r.Released {
		if !slices.Contains(r.Shown, c) {
			return fmt.Errorf("claim %s would leave and was not shown", c)
		}
	}
	if r.Act == Refused && (len(r.Released) > 0 || r.Grant != "") {
		return errors.New("she refused, and yet something would leave")
	}
	if r.Act != Refused && r.Grant == "" {
		return errors.New("a receipt needs the grant that it allows")
	}
	if !r.OfflineUntil.IsZero() && r.Act != Given && r.Act != Informed {
		return errors.New("nobody has agreed, or was told, that the client may come back while she is away")
	}
	return nil
}

// standing is the answer to remember, or nil.
func (r Receipt) standing() *Standing {
	if (r.Act != Given && r.Act != Informed) || !r.Until.After(r.Time) {
		return nil
	}
	return &Standing{
		Person: r.Person, Client: r.Client, PolicyID: r.PolicyID, PolicyVersion: r.PolicyVersion, Basis: r.Basis,
		Shown: slices.Clone(r.Shown), Agreed: slices.Clone(r.Released), Until: r.Until, Receipt: r.ID,
	}
}

// ends reports whether the act ends an earlier one. Those come from this room alone.
func (a Act) ends() bool { return a == Withdrawn || a == Expired || a == Superseded }

// kind is "" for an act that does not exist.
func (r Receipt) kind() audit.Kind {
	switch r.Act {
	case Given:
		return audit.ConsentGiven
	case Refused:
		return audit.ConsentRefused
	case Informed:
		return audit.Informed
	case Reused:
		return audit.ConsentStanding
	case Withdrawn:
		return audit.ConsentWithdrawn
	case Expired:
		return audit.ConsentExpired
	case Superseded:
		return audit.ConsentSuperseded
	}
	return ""
}

func (r Receipt) event(e audit.Event) audit.Event {
	outcome := e.Public.Outcome
	if outcome == "" {
		outcome = "ok"
		if r.Act == Refused {
			outcome = string(protocol.AccessDenied)
		}
	}
	claims := make([]string, len(r.Released))
	for i, c := range r.Released {
		claims[i] = string(c)
	}
	e.Public = audit.Public{
		Kind: r.kind(), Client: string(r.Client), Policy: r.PolicyID, PolicyVersion: r.PolicyVersion,
		Rule: r.Rule, Claims: claims, ACR: string(r.ACR), Outcome: outcome, Basis: r.Basis,
		OfflineUntil: r.OfflineUntil,
	}
	e.Personal.Person = r.Person.String()
	e.Personal.Grant = r.Grant
	e.Personal.Provider = string(r.Provider)
	return e
}
