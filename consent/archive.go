package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/identity"
)

// Archive keeps what has become of receipts. Implemented by the store that keeps them.
// Any error but ErrMoved means that nobody can tell. Safe for concurrent use.
type Archive interface {
	// Receipts are all of a person, the oldest first.
	Receipts(ctx context.Context, person identity.PersonID) ([]Receipt, error)
	// Withdraw records ends, each with its entry, forgets the standing answers of their
	// services and purposes, and ends whatever could be renewed by a grant of theirs
	// that is younger than since, or that the client may still use while the person is
	// away; until then it keeps the others from beginning. Those grants are what
	// Unfinished lists. All of it or nothing, and durable when it returns nil.
	Withdraw(ctx context.Context, since, until time.Time, ends ...Ended) error
	// Unfinished are the withdrawals of which Finished was not yet said, oldest first.
	Unfinished(ctx context.Context, limit int) ([]Ending, error)
	// Finished forgets that there was something left to do.
	Finished(ctx context.Context, receipt [16]byte) error
	// Overdue are standing answers whose time was over at now.
	Overdue(ctx context.Context, now time.Time, limit int) ([]Standing, error)
	// ExpireAnswer records end and forgets the standing answer that it is about, or returns
	// ErrMoved and changes nothing when another stands in its place.
	ExpireAnswer(ctx context.Context, end Ended) error
	// Person finds her by her id.
	Person(ctx context.Context, id identity.PersonID) (identity.Person, error)
}

// ErrMoved: the answer that was to be used, or ended, does not stand any more.
var ErrMoved = errors.New("the answer does not stand any more")

// ErrNoReceipt: the person has none of this id.
var ErrNoReceipt = errors.New("no such receipt")

// expireAtOnce is how many standing answers one Expire ends at most.
const expireAtOnce = 500

// List returns all receipts of a person, the newest first.
func (l *Ledger) List(ctx context.Context, person identity.PersonID) ([]Receipt, error) {
	all, err := l.cfg.Archive.Receipts(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("list receipts: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}

// Get returns one receipt of a person. ErrNoReceipt: she has none of this id, whoever
// else may have.
func (l *Ledger) Get(ctx context.Context, person identity.PersonID, id [16]byte) (Receipt, error) {
	all, err := l.cfg.Archive.Receipts(ctx, person)
	if err != nil {
		return Receipt{}, fmt.Errorf("get a receipt: %w", err)
	}
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
	}
	return Receipt{}, ErrNoReceipt
}

// Withdrawable lists what a person may take back now: the newest answer to each
// service and purpose. Withdraw of its client and policy ends it.
func (l *Ledger) Withdrawable(ctx context.Context, person identity.PersonID) ([]Receipt, error) {
	all, err := l.cfg.Archive.Receipts(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("list what can be withdrawn: %w", err)
	}
	return withdrawable(all, Withdrawal{}, l.now()), nil
}

// Expire puts on record that the time of standing answers is over, and forgets them. It
// returns how many. They counted no more before: this says so.
func (l *Ledger) Expire(ctx context.Context) (int, error) {
	now := l.now()
	over, err := l.cfg.Archive.Overdue(ctx, now, expireAtOnce)
	if err != nil {
		return 0, fmt.Errorf("expired answers: %w", err)
	}
	var errs []error // one that cannot be ended does not keep the others
	for _, s := range over {
		if err := l.expire(ctx, s, now); err != nil {
			errs = append(errs, fmt.Errorf("expired answer to client %s: %w", s.Client, err))
		}
	}
	return len(over) - len(errs), errors.Join(errs...)
}

func (l *Ledger) expire(ctx context.Context, s Standing, now time.Time) error {
	person, err := l.cfg.Archive.Person(ctx, s.Person)
	if err != nil {
		return err
	}
	end, err := l.ended(Expired, s.receipt(), person.SealKey, now)
	if err == nil {
		err = l.cfg.Archive.ExpireAnswer(ctx, end)
	}
	if errors.Is(err, ErrMoved) { // she has answered anew meanwhile
		return nil
	}
	return err
}

// receipt is what a standing answer still knows of its receipt.
func (s Standing) receipt() Receipt {
	return Receipt{
		ID: s.Receipt, Person: s.Person, Client: s.Client, PolicyID: s.PolicyID, PolicyVersion: s.PolicyVersion,
		Basis: s.Basis, Shown: s.Shown, Released: s.Agreed,
	}
}
