package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/notices"
)

// memoryQueue keeps notices.
type memoryQueue struct {
	kept []notices.Notice
	fail bool
}

func (q *memoryQueue) PutFor(ctx context.Context, _ time.Duration, ns ...notices.Notice) error {
	return q.Put(ctx, ns...)
}

func (q *memoryQueue) Put(_ context.Context, ns ...notices.Notice) error {
	if q.fail {
		return errStore
	}
	q.kept = append(q.kept, ns...)
	return nil
}

func departures() []login.Departure {
	return []login.Departure{
		{Client: "library", Subject: "her-sub", SID: "sid-1", Grant: "g1", Person: testPerson, SealKey: []byte("wrapped")},
		{Client: "library", Subject: "her-sub", SID: "sid-1", Grant: "g2", Person: testPerson, SealKey: []byte("wrapped")}, // she came back
		{Client: "narrow", Grant: "g3", Subject: "x", SID: "sid-2"},                                                        // it has no address
		{Client: "nobody", Subject: "x", SID: "sid-3"},                                                                     // it is gone
	}
}

func TestBackChannel_theLogoutTokenSaysWhoAndWhichSessionAndNoNonce_Section2_4(t *testing.T) {
	for _, alg := range []string{"", "EdDSA"} {
		w, _ := leaving(t)
		c, _ := w.set.Get("library")
		c.IDTokenSigningAlg = alg
		if err := w.codes.Ended(t.Context(), "library", departures()); err != nil {
			t.Fatal(err)
		}
		if len(w.queue.kept) != 1 || strings.Contains(string(w.queue.kept[0].Sealed), "her-sub") {
			t.Fatalf("queue %+v", w.queue.kept)
		}
		n := w.queue.kept[0]
		r, err := w.codes.Request(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		if r.Method != "POST" || r.URL.String() != "https://library.example/out" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(form) != 1 {
			t.Errorf("%s %s %v", r.Method, r.URL, form)
		}
		token := form.Get("logout_token")
		if h := headerOf(t, token); h["typ"] != "logout+jwt" || h["alg"] != idTokenAlg(c) {
			t.Errorf("header %v", h)
		}
		var got map[string]any
		if err := json.Unmarshal(claimsOf(t, token), &got); err != nil {
			t.Fatal(err)
		}
		now := float64(w.now.Unix())
		want := map[string]any{
			"iss": issuer, "sub": "her-sub", "aud": "library", "sid": "sid-1", "iat": now, "exp": now + 120, "jti": n.ID,
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		if _, ok := w.p.hinted(token); ok {
			t.Error("it passes for an ID token")
		}
	}
}

func headerOf(t *testing.T, compact string) (h map[string]any) {
	t.Helper()
	first, _, _ := strings.Cut(compact, ".")
	if err := json.Unmarshal(claimsOf(t, "."+first+"."), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// Refresh tokens of the service that asks die with the rest; those of others stay,
// whose codes and access tokens die with the session in its store.
func TestBackChannel_revokesWhatTheServiceThatAsksHas_Section2_7(t *testing.T) {
	w, _ := leaving(t)
	if err := w.codes.Ended(t.Context(), "library", departures()); err != nil {
		t.Fatal(err)
	}
	if !w.store.revoked["g1"] || !w.store.revoked["g2"] || w.store.revoked["g3"] {
		t.Errorf("revoked %v", w.store.revoked)
	}
	w.store.fail = "revoke"
	if err := w.codes.Ended(t.Context(), "library", departures()); err == nil {
		t.Error("Ended: no error, and the session would be ended without it")
	}
}

func TestBackChannel_readsAnswersAsSection2_8(t *testing.T) {
	w := newWorld(t)
	for status, want := range map[int]notices.Verdict{
		200: notices.Taken, 204: notices.Taken, 400: notices.Refused, 500: notices.Again, 503: notices.Again, 404: notices.Again, 302: notices.Again, 0: notices.Again,
	} {
		if got := w.codes.Accepts(status); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
}

func TestBackChannel_aServiceThatWantsItNoMoreIsNotTold(t *testing.T) {
	w, _ := leaving(t)
	if err := w.codes.Ended(t.Context(), "library", departures()); err != nil {
		t.Fatal(err)
	}
	w.set = clients.NewSet()
	if _, err := w.codes.Request(t.Context(), w.queue.kept[0]); !errors.Is(err, notices.ErrUnwanted) {
		t.Errorf("Request = %v, want ErrUnwanted", err)
	}
}

func TestBackChannel_whatCannotBeQueuedOrSignedIsAnErrorAndNoSilence(t *testing.T) {
	w, _ := leaving(t)
	w.queue.fail = true
	if err := w.codes.Ended(t.Context(), "library", departures()); err == nil {
		t.Error("Ended: no error")
	}
	w.queue.fail = false
	if err := w.codes.Ended(t.Context(), "library", departures()); err != nil {
		t.Fatal(err)
	}
	bad := w.queue.kept[0]
	bad.ID = "another" // sealed for one notice, put into another
	if _, err := w.codes.Request(t.Context(), bad); err == nil || errors.Is(err, notices.ErrUnwanted) {
		t.Errorf("Request = %v", err)
	}
}

func TestBackChannel_itsEndIsOnRecordWithoutAPersonInThePublicPart(t *testing.T) {
	w, _ := leaving(t)
	if err := w.codes.Ended(t.Context(), "library", departures()); err != nil {
		t.Fatal(err)
	}
	for _, outcome := range []string{"ok", notices.NoAnswer} {
		if err := w.codes.Over(t.Context(), w.queue.kept[0], outcome); err != nil {
			t.Fatal(err)
		}
	}
	personal := audit.Personal{Person: testPerson, Grant: "g1"}
	want := []audit.Event{
		{Public: audit.Public{Kind: audit.LogoutDelivered, Client: "library", Outcome: "ok"}, Personal: personal, SealKey: []byte("wrapped")},
		{Public: audit.Public{Kind: audit.LogoutFailed, Client: "library", Outcome: "no answer"}, Personal: personal, SealKey: []byte("wrapped")},
	}
	got := w.audit.events[len(w.audit.events)-2:]
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	w.audit.fail = audit.LogoutDelivered
	if err := w.codes.Over(t.Context(), w.queue.kept[0], "ok"); err == nil {
		t.Error("Over without a record: no error")
	}
}

func TestIDToken_hasTheSidOfItsSession_FrontChannelSection3(t *testing.T) {
	w := newWorld(t)
	for _, sid := range []string{"sid-1", ""} {
		var got map[string]any
		if err := json.Unmarshal(claimsOf(t, w.hint("library", sid)), &got); err != nil {
			t.Fatal(err)
		}
		if s, has := got["sid"]; has != (sid != "") || has && s != sid {
			t.Errorf("sid %v, want %q", s, sid)
		}
	}
}
