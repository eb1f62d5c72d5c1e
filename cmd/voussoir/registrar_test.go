package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registration"
)

const initialToken = "an-initial-access-token-of-the-tests-0123456789"

// writeTokens writes a configuration like the demo's, with initial access tokens of
// these ids: the first is initialToken, the others are initialToken-ID.
func writeTokens(t *testing.T, file string, port int, ids ...string) {
	t.Helper()
	text := string(demoConfig(port))
	if len(ids) > 0 {
		text += "\nregistration:\n  tokens:\n"
	}
	for i, id := range ids {
		token := initialToken
		if i > 0 {
			token += "-" + id
		}
		digest := sha256.Sum256([]byte(token))
		text += fmt.Sprintf("    - { id: %s, name: { en: \"City\" }, token_sha256: %q, policy: library, max_clients: 3 }\n", id, hex.EncodeToString(digest[:]))
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// call sends JSON to /register and returns what comes back.
func (b *broker) call(t *testing.T, method, path, token, body string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, b.started.Issuer+path, strings.NewReader(body))
	r.Host = strings.TrimPrefix(b.started.Issuer, "http://")
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	var got map[string]any
	if w.Body.Len() > 0 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s %s: no JSON: %q", method, path, w.Body)
		}
	}
	return w.Code, got
}

// register registers a service and returns its id and its registration access token.
func (b *broker) register(t *testing.T, members string) (id protocol.ClientID, access, secret string) {
	t.Helper()
	status, got := b.call(t, "POST", "/register", initialToken, `{"redirect_uris":["https://new.example/cb"],"client_name":"New service"`+members+`}`)
	if status != http.StatusCreated {
		t.Fatalf("POST /register = %d %v", status, got)
	}
	secret, _ = got["client_secret"].(string)
	return protocol.ClientID(got["client_id"].(string)), got["registration_access_token"].(string), secret
}

func (b *broker) client(id protocol.ClientID) (*clients.Client, bool) {
	return b.current.Load().clients.Get(id)
}

// A broker with keys for every algorithm takes a while to start, so one does for all.
func TestRegistration(t *testing.T) {
	file, port := writeConfig(t)
	writeTokens(t, file, port, "onboarding", "other")
	events := &journal{}
	b := newBroker(t, file, events)
	t.Run("keys for every algorithm are there before", func(t *testing.T) { registrationAlgs(t, b) })
	t.Run("a service is there at once and gone at once", func(t *testing.T) { registrationAtOnce(t, b) })
	t.Run("with keys", func(t *testing.T) { registrationKeys(t, b) })
	t.Run("no more than the token may", func(t *testing.T) { registrationLimit(t, b) })
	t.Run("the operator lists and removes", func(t *testing.T) { registrationCommands(t, file, b) })
	t.Run("a service lives and dies with its token", func(t *testing.T) { registrationToken(t, file, port, b, events) })
	t.Run("a service survives a restart", func(t *testing.T) { registrationRestart(t, file, b) })
}

func registrationAtOnce(t *testing.T, b *broker) {
	t.Helper()
	id, access, secret := b.register(t, `,"id_token_signed_response_alg":"PS256"`)
	c, ok := b.client(id)
	if !ok || c.Policy != "library" || c.Sector != "new.example" || c.Name.In("fr") != "New service" || c.SecretSHA256[0] != sha256.Sum256([]byte(secret)) || !c.RequirePKCE {
		t.Fatalf("client = %+v, %v", c, ok)
	}
	if status, got := b.call(t, "PUT", "/register/"+string(id), access, `{"client_id":"`+string(id)+`","redirect_uris":["https://new.example/second"]}`); status != 200 {
		t.Fatalf("PUT = %d %v", status, got)
	}
	if c, _ := b.client(id); !slices.Equal(c.RedirectURIs, []string{"https://new.example/second"}) || c.Name.In("fr") != "City" || c.IDTokenSigningAlg != "RS256" || len(c.SecretSHA256) != 1 {
		t.Errorf("after the update: %+v", c)
	}
	if status, got := b.call(t, "PUT", "/register/"+string(id), access, `{"client_id":"`+string(id)+`","redirect_uris":["https://new.example/#fragment"]}`); status != 400 || got["error"] != "invalid_redirect_uri" {
		t.Errorf("PUT with a fragment = %d %v", status, got)
	}
	if status, _ := b.call(t, "DELETE", "/register/"+string(id), access, ""); status != 204 {
		t.Fatalf("DELETE = %d", status)
	}
	if _, ok := b.client(id); ok {
		t.Error("the deleted client is still there")
	}
	if status, got := b.call(t, "GET", "/register/"+string(id), access, ""); status != 401 || got["error"] != "invalid_token" {
		t.Errorf("GET after DELETE = %d %v", status, got)
	}
	if len(b.current.Load().clients.All()) != len(b.started.Clients.All())+1 { // and the broker itself
		t.Error("the clients are not those of the configuration")
	}
}

