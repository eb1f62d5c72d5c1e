package journeys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// relyingParty is the other side of the matrix.
type relyingParty struct {
	name, id, yaml string
	base, redirect string
	leave          string // where she logs out
	start          func(level string) string
	launch         func(broker string)
	received       func(t *testing.T, p *page) arrived
	refused        func(t *testing.T, p *page) string // the error that it heard

	cannotHint string // why its logout has to be confirmed
}

// arrived is what a service has of a person.
type arrived struct {
	sub, givenName string
	over16         bool
}

const matrixScope = "openid given_name age_over_16"

func relyingParties(t *testing.T) []*relyingParty {
	t.Helper()
	return []*relyingParty{nodeService(t), goService(t), apacheService(t), rubyService(t)}
}

// asked adds a level to the address where a visit begins.
func asked(start string) func(string) string {
	return func(level string) string {
		if level == "" {
			return start
		}
		return start + "?acr_values=" + url.QueryEscape(level)
	}
}

// saysJSON is a service that answers received.
func (rp *relyingParty) saysJSON() *relyingParty {
	rp.received = func(t *testing.T, p *page) arrived {
		t.Helper()
		r := decode(t, p)
		if r.Claims["sub"] != r.UserInfo["sub"] {
			t.Error("sub differs between ID token and userinfo")
		}
		out := arrived{}
		out.sub, _ = r.UserInfo["sub"].(string)
		out.givenName, _ = r.UserInfo["given_name"].(string)
		out.over16, _ = r.UserInfo["age_over_16"].(bool)
		return out
	}
	rp.refused = func(t *testing.T, p *page) string {
		t.Helper()
		var r received
		if err := json.Unmarshal([]byte(p.Body), &r); err != nil {
			t.Fatalf("not the service's JSON (status %d at %s): %v\n%s", p.Status, p.URL.Path, err, tail(p.Body, 1000))
		}
		return r.Error
	}
	return rp
}

