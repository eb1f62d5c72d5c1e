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
			{Time: at, Kind: "consent.given", Client: library, Provider: tax, Claims: []protocol.Claim{protocol.GivenName, protocol.Email}, Basis: "consent", Outcome: "ok"},
			{Time: at, Kind: "login.verified", Here: true, Provider: tax, Outcome: "ok"},
			{Time: at, Kind: "login.denied", Client: library, Outcome: "access_denied"},
			{Time: at, Kind: "something.new", Outcome: "ok"},
		},
		Standings: []MeStanding{{Client: library, Basis: "consent", Claims: []protocol.Claim{protocol.GivenName}, Until: at.AddDate(1, 0, 0)}},
		Providers: []MeProvider{{"tax", tax, true}, {"post", protocol.Text{"en": "Post office", "fr": "La Poste"}, false}},
	})
}
