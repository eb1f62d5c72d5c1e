package login

import (
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
)

// Of a native app's loopback address anybody chooses the port: a page of ours must not
// hold a link to whatever else listens there.
func TestVisit_noPageLinksToThePersonsOwnMachine(t *testing.T) {
	w := newWorld(t)
	for uri, want := range map[string]bool{"http://127.0.0.1:631/cb": false, "com.example.app:/cb": false, "https://app.example/cb": true} {
		if got := w.service.wayBack(&visit{Request: protocol.AuthRequest{ClientID: "app", RedirectURI: uri}}); (got != nil) != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
}