func registrationAlgs(t *testing.T, b *broker) {
	t.Helper()
	for _, alg := range []string{"ES256", "EdDSA", "PS256", "RS256"} {
		if _, err := b.ring.Sign(t.Context(), alg, "JWT", []byte("{}")); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func registrationKeys(t *testing.T, b *broker) {
	t.Helper()
	const p256 = `{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}` // RFC 7515 appendix A.3
	id, access, secret := b.register(t, `,"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[`+p256+`]}`)
	c, _ := b.client(id)
	if _, err := b.clientKeys(c); err != nil || secret != "" || c.AuthSigningAlg != "ES256" {
		t.Errorf("keys: %v; client %+v", err, c)
	}
	for name, members := range map[string]string{
		"a key of another kind":     `"token_endpoint_auth_signing_alg":"RS256","jwks":{"keys":[` + p256 + `]}`,
		"a key that is no point":    `"jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}`,
		"no key to encrypt to":      `"jwks":{"keys":[` + p256 + `]},"id_token_encrypted_response_alg":"RSA-OAEP-256"`,
		"keys in two places":        `"jwks_uri":"https://new.example/jwks","jwks":{"keys":[` + p256 + `]}`,
		"keys at a stranger's file": `"jwks_uri":"file:///etc/passwd"`,
	} {
		status, got := b.call(t, "POST", "/register", initialToken, `{"redirect_uris":["https://new.example/cb"],"token_endpoint_auth_method":"private_key_jwt",`+members+`}`)
		if status != 400 || got["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	t.Run("a client that no longer needs keys has none", func(t *testing.T) {
		if status, got := b.call(t, "PUT", "/register/"+string(id), access, `{"client_id":"`+string(id)+`","redirect_uris":["https://new.example/cb"]}`); status != 200 || got["client_secret"] == nil {
			t.Fatalf("PUT = %d %v", status, got)
		}
		if c, _ := b.client(id); c.AuthMethod != clients.SecretBasic {
			t.Errorf("client = %+v", c)
		} else if _, err := b.clientKeys(c); err == nil {
			t.Error("its keys are still there")
		}
		b.call(t, "DELETE", "/register/"+string(id), access, "")
	})
}

func registrationRestart(t *testing.T, file string, b *broker) {
	t.Helper()
	id, access, secret := b.register(t, `,"contacts":["me@new.example"]`)
	b.close()
	b, err := startAgain(t, file, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	c, ok := b.client(id)
	if !ok || c.SecretSHA256[0] != sha256.Sum256([]byte(secret)) || !c.HasRedirectURI("https://new.example/cb") {
		t.Fatalf("client = %+v, %v", c, ok)
	}
	if status, got := b.call(t, "GET", "/register/"+string(id), access, ""); status != 200 || got["client_name"] != "New service" || got["contacts"] == nil {
		t.Errorf("GET = %d %v", status, got)
	}
}

// A token that leaves the configuration takes its services out of service, by
// SIGHUP too, and brings them back when it returns.
func registrationToken(t *testing.T, file string, port int, b *broker, events *journal) {
	t.Helper()
	id, access, _ := b.register(t, "")
	reload := func(ids ...string) {
		t.Helper()
		writeTokens(t, file, port, ids...)
		p := &program{getenv: os.Getenv}
		c, err := p.load(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.reload(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	reload("other")
	if _, ok := b.client(id); ok {
		t.Error("the client is there without its token")
	}
	if status, got := b.call(t, "GET", "/register/"+string(id), access, ""); status != 401 {
		t.Errorf("GET = %d %v", status, got)
	}
	if log := events.String(); !strings.Contains(log, "a registered client is out of service") || !strings.Contains(log, string(id)) {
		t.Errorf("nobody is told: %s", log)
	}
	reload()
	if status, _ := b.call(t, "POST", "/register", initialToken, `{}`); status != 404 {
		t.Errorf("POST without any token in the configuration = %d, want 404", status)
	}
	reload("onboarding")
	if _, ok := b.client(id); !ok {
		t.Error("the client has not come back with its token")
	}
	if status, _ := b.call(t, "DELETE", "/register/"+string(id), access, ""); status != 204 {
		t.Errorf("DELETE = %d", status)
	}
}

func registrationLimit(t *testing.T, b *broker) {
	t.Helper()
	tokens := map[protocol.ClientID]string{}
	for range 3 {
		id, access, _ := b.register(t, "")
		tokens[id] = access
	}
	const body = `{"redirect_uris":["https://new.example/cb"]}`
	if status, got := b.call(t, "POST", "/register", initialToken, body); status != 403 || got["error"] != "access_denied" {
		t.Errorf("the fourth = %d %v", status, got)
	}
	if status, got := b.call(t, "POST", "/register", initialToken+"-other", body); status != 201 {
		t.Errorf("that of another token = %d %v", status, got)
	}
	for id, access := range tokens {
		if status, _ := b.call(t, "DELETE", "/register/"+string(id), access, ""); status != 204 {
			t.Fatalf("DELETE = %d", status)
		}
	}
	id, access, _ := b.register(t, "") // there is room again
	b.call(t, "DELETE", "/register/"+string(id), access, "")
}

func registrationCommands(t *testing.T, file string, b *broker) {
	t.Helper()
	id, _, _ := b.register(t, "")
	code, out, errs := say(t, "clients", "list", "--config", file, "--json")
	var lines []clientLine
	if err := json.Unmarshal([]byte(out), &lines); err != nil || code != exitOK || len(lines) != 2 {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	if l := lines[1]; l.ID != string(id) || l.Name != "New service" || l.Initial != "onboarding" || l.Policy != "library" || l.State != "in service" || l.Issued == "" {
		t.Errorf("list = %+v", l)
	}
	if code, out, _ := say(t, "clients", "list", "--config", file); code != exitOK || !strings.Contains(out, string(id)) {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, errs := say(t, "clients", "remove", "--config", file, string(id)); code != exitOK || !strings.Contains(out, "is removed") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if err := b.takeOverRegistrations(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.client(id); ok {
		t.Error("the running broker still has the client")
	}
	t.Run("a change whose caller went away before it was known", func(t *testing.T) {
		id, access, _ := b.register(t, "")
		r, _ := book{b}.Find(id)
		r.Changed, r.Metadata = r.Changed.Add(time.Second), []byte(`{"redirect_uris":["https://new.example/later"],"token_endpoint_auth_method":"client_secret_basic"}`)
		entry, err := b.log.Prepare(registration.Removed(r)) // any entry will do
		if err != nil {
			t.Fatal(err)
		}
		if err := b.records.ReplaceRegistration(t.Context(), r, entry); err != nil {
			t.Fatal(err)
		}
		before := b.current.Load()
		for range 2 { // the second time there is nothing to do
			if err := b.takeOverRegistrations(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if c, ok := b.client(id); !ok || !c.HasRedirectURI("https://new.example/later") || before == b.current.Load() {
			t.Errorf("client = %+v, %v", c, ok)
		}
		b.call(t, "DELETE", "/register/"+string(id), access, "")
	})
	if code, _, errs := say(t, "clients", "remove", "--config", file, string(id)); code != exitFailure || !strings.Contains(errs, "no client with this id") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, _, errs := say(t, "clients"); code != exitUsage || !strings.Contains(errs, "clients list or clients remove") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if code, out, _ := say(t, "check", "--config", file); code != exitOK || !strings.Contains(out, "services register with the token onboarding (3 at most)") {
		t.Errorf("exit %d: %s", code, out)
	}
}
