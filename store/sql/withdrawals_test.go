package sql

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
)

// deaths is what was carried out.
type deaths struct {
	mu     sync.Mutex
	grants []string
	told   []protocol.ClientID
	err    error
}

func (d *deaths) End(_ context.Context, e consent.Ending) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.grants, d.told = append(d.grants, e.Grants...), append(d.told, e.Receipt.Client)
	return nil
}

// consentWorld is a ledger on the real store, and a person.
type consentWorld struct {
	*treeWorld
	ledger *consent.Ledger
	ended  *deaths
}

func newConsentWorld(t *testing.T) *consentWorld {
	t.Helper()
	w := &consentWorld{treeWorld: newTreeWorld(t, t.TempDir()), ended: &deaths{}}
	var err error
	w.ledger, err = consent.New(consent.Config{Store: w.records, Archive: w.records, Ender: w.ended, Audit: w.log, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// answers has her give an answer; grant is its grant.
func (w *consentWorld) answers(t *testing.T, client, grant string, change func(*consent.Receipt)) consent.Receipt {
	t.Helper()
	w.now = w.now.Add(time.Minute)
	r := consent.Receipt{
		Act: consent.Given, Person: w.person.ID, Client: protocol.ClientID(client), PolicyID: "library", PolicyVersion: 3, Basis: "consent",
		Shown: []protocol.Claim{protocol.GivenName, protocol.Email}, Released: []protocol.Claim{protocol.GivenName}, ACR: protocol.EIDAS1,
		Provider: "tax", Language: "fr", Notice: [32]byte{1}, Grant: grant, Until: w.now.AddDate(1, 0, 0),
	}
	if change != nil {
		change(&r)
	}
	r, err := w.ledger.Record(t.Context(), r, audit.Event{SealKey: w.person.SealKey})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *consentWorld) acts(t *testing.T) (acts []string) {
	t.Helper()
	all, err := w.records.Receipts(t.Context(), w.person.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		acts = append(acts, fmt.Sprintf("%s %s", r.Client, r.Act))
	}
	return acts
}

func (w *consentWorld) stands(t *testing.T, client string) bool {
	t.Helper()
	s, err := w.ledger.Standing(t.Context(), w.person.ID, protocol.ClientID(client))
	if err != nil {
		t.Fatal(err)
	}
	return s != nil
}

func (w *consentWorld) withdraws(t *testing.T, client string) []consent.Receipt {
	t.Helper()
	out, err := w.ledger.Withdraw(t.Context(), consent.Withdrawal{Person: w.person, Client: protocol.ClientID(client), Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func TestWithdraw_OneServiceOrAll(t *testing.T) {
	w := newConsentWorld(t)
	w.answers(t, "library", "g1", nil)
	reused := w.answers(t, "library", "g2", func(r *consent.Receipt) {
		r.Act, r.Notice, r.Language = consent.Reused, [32]byte{}, ""
	})
	w.answers(t, "theatre", "g3", nil)
	got := w.withdraws(t, "library")
	if len(got) != 1 || got[0].Act != consent.Withdrawn || got[0].About != reused.ID || !slices.Equal(got[0].Released, reused.Released) || got[0].Audit == [16]byte{} {
		t.Errorf("receipts of the withdrawal: %+v", got)
	}
	same(t, "dead grants", w.ended.grants, []string{"g1", "g2"})
	same(t, "standing answers", []bool{w.stands(t, "library"), w.stands(t, "theatre")}, []bool{false, true})
	if again := w.withdraws(t, "library"); len(again) != 0 {
		t.Errorf("a second withdrawal of the same: %+v", again)
	}
	w.withdraws(t, "")
	same(t, "told", w.ended.told, []protocol.ClientID{"library", "theatre"})
	same(t, "acts", w.acts(t), []string{"library given", "library reused", "theatre given", "library withdrawn", "theatre withdrawn"})
	w.answers(t, "library", "g4", nil)
	if !w.stands(t, "library") {
		t.Error("what she agrees to afterwards counts")
	}
}

// A code of long ago is dead by age; one by which the service may come back is not.
func TestWithdraw_EndsWhatMayStillLive(t *testing.T) {
	w := newConsentWorld(t)
	w.answers(t, "library", "old", nil)
	w.answers(t, "library", "offline", func(r *consent.Receipt) { r.OfflineUntil = w.now.AddDate(0, 6, 0) })
	w.now = w.now.AddDate(0, 1, 0)
	w.answers(t, "library", "young", nil)
	w.withdraws(t, "library")
	same(t, "dead grants", w.ended.grants, []string{"offline", "young"})
	if err := w.records.PutFamily(t.Context(), provider.StoredFamily{Grant: "offline", Person: w.person.ID, Client: "library", Current: provider.Digest{1}, Expires: w.now.Add(time.Hour)}, w.now); err == nil {
		t.Error("a family begins after the withdrawal")
	}
}

// What is on record is carried out in the end, once, whatever fails in between.
func TestWithdraw_IsFinishedAfterAFailure(t *testing.T) {
	w := newConsentWorld(t)
	w.answers(t, "library", "g1", nil)
	w.ended.err = errors.New("flow.db is away")
	got, err := w.ledger.Withdraw(t.Context(), consent.Withdrawal{Person: w.person, Language: "fr"})
	if !errors.Is(err, consent.ErrUnfinished) || len(got) != 1 || w.stands(t, "library") {
		t.Fatalf("Withdraw: %+v, %v, stands %t", got, err, w.stands(t, "library"))
	}
	if err := w.ledger.Finish(t.Context()); err == nil {
		t.Error("Finish says nothing of a failure")
	}
	w.ended.err = nil
	for range 2 {
		if err := w.ledger.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "dead grants", w.ended.grants, []string{"g1"})
	same(t, "acts", w.acts(t), []string{"library given", "library withdrawn"})
}

func TestRecord_AStandingAnswerThatWasTakenBackReleasesNothing(t *testing.T) {
	w := newConsentWorld(t)
	given := w.answers(t, "library", "g1", nil)
	w.withdraws(t, "library")
	before := w.acts(t)
	reuse := given
	reuse.Act, reuse.About, reuse.Grant, reuse.Notice = consent.Reused, given.ID, "g2", [32]byte{}
	if _, err := w.ledger.Record(t.Context(), reuse, audit.Event{SealKey: w.person.SealKey}); !errors.Is(err, consent.ErrMoved) {
		t.Errorf("Record: %v, want ErrMoved", err)
	}
	same(t, "acts", w.acts(t), before)
}

func TestRecord_SaysWhatTheNewAnswerTakesThePlaceOf(t *testing.T) {
	w := newConsentWorld(t)
	first := w.answers(t, "library", "g1", nil)
	w.answers(t, "library", "g2", func(r *consent.Receipt) { r.Until = w.now.Add(time.Hour) })
	w.now = w.now.Add(2 * time.Hour)
	w.answers(t, "library", "g3", nil)
	same(t, "acts", w.acts(t), []string{"library given", "library superseded", "library given", "library expired", "library given"})
	all, err := w.records.Receipts(t.Context(), w.person.ID)
	if err != nil || all[1].About != first.ID {
		t.Errorf("superseded: about %x, %v, want %x", all[1].About, err, first.ID)
	}
}

func TestExpire_PutsTheEndOnRecordOnce(t *testing.T) {
	w := newConsentWorld(t)
	w.answers(t, "library", "g1", nil)
	w.answers(t, "theatre", "g2", func(r *consent.Receipt) { r.Until = w.now.AddDate(2, 0, 0) })
	if n, err := w.ledger.Expire(t.Context()); n != 0 || err != nil {
		t.Errorf("Expire = %d, %v before its time", n, err)
	}
	w.now = w.now.AddDate(1, 0, 1)
	for _, want := range []int{1, 0} {
		if n, err := w.ledger.Expire(t.Context()); n != want || err != nil {
			t.Errorf("Expire = %d, %v, want %d", n, err, want)
		}
	}
	same(t, "acts", w.acts(t), []string{"library given", "theatre given", "library expired"})
}

// TestWithdraw_RacesWithSignIns: whatever comes first, what the withdrawal has said is
// gone is gone, and every release that it did not see came after it.
func TestWithdraw_RacesWithSignIns(t *testing.T) {
	w := newConsentWorld(t)
	given := w.answers(t, "library", "g", nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var released []string
	for i := range 20 {
		wg.Go(func() {
			r := given
			r.Act, r.About, r.Grant, r.Notice = consent.Reused, given.ID, fmt.Sprint("reuse-", i), [32]byte{}
			_, err := w.ledger.Record(t.Context(), r, audit.Event{SealKey: w.person.SealKey})
			switch {
			case err == nil:
				mu.Lock()
				released = append(released, r.Grant)
				mu.Unlock()
			case !errors.Is(err, consent.ErrMoved):
				t.Error(err)
			}
		})
	}
	wg.Go(func() { w.withdraws(t, "library") })
	wg.Wait()
	for _, g := range released {
		if !slices.Contains(w.ended.grants, g) {
			t.Errorf("grant %s was allowed by an answer that is taken back, and lives", g)
		}
	}
	if w.stands(t, "library") {
		t.Error("it still stands")
	}
}
