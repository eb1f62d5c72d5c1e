package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fixedDeriver is the law of keys.Ring.Derive with a fixed secret.
type fixedDeriver struct{ err error }

func (d fixedDeriver) Derive(_ context.Context, label string, msg []byte) (out [32]byte, err error) {
	key := sha256.Sum256([]byte("fixed secret for " + label))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(msg)
	mac.Sum(out[:0])
	return out, d.err
}

type memoryPeople struct {
	mu  sync.Mutex
	all map[[32]byte]Person
	err error

	confirmed map[PersonID]time.Time
}

func (m *memoryPeople) Resolve(_ context.Context, alias [32]byte, candidate Person, _ time.Time) (Person, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.all[alias]; !ok {
		m.all[alias] = candidate
	}
	return m.all[alias], m.err
}

func (m *memoryPeople) JoinAliases(_ context.Context, a, b [32]byte, candidate Person, _ time.Time) (Person, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, knownA := m.all[a]
	q, knownB := m.all[b]
	switch {
	case m.err != nil:
		return Person{}, m.err
	case knownA && knownB && p.ID != q.ID:
		return Person{}, ErrAmbiguous
	case !knownA && !knownB:
		p = candidate
	case !knownA:
		p = q
	}
	m.all[a], m.all[b] = p, p
	return p, nil
}

func (m *memoryPeople) Confirm(_ context.Context, id PersonID, at time.Time) error {
	m.confirmed[id] = at
	return m.err
}

func (m *memoryPeople) Confirmed(_ context.Context, alias [32]byte) (time.Time, error) {
	return m.confirmed[m.all[alias].ID], m.err
}

func (m *memoryPeople) Unconfirm(_ context.Context, alias [32]byte) error {
	delete(m.confirmed, m.all[alias].ID)
	return m.err
}

