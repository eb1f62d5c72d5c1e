package consent

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// openSealer stands in for keys.Ring, whose own tests prove the sealing.
type openSealer struct{}

func (openSealer) SealUnder(_, _, plaintext []byte) ([]byte, error) { return plaintext, nil }
func (openSealer) OpenUnder(_, _, sealed []byte) ([]byte, error)    { return sealed, nil }

// call is one call of Store.Record.
type call struct {
	receipt  Receipt
	standing *Standing
	entry    audit.Entry
	ended    []Ended
}

type memory struct {
	calls    []call
	standing *Standing
	err      error
}

// The real store has the tests of an archive and of what ends (store/sql).
type noArchive struct{ Archive }

type noEnder struct{ Ender }

func (m *memory) Record(_ context.Context, r Receipt, s *Standing, e audit.Entry, ended ...Ended) error {
	m.calls = append(m.calls, call{r, s, e, ended})
	return m.err
}

func (m *memory) Standing(_ context.Context, p identity.PersonID, c protocol.ClientID, now time.Time) (*Standing, error) {
	if now.IsZero() { // what the next answer takes the place of
		return m.standing, m.err
	}
	return &Standing{Person: p, Client: c, Until: now}, m.err
}

func (m *memory) AppendEntries(context.Context, ...audit.Entry) error {
	return errors.New("the entry belongs into the transaction of the receipt")
}

var now = time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)

