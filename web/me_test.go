package web

import (
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// meCase is a space with something of everything.
func (s *Site) meCase(w http.ResponseWriter, r *http.Request) error {
	library, tax := protocol.Text{"en": "City library", "fr": "Médiathèque"}, protocol.Text{"en": "Tax office", "fr": "Impôts"}
	at := time.Date(2026, 3, 1, 14, 5, 0, 0, time.UTC)
	return s.Me(w, r, MePage{
		SignedIn: true, Notice: "blocked", Before: 12,
		Entries: []MeEntry{
			{Time: at, Kind: "consent.given", Client: library, Provider: tax, Claims: []protocol.Claim{protocol.GivenName, protocol.Email}, Basis: "consent", Outcome: "ok", Receipt: "0b54"},
			{Time: at, Kind: "login.verified", Here: true, Provider: tax, Outcome: "ok"},
			{Time: at, Kind: "login.denied", Client: library, Outcome: "access_denied"},
			{Time: at, Kind: "something.new", Outcome: "ok"},
		},
		Answers: []MeAnswer{
			{ID: "library", Policy: "reader", Client: library, Basis: "consent", Claims: []protocol.Claim{protocol.GivenName}, Given: at, Until: at.AddDate(1, 0, 0)},
			{ID: "theatre", Policy: "seat", Client: protocol.Text{"en": "Theatre", "fr": "Théâtre"}, Basis: "consent", Given: at},
		},
		Providers: []MeProvider{{"tax", tax, true}, {"post", protocol.Text{"en": "Post office", "fr": "La Poste"}, false}},
	})
}

func (s *Site) withdrawCase(w http.ResponseWriter, r *http.Request) error {
	return s.MeWithdraw(w, r, MeWithdrawPage{Service: "library", Policy: "reader", Answers: []MeAnswer{
		{ID: "library", Policy: "reader", Client: protocol.Text{"en": "City library", "fr": "Médiathèque"}, Claims: []protocol.Claim{protocol.GivenName}},
	}})
}

// receiptCase is a receipt with everything, or of a moment ago.
func (s *Site) receiptCase(whole bool) func(http.ResponseWriter, *http.Request) error {
	at := time.Date(2026, 3, 1, 14, 5, 0, 0, time.UTC)
	p := MeReceiptPage{
		ID: "0b54", Act: "withdrawn", Time: at, Client: protocol.Text{"en": "City library", "fr": "Médiathèque"}, Basis: "consent",
		Shown: []protocol.Claim{protocol.GivenName, protocol.Email}, Claims: []protocol.Claim{protocol.GivenName}, Policy: "reader, 3", Entry: "00ff",
	}
	if whole {
		p.Act, p.Purpose, p.Provider, p.ACR = "given", protocol.Text{"en": "Open your account", "fr": "Ouvrir votre compte"}, protocol.Text{"en": "Tax office", "fr": "Impôts"}, protocol.EIDAS1
		p.Retention, p.Until, p.OfflineUntil, p.Proof, p.Index = "P1Y", at.AddDate(1, 0, 0), at.AddDate(0, 6, 0), "c2sp.org/tlog-proof@v1\nextra AA==\nindex 7\n", 7
	}
	return func(w http.ResponseWriter, r *http.Request) error { return s.MeReceipt(w, r, p) }
}
