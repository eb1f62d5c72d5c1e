package storetest

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
)

// Families is what the refresh suite needs: one store that keeps families and audit
// entries together.
type Families interface {
	provider.RefreshStore
	audit.Store
}

// Refresh checks provider.RefreshStore, and that a rotation and its audit entry are
// stored all or nothing. open returns an empty store and closes it with the test.
func Refresh(t *testing.T, open func(t *testing.T) Families) {
	t.Run("a family comes back until the instant it expires", func(t *testing.T) {
		s, want := open(t), newFamily(t)
		wantNoFamily(t, s, want, base)
		must(t, s.PutFamily(t.Context(), want, base))
		wantFamily(t, s, want, want.Expires.Add(-time.Microsecond))
		wantNoFamily(t, s, want, want.Expires)
	})
	t.Run("a grant or a handle that is taken is refused and changes nothing", func(t *testing.T) {
		s, want := open(t), newFamily(t)
		must(t, s.PutFamily(t.Context(), want, base))
		grant, handle := newFamily(t), newFamily(t)
		grant.Grant, handle.Family = want.Grant, want.Family
		for _, f := range []provider.StoredFamily{grant, handle} {
			wantUnknown(t, "PutFamily", s.PutFamily(t.Context(), f, base), familyWords()...)
		}
		wantFamily(t, s, want, base)
	})
	t.Run("a rotation replaces the token, the seal and the expiry, with its entry", func(t *testing.T) {
		s, f, e := open(t), newFamily(t), newEntry(t)
		must(t, s.PutFamily(t.Context(), f, base))
		next := rotated(t, f)
		must(t, s.RotateFamily(t.Context(), f.Current, next, base, e))
		wantFamily(t, s, next, base)
		wantEntry(t, s, e, true)
		third, late := rotated(t, next), newEntry(t)
		wantMoved(t, s.RotateFamily(t.Context(), f.Current, third, base, late))
		wantFamily(t, s, next, base)
		wantEntry(t, s, late, false)
	})
	t.Run("a token that is kept is prolonged again and again", func(t *testing.T) {
		s, f := open(t), newFamily(t)
		must(t, s.PutFamily(t.Context(), f, base))
		for range 3 {
			f.Expires = f.Expires.Add(time.Hour)
			must(t, s.RotateFamily(t.Context(), f.Current, f, base, newEntry(t)))
			wantFamily(t, s, f, base)
		}
	})
	t.Run("of two hundred who rotate at once one succeeds (RFC 9700 4.14.2)", func(t *testing.T) {
		s, f := open(t), newFamily(t)
		must(t, s.PutFamily(t.Context(), f, base))
		all, entries := make([]provider.StoredFamily, 200), make([]audit.Entry, 200)
		for i := range all {
			all[i], entries[i] = rotated(t, f), newEntry(t)
		}
		won := -1
		for i, err := range together(len(all), func(i int) error { return s.RotateFamily(t.Context(), f.Current, all[i], base, entries[i]) }) {
			if err == nil && won >= 0 {
				t.Error("two rotations succeeded")
			}
			if err == nil {
				won = i
				continue
			}
			wantMoved(t, err)
		}
		if won < 0 {
			t.Fatal("no rotation succeeded")
		}
		wantFamily(t, s, all[won], base)
		for i, e := range entries {
			wantEntry(t, s, e, i == won)
		}
	})
	t.Run("when the audit entry cannot be stored nothing is rotated", func(t *testing.T) {
		s, f, e := open(t), newFamily(t), newEntry(t)
		must(t, s.PutFamily(t.Context(), f, base))
		must(t, s.AppendEntries(t.Context(), e))
		wantUnknown(t, "RotateFamily", s.RotateFamily(t.Context(), f.Current, rotated(t, f), base, e), familyWords()...)
		wantFamily(t, s, f, base)
	})
	t.Run("nothing is rotated from the instant it expires, nor what is unknown", func(t *testing.T) {
		s, f := open(t), newFamily(t)
		wantMoved(t, s.RotateFamily(t.Context(), f.Current, rotated(t, f), base, newEntry(t)))
		must(t, s.PutFamily(t.Context(), f, base))
		wantMoved(t, s.RotateFamily(t.Context(), f.Current, rotated(t, f), f.Expires, newEntry(t)))
		must(t, s.RotateFamily(t.Context(), f.Current, rotated(t, f), f.Expires.Add(-time.Microsecond), newEntry(t)))
	})
	endFamilies(t, open)
	t.Run("a caller who has gone gets an error that is no answer", func(t *testing.T) {
		s, f := open(t), newFamily(t)
		ctx := cancelled(t)
		_, err := s.GetFamily(ctx, f.Family, base)
		wantUnknown(t, "GetFamily", err, familyWords()...)
		wantUnknown(t, "PutFamily", s.PutFamily(ctx, f, base), familyWords()...)
		wantUnknown(t, "RotateFamily", s.RotateFamily(ctx, f.Current, f, base, newEntry(t)), familyWords()...)
		wantUnknown(t, "EndFamily", s.EndFamily(ctx, f.Grant, base), familyWords()...)
		_, err = s.EndFamilies(ctx, f.Person, f.Client, base)
		wantUnknown(t, "EndFamilies", err, familyWords()...)
	})
}

