package login

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/web"
)

// goThrough makes a whole visit as a patient person would: when a page says that
// something is wrong she looks again, and if that does not help she starts again.
func (b *browser) goThrough(t *testing.T, w *world) string {
	t.Helper()
	for range 6 {
		to, err := b.start(request())
		if err != nil {
			continue
		}
		for range 12 {
			r := b.step(t, to)
			if c := r.code(); c != "" {
				return c
			}
			switch {
			case r.Error != nil && r.Error.Code == web.AlreadyAnswered:
				if r.Error.Back != "https://library.test/" {
					t.Errorf("no way back: %+v", r.Error)
				}
				to = ""
			case r.Error != nil:
				if r.Error.Code != web.Unavailable {
					t.Errorf("a store error became %+v", r.Error)
				}
				to = b.choice()
			case r.Wait != nil:
				w.pass(busy)
				to = r.Wait.URL
			default:
				to = r.To
			}
			if to == "" {
				break
			}
		}
	}
	t.Fatal("she never got through")
	return ""
}

// step does what the page at an address invites to.
func (b *browser) step(t *testing.T, to string) reply {
	t.Helper()
	if strings.HasPrefix(to, "https://tax.test/") {
		return b.signIn("tax", stateIn(t, to), "alice")
	}
	r := b.get(to)
	switch {
	case r.Choose != nil:
		return b.post(r.Choose.Action, url.Values{"provider": {"tax"}})
	case r.Consent != nil:
		return b.post(r.Consent.Action, url.Values{"answer": {"agree"}, "claim": {"email"}})
	}
	return r
}

// Each call of a store in a visit fails once, before or after it took effect. She
// gets through in the end; no code exists that is not on record (see issuer), no
// visit gives two codes, and whatever she got was acknowledged by the records.
func TestVisit_anyStoreCallMayFailBeforeOrAfterItTookEffect(t *testing.T) {
	quiet := newWorld(t)
	quiet.browser().goThrough(t, quiet)
	calls := quiet.stores.calls
	if calls < 12 {
		t.Fatalf("only %d calls in a visit", calls)
	}
	for _, after := range []bool{false, true} {
		for n := 1; n <= calls; n++ {
			w := newWorld(t)
			w.stores.failAt, w.stores.failAfter = n, after
			b := w.browser()
			code := b.goThrough(t, w)
			released := 0
			for _, r := range w.stores.record() {
				if r.Grant != "" {
					released++
				}
			}
			codes := w.issuer.codes()
			if len(codes) > released || code == "" {
				t.Errorf("call %d fails (after: %v): %d codes, %d receipts", n, after, len(codes), released)
			}
			if released > 2 {
				t.Errorf("call %d fails (after: %v): %d receipts for one person at one service", n, after, released)
			}
			for _, f := range w.stores.flows {
				if f.Stage == Answered || f.Stage == Done {
					if strings.Contains(string(f.Sealed), "Alice") {
						t.Errorf("call %d fails (after: %v): the identity is still in an answered visit", n, after)
					}
				}
			}
		}
	}
}

func TestVisit_noRecordNoCode(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	action := b.get(b.choice() + "/consent").Consent.Action
	w.stores.recordsDown = true
	r := b.post(action, url.Values{"answer": {"agree"}})
	want(t, "she is told", *r.Error, struct {
		Code web.Code
		Back string
	}{web.Unavailable, "https://library.test/"})
	want(t, "codes", len(w.issuer.codes()), 0)
	want(t, "for a moment", b.get(b.choice()).Wait != nil, true)
	w.pass(busy)
	want(t, "then", b.get(b.choice()).Error.Code, web.AlreadyAnswered)

	w.stores.recordsDown = false
	b.identify(request(), "post", "alice")
	want(t, "she starts again", b.agree().code(), "code-1")
}

func TestVisit_aCodeThatCannotBeStoredIsNeverShown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	w.issuer.down = true
	action := b.get(b.choice() + "/consent").Consent.Action
	want(t, "she is told", b.post(action, url.Values{"answer": {"agree"}}).Error.Code, web.Unavailable)
	w.issuer.down = false
	b.mustStart(request())
	want(t, "her answer was not lost", b.get(b.choice()).code(), "code-1")
}

func TestVisit_aCrashWhileTheAnswerIsVerifiedLeadsBackToTheChoice(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	state := b.pick("tax")
	v := visitOf(t, w, b.flow)
	verifying := v.at(AtProvider)
	verifying.Since = w.now()
	must(t, w.service.advance(t.Context(), v, verifying)) // and then the power fails
	want(t, "for a moment", b.get(b.choice()).Wait != nil, true)
	want(t, "the answer again", b.signIn("tax", state, "alice").To, b.choice())
	w.pass(busy)
	want(t, "then", b.get(b.choice()).Choose != nil, true)
	want(t, "exchanges", w.tax.exchanges.Load(), int64(0))
	want(t, "she signs in again", b.signIn("tax", b.pick("tax"), "alice").To, b.choice()+"/consent")
}

// The trail of a visit holds no value of hers, and neither does an error.
func TestVisit_theTrailHoldsNamesNeverValues(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.identify(request(), "tax", "alice")
	b.agree("email")
	for _, e := range w.stores.entries {
		for _, value := range []string{"Alice", "Martin", "1990-05-17", "75107", "example.test"} {
			if strings.Contains(string(e.Public)+string(e.Sealed), value) {
				t.Errorf("an entry holds %q", value)
			}
		}
		var p audit.Public
		must(t, json.Unmarshal(e.Public, &p))
		if slices.Contains([]audit.Kind{audit.ConsentGiven, audit.LoginVerified}, p.Kind) && p.ACR != "eidas2" {
			t.Errorf("%s says acr %q", p.Kind, p.ACR)
		}
	}
}
