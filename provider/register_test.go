package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/protocol"
)

// clerk is a Registrar with one initial token, "initial", and one client, "known",
// whose token is "access".
type clerk struct {
	closed bool
	seen   map[string]json.RawMessage
	err    error
}

func (c *clerk) Open() bool { return !c.closed }

func (c *clerk) Register(_ context.Context, token string, body map[string]json.RawMessage) ([]byte, error) {
	c.seen = body
	if token != "initial" {
		return nil, errToken("wrong")
	}
	return []byte(`{"client_id":"new"}`), c.err
}

func (c *clerk) Read(_ context.Context, id protocol.ClientID, token string) ([]byte, error) {
	if id != "known" || token != "access" {
		return nil, errToken("wrong")
	}
	return []byte(`{"client_id":"known"}`), c.err
}

func (c *clerk) Update(ctx context.Context, id protocol.ClientID, token string, body map[string]json.RawMessage) ([]byte, error) {
	c.seen = body
	return c.Read(ctx, id, token)
}

func (c *clerk) Delete(ctx context.Context, id protocol.ClientID, token string) error {
	_, err := c.Read(ctx, id, token)
	return err
}

func (w *world) registers(t *testing.T) *clerk {
	t.Helper()
	c := &clerk{}
	w.p.Registrar = c
	return c
}

// registering is a request to /register, as JSON.
func registering(method, path, token, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestRegister_Answers(t *testing.T) {
	w := newWorld(t)
	w.registers(t)
	const body = `{"redirect_uris":["https://new.example/cb"]}`
	for _, c := range []struct {
		name   string
		req    *http.Request
		status int
		body   string
	}{
		{"RFC 7591 3.2.1: registered", registering("POST", PathRegister, "initial", body), 201, `{"client_id":"new"}`},
		{"a charset is no harm", registering("POST", PathRegister, "initial", body, "Content-Type", "application/json; charset=UTF-8"), 201, `{"client_id":"new"}`},
		{"RFC 7592 2.1: read", registering("GET", PathRegister+"/known", "access", ""), 200, `{"client_id":"known"}`},
		{"RFC 7592 2.2: replaced", registering("PUT", PathRegister+"/known", "access", body), 200, `{"client_id":"known"}`},
		{"RFC 7592 2.3: deleted", registering("DELETE", PathRegister+"/known", "access", ""), 204, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.do(c.req)
			if got.status != c.status || got.body != c.body || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("answer %d %q %v", got.status, got.body, got.header)
			}
		})
	}
}

