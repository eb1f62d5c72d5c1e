package sql

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
)

// These tests reach inside, because nothing outside can make a commit fail at a
// chosen moment, before or after it took effect.

func clock() time.Time { return time.Date(2026, time.March, 29, 12, 0, 0, 0, time.UTC) }

func records(t *testing.T) *Records {
	t.Helper()
	r, err := OpenRecords(t.Context(), Config{Dir: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func flows(t *testing.T) *Flows {
	t.Helper()
	f, err := OpenFlows(t.Context(), Config{Dir: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// inWriter runs f in the writer's goroutine, which owns what f changes.
func inWriter(t *testing.T, w *writer, f func()) {
	t.Helper()
	if err := w.do(t.Context(), func(*tx) error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

var errCut = errors.New("the line was cut")

// cutAt makes the next commit fail at point, once.
func cutAt(t *testing.T, w *writer, point string) {
	t.Helper()
	inWriter(t, w, func() {
		armed := false // this very job commits first
		w.fault = func(at string) error {
			if at == w.afterCommit && !armed {
				armed = true
				return nil
			}
			if !armed || at != point {
				return nil
			}
			w.fault = nil
			return errCut
		}
	})
}

func receipt(person identity.PersonID, n byte) (consent.Receipt, *consent.Standing, audit.Entry) {
	e := audit.Entry{ID: [16]byte{n}, Time: clock()}
	r := consent.Receipt{ID: [16]byte{n}, Time: clock(), Act: consent.Given, Person: person, Client: "c", Audit: e.ID}
	return r, &consent.Standing{Person: person, Client: "c", Receipt: r.ID, Until: clock().Add(time.Hour)}, e
}

func TestFault_CommitFailsBeforeOrAfterItTookEffect(t *testing.T) {
	for _, c := range []struct {
		point string
		there bool
	}{{"records.before-commit", false}, {"records.after-commit", true}} {
		t.Run(c.point, func(t *testing.T) {
			r, ctx := records(t), t.Context()
			person := identity.PersonID{1}
			rec, st, e := receipt(person, 7)
			cutAt(t, r.db.writer, c.point)
			if err := r.Record(ctx, rec, st, e); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, errCut) {
				t.Errorf("Record = %v, want ErrUnknownOutcome and its cause", err)
			}
			got, err := r.Receipts(ctx, person)
			if err != nil || (len(got) == 1) != c.there {
				t.Errorf("Receipts = %d, %v, want it there: %t", len(got), err, c.there)
			}
			standing, err := r.Standing(ctx, person, "c", clock())
			if err != nil || (standing != nil) != c.there {
				t.Errorf("Standing = %v, %v, want it there: %t", standing, err, c.there)
			}
			if n, err := r.CountEntries(ctx); err != nil || (n == 1) != c.there {
				t.Errorf("CountEntries = %d, %v, want it there: %t", n, err, c.there)
			}
			// A caller that does not know asks again: it must never be first twice.
			cutAt(t, r.db.writer, c.point)
			if first, err := r.Consume(ctx, "code", "x", clock().Add(time.Minute), clock()); err == nil || first {
				t.Errorf("Consume = %t, %v, want false and an error", first, err)
			}
			if first, err := r.Consume(ctx, "code", "x", clock().Add(time.Minute), clock()); err != nil || first == c.there {
				t.Errorf("Consume again = %t, %v, want %t", first, err, !c.there)
			}
			// A refresh token whose rotation has no answer is rotated or it is not, and
			// its entry goes with it.
			f := provider.StoredFamily{Grant: "g", Person: person, Client: "c", Current: provider.Digest{1}, Expires: clock().Add(time.Hour)}
			if err := r.PutFamily(ctx, f, clock()); err != nil {
				t.Fatal(err)
			}
			next := f
			next.Current = provider.Digest{2}
			before, _ := r.CountEntries(ctx)
			cutAt(t, r.db.writer, c.point)
			if err := r.RotateFamily(ctx, f.Current, next, clock(), audit.Entry{ID: [16]byte{8}}); !errors.Is(err, ErrUnknownOutcome) || errors.Is(err, provider.ErrFamilyMoved) {
				t.Errorf("RotateFamily = %v, want ErrUnknownOutcome", err)
			}
			now, err := r.GetFamily(ctx, f.Family, clock())
			if err != nil || (now.Current == next.Current) != c.there {
				t.Errorf("GetFamily = %x, %v, want it rotated: %t", now.Current[:1], err, c.there)
			}
			if n, err := r.CountEntries(ctx); err != nil || (n == before+1) != c.there {
				t.Errorf("CountEntries = %d, %v, want one more: %t", n, err, c.there)
			}
			cutAt(t, r.db.writer, c.point)
			if err := r.EndFamily(ctx, f.Grant, clock().Add(time.Hour)); !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("EndFamily = %v, want ErrUnknownOutcome", err)
			}
			if now, err := r.GetFamily(ctx, f.Family, clock()); err != nil || now.Ended != c.there {
				t.Errorf("GetFamily = ended %t, %v, want %t", now.Ended, err, c.there)
			}
			// And somebody new is one person, whichever answer was lost.
			cutAt(t, r.db.writer, c.point)
			lost := identity.Person{ID: identity.PersonID{2}}
			if _, err := r.Resolve(ctx, [32]byte{2}, lost, clock()); err == nil {
				t.Error("Resolve: no error")
			}
			p, err := r.Resolve(ctx, [32]byte{2}, identity.Person{ID: identity.PersonID{3}}, clock())
			if err != nil || (p.ID == lost.ID) != c.there {
				t.Errorf("Resolve again = %x, %v, want the lost one: %t", p.ID, err, c.there)
			}
		})
	}
}

func TestFault_FlowAdvanceIsNeverStaleWhenTheCommitFailed(t *testing.T) {
	for _, c := range []struct {
		point string
		there bool
	}{{"flow.before-commit", false}, {"flow.after-commit", true}} {
		t.Run(c.point, func(t *testing.T) {
			f, ctx := flows(t), t.Context()
			flow := login.Flow{ID: "f", Stage: login.Choosing, Revision: 1, Expires: clock().Add(time.Hour)}
			if err := f.Create(ctx, flow); err != nil {
				t.Fatal(err)
			}
			next := flow
			next.Stage, next.Revision = login.AtProvider, 2
			cutAt(t, f.db.writer, c.point)
			if err := f.Advance(ctx, login.Choosing, next); !errors.Is(err, ErrUnknownOutcome) || errors.Is(err, login.ErrStale) {
				t.Errorf("Advance = %v, want ErrUnknownOutcome", err)
			}
			got, err := f.Load(ctx, "f", clock())
			if err != nil || (got.Revision == 2) != c.there {
				t.Errorf("Load = revision %d, %v, want it advanced: %t", got.Revision, err, c.there)
			}
		})
	}
}

// TestFault_DiskFull limits the size of the file, so that SQLite itself says
// that the disk is full, and then gives room again.
func TestFault_DiskFull(t *testing.T) {
	f, r, ctx := flows(t), records(t), t.Context()
	flow := login.Flow{ID: "f", Stage: login.Choosing, Revision: 1, Sealed: []byte("small"), Expires: clock().Add(time.Hour)}
	if err := f.Create(ctx, flow); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		for _, w := range []*writer{f.db.writer, r.db.writer} {
			inWriter(t, w, func() {
				if _, err := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	limit(1) // SQLite takes this as: no more than there are now
	big := make([]byte, 100_000)
	next := flow
	next.Stage, next.Revision, next.Sealed = login.AtProvider, 2, big
	rec, st, e := receipt(identity.PersonID{1}, 1)
	e.Sealed = big
	for name, err := range map[string]error{
		"Create":   f.Create(ctx, login.Flow{ID: "g", Sealed: big}),
		"Advance":  f.Advance(ctx, login.Choosing, next),
		"PutGrant": f.PutGrant(ctx, provider.StoredGrant{Kind: provider.CodeGrant, Sealed: big}),
		"Record":   r.Record(ctx, rec, st, e),
	} {
		var full *sqlite.Error
		if !errors.As(err, &full) || full.Code() != sqlite3.SQLITE_FULL {
			t.Errorf("%s = %v, want what SQLite says of a full disk", name, err)
		}
		if errors.Is(err, login.ErrStale) || errors.Is(err, login.ErrNoFlow) || errors.Is(err, provider.ErrNoGrant) {
			t.Errorf("%s = %v, want no word for no", name, err)
		}
	}
	if got, err := f.Load(ctx, "f", clock()); err != nil || got.Revision != 1 {
		t.Errorf("Load while the disk is full = %+v, %v, want the flow as it was", got, err)
	}
	if rs, err := r.Receipts(ctx, rec.Person); err != nil || len(rs) != 0 {
		t.Errorf("Receipts = %v, %v, want none", rs, err)
	}
	limit(1 << 30)
	if err := errors.Join(f.Advance(ctx, login.Choosing, next), r.Record(ctx, rec, st, e)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestFault_ABrokenStoreStaysBroken: after a flush that failed nothing is written
// any more, readiness says so, and nobody hears "no".
func TestFault_ABrokenStoreStaysBroken(t *testing.T) {
	r, ctx := records(t), t.Context()
	inWriter(t, r.db.writer, func() { r.db.broken = fmt.Errorf("%w: as if a flush had failed", ErrBroken) })
	if first, err := r.Consume(ctx, "code", "x", clock().Add(time.Minute), clock()); first || !errors.Is(err, ErrBroken) {
		t.Errorf("Consume = %t, %v, want ErrBroken", first, err)
	}
	if err := r.Ping(ctx); !errors.Is(err, ErrBroken) {
		t.Errorf("Ping = %v, want ErrBroken", err)
	}
}

// TestRun_EndsWhenTheStoreIsBroken: only a new process can trust the disk again,
// so the sweeper, which writes every few seconds, ends this one.
func TestRun_EndsWhenTheStoreIsBroken(t *testing.T) {
	r, f := records(t), flows(t)
	r.cfg.SweepEvery, f.cfg.SweepEvery = time.Millisecond, time.Millisecond
	for _, s := range []struct {
		w   *writer
		run func(context.Context) error
	}{{r.db.writer, r.Run}, {f.db.writer, f.Run}} {
		inWriter(t, s.w, func() { s.w.broken = fmt.Errorf("%w: as if a flush had failed", ErrBroken) })
		if err := s.run(t.Context()); !errors.Is(err, ErrBroken) {
			t.Errorf("Run = %v, want ErrBroken", err)
		}
	}
}

// TestResolve_AJobThatOutlivesItsCallerWritesNothingOfIts: for the race detector.
func TestResolve_AJobThatOutlivesItsCallerWritesNothingOfIts(t *testing.T) {
	r := records(t)
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
		p, err := r.Resolve(ctx, [32]byte{byte(i)}, identity.Person{ID: [16]byte{byte(i), 1}, SealKey: []byte("k")}, clock())
		if cancel(); (err == nil) != (p.ID == [16]byte{byte(i), 1}) {
			t.Errorf("Resolve = %x, %v", p.ID, err)
		}
	}
}

// hold stops the writer until the returned function is called, so that jobs
// queue up behind it.
func hold(t *testing.T, w *writer) (release func()) {
	t.Helper()
	entered, gate := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- w.do(context.Background(), func(*tx) error { close(entered); <-gate; return nil })
	}()
	<-entered
	return func() {
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// queued waits until n jobs wait for the writer.
func queued(w *writer, n int) {
	for len(w.jobs) < n {
		runtime.Gosched() // the queue has nothing that could wake us
	}
}

func TestWriter_OneBadJobHurtsNoNeighbour(t *testing.T) {
	r, ctx := records(t), t.Context()
	commits := 0
	inWriter(t, r.db.writer, func() {
		r.db.fault = func(at string) error {
			if at == r.db.afterCommit {
				commits++
			}
			return nil
		}
	})
	release := hold(t, r.db.writer)
	type answer struct {
		i   int
		err error
	}
	answers := make(chan answer)
	for i := range 10 {
		go func() {
			id := [16]byte{byte(i)}
			if i == 5 {
				id = [16]byte{4} // taken by its neighbour, whichever comes first
			}
			answers <- answer{i, r.AppendEntries(ctx, audit.Entry{ID: id})}
		}()
	}
	queued(r.db.writer, 10)
	release()
	bad := 0
	for range 10 {
		a := <-answers
		if a.err != nil {
			bad++
			if a.i != 4 && a.i != 5 {
				t.Errorf("entry %d = %v, want nil", a.i, a.err)
			}
		}
	}
	if n, err := r.CountEntries(ctx); bad != 1 || err != nil || n != 9 {
		t.Errorf("%d failed, %d entries, %v, want 1, 9", bad, n, err)
	}
	inWriter(t, r.db.writer, func() {
		if commits != 11 { // arming, holding, and nine good jobs alone
			t.Errorf("%d commits, want 11", commits)
		}
	})
}

func TestWriter_ManyShareOneCommit(t *testing.T) {
	r, ctx := records(t), t.Context()
	release := hold(t, r.db.writer)
	answers := make(chan error)
	for i := range maxBatch {
		go func() { answers <- r.AppendEntries(ctx, audit.Entry{ID: [16]byte{byte(i)}}) }()
	}
	queued(r.db.writer, maxBatch)
	commits := 0
	r.db.fault = func(at string) error { // the writer is held: nobody else looks at it
		if at == r.db.afterCommit {
			commits++
		}
		return nil
	}
	release()
	for range maxBatch {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	inWriter(t, r.db.writer, func() {
		if commits != 2 { // the one that held, and one for all
			t.Errorf("%d commits, want 2", commits)
		}
	})
}

func TestWriter_ACallerWhoLeavesWhileWaitingDoesNotKnow(t *testing.T) {
	r := records(t)
	release := hold(t, r.db.writer)
	ctx, leave := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() { answer <- r.AppendEntries(ctx, audit.Entry{ID: [16]byte{1}}) }()
	queued(r.db.writer, 1)
	leave()
	if err := <-answer; !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("AppendEntries = %v, want ErrUnknownOutcome and context.Canceled", err)
	}
	release()
	inWriter(t, r.db.writer, func() {})
	// She left before her turn came, so no work was done for her.
	if n, err := r.CountEntries(t.Context()); err != nil || n != 0 {
		t.Errorf("CountEntries = %d, %v, want 0", n, err)
	}
}

func TestUntrustworthy(t *testing.T) {
	if untrustworthy(errors.New("anything")) || untrustworthy(nil) {
		t.Error("an error that is not SQLite's closed the store")
	}
	f := flows(t)
	err := f.db.do(t.Context(), func(t *tx) error { _, err := t.exec(insertFlow, 1, nil, 1, 1, 1); return err })
	if err == nil || untrustworthy(err) {
		t.Errorf("a broken constraint (%v) closed the store", err)
	}
}
