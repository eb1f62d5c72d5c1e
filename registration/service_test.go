package registration

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

const endpoint = "https://id.example.org/register"

// world is a Service with a book and a store in memory.
type world struct {
	*Service
	mu      sync.Mutex
	tokens  []Token
	rows    map[protocol.ClientID]Registration
	entries []audit.Event
	refuse  error // of Check
	fail    error // of the store
	now     time.Time
}

func newWorld(t *testing.T, calls outbound.Config) *world {
	t.Helper()
	w := &world{rows: map[protocol.ClientID]Registration{}, now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	w.tokens = []Token{
		{ID: "onboarding", SHA256: sha256.Sum256([]byte("initial")), Max: 2},
		{ID: "over", SHA256: sha256.Sum256([]byte("over")), Max: 2, Expires: w.now},
	}
	var err error
	w.Service, err = New(Config{
		Endpoint: endpoint, Store: w, Audit: w, Book: w, Fetch: outbound.New(calls), Loopback: calls.AllowHTTP, Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) Tokens() []Token { return w.tokens }

func (w *world) Find(id protocol.ClientID) (Registration, bool) { r, ok := w.rows[id]; return r, ok }

func (w *world) Check(r Registration) (Metadata, error) {
	return (&r).metadata(), w.refuse
}

func (w *world) Put(_ Registration, write func() error) error       { return write() }
func (w *world) Drop(_ protocol.ClientID, write func() error) error { return write() }

func (w *world) Prepare(e audit.Event) (audit.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, e)
	return audit.Entry{}, nil
}

func (w *world) AddRegistration(_ context.Context, r Registration, limit int, _ audit.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	if len(w.rows) >= limit {
		return ErrFull
	}
	w.rows[r.ID] = r
	return nil
}

func (w *world) ReplaceRegistration(_ context.Context, r Registration, _ audit.Entry) error {
	if w.fail == nil {
		w.rows[r.ID] = r
	}
	return w.fail
}

func (w *world) RemoveRegistration(_ context.Context, id protocol.ClientID, _ audit.Entry) error {
	if w.fail == nil {
		delete(w.rows, id)
	}
	return w.fail
}

func (w *world) Registrations(context.Context) ([]Registration, error) { return nil, nil }

func object(t *testing.T, text string) map[string]json.RawMessage {
	t.Helper()
	m, err := protocol.Object([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// response is a client information response, read.
func response(t *testing.T, raw []byte, err error) map[string]any {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func wantCode(t *testing.T, err error, code protocol.ErrorCode) {
	t.Helper()
	if p, ok := errors.AsType[*protocol.Error](err); !ok || p.Code != code {
		t.Errorf("error = %v, want %s", err, code)
	}
}

const simple = `{"redirect_uris":["https://new.example/cb"],"client_name":"New"}`

// register registers and returns the answer, the id and the registration access token.
func (w *world) register(t *testing.T, text string) (answer map[string]any, id protocol.ClientID, access string) {
	t.Helper()
	raw, err := w.Register(t.Context(), "initial", object(t, text))
	answer = response(t, raw, err)
	return answer, protocol.ClientID(answer["client_id"].(string)), answer["registration_access_token"].(string)
}

func TestRegister_TheAnswerSaysAllThatHolds_RFC7591_3_2_1(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	got, id, access := w.register(t, `{"redirect_uris":["https://new.example/cb"],"client_name":"New","client_name#fr":"Nouveau","client_name#de-AT":"Neu",
		"response_types":["code","id_token"],"grant_types":["refresh_token","authorization_code","implicit"],"scope":"email telepathy openid","contacts":["a@b.example"],
		"logo_uri":"https://new.example/logo","request_uris":["https://new.example/request"],"default_max_age":300,"jwks":null,"frobnicate":{"a":[1]}}`)
	secret, _ := got["client_secret"].(string)
	row := w.rows[id]
	if len(secret) != 43 || len(access) != 43 || len(id) != 32 || secret == access {
		t.Errorf("secret of %d, token of %d, id of %d characters", len(secret), len(access), len(id))
	}
	if sha256.Sum256([]byte(secret)) != [32]byte(row.Secret) || sha256.Sum256([]byte(access)) != row.Access {
		t.Error("the store has other digests")
	}
	if strings.Contains(string(row.Metadata), secret) || strings.Contains(string(row.Metadata), access) {
		t.Error("a secret rests in the store")
	}
	want := `{"application_type":"web","client_id":"` + string(id) + `","client_id_issued_at":1795428000,"client_name":"New","client_name#fr":"Nouveau",` +
		`"client_secret":"` + secret + `","client_secret_expires_at":0,"contacts":["a@b.example"],"grant_types":["authorization_code","refresh_token"],` +
		`"id_token_signed_response_alg":"RS256","logo_uri":"https://new.example/logo","redirect_uris":["https://new.example/cb"],` +
		`"registration_access_token":"` + access + `","registration_client_uri":"` + endpoint + `/` + string(id) + `","response_types":["code"],` +
		`"scope":"openid email","subject_type":"pairwise","token_endpoint_auth_method":"client_secret_basic"}`
	if b, _ := json.Marshal(got); string(b) != want {
		t.Errorf("answer\n%s\nwant\n%s", b, want)
	}
	if e := w.entries[0].Public; e.Kind != audit.ClientRegistered || e.Client != string(id) || e.Object != "onboarding" {
		t.Errorf("entry = %+v", e)
	}
}

func TestRegister_NobodyWithoutAnInitialToken(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	for name, token := range map[string]string{"none": "", "another": "another", "one that has expired": "over"} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Register(t.Context(), token, object(t, simple))
			wantCode(t, err, protocol.InvalidToken)
		})
	}
	if len(w.rows)+len(w.entries) > 0 {
		t.Error("something was registered")
	}
}

func TestRegister_AsManyAsTheTokenMay(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	w.register(t, simple)
	w.register(t, simple)
	_, err := w.Register(t.Context(), "initial", object(t, simple))
	wantCode(t, err, protocol.AccessDenied)
}

func TestRegister_Refuses(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	many := `["https://a.example/` + strings.Repeat(`","https://a.example/`, maxList) + `"]`
	for _, c := range []struct {
		name, body string
		code       protocol.ErrorCode
	}{
		{"a software statement", `{"software_statement":"hunter2"}`, protocol.UnapprovedSoftwareStatement},
		{"no code", `{"response_types":["id_token"]}`, protocol.InvalidClientMetadata},
		{"no authorization_code", `{"grant_types":["client_credentials"]}`, protocol.InvalidClientMetadata},
		{"public subjects", `{"subject_type":"public"}`, protocol.InvalidClientMetadata},
		{"a list that is a text", `{"redirect_uris":"https://hunter2.example/"}`, protocol.InvalidClientMetadata},
		{"a list of numbers", `{"redirect_uris":[1]}`, protocol.InvalidClientMetadata},
		{"more redirect URIs than anybody needs", `{"redirect_uris":` + many + `}`, protocol.InvalidClientMetadata},
		{"a very long value", `{"client_name":"` + strings.Repeat("a", maxValue+1) + `"}`, protocol.InvalidClientMetadata},
		{"an empty value", `{"client_name":""}`, protocol.InvalidClientMetadata},
		{"a flag that is a text", `{"require_pushed_authorization_requests":"true"}`, protocol.InvalidClientMetadata},
		{"keys that are a text", `{"jwks":"hunter2"}`, protocol.InvalidClientMetadata},
		{"initiate_login_uri over http", `{"initiate_login_uri":"http://hunter2.example/login"}`, protocol.InvalidClientMetadata},
		{"a logo that is a script", `{"logo_uri":"javascript:hunter2()"}`, protocol.InvalidClientMetadata},
		{"a policy in data:", `{"policy_uri#fr":"data:text/html,hunter2"}`, protocol.InvalidClientMetadata},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.Register(t.Context(), "initial", object(t, c.body))
			wantCode(t, err, c.code)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a value is quoted: %v", err)
			}
		})
	}
	t.Run("what the configuration would refuse", func(t *testing.T) {
		w.refuse = protocol.Fail(protocol.InvalidRedirectURI, nil, "redirect_uris: no")
		_, err := w.Register(t.Context(), "initial", object(t, simple))
		wantCode(t, err, protocol.InvalidRedirectURI)
	})
	if len(w.rows)+len(w.entries) > 0 {
		t.Error("something was registered")
	}
}