func newPeople(t *testing.T) (*People, *memoryPeople) {
	store := &memoryPeople{all: map[[32]byte]Person{}, confirmed: map[PersonID]time.Time{}}
	p, err := NewPeople(PeopleConfig{
		Store: store, Deriver: fixedDeriver{},
		NewSealKey: func() ([]byte, error) { return []byte("wrapped"), nil },
		Now:        func() time.Time { return asOf },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, store
}

func TestResolve(t *testing.T) {
	people, _ := newPeople(t)
	resolve := func(id Identity, issuer, subject string) Person {
		p, err := people.Resolve(t.Context(), id, issuer, subject)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	civil := Identity{Pivot: angela(), Civil: true, AsOf: asOf}
	shouting := civil
	shouting.Pivot.GivenName, shouting.Pivot.FamilyName = "ANGELA CLAIRE  LOUISE", "Dubois"
	account := Identity{Email: "angela@example.org", EmailVerified: true, AsOf: asOf}

	first := resolve(civil, "https://tax.example", "1")
	if first.ID == (PersonID{}) || string(first.SealKey) != "wrapped" {
		t.Fatalf("a new person has an id and a key: %+v", first)
	}
	if got := resolve(shouting, "https://post.example", "2"); got.ID != first.ID {
		t.Error("one civil identity through two providers is two persons")
	}
	acct := resolve(account, "https://mail.example", "3")
	if got := resolve(account, "https://mail.example", "3"); got.ID != acct.ID {
		t.Error("an account is not recognised")
	}
	if got := resolve(account, "https://mail.example", "4"); got.ID == acct.ID {
		t.Error("two accounts with one e-mail are one person (AL-01)")
	}
	if got := resolve(account, "https://mail.exampl", "e3"); got.ID == acct.ID {
		t.Error("issuer and subject run into each other")
	}
}

func TestResolve_UnknownIsNotNo(t *testing.T) {
	people, store := newPeople(t)
	civil := Identity{Pivot: angela(), Civil: true, AsOf: asOf}

	store.err = errors.New("disk gone")
	if p, err := people.Resolve(t.Context(), civil, "i", "s"); !errors.Is(err, store.err) || p.ID != (PersonID{}) {
		t.Errorf("store error: %+v, %v", p, err)
	}
	people.cfg.Deriver = fixedDeriver{err: errors.New("keys gone")}
	if _, err := people.Resolve(t.Context(), civil, "i", "s"); err == nil {
		t.Error("key error was swallowed")
	}
	if _, err := PairwiseSub(t.Context(), people.cfg.Deriver, "s", PersonID{1}); err == nil {
		t.Error("key error was swallowed")
	}
}

func TestResolve_RefusesWhatWouldMergePeople(t *testing.T) {
	people, store := newPeople(t)
	tests := []struct {
		name            string
		id              Identity
		issuer, subject string
	}{
		{"a civil identity without facts", Identity{Civil: true, AsOf: asOf}, "i", "s"},
		{"an account without issuer", Identity{AsOf: asOf}, "", "s"},
		{"an account without subject", Identity{AsOf: asOf}, "i", ""},
	}
	for _, tt := range tests {
		if _, err := people.Resolve(t.Context(), tt.id, tt.issuer, tt.subject); err == nil {
			t.Errorf("%s leads to a person", tt.name)
		}
	}
	if len(store.all) != 0 {
		t.Error("something was stored")
	}
}

func TestNewPeople_RefusesAMissingCollaborator(t *testing.T) {
	if _, err := NewPeople(PeopleConfig{}); err == nil {
		t.Fatal("no error")
	}
}

// Changing this changes every citizen's subject at every service.
func TestPairwiseSub_Golden(t *testing.T) {
	const want = "bQn8eT9joLo5PspiXwX28XU-N6W9nI9bqIUGSqOElf8"
	got, err := PairwiseSub(t.Context(), fixedDeriver{}, "library.example", PersonID{0: 1, 15: 2})
	if err != nil || got != want {
		t.Fatalf("PairwiseSub = %q, %v, want %q", got, err, want)
	}
}

func TestPairwiseSub_OneInASectorDifferentAcross_OIDCCore_8_1(t *testing.T) {
	id := rapid.Custom(func(t *rapid.T) PersonID {
		return PersonID{rapid.Byte().Draw(t, "a"), 15: rapid.ByteRange(1, 3).Draw(t, "b")}
	})
	sector := rapid.StringMatching(`[a-c]{1,3}`)
	rapid.Check(t, func(t *rapid.T) {
		p, q, s, u := id.Draw(t, "p"), id.Draw(t, "q"), sector.Draw(t, "s"), sector.Draw(t, "u")
		a, err := PairwiseSub(t.Context(), fixedDeriver{}, s, p)
		b, err2 := PairwiseSub(t.Context(), fixedDeriver{}, u, q)
		if err != nil || err2 != nil || len(a) != 43 {
			t.Fatal(a, err, err2)
		}
		if (a == b) != (p == q && s == u) {
			t.Fatalf("%v at %q and %v at %q: %s, %s", p, s, q, u, a, b)
		}
	})
}

func TestPairwiseSub_RefusesNoSectorAndNoPerson(t *testing.T) {
	if _, err := PairwiseSub(t.Context(), fixedDeriver{}, "", PersonID{1}); err == nil {
		t.Error("no sector")
	}
	if _, err := PairwiseSub(t.Context(), fixedDeriver{}, "s", PersonID{}); err == nil {
		t.Error("no person")
	}
}

func TestParsePersonID(t *testing.T) {
	id := PersonID{1, 2, 3, 15: 255}
	if got, err := ParsePersonID(id.String()); err != nil || got != id {
		t.Errorf("ParsePersonID(%s) = %v, %v", id, got, err)
	}
	for _, s := range []string{"", "00", strings.Repeat("0", 32), id.String() + "00", id.String()[:30], "x" + id.String()[1:]} {
		if _, err := ParsePersonID(s); err == nil {
			t.Errorf("ParsePersonID(%q) = nil error", s)
		}
	}
}
