package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/protocol"
)

// withdrawals is what carries them out in w; sealKey is hers.
func (w *world) withdrawals(sealKey []byte) *Withdrawals {
	w.t.Helper()
	c, _ := w.set.Get("library")
	c.SecurityEventsURI = "https://library.example/events"
	out, err := NewWithdrawals(WithdrawalsConfig{
		Issuer: issuer, Clients: w.p.Clients, Grants: w.store, Sealer: w.keys, Keys: w.keys, Deriver: w.keys, Notices: w.queue, Audit: w.audit,
		SealKey: func(context.Context, identity.PersonID) ([]byte, error) { return sealKey, nil }, Now: w.p.Now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) ending(client protocol.ClientID, grants ...string) consent.Ending {
	person, err := identity.ParsePersonID(testPerson)
	if err != nil {
		w.t.Fatal(err)
	}
	return consent.Ending{Grants: grants, Receipt: consent.Receipt{
		ID: [16]byte{0xab}, Time: w.now, Act: consent.Withdrawn, Person: person, Client: client, PolicyID: "reader", PolicyVersion: 3,
		Released: []protocol.Claim{protocol.GivenName},
	}}
}

func TestWithdrawal_TheSecurityEventSaysWhatWasTakenBack_RFC8417_RFC8935(t *testing.T) {
	w := newWorld(t)
	x := w.withdrawals([]byte("wrapped"))
	if err := x.End(t.Context(), w.ending("library", "g1", "g2")); err != nil {
		t.Fatal(err)
	}
	if err := x.End(t.Context(), w.ending("narrow", "g3")); err != nil { // it has no address, and is not told
		t.Fatal(err)
	}
	if !w.store.gone["g1"] || !w.store.gone["g2"] || !w.store.gone["g3"] || len(w.queue.kept) != 1 {
		t.Fatalf("withdrawn %v, queue %+v", w.store.gone, w.queue.kept)
	}
	n := w.queue.kept[0]
	if strings.Contains(string(n.Sealed), "given_name") {
		t.Error("what waits is not sealed")
	}
	r, err := x.Request(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := io.ReadAll(r.Body)
	if r.Method != "POST" || r.URL.String() != "https://library.example/events" || r.Header.Get("Content-Type") != "application/secevent+jwt" || r.Header.Get("Accept") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	if h := headerOf(t, string(token)); h["typ"] != "secevent+jwt" || h["alg"] != "ES256" {
		t.Errorf("header %v", h)
	}
	var got map[string]any
	if err := json.Unmarshal(claimsOf(t, string(token)), &got); err != nil {
		t.Fatal(err)
	}
	c, _ := w.set.Get("library")
	now := float64(w.now.Unix())
	want := map[string]any{
		"iss": issuer, "aud": "library", "iat": now, "toe": now, "jti": "ab000000000000000000000000000000",
		"sub_id": map[string]any{"format": "iss_sub", "iss": issuer, "sub": w.subjectAt(c.Sector)},
		"events": map[string]any{EventConsentWithdrawn: map[string]any{"policy": "reader", "policy_version": 3.0, "claims": []any{"given_name"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if _, ok := w.p.hinted(string(token)); ok {
		t.Error("it passes for an ID token")
	}
}

func TestWithdrawal_IsOnRecordAsDeliveredOrNot(t *testing.T) {
	for _, c := range []struct {
		outcome, want string
		key           []byte
	}{
		{notices.OK, "event.delivered", []byte("wrapped")}, {notices.NoAnswer, "event.failed", []byte("wrapped")},
		{notices.OK, "event.delivered", nil}, // she has closed her record meanwhile
	} {
		w := newWorld(t)
		x := w.withdrawals(c.key)
		if err := x.End(t.Context(), w.ending("library")); err != nil {
			t.Fatal(err)
		}
		if err := x.Over(t.Context(), w.queue.kept[0], c.outcome); err != nil {
			t.Fatal(err)
		}
		e := w.audit.events[0]
		if string(e.Public.Kind) != c.want || e.Public.Client != "library" || e.Public.Outcome != c.outcome || (e.Personal.Person == testPerson) != (c.key != nil) {
			t.Errorf("entry %+v", e)
		}
		w.audit.fail = audit.Kind(c.want)
		if x.Over(t.Context(), w.queue.kept[0], c.outcome) == nil {
			t.Error("it is over, and on no record")
		}
	}
}

func TestWithdrawal_UnknownIsNotDone(t *testing.T) {
	for _, call := range []string{"revoke", "queue"} {
		w := newWorld(t)
		x := w.withdrawals(nil)
		w.store.fail, w.queue.fail = call, call == "queue"
		if err := x.End(t.Context(), w.ending("library", "g1")); !errors.Is(err, errStore) {
			t.Errorf("%s fails: %v", call, err)
		}
	}
}

func TestWithdrawal_AServiceThatIsGoneIsNotTold(t *testing.T) {
	w := newWorld(t)
	x := w.withdrawals(nil)
	if err := x.End(t.Context(), w.ending("library")); err != nil {
		t.Fatal(err)
	}
	c, _ := w.set.Get("library")
	c.SecurityEventsURI = ""
	if _, err := x.Request(t.Context(), w.queue.kept[0]); !errors.Is(err, notices.ErrUnwanted) {
		t.Errorf("Request: %v", err)
	}
}

// What runs while she withdraws answers nothing of her any more, wherever it was.
func TestWithdrawal_EndsCallsThatAreRunning_RF05(t *testing.T) {
	id := string(grant().ID)
	withdrawn := func(w *world) func() {
		return func() {
			if err := w.withdrawals(nil).End(context.Background(), w.ending("library", id)); err != nil {
				w.t.Error(err)
			}
		}
	}
	t.Run("a code", func(t *testing.T) {
		w := newWorld(t).serve()
		code := w.code()
		w.audit.during = map[audit.Kind]func(){audit.TokenIssued: withdrawn(w)}
		w.wantError(w.redeem(tokenForm(code)), 400, "invalid_grant")
	})
	t.Run("an access token", func(t *testing.T) {
		w := newWorld(t).serve()
		token := w.accessToken()
		w.audit.during = map[audit.Kind]func(){audit.UserInfoServed: withdrawn(w)}
		wantError(t, w.userinfo(token), 401, "invalid_token")
	})
	t.Run("the token afterwards", func(t *testing.T) {
		w := newWorld(t).serve()
		token := w.accessToken()
		withdrawn(w)()
		wantError(t, w.userinfo(token), 401, "invalid_token")
		if got := w.introspect("library", token).body; got != `{"active":false}` {
			t.Errorf("introspection: %s", got)
		}
	})
	t.Run("a code that comes afterwards", func(t *testing.T) {
		w := newWorld(t).serve()
		withdrawn(w)()
		w.wantError(w.redeem(tokenForm(w.code())), 400, "invalid_grant")
	})
	t.Run("while nobody can tell", func(t *testing.T) {
		w := newWorld(t).serve()
		code := w.code()
		w.store.fail = "withdrawn"
		if got := w.redeem(tokenForm(code)); got.status != 503 {
			t.Errorf("%d %s, want 503", got.status, got.body)
		}
	})
}