func TestRegister_Refused(t *testing.T) {
	w := newWorld(t)
	w.registers(t)
	const body, bare, wrong = `{"redirect_uris":[]}`, `Bearer realm="registration"`, `Bearer realm="registration", error="invalid_token", error_description="the access token is not valid"`
	for _, c := range []struct {
		name            string
		req             *http.Request
		status          int
		code, challenge string
	}{
		{"no token: open registration does not exist", registering("POST", PathRegister, "", body), 401, "invalid_token", bare},
		{"Basic", registering("POST", PathRegister, "", body, "Authorization", "Basic aW5pdGlhbDo="), 401, "invalid_token", bare},
		{"another token", registering("POST", PathRegister, "hunter2", body), 401, "invalid_token", wrong},
		{"a token too long to be one", registering("POST", PathRegister, strings.Repeat("a", maxCredential+1), body), 401, "invalid_token", wrong},
		{"a token in the address", registering("POST", PathRegister+"?access_token=initial", "", body), 400, "invalid_request", ""},
		{"a form", registering("POST", PathRegister, "initial", "redirect_uris=x", "Content-Type", "application/x-www-form-urlencoded"), 400, "invalid_request", ""},
		{"another charset", registering("POST", PathRegister, "initial", body, "Content-Type", "application/json; charset=utf-16"), 400, "invalid_request", ""},
		{"compressed", registering("POST", PathRegister, "initial", body, "Content-Encoding", "gzip"), 415, "invalid_request", ""},
		{"a member twice", registering("POST", PathRegister, "initial", `{"redirect_uris":[],"redirect_uris":[]}`), 400, "invalid_client_metadata", ""},
		{"a list", registering("POST", PathRegister, "initial", `[]`), 400, "invalid_client_metadata", ""},
		{"no body", registering("POST", PathRegister, "initial", ""), 400, "invalid_request", ""},
		{"too much", registering("POST", PathRegister, "initial", `{"a":"`+strings.Repeat("a", maxBody)+`"}`), 413, "invalid_request", ""},
		{"a verb that is not", registering("GET", PathRegister, "initial", ""), 405, "invalid_request", ""},
		{"RFC 7592: another verb", registering("POST", PathRegister+"/known", "access", body), 405, "invalid_request", ""},
		{"RFC 7592: another client", registering("GET", PathRegister+"/other", "access", ""), 401, "invalid_token", wrong},
		{"RFC 7592: no token", registering("DELETE", PathRegister+"/known", "", ""), 401, "invalid_token", bare},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.do(c.req)
			if got.status != c.status || got.json(t)["error"] != c.code || got.header.Get("WWW-Authenticate") != c.challenge {
				t.Errorf("answer %d %s %q, want %d %s %q", got.status, got.body, got.header.Get("WWW-Authenticate"), c.status, c.code, c.challenge)
			}
		})
	}
	if logs := w.logs.String(); strings.Contains(logs, "hunter2") || strings.Contains(logs, "initial") {
		t.Errorf("a token is in the log:\n%s", logs)
	}
}

// The answers of RFC 7591 section 3.2.2 and RFC 7592 section 2.
func TestRegister_ErrorsOfTheRegistrar(t *testing.T) {
	for code, status := range map[protocol.ErrorCode]int{
		protocol.InvalidRedirectURI: 400, protocol.InvalidClientMetadata: 400, protocol.UnapprovedSoftwareStatement: 400,
		protocol.AccessDenied: 403, protocol.TemporarilyUnavailable: 503,
	} {
		w := newWorld(t)
		w.registers(t).err = protocol.Fail(code, nil, "redirect_uris: no")
		if got := w.do(registering("POST", PathRegister, "initial", `{}`)); got.status != status || got.json(t)["error"] != string(code) {
			t.Errorf("%s: %d %s, want %d", code, got.status, got.body, status)
		}
	}
}

// Without a token in the configuration nothing says that there could be registration.
func TestRegister_ClosedIsNotThere(t *testing.T) {
	w := newWorld(t)
	for name, open := range map[string]func(){
		"no registrar":     func() {},
		"nobody may":       func() { w.registers(t).closed = true },
		"and open":         func() { w.registers(t) },
		"and closed again": func() { w.registers(t).closed = true },
	} {
		open()
		is := name == "and open"
		if got := w.do(registering("POST", PathRegister, "initial", `{}`)); (got.status == 201) != is || !is && got.status != 404 {
			t.Errorf("%s: POST %d %s", name, got.status, got.body)
		}
		if got := w.do(registering("GET", PathRegister+"/known", "access", "")); (got.status == 200) != is || !is && got.status != 404 {
			t.Errorf("%s: GET %d %s", name, got.status, got.body)
		}
		want := ""
		if is {
			want = issuer + PathRegister
		}
		said, _ := w.do(httptest.NewRequest("GET", PathDiscovery, nil)).json(t)["registration_endpoint"].(string)
		if said != want {
			t.Errorf("%s: discovery says %q", name, cmp.Or(said, "nothing"))
		}
	}
}

func TestServes_OnlyItsOwnPaths(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]bool{
		PathToken: true, PathRegister: true, PathRegister + "/abc": true, PathRegister + "/": false, PathRegister + "/a/b": false,
		"//register": false, "/registered": false, "/": false,
	} {
		if got := w.p.Serves(path); got != want {
			t.Errorf("Serves(%q) = %v, want %v", path, got, want)
		}
	}
}
