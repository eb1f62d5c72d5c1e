package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// grantLife is longer than a code and the access tokens that it buys live, and the
// request that is just making them: what is older is dead by age, unless the client
// may come back while she is away.
const grantLife = 2 * time.Hour

// basisConsent is the legal basis on which a person decides. On the others she is told.
const basisConsent = "consent"

// finishAtOnce is how many endings one Finish carries out at most.
const finishAtOnce = 100

// Withdrawal is what a person takes back, herself.
type Withdrawal struct {
	Person   identity.Person
	Client   protocol.ClientID // "": of every service
	PolicyID string            // "": every purpose
	Language string            // of the page that she does it on
}

// Ended is an act that ends an answer, with its audit entry.
type Ended struct {
	Receipt Receipt // its About is the receipt of the answer that ends
	Entry   audit.Entry
}

// Ending is a withdrawal that is on record and not yet carried out.
type Ending struct {
	Receipt Receipt
	Grants  []string // whose tokens may be alive
}

// Ender carries a withdrawal out where the tokens are. Implemented by
// provider.Withdrawals.
type Ender interface {
	// End kills what is left of the grants, now and later, and puts the news for the
	// service where it is not lost. It may be called again with the same.
	End(ctx context.Context, e Ending) error
}

// ErrUnfinished: a withdrawal is on record, and not yet everything of it is done.
var ErrUnfinished = errors.New("the withdrawal is on record and not yet carried out")

// Withdraw takes a person's answers back: durably, in one transaction with the audit
// entries, with the end of what is remembered and of everything that could be renewed.
// Then every code and token that is out is killed, also one that a request is just
// making, and the service is told. It returns the receipts, one for each service and
// purpose; none: there was nothing to take back, so that a second call does no harm.
//
// ErrUnfinished comes beside the receipts: it is on record, and Finish does the rest
// as soon as the stores let it. After any other error nobody knows whether it is on
// record; she may do it again.
//
// What she agreed to counts until she takes it back, remembered or not. Of what she
// was only told of, on another basis, there is something to end while it is remembered
// or while tokens of it may live.
func (l *Ledger) Withdraw(ctx context.Context, w Withdrawal) ([]Receipt, error) {
	all, err := l.cfg.Archive.Receipts(ctx, w.Person.ID)
	if err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	now := l.now()
	var ends []Ended
	var out []Receipt
	for _, last := range withdrawable(all, w, now) {
		end, err := l.ended(Withdrawn, last, w.Person.SealKey, now)
		if err != nil {
			return nil, fmt.Errorf("withdraw: %w", err)
		}
		end.Receipt.Language = w.Language
		ends, out = append(ends, end), append(out, end.Receipt)
	}
	if len(ends) == 0 {
		return nil, nil
	}
	failpoint.Here("withdraw.before-record")
	if err := l.cfg.Archive.Withdraw(ctx, now.Add(-grantLife), now.Add(grantLife), ends...); err != nil {
		return nil, fmt.Errorf("withdraw: %w", err)
	}
	failpoint.Here("withdraw.after-record")
	if err := l.Finish(ctx); err != nil {
		return out, errors.Join(ErrUnfinished, err)
	}
	return out, nil
}

// withdrawable are the newest answers that w takes back, one for each service and
// purpose, in the order in which the services came into her life. all are the oldest
// first.
func withdrawable(all []Receipt, w Withdrawal, now time.Time) []Receipt {
	var out []Receipt
	for _, r := range all {
		if w.Client != "" && w.Client != r.Client || w.PolicyID != "" && w.PolicyID != r.PolicyID {
			continue
		}
		at := slices.IndexFunc(out, func(o Receipt) bool { return o.Client == r.Client && o.PolicyID == r.PolicyID })
		switch {
		case r.Act == Withdrawn && at >= 0:
			out = slices.Delete(out, at, at+1)
		case !r.Act.allows() || r.Basis != basisConsent && !r.alive(now):
		case at >= 0:
			out[at] = r
		default:
			out = append(out, r)
		}
	}
	return out
}

// allows reports whether something left by this act.
func (a Act) allows() bool { return a == Given || a == Informed || a == Reused }

// alive reports whether r is remembered, or something that it allowed may live.
func (r Receipt) alive(now time.Time) bool {
	return r.Until.After(now) || r.OfflineUntil.After(now) || r.Time.After(now.Add(-grantLife))
}

// ended is the act that ends an answer.
func (l *Ledger) ended(act Act, last Receipt, sealKey []byte, now time.Time) (Ended, error) {
	r := Receipt{
		ID: newID(), Time: now, Act: act, Person: last.Person, Client: last.Client, PolicyID: last.PolicyID,
		PolicyVersion: last.PolicyVersion, Basis: last.Basis, Shown: last.Shown, Released: last.Released,
		Notice: last.Notice, Language: last.Language, About: last.ID,
	}
	e := r.event(audit.Event{SealKey: sealKey})
	if act == Expired && len(sealKey) == 0 {
		e.Personal = audit.Personal{} // her key is destroyed: nothing is said of her any more
	}
	entry, err := l.cfg.Audit.Prepare(e)
	r.Audit = entry.ID
	return Ended{r, entry}, err
}

// Finish carries out the withdrawals that are on record and were not: a crash or a
// store that failed came between. The caller calls it every second, and before it
// serves anybody.
func (l *Ledger) Finish(ctx context.Context) error {
	open, err := l.cfg.Archive.Unfinished(ctx, finishAtOnce)
	if err != nil {
		return fmt.Errorf("unfinished withdrawals: %w", err)
	}
	for _, e := range open {
		if err := l.cfg.Ender.End(ctx, e); err != nil {
			return fmt.Errorf("carry out the withdrawal from client %s: %w", e.Receipt.Client, err)
		}
		failpoint.Here("withdraw.after-end")
		if err := l.cfg.Archive.Finished(ctx, e.Receipt.ID); err != nil {
			return fmt.Errorf("carry out the withdrawal from client %s: %w", e.Receipt.Client, err)
		}
	}
	return nil
}
