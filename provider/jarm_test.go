package provider

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// opened verifies a signed response with the published keys and returns its claims.
func (w *world) opened(compact string) []byte {
	w.t.Helper()
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		w.t.Fatalf("no signed response: %v", err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(w.keys.jwks, &set); err != nil {
		w.t.Fatal(err)
	}
	payload, err := jws.Verify(set.Key(jws.Signatures[0].Protected.KeyID)[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return payload
}

var hiddenResponse = regexp.MustCompile(`name="response" value="([^"]*)"`)

func TestJARM_ResponsesAreSignedForTheClient_JARM_2_1(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name string
		mode protocol.ResponseMode
		a    login.Answer
	}{
		{"code", protocol.ModeQueryJWT, login.Answer{Code: "the-code"}},
		{"code_form_post", protocol.ModeFormPostJWT, login.Answer{Code: "the-code"}},
		{"error", protocol.ModeQueryJWT, login.Answer{Err: protocol.Fail(protocol.AccessDenied, nil, "the person refused")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			req := protocol.AuthRequest{ClientID: "rich", RedirectURI: redirect, State: "st~ate", ResponseMode: tt.mode}
			if err := w.codes.Answer(rec, httptest.NewRequest("GET", "/", nil), req, tt.a); err != nil {
				t.Fatal(err)
			}
			got := reply{rec.Code, rec.Header(), rec.Body.String()}
			var compact string
			if tt.mode == protocol.ModeFormPostJWT {
				m := hiddenResponse.FindStringSubmatch(got.body)
				if m == nil || strings.Contains(got.body, "the-code") || strings.Contains(got.body, `name="state"`) {
					t.Fatalf("the form holds more or less than the response: %s", got.body)
				}
				compact = m[1]
			} else {
				q := got.location(t, redirect)
				if len(q) != 1 {
					t.Errorf("beside the response: %v", q)
				}
				compact = q.Get("response")
			}
			golden(t, "jarm_"+tt.name+".json", indent(t, w.opened(compact)))
			// What we sign for one purpose is of no use for another.
			if _, ok := w.p.hintedSubject("rich", compact); ok {
				t.Error("a response passes as an id_token_hint")
			}
		})
	}
}

func TestJARM_ModesOfARequest_JARM_2_3(t *testing.T) {
	w := newWorld(t).serve()
	for raw, want := range map[string]protocol.ResponseMode{
		"jwt": protocol.ModeQueryJWT, "query.jwt": protocol.ModeQueryJWT, "form_post.jwt": protocol.ModeFormPostJWT,
		"query": protocol.ModeQuery, "form_post": protocol.ModeFormPost, "": protocol.ModeQuery,
	} {
		w.started = nil
		w.do(get(PathAuthorize, request("client_id", "rich", "response_mode", raw)))
		w.do(visit(w.pushedURI(request("client_id", "rich", "response_mode", raw), "rich"), "rich"))
		if len(w.started) != 2 || w.started[0].ResponseMode != want || w.started[1].ResponseMode != want {
			t.Errorf("%q: started with %+v", raw, w.started)
		}
	}
	for _, raw := range []string{"fragment.jwt", "JWT", "query.jwt ", "form_post.jwt.jwt"} {
		if q := w.do(get(PathAuthorize, request("client_id", "rich", "response_mode", raw))).location(t, redirect); q.Get("error") != "invalid_request" {
			t.Errorf("%q: %v", raw, q)
		}
	}
	// Without a registered algorithm the error cannot be signed, and is plain.
	for _, raw := range []string{"jwt", "query.jwt", "form_post.jwt"} {
		if q := w.do(get(PathAuthorize, request("response_mode", raw))).location(t, redirect); q.Get("error") != "invalid_request" || q.Get("state") != "st~ate" {
			t.Errorf("%q: %v", raw, q)
		}
	}
}

func TestJARM_ErrorsOfTheRequestAreSignedToo(t *testing.T) {
	w := newWorld(t).serve()
	q := w.do(get(PathAuthorize, request("client_id", "rich", "response_mode", "jwt", "prompt", "x"))).location(t, redirect)
	var claims map[string]any
	if err := json.Unmarshal(w.opened(q.Get("response")), &claims); err != nil || len(q) != 1 {
		t.Fatalf("%v %v", q, err)
	}
	if claims["error"] != "invalid_request" || claims["state"] != "st~ate" || claims["iss"] != issuer || claims["aud"] != "rich" || claims["code"] != nil {
		t.Errorf("got %v", claims)
	}
}

// What cannot be signed is not sent plain.
func TestJARM_NoDowngrade(t *testing.T) {
	answer := func(w *world) error {
		rec := httptest.NewRecorder()
		req := protocol.AuthRequest{ClientID: "rich", RedirectURI: redirect, State: "s", ResponseMode: protocol.ModeQueryJWT}
		err := w.codes.Answer(rec, httptest.NewRequest(http.MethodGet, "/", nil), req, login.Answer{Code: "the-code"})
		if rec.Header().Get("Location") != "" || rec.Body.Len() > 0 {
			t.Errorf("sent %q %s", rec.Header().Get("Location"), rec.Body)
		}
		return err
	}
	wantUnavailableProblem := func(err error) {
		t.Helper()
		var p *web.Problem
		if !errors.As(err, &p) || p.Code != web.Unavailable || strings.Contains(err.Error(), "the-code") {
			t.Errorf("got %v", err)
		}
	}
	w := newWorld(t)
	broken := *w.keys
	broken.fail = true
	w.codes.cfg.Keys = &broken
	wantUnavailableProblem(answer(w))
	w = newWorld(t)
	w.set = clients.NewSet()
	wantUnavailableProblem(answer(w))
}
