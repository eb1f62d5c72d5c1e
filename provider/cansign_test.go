package provider

import (
	"errors"
	"net/http/httptest"
	"testing"
)

// A service that hears 503 tries again: its code must not have been used up, or it
// would look like a thief's second use.
func TestToken_NoCodeIsUsedUpWhileNothingCanBeSigned(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	broken := *w.keys
	broken.cannot = errors.New("the signer is gone")
	w.p.Keys = &broken
	wantUnavailable(t, w.redeem(tokenForm(code), "library"))
	w.p.Keys = w.keys
	if got := w.redeem(tokenForm(code), "library"); got.status != 200 {
		t.Errorf("the code is gone: %d %s", got.status, got.body)
	}
}

func TestServeKeys_AnswersOneWhoHasThem_RFC9110_13_1_2(t *testing.T) {
	w := newWorld(t)
	serve := ServeKeys(w.keys)
	body, etag := w.keys.JWKS()
	for _, tt := range []struct {
		name, has string
		status    int
		body      string
	}{
		{"the keys, the first time", "", 200, string(body)},
		{"nothing new", `"` + etag + `"`, 304, ""},
	} {
		r := httptest.NewRequest("GET", PathProviderKeys, nil)
		if tt.has != "" {
			r.Header.Set("If-None-Match", tt.has)
		}
		got := httptest.NewRecorder()
		if err := serve(got, r); err != nil {
			t.Fatal(err)
		}
		if got.Code != tt.status || got.Body.String() != tt.body || got.Header().Get("Content-Type") != "application/jwk-set+json" {
			t.Errorf("%s: %d %q %v", tt.name, got.Code, got.Body, got.Header())
		}
	}
}