// Unknown is not no.
func TestRegister_StoreDown(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	_, id, access := w.register(t, simple)
	w.fail = errors.New("disk I/O error")
	_, err := w.Register(t.Context(), "initial", object(t, simple))
	wantCode(t, err, protocol.TemporarilyUnavailable)
	_, err = w.Update(t.Context(), id, access, object(t, `{"client_id":"`+string(id)+`","redirect_uris":["https://new.example/cb"]}`))
	wantCode(t, err, protocol.TemporarilyUnavailable)
	wantCode(t, w.Delete(t.Context(), id, access), protocol.TemporarilyUnavailable)
}

func TestRegister_AssertionAlgorithmIsTold(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"the one of its key", `,"jwks":{"keys":[{"kty":"RSA","use":"enc","alg":"RSA-OAEP-256"},{"kty":"RSA","alg":"PS256"}]}`, "PS256"},
		{"the one of its kind of key", `,"jwks":{"keys":[{"kty":"OKP"}]}`, "EdDSA"},
		{"RS256 when nobody can tell", `,"jwks_uri":"https://new.example/jwks"`, "RS256"},
		{"the one that it says", `,"jwks_uri":"https://new.example/jwks","token_endpoint_auth_signing_alg":"ES256"`, "ES256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, id, _ := newWorld(t, outbound.Config{}).register(t, `{"redirect_uris":["https://new.example/cb"],"token_endpoint_auth_method":"private_key_jwt"`+c.keys+`}`)
			if got["token_endpoint_auth_signing_alg"] != c.want || got["client_secret"] != nil || got["client_secret_expires_at"] != nil || id == "" {
				t.Errorf("answer = %v, want %s and no secret", got, c.want)
			}
		})
	}
}

