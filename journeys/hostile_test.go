package journeys

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// asRegistered registers a service by hand at a broker whose provider is away.
func asRegistered(t *testing.T, broker, members string) registered {
	t.Helper()
	s := registered{t: t, broker: broker}
	status, got := s.call(http.MethodPost, broker+"/register", initialToken, `{"redirect_uris":["https://a.example/cb"]`+members+`}`)
	if status != http.StatusCreated {
		t.Fatalf("POST /register = %d %v", status, got)
	}
	s.id, s.access, s.self, s.metadata = got["client_id"].(string), got["registration_access_token"].(string), got["registration_client_uri"].(string), got
	return s
}

// pushes sends a whole authorization request to /par.
func (s registered) pushes(prove func(http.Header)) (proven, error) {
	return sendProof(s.t, http.MethodPost, s.broker+"/par", "", url.Values{
		"client_id": {s.id}, "redirect_uri": {"https://a.example/cb"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}, prove)
}

// A registered service changes its mind, or leaves, between what it has begun and what
// comes of it: the person gets a page that says so, and nobody an answer.
func TestRegistration_AServiceThatChangesOrLeavesInTheMiddle(t *testing.T) {
	whole(t)
	_, broker := serve(t, "", registrationConfig(t, 1, "unused-unused-unused-unused-unused-unused", ""))
	change := map[string]func(registered){
		"it leaves": func(s registered) {
			if status, _ := s.call(http.MethodDelete, s.self, s.access, ""); status != http.StatusNoContent {
				t.Fatalf("DELETE = %d", status)
			}
		},
		"its redirect URI goes": func(s registered) {
			if status, got := s.call(http.MethodPut, s.self, s.access, fmt.Sprintf(`{"client_id":%q,"redirect_uris":["https://a.example/second"]}`, s.id)); status != http.StatusOK {
				t.Fatalf("PUT = %d %v", status, got)
			}
		},
	}
	for name, want := range map[string]string{"it leaves": "client_unknown", "its redirect URI goes": "redirect_invalid"} {
		t.Run(name, func(t *testing.T) {
			s := asRegistered(t, broker, "")
			secret, _ := s.metadata["client_secret"].(string)
			asItself := func(h http.Header) {
				r := http.Request{Header: h}
				r.SetBasicAuth(s.id, secret)
			}
			pushed, err := s.pushes(asItself)
			if err != nil || pushed.status != http.StatusCreated {
				t.Fatalf("POST /par = %d %v, %v", pushed.status, pushed.said, err)
			}
			c := newCitizen(t)
			visit := s.authorizeAs(c, "https://a.example/cb")
			if visit.errorCode() == want {
				t.Fatalf("too early: %d %s", visit.Status, visit.errorCode())
			}
			change[name](s)
			if p := c.get(visit.URL.String()); p.errorCode() != want {
				t.Errorf("the visit: %d %q at %s, want %s", p.Status, p.errorCode(), p.URL.Path, want)
			}
			reference := url.Values{"client_id": {s.id}, "request_uri": {pushed.said["request_uri"].(string)}}
			if p := c.get(broker + "/authorize?" + reference.Encode()); p.errorCode() != want {
				t.Errorf("the pushed request: %d %q, want %s", p.Status, p.errorCode(), want)
			}
			if again, err := s.pushes(asItself); err != nil || again.status == http.StatusCreated {
				t.Errorf("the same request once more: %d %v, %v", again.status, again.said, err)
			}
		})
	}
}

// The initial token lifts PKCE for services with a secret. A public one has nothing else.
func TestRegistration_APublicServiceHasPKCEWhateverTheTokenSays_RFC9700_2_1_1(t *testing.T) {
	whole(t)
	_, broker := serve(t, "", registrationConfig(t, 1, "unused-unused-unused-unused-unused-unused",
		"      public_clients: true\n      require_pkce: false\n      exception_reason: \"a test\"\n"))
	s := asRegistered(t, broker, `,"token_endpoint_auth_method":"none"`)
	without := url.Values{
		"client_id": {s.id}, "redirect_uri": {"https://a.example/cb"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
	}
	got, err := sendProof(t, http.MethodPost, broker+"/par", "", without, func(http.Header) {})
	if err != nil || !got.is(http.StatusBadRequest, "invalid_request") {
		t.Errorf("POST /par without PKCE: %d %v, %v", got.status, got.said, err)
	}
	if got, err = s.pushes(func(http.Header) {}); err != nil || got.status != http.StatusCreated {
		t.Errorf("POST /par with PKCE: %d %v, %v", got.status, got.said, err)
	}
}