func endFamilies(t *testing.T, open func(t *testing.T) Families) {
	ended := func(f provider.StoredFamily) provider.StoredFamily { f.Ended = true; return f }
	t.Run("what has ended is still known, and does not go on", func(t *testing.T) {
		s, f, other := open(t), newFamily(t), newFamily(t)
		must(t, errors.Join(s.PutFamily(t.Context(), f, base), s.PutFamily(t.Context(), other, base)))
		for range 2 { // again does no harm
			must(t, s.EndFamily(t.Context(), f.Grant, base.Add(time.Hour)))
		}
		wantFamily(t, s, ended(f), base)
		wantMoved(t, s.RotateFamily(t.Context(), f.Current, rotated(t, f), base, newEntry(t)))
		wantFamily(t, s, other, base)
	})
	t.Run("a family that begins after its grant was ended does not (RFC 6749 4.1.2)", func(t *testing.T) {
		s, f := open(t), newFamily(t)
		must(t, s.EndFamily(t.Context(), f.Grant, base.Add(time.Hour)))
		if err := s.PutFamily(t.Context(), f, base); !errors.Is(err, provider.ErrFamilyEnded) {
			t.Errorf("PutFamily = %v, want ErrFamilyEnded", err)
		}
		wantNoFamily(t, s, f, base)
	})
	t.Run("ending what a person has with a client ends that and nothing else", func(t *testing.T) {
		s, one, two, elsewhere, another := open(t), newFamily(t), newFamily(t), newFamily(t), newFamily(t)
		two.Person, elsewhere.Person, elsewhere.Client = one.Person, one.Person, "another"
		for _, f := range []provider.StoredFamily{one, two, elsewhere, another} {
			must(t, s.PutFamily(t.Context(), f, base))
		}
		must(t, s.EndFamily(t.Context(), two.Grant, base.Add(time.Hour)))
		for range 2 { // who does not know asks again, and is told of all
			got, err := s.EndFamilies(t.Context(), one.Person, one.Client, base)
			must(t, err)
			if len(got) != 2 || got[0] == got[1] || (got[0] != one.Grant && got[1] != one.Grant) || (got[0] != two.Grant && got[1] != two.Grant) {
				t.Errorf("EndFamilies = %v, want %s and %s", got, one.Grant, two.Grant)
			}
		}
		wantFamily(t, s, ended(one), base)
		wantFamily(t, s, elsewhere, base)
		wantFamily(t, s, another, base)
	})
	t.Run("an answer from before her withdrawal begins nothing any more, a later one does", func(t *testing.T) {
		s, before, at, after, elsewhere := open(t), newFamily(t), newFamily(t), newFamily(t), newFamily(t)
		at.Person, after.Person, elsewhere.Person, elsewhere.Client = before.Person, before.Person, before.Person, "another"
		for range 2 { // a clock that was put back takes nothing back
			_, err := s.EndFamilies(t.Context(), before.Person, before.Client, base)
			must(t, err)
			_, err = s.EndFamilies(t.Context(), before.Person, before.Client, base.Add(-time.Hour))
			must(t, err)
		}
		for granted, f := range map[time.Time]provider.StoredFamily{base.Add(-time.Minute): before, base: at} {
			if err := s.PutFamily(t.Context(), f, granted); !errors.Is(err, provider.ErrFamilyEnded) {
				t.Errorf("PutFamily = %v, want ErrFamilyEnded", err)
			}
		}
		must(t, s.PutFamily(t.Context(), after, base.Add(time.Microsecond)))
		must(t, s.PutFamily(t.Context(), elsewhere, base.Add(-time.Hour)))
		wantFamily(t, s, after, base)
	})
	t.Run("whatever races with an end, nothing goes on once it is acknowledged (RF-04)", func(t *testing.T) {
		for range 50 {
			s, f := open(t), newFamily(t)
			begun := newFamily(t)
			must(t, s.PutFamily(t.Context(), f, base))
			next := rotated(t, f)
			errs := together(4, func(i int) error {
				switch i {
				case 0:
					return s.EndFamily(t.Context(), f.Grant, base.Add(time.Hour))
				case 1:
					return s.EndFamily(t.Context(), begun.Grant, base.Add(time.Hour))
				case 2:
					return s.PutFamily(t.Context(), begun, base)
				}
				return s.RotateFamily(t.Context(), f.Current, next, base, newEntry(t))
			})
			must(t, errors.Join(errs[:2]...))
			wantMoved(t, s.RotateFamily(t.Context(), f.Current, rotated(t, f), base, newEntry(t)))
			wantMoved(t, s.RotateFamily(t.Context(), next.Current, rotated(t, f), base, newEntry(t)))
			wantMoved(t, s.RotateFamily(t.Context(), begun.Current, rotated(t, begun), base, newEntry(t)))
		}
	})
}

