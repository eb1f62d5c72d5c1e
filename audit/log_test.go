package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// plainSealer stands in for keys.Ring, whose own tests prove the sealing: it
// shows what was sealed under what.
type plainSealer struct{}

func (plainSealer) SealUnder(wrapped, aad, plaintext []byte) ([]byte, error) {
	return bytes.Join([][]byte{wrapped, aad, plaintext}, []byte("|")), nil
}

func (plainSealer) OpenUnder(wrapped, aad, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, append(bytes.Join([][]byte{wrapped, aad}, []byte("|")), '|'))
	if !ok {
		return nil, errors.New("does not open")
	}
	return plain, nil
}

type memory struct {
	entries []Entry
	err     error
}

func (m *memory) AppendEntries(_ context.Context, e ...Entry) error {
	if m.err == nil {
		m.entries = append(m.entries, e...)
	}
	return m.err
}

func newLog(t *testing.T) (*Log, *memory) {
	store := &memory{}
	now := time.Date(2026, 3, 1, 14, 0, 0, 123456789, time.FixedZone("Paris", 3600))
	l, err := New(Config{Store: store, Sealer: plainSealer{}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return l, store
}

// Noted hears of what is durable, and of what somebody else will store; Appended of
// each write, whatever came of it.
func TestLog_TellsWhatItWrote(t *testing.T) {
	var noted []Kind
	var failed []bool
	store := &memory{}
	l, err := New(Config{
		Store: store, Sealer: plainSealer{}, Now: func() time.Time { return time.Unix(0, 0) },
		Noted: func(p Public) { noted = append(noted, p.Kind) }, Appended: func(_ time.Duration, err error) { failed = append(failed, err != nil) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), Event{Public: Public{Kind: LoginStarted}}, Event{Public: Public{Kind: ProviderChosen}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prepare(given()); err != nil {
		t.Fatal(err)
	}
	store.err = errors.New("disk full")
	if _, err := l.Append(t.Context(), Event{Public: Public{Kind: TokenIssued}}); err == nil {
		t.Fatal("no error")
	}
	if want := []Kind{LoginStarted, ProviderChosen, ConsentGiven}; !reflect.DeepEqual(noted, want) || !reflect.DeepEqual(failed, []bool{false, true}) {
		t.Errorf("noted %v, failed %v; want %v, and the second write", noted, failed, want)
	}
}

func given() Event {
	return Event{
		Public: Public{
			Kind: ConsentGiven, Client: "city-library", Policy: "library", PolicyVersion: 3, Rule: "new-claim",
			Claims: []string{"given_name", "age_over_16"}, ACR: "eidas1", Outcome: "ok", Basis: "consent",
		},
		Personal: Personal{Person: "00ff", Flow: "f", Grant: "g", Provider: "tax"},
		SealKey:  []byte("hers"),
	}
}

// Changing this breaks every receipt and every proof ever handed out.
func TestEntry_Golden(t *testing.T) {
	l, _ := newLog(t)
	e, err := l.Prepare(given())
	if err != nil {
		t.Fatal(err)
	}
	const public = `{"time":"2026-03-01T13:00:00.123456Z","kind":"consent.given","client":"city-library","policy":"library",` +
		`"policy_version":3,"rule":"new-claim","claims":["given_name","age_over_16"],"acr":"eidas1","outcome":"ok","basis":"consent"}`
	if string(e.Public) != public {
		t.Errorf("public part\n%s, want\n%s", e.Public, public)
	}
	if want := time.Date(2026, 3, 1, 13, 0, 0, 123456000, time.UTC); e.Time != want {
		t.Errorf("time %v, want %v", e.Time, want)
	}

	fixed := Entry{ID: [16]byte{0: 1, 15: 2}, Public: []byte(`{"kind":"x"}`), Sealed: bytes.Repeat([]byte{7}, 40)}
	const leaf = "7a5526f0a6fba6359d474c247cf25dfa005520cc1a8da8a45cf04fbd7738f510"
	if got := LeafHash(fixed); hex.EncodeToString(got[:]) != leaf {
		t.Errorf("leaf %x, want %s", got, leaf)
	}
}

func TestLeafHash_IsTheLeafHashOfTheRecord_RFC6962_2_1(t *testing.T) {
	l, _ := newLog(t)
	e, err := l.Prepare(given())
	if err != nil {
		t.Fatal(err)
	}
	commitment := sha256.Sum256(e.Sealed)
	record := bytes.Join([][]byte{e.ID[:], {0, 0, 0, byte(len(e.Public))}, e.Public, commitment[:]}, nil)
	if want := sha256.Sum256(append([]byte{0}, record...)); e.Leaf != want {
		t.Errorf("leaf %x, want %x", e.Leaf, want)
	}
}

func TestVerifyLeaf_FailsAfterAnyOneBitChange(t *testing.T) {
	l, _ := newLog(t)
	rapid.Check(t, func(t *rapid.T) {
		e, err := l.Prepare(given())
		if err != nil || !VerifyLeaf(e) {
			t.Fatal("a fresh entry does not verify", err)
		}
		part := rapid.SampledFrom([][]byte{e.ID[:], e.Public, e.Sealed, e.Leaf[:]}).Draw(t, "part")
		part[rapid.IntRange(0, len(part)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if VerifyLeaf(e) {
			t.Fatal("the change went unnoticed")
		}
	})
}

func TestOpen(t *testing.T) {
	l, _ := newLog(t)
	e, err := l.Prepare(given())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.Open(e, []byte("hers")); err != nil || !reflect.DeepEqual(got, given().Personal) {
		t.Errorf("Open = %+v, %v", got, err)
	}
	moved := e
	moved.ID[0] ^= 1
	for name, open := range map[string]func() (Personal, error){
		"another person's key":         func() (Personal, error) { return l.Open(e, []byte("his")) },
		"the log's own key":            func() (Personal, error) { return l.Open(e, nil) },
		"moved to another entry":       func() (Personal, error) { return l.Open(moved, []byte("hers")) },
		"no more than a piece of salt": func() (Personal, error) { return l.Open(Entry{Sealed: e.Sealed[:31]}, nil) },
	} {
		if p, err := open(); err == nil || p != (Personal{}) {
			t.Errorf("%s opens it: %+v", name, p)
		}
	}
}

func TestAppend(t *testing.T) {
	l, store := newLog(t)
	started := Event{Public: Public{Kind: LoginStarted, Client: "c"}, Personal: Personal{Flow: "f"}}
	receipt, err := l.Append(t.Context(), started, given())
	if err != nil || len(store.entries) != 2 || receipt != (Receipt{ID: store.entries[1].ID, Index: -1}) {
		t.Fatalf("Append = %+v, %v with %d entries", receipt, err, len(store.entries))
	}
	if bytes.Equal(store.entries[0].Sealed[:32], store.entries[1].Sealed[:32]) || store.entries[0].ID == store.entries[1].ID {
		t.Error("two entries share a salt or an id")
	}
}

func TestAppend_Refuses(t *testing.T) {
	l, store := newLog(t)
	keyless := given()
	keyless.SealKey = nil
	erased := given()
	erased.SealKey = []byte{} // how a destroyed key may come back from a store
	tests := map[string][]Event{
		"no event at all":                     nil,
		"an event without a kind":             {given(), {Public: Public{Client: "c"}}},
		"a person without a key of hers":      {keyless},
		"a person whose key has been removed": {erased},
	}
	for name, events := range tests {
		if _, err := l.Append(t.Context(), events...); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	store.err = errors.New("disk full")
	if _, err := l.Append(t.Context(), given()); !errors.Is(err, store.err) {
		t.Errorf("store error became %v", err)
	}
	if len(store.entries) != 0 {
		t.Errorf("%d entries were stored", len(store.entries))
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New accepts a missing collaborator")
	}
}
