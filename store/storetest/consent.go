package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// Ledger is what the consent suite needs: one store that keeps receipts and
// audit entries together, and can show a person's receipts, oldest first.
type Ledger interface {
	consent.Store
	audit.Store
	Receipts(ctx context.Context, p identity.PersonID) ([]consent.Receipt, error)
}

// Consent checks consent.Store, and that receipt, audit entry and standing
// answer are recorded all or nothing. open returns an empty store and closes it
// with the test.
func Consent(t *testing.T, open func(t *testing.T) Ledger) {
	t.Run("what is recorded comes back whole", func(t *testing.T) {
		s := open(t)
		r, st, e := newRecord(t)
		must(t, s.Record(t.Context(), r, &st, e))
		got, err := s.Receipts(t.Context(), r.Person)
		must(t, err)
		same(t, "Receipts", got, []consent.Receipt{r})
		wantStanding(t, s, r, base, &st)
		wantEntry(t, s, e, true)
	})
	t.Run("an answer that is not to be remembered leaves none", func(t *testing.T) {
		s := open(t)
		r, _, e := newRecord(t)
		r.Until, r.OfflineUntil, r.Shown, r.Released = time.Time{}, time.Time{}, nil, nil
		must(t, s.Record(t.Context(), r, nil, e))
		got, err := s.Receipts(t.Context(), r.Person)
		must(t, err)
		same(t, "Receipts", got, []consent.Receipt{r})
		wantStanding(t, s, r, base, nil)
	})
	t.Run("a newer answer replaces the remembered one, and both receipts stay", func(t *testing.T) {
		s := open(t)
		r1, st1, e1 := newRecord(t)
		must(t, s.Record(t.Context(), r1, &st1, e1))
		r2, st2, e2 := following(t, r1)
		st2.Agreed, st2.PolicyVersion, st2.Until = nil, st1.PolicyVersion+1, st1.Until.Add(-time.Hour)
		must(t, s.Record(t.Context(), r2, &st2, e2))
		wantStanding(t, s, r1, base, &st2)
		got, err := s.Receipts(t.Context(), r1.Person)
		must(t, err)
		same(t, "Receipts", got, []consent.Receipt{r1, r2})
	})
	t.Run("a refusal is on record and leaves the remembered answer alone", func(t *testing.T) {
		s := open(t)
		r1, st1, e1 := newRecord(t)
		must(t, s.Record(t.Context(), r1, &st1, e1))
		r2, _, e2 := following(t, r1)
		r2.Act, r2.Released, r2.Grant, r2.Until = consent.Refused, nil, "", time.Time{}
		must(t, s.Record(t.Context(), r2, nil, e2))
		wantStanding(t, s, r1, base, &st1)
		got, err := s.Receipts(t.Context(), r1.Person)
		must(t, err)
		same(t, "Receipts", got, []consent.Receipt{r1, r2})
	})
	t.Run("a remembered answer ends at the instant it expires", func(t *testing.T) {
		s := open(t)
		r, st, e := newRecord(t)
		must(t, s.Record(t.Context(), r, &st, e))
		wantStanding(t, s, r, st.Until.Add(-time.Microsecond), &st)
		wantStanding(t, s, r, st.Until, nil)
	})
	t.Run("answers of other persons and to other clients are not hers", func(t *testing.T) {
		s := open(t)
		r, st, e := newRecord(t)
		must(t, s.Record(t.Context(), r, &st, e))
		other := r
		other.Client = "another"
		wantStanding(t, s, other, base, nil)
		other = r
		other.Person = bytes16(t)
		wantStanding(t, s, other, base, nil)
	})
	consentAllOrNothing(t, open)
	t.Run("fifty acts at once are all on record, each with its entry", func(t *testing.T) {
		s := open(t)
		r0, _, _ := newRecord(t)
		errs := together(50, func(int) error {
			r, st, e := following(t, r0)
			return s.Record(t.Context(), r, &st, e)
		})
		for _, err := range errs {
			must(t, err)
		}
		got, err := s.Receipts(t.Context(), r0.Person)
		must(t, err)
		if len(got) != 50 {
			t.Errorf("%d receipts, want 50", len(got))
		}
	})
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s := open(t)
		r, st, e := newRecord(t)
		wantUnknown(t, "Record", s.Record(cancelled(t), r, &st, e))
		if got, err := s.Standing(cancelled(t), r.Person, r.Client, base); err == nil || got != nil {
			t.Errorf("Standing = %v, %v, want nil and an error", got, err)
		}
	})
}

