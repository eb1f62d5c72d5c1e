package provider

import (
	"strings"
	"testing"
)

func TestDetails_EveryTypeIsUnknownSoFar_RFC9396_5(t *testing.T) {
	w := newWorld(t).serve()
	for name, raw := range map[string]string{
		"an unknown type":            `[{"type":"payment_initiation"}]`,
		"without a type":             `[{}]`,
		"a type that is none":        `[{"type":1}]`,
		"an object":                  `{"type":"x"}`,
		"an empty list":              `[]`,
		"a list of something else":   `["x"]`,
		"null":                       `null`,
		"not JSON":                   `x`,
		"that closes its wrapper":    `[]},"x":{`,
		"with a name that is double": `[{"type":"x","type":"y"}]`,
		"too long":                   `[{"type":"` + strings.Repeat("a", 8200) + `"}]`,
		"too deep":                   `[{"type":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]`,
		"too many":                   "[" + strings.Repeat(`{"type":"x"},`, 16) + `{"type":"x"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			q := request("authorization_details", raw)
			wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_authorization_details")
			wantError(t, w.push(q), 400, "invalid_authorization_details")
		})
	}
	inside := objectOf(w, map[string]any{"authorization_details": []any{map[string]any{"type": "x"}}})
	wantError(t, w.push(signed(inside), "signer"), 400, "invalid_authorization_details")
	inside = objectOf(w, map[string]any{"authorization_details": `[{"type":"x"}]`})
	wantError(t, w.push(signed(inside), "signer"), 400, "invalid_request_object")
	// Sent without a value, it counts as not sent (RFC 6749 section 3.1).
	if got := w.do(get(PathAuthorize, request("authorization_details", ""))); got.header.Get("Location") != "/login/flow" {
		t.Errorf("empty: got %d", got.status)
	}
}