// OpenID Connect Registration section 5, SF-01, SF-03.
func TestRegister_SectorIdentifier(t *testing.T) {
	body, contentType, status := "", "application/json", http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(rw, r, "/sector", http.StatusFound)
			return
		}
		rw.Header().Set("Content-Type", contentType)
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}))
	defer srv.Close()
	w := newWorld(t, outbound.Config{AllowPrivate: true, AllowHTTP: true})
	w.tokens[0].Max = 100
	register := func(uri string) error {
		_, err := w.Register(t.Context(), "initial", object(t, `{"redirect_uris":["https://a.example/cb","https://b.example/cb"],"sector_identifier_uri":"`+uri+`"}`))
		return err
	}
	const both = `["https://a.example/cb","https://other.example/","https://b.example/cb"]`
	for _, c := range []struct {
		name, body, contentType string
		status                  int
		path                    string
		good                    bool
	}{
		{"lists them all", both, "application/json", 200, "/sector", true},
		{"lacks one", `["https://a.example/cb"]`, "application/json", 200, "/sector", false},
		{"is an object", `{"redirect_uris":` + both + `}`, "application/json", 200, "/sector", false},
		{"is a page of somebody else's", both, "text/html", 200, "/sector", false},
		{"is not there", both, "application/json", 404, "/sector", false},
		{"is elsewhere", both, "application/json", 200, "/moved", false},
		{"is endless", "[" + strings.Repeat(" ", maxSectorFile) + both[1:], "application/json", 200, "/sector", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, contentType, status = c.body, c.contentType, c.status
			err := register(srv.URL + c.path)
			if c.good != (err == nil) {
				t.Fatalf("Register = %v", err)
			}
			if err != nil {
				wantCode(t, err, protocol.InvalidClientMetadata)
			}
		})
	}
	t.Run("nothing is fetched from this machine otherwise", func(t *testing.T) {
		body, contentType, status = both, "application/json", 200
		w = newWorld(t, outbound.Config{})
		for _, uri := range []string{srv.URL + "/sector", "https://127.0.0.1:1/", "https://[::ffff:127.0.0.1]:1/", "https://169.254.169.254/", "gopher://a.example/", "https://me@a.example/"} {
			wantCode(t, register(uri), protocol.InvalidClientMetadata)
		}
	})
}

func TestManage_UnknownClientAndWrongTokenAreOneAnswer_RFC7592_2(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	_, id, access := w.register(t, simple)
	_, other, otherAccess := w.register(t, simple)
	var said []string
	for _, c := range []struct {
		id    protocol.ClientID
		token string
	}{{id, otherAccess}, {other, access}, {id, ""}, {id, "initial"}, {"nobody", access}, {"nobody", ""}} {
		_, err := w.Read(t.Context(), c.id, c.token)
		wantCode(t, err, protocol.InvalidToken)
		said = append(said, err.Error())
		_, err = w.Update(t.Context(), c.id, c.token, object(t, simple))
		said = append(said, err.Error(), w.Delete(t.Context(), c.id, c.token).Error())
	}
	if slices.Sort(said); len(slices.Compact(said)) != 1 {
		t.Errorf("the answers differ: %q", said)
	}
	if len(w.rows) != 2 {
		t.Error("something was deleted")
	}
}

func TestRead_ShowsNoSecret_RFC7592_3(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	first, id, access := w.register(t, simple)
	raw, err := w.Read(t.Context(), id, access)
	got := response(t, raw, err)
	delete(first, "client_secret")
	a, _ := json.Marshal(first)
	if b, _ := json.Marshal(got); string(a) != string(b) {
		t.Errorf("Read = %s, want %s", b, a)
	}
}

