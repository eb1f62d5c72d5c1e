package journeys

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
)

// requestClients adds one client that signs its requests, and one whose answers
// are signed, with each algorithm.
func requestClients(client func(id, more string), algs []string, jwks string) {
	for _, alg := range algs {
		client("request-"+alg, secretAuth("client_secret_basic")+"\n    request_object_signing_alg: "+alg+"\n    jwks: "+jwks+"\n")
		client("response-"+alg, secretAuth("client_secret_basic")+"\n    authorization_signed_response_alg: "+alg+"\n")
	}
}

// triedRequests are the members of the discovery document that requests tries.
func triedRequests() []string {
	return []string{"authorization_signing_alg_values_supported", "request_object_signing_alg_values_supported"}
}

// requests tries what the document says about signed requests and answers.
func (w *truthWorld) requests(t *testing.T, each func(string, func(string) string), can func(bool) string, published *keys.Static) {
	t.Helper()
	each("authorization_signing_alg_values_supported", func(alg string) string {
		s := newService(t, w.broker, "response-"+alg)
		r := s.start("openid", url.Values{"response_mode": {"jwt"}})
		return can(w.signedAnswer(t, s, r, w.signIn(t, s, r), alg, published))
	})
	each("request_object_signing_alg_values_supported", func(alg string) string {
		s := newService(t, w.broker, "request-"+alg)
		r := s.start("openid", nil)
		r.URL = w.broker + "/authorize?" + url.Values{"client_id": {s.id}, "request": {w.requestObject(t, r, alg)}}.Encode()
		got := w.signIn(t, s, r)
		return can(got.Get("code") != "" && got.Get("state") == r.State)
	})
	s := newService(t, w.broker, "client_secret_basic")
	r := s.push("openid")
	if got := w.signIn(t, s, r); got.Get("code") == "" || got.Get("state") != r.State {
		t.Errorf("a pushed request leads to %v", got)
	}
}

// signedAnswer reports whether an answer is a code in a JWT of ours for s.
func (w *truthWorld) signedAnswer(t *testing.T, s *service, r request, got url.Values, alg string, published *keys.Static) bool {
	t.Helper()
	compact := got.Get("response")
	if _, err := published.Verify(t.Context(), compact, alg); err != nil || len(got) != 1 {
		return false
	}
	claims := part(t, compact, 1)
	return claims["code"] != nil && claims["state"] == r.State && claims["iss"] == w.broker && claims["aud"] == s.id
}

// requestObject signs what is in the address of r (RFC 9101).
func (w *truthWorld) requestObject(t *testing.T, r request, alg string) string {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": u.Query().Get("client_id"), "aud": w.broker, "jti": random(), "iat": now, "nbf": now, "exp": now + 60}
	for name, values := range u.Query() {
		claims[name] = strings.Join(values, " ")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := w.ring.Sign(t.Context(), alg, "oauth-authz-req+jwt", payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// TestPAR_AnAnsweredRequestIsGone_RFC9126_7_3 is the whole way over HTTP: opened
// twice, answered once, then gone, also for the browser that holds the answer.
func TestPAR_AnAnsweredRequestIsGone_RFC9126_7_3(t *testing.T) {
	whole(t)
	w := newTruthWorld(t)
	s := newService(t, w.broker, "client_secret_basic")
	r := s.push("openid")
	first, second := newCitizen(t), newCitizen(t)
	ask := func(c *citizen) *page { return s.question(c, r, "upstream", "camille") }
	one, two := ask(first), ask(second)
	if one.byID("consent-agree") == nil || two.byID("consent-agree") == nil {
		t.Fatalf("no question: %q %q", one.errorCode(), two.errorCode())
	}
	if p := first.pressUntil(one, "consent-agree", nil, s.back); p.URL.Query().Get("code") == "" {
		t.Fatalf("no code at %s %q", p.URL.Path, p.errorCode())
	}
	if p := second.pressUntil(two, "consent-agree", nil, s.back); s.back(p.URL) || p.errorCode() != "already_answered" {
		t.Errorf("the second visit ends at %s %q", p.URL.Path, p.errorCode())
	}
	for _, c := range []*citizen{first, second, newCitizen(t)} {
		if p := c.visit(http.MethodGet, r.URL, nil, "", s.back); p.Status != http.StatusBadRequest || p.errorCode() != "flow_unknown" {
			t.Errorf("afterwards: %d %q", p.Status, p.errorCode())
		}
	}
}
