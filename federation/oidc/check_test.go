package oidc_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
)

// A look goes past what is remembered: what broke a moment ago shows, and what was
// fetched before still signs people in while a document cannot be had.
func TestCheck_SeesWhatIsPublishedNow(t *testing.T) {
	status := func(code int) func(http.ResponseWriter) bool {
		return func(w http.ResponseWriter) bool { w.WriteHeader(code); return true }
	}
	garbage := func(w http.ResponseWriter) bool { _, _ = w.Write([]byte(`{"issuer": 7`)); return true }
	for _, tt := range []struct {
		name    string
		spoil   func(h *hostile)
		signsIn bool
	}{
		{"metadata that cannot be had", func(h *hostile) { h.document = status(http.StatusServiceUnavailable) }, true},
		{"metadata that is garbage", func(h *hostile) { h.document = garbage }, true},
		{"metadata of another issuer", func(h *hostile) { h.discovery = func(doc members) { doc["issuer"] = "https://other.example" } }, false},
		{"keys that cannot be had", func(h *hostile) { h.jwks = status(http.StatusBadGateway) }, true},
		{"keys that are garbage", func(h *hostile) { h.jwks = garbage }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, clock := newHostile(t), now
			c := h.config()
			c.Now = func() time.Time { return clock }
			p := newProvider(t, c)
			if err := p.Check(t.Context()); err != nil {
				t.Fatalf("while all is well: %v", err)
			}
			if _, err := h.signIn(t, p, request); err != nil {
				t.Fatal(err)
			}
			tt.spoil(h)
			clock = clock.Add(2 * time.Second)
			wantKind(t, p.Check(t.Context()), federation.Unavailable)
			if _, err := h.signIn(t, p, request); (err == nil) != tt.signsIn {
				t.Errorf("a sign-in afterwards: %v, want it to work: %t", err, tt.signsIn)
			}
		})
	}
}
