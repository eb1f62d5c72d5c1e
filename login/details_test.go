package login

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
)

func TestVisit_detailsAreGrantedOnlyAfterTheyWereShown_RFC9396(t *testing.T) {
	w := newWorld(t)
	w.browser().identify(request(), "tax", "alice")
	b := w.browser()
	b.identify(request(), "tax", "alice")
	b.agree() // remembered for a year: without details nothing more is asked
	req := request()
	req.Details = []protocol.Detail{{Type: "parking_permit", Object: json.RawMessage(`{"type":"parking_permit"}`), Shown: protocol.Text{"en": "Issue a parking permit"}}}
	req.Prompt.Consent = true // as the provider has it whenever there are details
	again := w.browser()
	again.identify(req, "tax", "alice")
	page := again.get(again.choice() + "/consent")
	want(t, "shown", page.Consent.Details, []protocol.Text{{"en": "Issue a parking permit"}})
	again.post(page.Consent.Action, url.Values{"answer": {"agree"}})
	codes := w.issuer.codes()
	want(t, "granted with her answer", codes[len(codes)-1].Details, req.Details)
	want(t, "granted before", codes[0].Details, []protocol.Detail(nil))
}

func TestVisit_thePageLetsItsFormLeadToAnApp_RFC8252_7(t *testing.T) {
	for uri, policy := range map[string]string{
		"http://127.0.0.1:51004/cb": "http://127.0.0.1:51004/cb", "com.example.app:/cb": "com.example.app:/cb",
	} {
		w := newWorld(t)
		req := request()
		req.ClientID, req.RedirectURI = "app", uri
		b := w.browser()
		b.identify(req, "tax", "alice")
		page := b.get(b.choice() + "/consent")
		want(t, "policy of the consent page", page.Consent.ReturnURI, policy)
		r := b.post(page.Consent.Action, url.Values{"answer": {"agree"}})
		want(t, "back at the app", r.To, uri+"?code=code-1&state=library-state")
	}
}
