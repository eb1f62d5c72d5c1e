package login

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/protocol"
)

const fortnight = 14 * 24 * time.Hour

// mayRefresh registers services for refresh tokens, as a reload would.
func (w *world) mayRefresh(ids ...protocol.ClientID) {
	for _, id := range ids {
		c, _ := w.service.Clients().Get(id)
		c.RefreshIdle, c.RefreshMax = fortnight, fortnight
	}
}

func offlineRequest(req protocol.AuthRequest) protocol.AuthRequest {
	req.Scopes = append(req.Scopes, protocol.OfflineAccess)
	return req
}

// offlineEntries is until when each audit entry says that the service may come back.
func (s *stores) offlineEntries(t *testing.T, kind audit.Kind) (out []string) {
	for _, e := range s.entries {
		var p audit.Public
		must(t, json.Unmarshal(e.Public, &p))
		if p.Kind == kind {
			out = append(out, day(p.OfflineUntil))
		}
	}
	return out
}

func TestOffline_ShownAgreedToAndOnRecord_OIDC_11(t *testing.T) {
	w := newWorld(t)
	w.mayRefresh("library")
	b := w.browser()
	b.identify(offlineRequest(request()), "post", "alice")
	until := w.now().Add(fortnight)
	want(t, "the page names the day", b.get(b.choice()+"/consent").Consent.OfflineUntil, "2026-03-28")
	w.pass(20 * time.Minute)
	want(t, "the answer", b.agree().code(), "code-1")
	g := w.issuer.codes()[0]
	want(t, "what she was told holds, however long she has read", g.OfflineUntil.Equal(until), true)
	want(t, "scopes", g.Scopes, offlineRequest(request()).Scopes)
	r := w.stores.record()[0]
	want(t, "the receipt", r.OfflineUntil.Equal(until) && r.Rule == "offline-access", true)
	want(t, "the audit entry", w.stores.offlineEntries(t, audit.ConsentGiven), []string{"2026-03-28"})
}

func TestOffline_NoEarlierAnswerSpeaksOfIt_OIDC_11(t *testing.T) {
	w := newWorld(t)
	w.mayRefresh("library")
	b := signedIn(w, "post")
	for range 2 { // not even one about the same
		b.mustStart(offlineRequest(request()))
		want(t, "she is asked", b.get(b.choice()).To, b.choice()+"/consent")
		b.agree()
	}
	b.mustStart(request())
	want(t, "and not when the service does not want to come back", b.get(b.choice()).code(), "code-4")
	for i, g := range w.issuer.codes() {
		want(t, "until", g.OfflineUntil.IsZero(), i == 0 || i == 3)
	}
	silent := offlineRequest(request())
	silent.Prompt.None = true
	b.mustStart(silent)
	to, err := url.Parse(b.get(b.choice()).To)
	must(t, err)
	want(t, "without a page", to.Query().Get("error"), "consent_required")
}

func TestOffline_OnAnotherBasisSheIsTold(t *testing.T) {
	w := newWorld(t)
	w.mayRefresh("cityhall")
	b := w.browser()
	b.identify(offlineRequest(cityhall()), "post", "alice")
	page := b.get(b.choice() + "/consent").Consent
	want(t, "page", page.Basis+" "+page.OfflineUntil, "public_task 2026-03-28")
	b.agree()
	want(t, "on record", w.stores.offlineEntries(t, audit.Informed), []string{"2026-03-28"})
}

func TestOffline_ARefusalGivesNothing(t *testing.T) {
	w := newWorld(t)
	w.mayRefresh("library")
	b := w.browser()
	b.identify(offlineRequest(request()), "post", "alice")
	page := b.get(b.choice() + "/consent")
	b.post(page.Consent.Action, url.Values{"answer": {"refuse"}})
	want(t, "codes", len(w.issuer.codes()), 0)
	want(t, "the receipt", w.stores.record()[0].OfflineUntil.IsZero(), true)
	want(t, "on record", w.stores.offlineEntries(t, audit.ConsentRefused), []string{""})
}

func TestOffline_AServiceThatLosesTheRightMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.mayRefresh("library")
	b := w.browser()
	b.identify(offlineRequest(request()), "post", "alice")
	old := b.get(b.choice() + "/consent").Consent
	c, _ := w.service.Clients().Get("library")
	c.RefreshIdle, c.RefreshMax = 0, 0
	again := b.post(old.Action, url.Values{"answer": {"agree"}})
	want(t, "an answer to the old page counts for nothing", again.To, b.choice()+"/consent")
	want(t, "the new one does not name a day", b.get(b.choice()+"/consent").Consent.OfflineUntil, "")
	b.agree()
	g := w.issuer.codes()[0]
	want(t, "the grant", g.OfflineUntil.IsZero(), true)
	want(t, "scopes", g.Scopes, request().Scopes)
}

func TestOffline_AServiceThatMayForLessLongMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.mayRefresh("library")
	b := w.browser()
	b.identify(offlineRequest(request()), "post", "alice")
	old := b.get(b.choice() + "/consent").Consent
	c, _ := w.service.Clients().Get("library")
	c.RefreshMax = 7 * 24 * time.Hour
	b.post(old.Action, url.Values{"answer": {"agree"}})
	want(t, "she reads the new day", b.get(b.choice()+"/consent").Consent.OfflineUntil, "2026-03-21")
}
