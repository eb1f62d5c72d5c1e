package provider

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
)

// FuzzLogoutQuery: whatever the query says, without an ID token nobody is logged out
// and nobody is sent anywhere.
func FuzzLogoutQuery(f *testing.F) {
	for _, q := range []string{
		"", "client_id=library&post_logout_redirect_uri=https%3A%2F%2Frp.example%2Flogged-out%3Ffrom%3Dbroker&state=s",
		"post_logout_redirect_uri=//evil.example&id_token_hint=a.b.c", "request=AAAA", "request=" + strings.Repeat("A", 100),
		"ui_locales=en+fr&logout_hint=x", "state=%0d%0aSet-Cookie:x", "client_id=library&client_id=other", "%", "lang=en",
	} {
		f.Add(q)
	}
	w := newWorld(f)
	library, _ := w.set.Get("library")
	with := *library
	with.PostLogoutURIs = []string{after}
	w.set = clients.NewSet(&with)
	f.Fuzz(func(t *testing.T, query string) {
		for _, session := range []string{"", "x"} {
			w.live.id = "" // a fuzzer is no person
			if session != "" {
				w.live.id = "x"
			}
			r := httptest.NewRequest("GET", PathLogout, nil)
			r.URL.RawQuery = query
			got := w.do(r)
			if string(w.live.id) != session || len(w.live.asked) > 0 {
				t.Errorf("logged out by %q", query)
			}
			if got.header.Get("Location") != "" || got.status != 200 && got.status != 400 && got.status != 413 {
				t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
			}
		}
	})
}
