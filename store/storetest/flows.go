package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// Flows checks login.FlowStore. open returns an empty store and closes it with
// the test.
func Flows(t *testing.T, open func(t *testing.T) login.FlowStore) {
	t.Run("a flow comes back as it was created", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		got, err := s.Load(t.Context(), f.ID, base)
		must(t, err)
		same(t, "Load", got, f)
	})
	t.Run("an unknown flow is no flow, and stale to advance", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		if _, err := s.Load(t.Context(), f.ID, base); !errors.Is(err, login.ErrNoFlow) {
			t.Errorf("Load = %v, want ErrNoFlow", err)
		}
		if err := s.Advance(t.Context(), f.Stage, after(f, login.AtProvider)); !errors.Is(err, login.ErrStale) {
			t.Errorf("Advance = %v, want ErrStale", err)
		}
		if _, err := s.Load(t.Context(), f.ID, base); !errors.Is(err, login.ErrNoFlow) {
			t.Errorf("Load after Advance = %v, want ErrNoFlow: it must not have been made", err)
		}
	})
	t.Run("a flow ends at the instant it expires", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		if _, err := s.Load(t.Context(), f.ID, f.Expires.Add(-time.Microsecond)); err != nil {
			t.Errorf("Load just before = %v, want the flow", err)
		}
		if _, err := s.Load(t.Context(), f.ID, f.Expires); !errors.Is(err, login.ErrNoFlow) {
			t.Errorf("Load at expiry = %v, want ErrNoFlow", err)
		}
	})
	t.Run("an id that is taken is refused and changes nothing", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		other := newFlow(t)
		other.ID, other.Sealed = f.ID, []byte("somebody else's")
		wantUnknown(t, "Create", s.Create(t.Context(), other), login.ErrNoFlow, login.ErrStale)
		got, err := s.Load(t.Context(), f.ID, base)
		must(t, err)
		same(t, "Load", got, f)
	})
	t.Run("advancing replaces everything but the id", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		next := after(f, login.AtProvider)
		next.Sealed, next.Expires = []byte("short"), f.Expires.Add(-time.Minute)
		must(t, s.Advance(t.Context(), login.Choosing, next))
		got, err := s.Load(t.Context(), f.ID, base)
		must(t, err)
		same(t, "Load", got, next)
	})
	flowRaces(t, open)
	flowFaults(t, open)
}

func flowRaces(t *testing.T, open func(t *testing.T) login.FlowStore) {
	t.Run("of fifty who advance at once one wins and the rest are stale", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		errs := together(50, func(i int) error {
			next := after(f, login.AtProvider)
			next.Sealed = []byte{byte(i)}
			return s.Advance(t.Context(), login.Choosing, next)
		})
		winner := slices.Index(errs, nil)
		for i, err := range errs {
			if i != winner && !errors.Is(err, login.ErrStale) {
				t.Errorf("call %d = %v, want ErrStale", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		got, err := s.Load(t.Context(), f.ID, base)
		must(t, err)
		want := after(f, login.AtProvider)
		want.Sealed = []byte{byte(winner)}
		same(t, "Load", got, want)
	})
	t.Run("a flow that came back to its stage is stale to those who saw it before", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		away := after(f, login.AtProvider)
		must(t, s.Advance(t.Context(), login.Choosing, away))
		back := after(away, login.Choosing)
		must(t, s.Advance(t.Context(), login.AtProvider, back))
		if err := s.Advance(t.Context(), login.Choosing, after(f, login.AtProvider)); !errors.Is(err, login.ErrStale) {
			t.Errorf("Advance from the first revision = %v, want ErrStale", err)
		}
		got, err := s.Load(t.Context(), f.ID, base)
		must(t, err)
		same(t, "Load", got, back)
	})
	t.Run("the stage counts as much as the revision", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		must(t, s.Create(t.Context(), f))
		if err := s.Advance(t.Context(), login.Asking, after(f, login.Answered)); !errors.Is(err, login.ErrStale) {
			t.Errorf("Advance from another stage = %v, want ErrStale", err)
		}
		same1 := after(f, login.AtProvider)
		same1.Revision = f.Revision
		if err := s.Advance(t.Context(), login.Choosing, same1); !errors.Is(err, login.ErrStale) {
			t.Errorf("Advance to the same revision = %v, want ErrStale", err)
		}
		zero := after(f, login.AtProvider)
		zero.Revision = 0
		if err := s.Advance(t.Context(), login.Choosing, zero); !errors.Is(err, login.ErrStale) {
			t.Errorf("Advance to revision 0 = %v, want ErrStale", err)
		}
	})
	t.Run("each sees its own writes at once while others write", func(t *testing.T) {
		s := open(t)
		errs := together(40, func(int) error {
			f := newFlow(t)
			if err := s.Create(t.Context(), f); err != nil {
				return err
			}
			for range 5 {
				next := after(f, f.Stage)
				if err := s.Advance(t.Context(), f.Stage, next); err != nil {
					return err
				}
				got, err := s.Load(t.Context(), f.ID, base)
				if err != nil {
					return err
				}
				if got.Revision != next.Revision {
					return errors.New("an older revision was read")
				}
				f = next
			}
			return nil
		})
		must(t, errors.Join(errs...))
	})
}

func flowFaults(t *testing.T, open func(t *testing.T) login.FlowStore) {
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s, f := open(t), newFlow(t)
		ctx := cancelled(t)
		wantUnknown(t, "Create", s.Create(ctx, f), login.ErrNoFlow, login.ErrStale)
		_, err := s.Load(ctx, f.ID, base)
		wantUnknown(t, "Load", err, login.ErrNoFlow)
		wantUnknown(t, "Advance", s.Advance(ctx, f.Stage, after(f, login.AtProvider)), login.ErrNoFlow, login.ErrStale)
	})
}

// newFlow is a flow that has just begun.
func newFlow(t *testing.T) login.Flow {
	t.Helper()
	sealed := make([]byte, 1200)
	random(t, sealed)
	return login.Flow{ID: flowID(t), Stage: login.Choosing, Revision: 1, Sealed: sealed, Expires: base.Add(30 * time.Minute)}
}

// after is what follows f at stage to.
func after(f login.Flow, to login.Stage) login.Flow {
	f.Stage, f.Revision = to, f.Revision+1
	return f
}