func familyWords() []error {
	return []error{provider.ErrNoFamily, provider.ErrFamilyEnded, provider.ErrFamilyMoved}
}

func wantFamily(t *testing.T, s Families, want provider.StoredFamily, now time.Time) {
	t.Helper()
	got, err := s.GetFamily(t.Context(), want.Family, now)
	must(t, err)
	same(t, "GetFamily", got, want)
}

func wantNoFamily(t *testing.T, s Families, f provider.StoredFamily, now time.Time) {
	t.Helper()
	if _, err := s.GetFamily(t.Context(), f.Family, now); !errors.Is(err, provider.ErrNoFamily) {
		t.Errorf("GetFamily = %v, want ErrNoFamily", err)
	}
}

func wantMoved(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, provider.ErrFamilyMoved) {
		t.Errorf("RotateFamily = %v, want ErrFamilyMoved", err)
	}
}

func newFamily(t *testing.T) provider.StoredFamily {
	t.Helper()
	id := bytes16(t)
	return provider.StoredFamily{
		Grant: login.GrantID(hex.EncodeToString(id[:])), Person: bytes16(t), Client: "city-library",
		Family: bytes32(t), Current: bytes32(t), Sealed: []byte("sealed"), Expires: base.Add(30 * 24 * time.Hour),
	}
}

// rotated is f with another token.
func rotated(t *testing.T, f provider.StoredFamily) provider.StoredFamily {
	t.Helper()
	f.Current, f.Sealed, f.Expires = bytes32(t), []byte("sealed anew"), f.Expires.Add(time.Hour)
	return f
}