func TestUpdate_ReplacesEverything_RFC7592_2_2(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	first, id, access := w.register(t, `{"redirect_uris":["https://new.example/cb"],"client_name":"New","contacts":["a@b.example"]}`)
	w.now = w.now.Add(time.Hour)
	raw, err := w.Update(t.Context(), id, access, object(t, `{"client_id":"`+string(id)+`","client_secret":"`+first["client_secret"].(string)+`",
		"redirect_uris":["https://new.example/cb","https://new.example/second"],"client_name":"Newer"}`))
	got := response(t, raw, err)
	if got["client_name"] != "Newer" || got["contacts"] != nil || len(got["redirect_uris"].([]any)) != 2 || got["client_secret"] != nil || got["client_id_issued_at"] != first["client_id_issued_at"] {
		t.Errorf("answer = %v", got)
	}
	if row := w.rows[id]; row.Secret == nil || !row.Changed.Equal(w.now) || sha256.Sum256([]byte(access)) != row.Access {
		t.Errorf("row = %+v", row)
	}
	if e := w.entries[1].Public; e.Kind != audit.ClientUpdated || e.Client != string(id) || e.Object != "onboarding" {
		t.Errorf("entry = %+v", e)
	}
	t.Run("a secret goes with its method, and another one comes with it", func(t *testing.T) {
		keys := `{"client_id":"` + string(id) + `","redirect_uris":["https://new.example/cb"],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC"}]}}`
		raw, err := w.Update(t.Context(), id, access, object(t, keys))
		if got := response(t, raw, err); got["client_secret"] != nil || w.rows[id].Secret != nil {
			t.Errorf("answer = %v", got)
		}
		raw, err = w.Update(t.Context(), id, access, object(t, `{"client_id":"`+string(id)+`","redirect_uris":["https://new.example/cb"]}`))
		got := response(t, raw, err)
		if secret, _ := got["client_secret"].(string); secret == "" || secret == first["client_secret"] || sha256.Sum256([]byte(secret)) != [32]byte(w.rows[id].Secret) {
			t.Errorf("answer = %v", got)
		}
	})
}

func TestUpdate_Refuses(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	_, id, access := w.register(t, simple)
	was := w.rows[id]
	for _, c := range []struct {
		name, members string
		code          protocol.ErrorCode
	}{
		{"no client_id", `"redirect_uris":["https://new.example/cb"]`, protocol.InvalidRequest},
		{"another client_id", `"client_id":"other"`, protocol.InvalidRequest},
		{"a secret of its own choice", `"client_id":"$","client_secret":"my own secret"`, protocol.InvalidRequest},
		{"a registration access token", `"client_id":"$","registration_access_token":"mine"`, protocol.InvalidRequest},
		{"an address for itself", `"client_id":"$","registration_client_uri":"https://new.example/"`, protocol.InvalidRequest},
		{"a longer life for its secret", `"client_id":"$","client_secret_expires_at":0`, protocol.InvalidRequest},
		{"another birthday", `"client_id":"$","client_id_issued_at":1`, protocol.InvalidRequest},
		{"another sector: its people would be strangers", `"client_id":"$","redirect_uris":["https://elsewhere.example/cb"]`, protocol.InvalidClientMetadata},
		{"a software statement", `"client_id":"$","software_statement":"x"`, protocol.UnapprovedSoftwareStatement},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.Update(t.Context(), id, access, object(t, "{"+strings.ReplaceAll(c.members, "$", string(id))+"}"))
			wantCode(t, err, c.code)
		})
	}
	if row := w.rows[id]; string(row.Metadata) != string(was.Metadata) || len(w.entries) != 1 {
		t.Error("something changed")
	}
}

func TestDelete_ThenItIsAStranger_RFC7592_2_3(t *testing.T) {
	w := newWorld(t, outbound.Config{})
	_, id, access := w.register(t, simple)
	if err := w.Delete(t.Context(), id, access); err != nil {
		t.Fatal(err)
	}
	if e := w.entries[1].Public; e.Kind != audit.ClientDeleted || e.Client != string(id) || e.Object != "onboarding" || e.Rule != "" {
		t.Errorf("entry = %+v", e)
	}
	_, err := w.Read(t.Context(), id, access)
	wantCode(t, err, protocol.InvalidToken)
	wantCode(t, w.Delete(t.Context(), id, access), protocol.InvalidToken)
}

// Whatever strangers send, nothing but the protocol's words comes back, and what is
// kept can be read again to the same.
func FuzzRead(f *testing.F) {
	f.Add(`{"redirect_uris":["https://new.example/cb"],"client_name#fr":"x","jwks":{"keys":[]},"scope":"openid"}`)
	f.Add(`{"software_statement":null,"response_types":["code"],"require_auth_time":true}`)
	f.Fuzz(func(t *testing.T, text string) {
		body, err := protocol.Object([]byte(text))
		if err != nil {
			t.Skip()
		}
		m, err := Read(body, false)
		if err != nil {
			if _, ok := errors.AsType[*protocol.Error](err); !ok {
				t.Errorf("Read = %v", err)
			}
			return
		}
		again, err := Read(m, false)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		a, _ := json.Marshal(m)
		if b, _ := json.Marshal(again); string(a) != string(b) {
			t.Errorf("read again it is\n%s, was\n%s", b, a)
		}
	})
}