func nodeService(t *testing.T) *relyingParty {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	port := ports(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	return (&relyingParty{
		name: "openid-client", id: "node", yaml: secretAuth("client_secret_basic"),
		base: base, redirect: base + "/callback", start: asked(base + "/start"), leave: base + "/leave",
		launch: func(broker string) {
			env := []string{fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=node", "CLIENT_SECRET=" + serviceSecret, "SCOPE=" + matrixScope}
			launch(t, env, base+"/ready", node(t), "counterparts/openid-client.mjs")
		},
	}).saysJSON()
}

// rubyService has no PKCE, and logs out without a hint.
func rubyService(t *testing.T) *relyingParty {
	need(t, "ruby", "Ruby")
	need(t, "/usr/share/doc/ruby-omniauth-openid-connect", "ruby-omniauth-openid-connect")
	port := ports(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	return (&relyingParty{
		name: "omniauth_openid_connect", id: "ruby",
		yaml: secretAuth("client_secret_basic") + "\n    require_pkce: false\n    exception_reason: omniauth_openid_connect 0.10 knows no PKCE",
		base: base, redirect: base + "/auth/voussoir/callback", start: asked(base + "/start"), leave: base + "/auth/voussoir/logout",
		launch: func(broker string) {
			env := []string{fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=ruby", "CLIENT_SECRET=" + serviceSecret, "SCOPE=" + matrixScope}
			launch(t, env, base+"/ready", "ruby", "counterparts/omniauth.rb")
		},
		cannotHint: rubyCannotHint,
	}).saysJSON()
}

func apacheService(t *testing.T) *relyingParty {
	need(t, "/usr/sbin/apache2", "Apache")
	need(t, "/usr/lib/apache2/modules/mod_auth_openidc.so", "mod_auth_openidc")
	port := ports(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	return &relyingParty{
		name: "mod_auth_openidc", id: "apache", yaml: secretAuth("client_secret_basic"),
		base: base, redirect: base + "/private/callback", leave: base + "/private/callback?logout=" + url.QueryEscape(base+"/left"),
		start: func(level string) string {
			if level == "" {
				return base + "/private/page"
			}
			return base + "/private/substantial/page"
		},
		launch: func(broker string) { launchApache(t, port, broker, "apache", matrixScope) },
		received: func(t *testing.T, p *page) arrived {
			t.Helper()
			if p.Body != "inside" {
				t.Errorf("not inside: status %d at %s:\n%s", p.Status, p.URL.Path, tail(p.Body, 500))
			}
			return arrived{p.Header.Get("X-Sub"), p.Header.Get("X-Given-Name"), p.Header.Get("X-Age-Over-16") == "1"}
		},
		refused: func(t *testing.T, p *page) string {
			t.Helper()
			t.Log(apacheCannotRead)
			if p.URL.Path != "/private/callback" || p.Body == "inside" {
				t.Errorf("the answer was taken to %s (status %d):\n%s", p.URL.Path, p.Status, tail(p.Body, 500))
			}
			return p.URL.Query().Get("error")
		},
	}
}

// launchApache starts a private Apache; it returns its folder.
func launchApache(t *testing.T, port int, broker, client, scope string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // Apache's workers are another user when we are root
		t.Fatal(err)
	}
	for name, text := range map[string]string{"private/page": "inside", "private/substantial/page": "inside", "left": "left"} {
		file := filepath.Join(dir, "www", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conf, err := filepath.Abs("counterparts/apache.conf")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{fmt.Sprintf("PORT=%d", port), "ISSUER=" + broker, "CLIENT_ID=" + client, "CLIENT_SECRET=" + serviceSecret, "SCOPE=" + scope, "DIR=" + dir}
	launch(t, env, fmt.Sprintf("http://127.0.0.1:%d/", port), "/usr/sbin/apache2", "-X", "-f", conf)
	return dir
}

// onGoOIDC is a service on go-oidc, as docs/integrate-a-service.md shows it.
type onGoOIDC struct {
	broker     *oidc.Provider
	oauth      oauth2.Config
	endSession string

	mu      sync.Mutex // guards what follows
	started map[string]goVisit
	idToken string // of the last sign-in
}

type goVisit struct{ nonce, verifier string }

func goService(t *testing.T) *relyingParty {
	s := &onGoOIDC{started: map[string]goVisit{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return (&relyingParty{
		name: "go-oidc", id: "go", yaml: secretAuth("client_secret_basic"),
		base: server.URL, redirect: server.URL + "/callback", start: asked(server.URL + "/start"), leave: server.URL + "/leave",
		launch: func(broker string) {
			var err error
			if s.broker, err = oidc.NewProvider(context.Background(), broker); err != nil {
				t.Fatal(err)
			}
			var more struct {
				EndSession string `json:"end_session_endpoint"`
			}
			if err := s.broker.Claims(&more); err != nil {
				t.Fatal(err)
			}
			s.endSession = more.EndSession
			s.oauth = oauth2.Config{
				ClientID: "go", ClientSecret: serviceSecret, RedirectURL: server.URL + "/callback", Endpoint: s.broker.Endpoint(),
				Scopes: []string{"openid", "given_name", "age_over_16"},
			}
		},
	}).saysJSON()
}

func (s *onGoOIDC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/start":
		state, v := random(), goVisit{random(), oauth2.GenerateVerifier()}
		s.mu.Lock()
		s.started[state] = v
		s.mu.Unlock()
		options := []oauth2.AuthCodeOption{oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier)}
		if level := r.FormValue("acr_values"); level != "" {
			options = append(options, oauth2.SetAuthURLParam("acr_values", level))
		}
		http.Redirect(w, r, s.oauth.AuthCodeURL(state, options...), http.StatusSeeOther)
	case "/callback":
		claims, info, err := s.finish(r.Context(), r.URL.Query())
		answer := map[string]any{"claims": claims, "userinfo": info}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(answer)
	case "/leave":
		s.mu.Lock()
		q := url.Values{"id_token_hint": {s.idToken}, "post_logout_redirect_uri": {"http://" + r.Host + "/left"}}
		s.mu.Unlock()
		http.Redirect(w, r, s.endSession+"?"+q.Encode(), http.StatusSeeOther)
	}
}

// finish does what the library leaves to the service: state, iss, error, nonce and sub.
func (s *onGoOIDC) finish(ctx context.Context, q url.Values) (claims, info map[string]any, err error) {
	s.mu.Lock()
	v, known := s.started[q.Get("state")]
	delete(s.started, q.Get("state"))
	s.mu.Unlock()
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if err := s.broker.Claims(&metadata); err != nil {
		return nil, nil, err
	}
	switch {
	case !known:
		return nil, nil, errors.New("state")
	case q.Get("iss") != metadata.Issuer:
		return nil, nil, errors.New("iss")
	case q.Get("error") != "":
		return nil, nil, errors.New(q.Get("error"))
	}
	tokens, err := s.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(v.verifier))
	if err != nil {
		return nil, nil, err
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := s.broker.Verifier(&oidc.Config{ClientID: s.oauth.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, nil, err
	}
	if id.Nonce != v.nonce {
		return nil, nil, errors.New("nonce")
	}
	user, err := s.broker.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	s.idToken = raw
	s.mu.Unlock()
	return claims, info, errors.Join(id.Claims(&claims), user.Claims(&info))
}