func consentAllOrNothing(t *testing.T, open func(t *testing.T) Ledger) {
	t.Run("when the audit entry cannot be stored nothing is", func(t *testing.T) {
		s := open(t)
		r, st, e := newRecord(t)
		must(t, s.AppendEntries(t.Context(), e))
		wantUnknown(t, "Record", s.Record(t.Context(), r, &st, e))
		wantStanding(t, s, r, base, nil)
		wantReceipts(t, s, r.Person, 0)
	})
	t.Run("when the receipt cannot be stored nothing is", func(t *testing.T) {
		s := open(t)
		r1, st1, e1 := newRecord(t)
		must(t, s.Record(t.Context(), r1, &st1, e1))
		r2, st2, e2 := newRecord(t)
		r2.ID, st2.Receipt = r1.ID, r1.ID
		wantUnknown(t, "Record", s.Record(t.Context(), r2, &st2, e2))
		wantStanding(t, s, r2, base, nil)
		wantReceipts(t, s, r2.Person, 0)
		wantEntry(t, s, e2, false)
	})
	t.Run("parts that do not belong together are refused", func(t *testing.T) {
		s := open(t)
		for name, spoil := range map[string]func(*consent.Receipt, *consent.Standing){
			"another audit entry":  func(r *consent.Receipt, _ *consent.Standing) { r.Audit = bytes16(t) },
			"another person":       func(_ *consent.Receipt, s *consent.Standing) { s.Person = bytes16(t) },
			"another client":       func(_ *consent.Receipt, s *consent.Standing) { s.Client = "another" },
			"another receipt":      func(_ *consent.Receipt, s *consent.Standing) { s.Receipt = bytes16(t) },
			"a remembered refusal": func(r *consent.Receipt, _ *consent.Standing) { r.Act = consent.Refused },
			"a name with a space":  func(r *consent.Receipt, _ *consent.Standing) { r.Shown = []protocol.Claim{"a b"} },
		} {
			r, st, e := newRecord(t)
			spoil(&r, &st)
			wantUnknown(t, name, s.Record(t.Context(), r, &st, e))
			wantReceipts(t, s, r.Person, 0)
			wantStanding(t, s, r, base, nil)
			wantEntry(t, s, e, false)
		}
	})
	t.Run("one bad act among many good ones hurts nobody else", func(t *testing.T) {
		s := open(t)
		bad, badSt, badE := newRecord(t)
		must(t, s.AppendEntries(t.Context(), badE))
		good := make([]consent.Receipt, 40)
		errs := together(len(good)+5, func(i int) error {
			if i >= len(good) {
				return s.Record(t.Context(), bad, &badSt, badE)
			}
			r, st, e := newRecord(t)
			good[i] = r
			return s.Record(t.Context(), r, &st, e)
		})
		for i, r := range good {
			must(t, errs[i])
			wantReceipts(t, s, r.Person, 1)
		}
		for _, err := range errs[len(good):] {
			wantUnknown(t, "the bad one", err)
		}
		wantReceipts(t, s, bad.Person, 0)
	})
}