func newLedger(t interface{ Fatal(...any) }) (*Ledger, *memory) {
	store, clock := &memory{}, func() time.Time { return now }
	log, err := audit.New(audit.Config{Store: store, Sealer: openSealer{}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Store: store, Archive: noArchive{}, Ender: noEnder{}, Audit: log, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return l, store
}

func agreed() Receipt {
	return Receipt{
		Act: Given, Person: identity.PersonID{1}, Client: "city-library", PolicyID: "library", PolicyVersion: 3,
		Basis: "consent", Rule: "first-time", ACR: protocol.EIDAS1, Provider: "tax", Language: "fr",
		Shown:    []protocol.Claim{protocol.GivenName, protocol.AgeOver16, protocol.Email},
		Released: []protocol.Claim{protocol.GivenName, protocol.AgeOver16},
		Notice:   Notice{PolicyID: "library"}.Hash(),
		Until:    now.AddDate(1, 0, 0), Grant: "g",
	}
}

var visit = audit.Event{Personal: audit.Personal{Flow: "f", Person: "someone else"}, SealKey: []byte("hers")}

func TestRecord_WritesReceiptStandingAndEntryTogether(t *testing.T) {
	l, store := newLedger(t)
	got, err := l.Record(t.Context(), agreed(), visit)
	if err != nil || len(store.calls) != 1 {
		t.Fatalf("Record: %v, %d calls of the store", err, len(store.calls))
	}
	c := store.calls[0]

	want := agreed()
	want.ID, want.Time, want.Audit = got.ID, now, c.entry.ID
	if got.ID == [16]byte{} || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(c.receipt, want) {
		t.Errorf("receipt %+v, stored %+v, want %+v", got, c.receipt, want)
	}
	standing := &Standing{
		Person: want.Person, Client: want.Client, PolicyID: "library", PolicyVersion: 3, Basis: "consent",
		Shown: want.Shown, Agreed: want.Released, Until: want.Until, Receipt: got.ID,
	}
	if !reflect.DeepEqual(c.standing, standing) {
		t.Errorf("standing %+v, want %+v", c.standing, standing)
	}
	const public = `{"time":"2026-03-01T14:00:00Z","kind":"consent.given","client":"city-library","policy":"library","policy_version":3,` +
		`"rule":"first-time","claims":["given_name","age_over_16"],"acr":"eidas1","outcome":"ok","basis":"consent"}`
	if string(c.entry.Public) != public || !audit.VerifyLeaf(c.entry) {
		t.Errorf("audit entry %s, want %s", c.entry.Public, public)
	}
	var personal audit.Personal
	if err := json.Unmarshal(c.entry.Sealed[32:], &personal); err != nil {
		t.Fatal(err)
	}
	if want := (audit.Personal{Person: "01" + strings.Repeat("0", 30), Flow: "f", Grant: "g", Provider: "tax"}); personal != want {
		t.Errorf("personal part %+v, want %+v", personal, want)
	}
}

func TestRecord_SaysUntilWhenTheServiceMayComeBack_OIDC_11(t *testing.T) {
	l, store := newLedger(t)
	r := agreed()
	r.OfflineUntil = now.AddDate(0, 6, 0).Add(time.Nanosecond)
	got, err := l.Record(t.Context(), r, visit)
	if err != nil || got.OfflineUntil != now.AddDate(0, 6, 0) {
		t.Fatalf("Record: %v, %v", got.OfflineUntil, err)
	}
	if public := string(store.calls[0].entry.Public); !strings.HasSuffix(public, `"basis":"consent","offline_until":"2026-09-01T14:00:00Z"}`) {
		t.Errorf("audit entry %s", public)
	}
}

func TestRecord_Remembers(t *testing.T) {
	past, never := now, time.Time{}
	tests := []struct {
		name      string
		change    func(*Receipt)
		standing  bool
		wantUntil time.Time
		wantKind  string
	}{
		{"an answer", func(*Receipt) {}, true, agreed().Until, "consent.given"},
		{"a notification", func(r *Receipt) { r.Act = Informed }, true, agreed().Until, "consent.informed"},
		{"no refusal, so that she is asked again", func(r *Receipt) { r.Act, r.Released, r.Grant = Refused, nil, "" }, false, never, "consent.refused"},
		{"no reused answer, which would prolong itself", func(r *Receipt) { r.Act = Reused }, false, agreed().Until, "consent.standing"},
		{"no answer without an end", func(r *Receipt) { r.Until = never }, false, never, "consent.given"},
		{"no answer whose end has come", func(r *Receipt) { r.Until = past }, false, never, "consent.given"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, store := newLedger(t)
			r := agreed()
			tt.change(&r)
			got, err := l.Record(t.Context(), r, visit)
			if err != nil {
				t.Fatal(err)
			}
			c := store.calls[0]
			if (c.standing != nil) != tt.standing || got.Until != tt.wantUntil || c.receipt.Until != tt.wantUntil {
				t.Errorf("standing %+v until %v, want %v until %v", c.standing, got.Until, tt.standing, tt.wantUntil)
			}
			if kind := `"kind":"` + tt.wantKind + `"`; !strings.Contains(string(c.entry.Public), kind) {
				t.Errorf("entry %s, want %s", c.entry.Public, kind)
			}
		})
	}
}

func TestRecord_OutcomeOfARefusalIsAccessDenied(t *testing.T) {
	l, store := newLedger(t)
	r := agreed()
	r.Act, r.Released, r.Grant = Refused, nil, ""
	if _, err := l.Record(t.Context(), r, visit); err != nil {
		t.Fatal(err)
	}
	if p := string(store.calls[0].entry.Public); !strings.Contains(p, `"outcome":"access_denied"`) || strings.Contains(p, "claims") {
		t.Errorf("entry %s", p)
	}
}

func TestRecord_RefusesWhatMustNeverHappen(t *testing.T) {
	tests := map[string]func(*Receipt){
		"a claim that was not shown":                 func(r *Receipt) { r.Released = append(r.Released, protocol.Birthdate) },
		"a refusal that releases":                    func(r *Receipt) { r.Act, r.Grant = Refused, "" },
		"a refusal with a grant":                     func(r *Receipt) { r.Act, r.Released = Refused, nil },
		"a release without a grant":                  func(r *Receipt) { r.Grant = "" },
		"an act that does not exist":                 func(r *Receipt) { r.Act = "withdrawn by mistake" },
		"nobody's consent":                           func(r *Receipt) { r.Person = identity.PersonID{} },
		"consent to nobody":                          func(r *Receipt) { r.Client = "" },
		"consent without a policy":                   func(r *Receipt) { r.PolicyID = "" },
		"to come back without her, by an old answer": func(r *Receipt) { r.Act, r.OfflineUntil = Reused, now },
		"to come back without her, by a refusal": func(r *Receipt) {
			r.Act, r.Released, r.Grant, r.OfflineUntil = Refused, nil, "", now
		},
		"consent to something that is secret": func(r *Receipt) { r.Notice = [32]byte{} },
	}
	for name, change := range tests {
		l, store := newLedger(t)
		r := agreed()
		change(&r)
		if _, err := l.Record(t.Context(), r, visit); err == nil || len(store.calls) != 0 {
			t.Errorf("%s: error %v, %d calls of the store", name, err, len(store.calls))
		}
	}
}

// Promise 1 again, at the last gate: Released is a subset of Shown.
func TestRecord_NothingLeavesThatWasNotShown(t *testing.T) {
	claims := rapid.SliceOfDistinct(rapid.SampledFrom(protocol.Claims()), func(c protocol.Claim) protocol.Claim { return c })
	rapid.Check(t, func(t *rapid.T) {
		l, store := newLedger(t)
		r := agreed()
		r.Shown, r.Released = claims.Draw(t, "shown"), claims.Draw(t, "released")
		subset := true
		shown := map[protocol.Claim]bool{}
		for _, c := range r.Shown {
			shown[c] = true
		}
		for _, c := range r.Released {
			subset = subset && shown[c]
		}
		_, err := l.Record(context.Background(), r, visit)
		if (err == nil) != subset || (len(store.calls) == 1) != subset {
			t.Fatalf("shown %v, released %v: %v", r.Shown, r.Released, err)
		}
	})
}

func TestUnknownIsNotNo(t *testing.T) {
	l, store := newLedger(t)
	store.err = errors.New("disk full")
	if got, err := l.Record(t.Context(), agreed(), visit); !errors.Is(err, store.err) || !reflect.DeepEqual(got, Receipt{}) {
		t.Errorf("Record = %+v, %v", got, err)
	}
	if got, err := l.Standing(t.Context(), identity.PersonID{1}, "c"); !errors.Is(err, store.err) || got != nil {
		t.Errorf("Standing = %+v, %v", got, err)
	}
	if _, err := l.Record(t.Context(), agreed(), audit.Event{}); err == nil {
		t.Error("a receipt without the person's key for its audit entry")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New accepts a missing collaborator")
	}
}

func TestStanding_AsksForNow(t *testing.T) {
	l, _ := newLedger(t)
	want := &Standing{Person: identity.PersonID{1}, Client: "c", Until: now}
	if got, err := l.Standing(t.Context(), want.Person, "c"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Standing = %+v, %v", got, err)
	}
}

// Changing this cuts every receipt off from the notice that it is about.
func TestNotice_Golden(t *testing.T) {
	n := Notice{
		PolicyID: "library", PolicyVersion: 3, Language: "fr", Purpose: "Ouvrir votre compte de lecteur",
		Basis: "consent", Retention: "P1Y", Claims: []protocol.Claim{protocol.GivenName, protocol.Email},
	}
	const want = "db1bdc810588bffa283b4ab3cd53257edd4d5302b753da0eaf41d4982ec5f45e"
	if got := n.Hash(); hex.EncodeToString(got[:]) != want {
		t.Errorf("hash %x, want %s", got, want)
	}
	n.OfflineUntil = "2027-05-22"
	const offline = "6c214a695f821157344a7e271d5a45585db5cb3793625500fd09a12a6aed9132"
	if got := n.Hash(); hex.EncodeToString(got[:]) != offline {
		t.Errorf("with a day: hash %x, want %s", got, offline)
	}
}

func TestNotice_HashIsInjective(t *testing.T) {
	word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 2, -1)
	notice := rapid.Custom(func(t *rapid.T) Notice {
		n := Notice{
			PolicyID: word.Draw(t, "id"), PolicyVersion: rapid.IntRange(1, 2).Draw(t, "version"), Language: word.Draw(t, "language"),
			Purpose: word.Draw(t, "purpose"), Basis: word.Draw(t, "basis"), Retention: word.Draw(t, "retention"), OfflineUntil: word.Draw(t, "offline"),
		}
		for range rapid.IntRange(0, 2).Draw(t, "claims") {
			n.Claims = append(n.Claims, protocol.Claim(word.Draw(t, "claim")))
		}
		return n
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := notice.Draw(t, "a"), notice.Draw(t, "b")
		if (a.Hash() == b.Hash()) != reflect.DeepEqual(a, b) {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}
