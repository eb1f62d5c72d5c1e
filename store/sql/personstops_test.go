package sql_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/store/sql"
)

func TestPersonStops_HoldAcrossARestartAndTheirEndIsKept(t *testing.T) {
	dir := t.TempDir()
	r := openRecords(t, dir)
	her := identity.Person{ID: identity.PersonID{1}, SealKey: []byte("wrapped")}
	_, err := r.Resolve(t.Context(), [32]byte{1}, her, day())
	must(t, err)
	entry := func(n byte) audit.Entry {
		return audit.Entry{ID: [16]byte{n}, Time: day(), Public: []byte(`{}`), Sealed: []byte("x"), Leaf: [32]byte{n}}
	}
	stop := sql.PersonStop{Person: her.ID, Reason: "her card was stolen", Since: day()}
	if err := r.PutPersonStop(t.Context(), sql.PersonStop{Person: identity.PersonID{9}, Since: day()}, entry(9)); err == nil {
		t.Error("a stop for nobody")
	}
	if err := r.LiftPersonStop(t.Context(), her.ID, day(), entry(8)); !errors.Is(err, sql.ErrNotStopped) {
		t.Errorf("a lift without a stop: %v", err)
	}
	must(t, r.PutPersonStop(t.Context(), stop, entry(1)))
	if err := r.PutPersonStop(t.Context(), stop, entry(2)); !errors.Is(err, sql.ErrStopped) {
		t.Errorf("a second stop: %v", err)
	}
	must(t, r.Close())
	r = openRecords(t, dir)
	check := func(want sql.PersonStop) {
		t.Helper()
		got, err := r.PersonStops(t.Context())
		if err != nil || !slices.Equal(got, []sql.PersonStop{want}) {
			t.Errorf("PersonStops = %+v, %v, want %+v", got, err, want)
		}
	}
	check(stop)
	lifted := day().Add(time.Hour)
	must(t, r.LiftPersonStop(t.Context(), her.ID, lifted, entry(3)))
	stop.Lifted = lifted
	check(stop)
	again := sql.PersonStop{Person: her.ID, Reason: "once more", Since: lifted.Add(time.Hour)}
	must(t, r.PutPersonStop(t.Context(), again, entry(4)))
	check(again)
}

func TestPeople_AreFoundByIdAndListedInStretches(t *testing.T) {
	r := openRecords(t, t.TempDir())
	var ids []identity.PersonID
	for n := byte(1); n <= 5; n++ {
		p := identity.Person{ID: identity.PersonID{n}, SealKey: []byte{n}}
		_, err := r.Resolve(t.Context(), [32]byte{n}, p, day())
		must(t, err)
		got, err := r.Person(t.Context(), p.ID)
		if err != nil || got.ID != p.ID || got.SealKey[0] != n {
			t.Errorf("Person = %v, %v", got, err)
		}
		ids = append(ids, p.ID)
	}
	if _, err := r.Person(t.Context(), identity.PersonID{9}); !errors.Is(err, sql.ErrNoPerson) {
		t.Errorf("nobody: %v", err)
	}
	var all []identity.PersonID
	var last identity.PersonID
	for {
		part, err := r.People(t.Context(), last, 2)
		must(t, err)
		if len(part) == 0 {
			break
		}
		all, last = append(all, part...), part[len(part)-1]
	}
	if !slices.Equal(all, ids) {
		t.Errorf("People = %v, want %v", all, ids)
	}
}