// Audit checks audit.Store. open returns an empty store and closes it with the
// test.
func Audit(t *testing.T, open func(t *testing.T) audit.Store) {
	t.Run("an entry is stored once", func(t *testing.T) {
		s, e := open(t), newEntry(t)
		must(t, s.AppendEntries(t.Context(), e))
		wantEntry(t, s, e, true)
	})
	t.Run("no entries are no error", func(t *testing.T) {
		must(t, open(t).AppendEntries(t.Context()))
	})
	t.Run("several entries are stored all or nothing", func(t *testing.T) {
		s, a, b, c := open(t), newEntry(t), newEntry(t), newEntry(t)
		must(t, s.AppendEntries(t.Context(), b))
		wantUnknown(t, "AppendEntries", s.AppendEntries(t.Context(), a, b, c))
		wantEntry(t, s, a, false)
		wantEntry(t, s, c, false)
	})
	t.Run("a caller who has gone gets an error", func(t *testing.T) {
		wantUnknown(t, "AppendEntries", open(t).AppendEntries(cancelled(t), newEntry(t)))
	})
}

// wantEntry finds out whether an entry is there by adding it again: ids are
// unique, and nothing is ever replaced.
func wantEntry(t *testing.T, s audit.Store, e audit.Entry, there bool) {
	t.Helper()
	err := s.AppendEntries(t.Context(), e)
	if there && err == nil {
		t.Error("the audit entry was not there")
	}
	if !there && err != nil {
		t.Errorf("the audit entry was there, or cannot be added: %v", err)
	}
}

func wantReceipts(t *testing.T, s Ledger, p identity.PersonID, n int) {
	t.Helper()
	got, err := s.Receipts(t.Context(), p)
	must(t, err)
	if len(got) != n {
		t.Errorf("%d receipts, want %d", len(got), n)
	}
}

func wantStanding(t *testing.T, s consent.Store, r consent.Receipt, now time.Time, want *consent.Standing) {
	t.Helper()
	got, err := s.Standing(t.Context(), r.Person, r.Client, now)
	must(t, err)
	if (got == nil) != (want == nil) {
		t.Fatalf("Standing = %+v, want %+v", got, want)
	}
	if want != nil {
		same(t, "Standing", *got, *want)
	}
}

func newEntry(t *testing.T) audit.Entry {
	t.Helper()
	return audit.Entry{
		ID: bytes16(t), Time: base, Public: []byte(`{"kind":"consent.given"}`), Sealed: []byte("sealed"), Leaf: bytes32(t),
	}
}

// newRecord is somebody's first act at a client, remembered for a year.
func newRecord(t *testing.T) (consent.Receipt, consent.Standing, audit.Entry) {
	t.Helper()
	return following(t, consent.Receipt{Person: bytes16(t), Client: "city-library"})
}

// following is another act of the same person at the same client.
func following(t *testing.T, r consent.Receipt) (consent.Receipt, consent.Standing, audit.Entry) {
	t.Helper()
	e := newEntry(t)
	until := base.AddDate(1, 0, 0)
	next := consent.Receipt{
		ID: bytes16(t), Time: base, Act: consent.Given, Person: r.Person, Client: r.Client,
		PolicyID: "library", PolicyVersion: 3, Basis: "consent", Rule: "ask",
		Shown:    []protocol.Claim{protocol.GivenName, protocol.AgeOver16, protocol.Email},
		Released: []protocol.Claim{protocol.GivenName, protocol.AgeOver16},
		ACR:      protocol.EIDAS1, Provider: "tax", Language: "fr", Notice: bytes32(t),
		Until: until, OfflineUntil: base.AddDate(0, 6, 0), Grant: "0f0e0d0c0b0a09080706050403020100", Audit: e.ID,
	}
	return next, consent.Standing{
		Person: next.Person, Client: next.Client, PolicyID: next.PolicyID, PolicyVersion: next.PolicyVersion, Basis: next.Basis,
		Shown: next.Shown, Agreed: next.Released, Until: until, Receipt: next.ID,
	}, e
}
