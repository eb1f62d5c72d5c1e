package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/sandbox"
)

// built is the broker's binary, made once, with a clock that can be turned.
var built struct {
	sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "voussoir-conformance-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "voussoir")
		cmd := exec.Command("go", "build", "-tags", "movableclock", "-o", built.path, "../cmd/voussoir")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, text)
		}
	})
	if built.err != nil {
		t.Fatalf("build the broker: %v", built.err)
	}
	return built.path
}

// op is a running broker, one identity provider behind it, and the clock of both.
type op struct {
	issuer    string
	clockFile string
	file      string       // of its configuration
	trusts    *authority   // of its TLS; nil: http
	offset    atomic.Int64 // of the clock, in nanoseconds
	metadata  map[string]any
	jwks      []byte
	published *keys.Static
	http      *http.Client
}

// person signs in everywhere; the identity provider is "upstream".
const person = "camille"

// start runs a broker with these clients.
func start(t *testing.T, clients string) *op {
	t.Helper()
	return startTLS(t, clients, nil)
}

// startTLS runs one that speaks TLS with a certificate of this authority, if there is
// one.
func startTLS(t *testing.T, clients string, trusts *authority) *op {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	o := &op{issuer: fmt.Sprintf("http://localhost:%d", port), clockFile: filepath.Join(dir, "clock"), trusts: trusts}
	if trusts != nil {
		o.issuer = strings.Replace(o.issuer, "http", "https", 1)
		clients = strings.ReplaceAll(documented(t, "mutual TLS"), "tls/", trusts.dir+"/") + clients
	}
	o.http = &http.Client{Timeout: 30 * time.Second, Transport: trusts.transport(t, tls.Certificate{})}
	t.Cleanup(o.http.CloseIdleConnections)
	o.pass(t, 0)
	o.file = filepath.Join(dir, "voussoir.yaml")
	if err := os.WriteFile(o.file, []byte(o.config(port, filepath.Join(dir, "data"), o.upstream(t), documented(t, "policy"), clients)), 0o600); err != nil {
		t.Fatal(err)
	}
	o.run(t)
	if err := json.Unmarshal(o.fetch(t, "/.well-known/openid-configuration"), &o.metadata); err != nil {
		t.Fatal(err)
	}
	o.jwks = o.fetch(t, "/jwks")
	var err error
	if o.published, err = keys.NewStatic(o.jwks); err != nil {
		t.Fatal(err)
	}
	return o
}

// now is the time at the broker and at the identity provider.
func (o *op) now() time.Time { return time.Now().Add(time.Duration(o.offset.Load())) }

// pass lets time pass, for the broker and the identity provider alike.
func (o *op) pass(t *testing.T, d time.Duration) {
	t.Helper()
	next := o.clockFile + ".next"
	if err := os.WriteFile(next, []byte(time.Duration(o.offset.Add(int64(d))).String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, o.clockFile); err != nil {
		t.Fatal(err)
	}
}

const upstreamSecret = "a-secret-of-the-broker-at-the-provider-01234567"

// upstream starts the sandbox's identity provider and returns its issuer.
func (o *op) upstream(t *testing.T) string {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	inner, err := sandbox.NewProvider(sandbox.ProviderConfig{
		ID: "upstream", Name: protocol.Text{"en": "Upstream"}, Issuer: server.URL, ACR: protocol.EIDAS1,
		Identities: []sandbox.Identity{{
			ID: person, GivenName: "Camille Jeanne", FamilyName: "Linteau", PreferredUsername: "Linteau-Claveau", Birthdate: "1984-06-21",
			Gender: "female", Birthplace: "69123", Birthcountry: "99100", Email: "camille@mail.example", EmailVerified: true,
		}},
		Signer: newRing(t, o.now, "ES256"), Now: o.now,
		Clients: []sandbox.ProviderClient{{
			ID: "voussoir", SecretSHA256: sha256.Sum256([]byte(upstreamSecret)), RedirectURIs: []string{o.issuer + "/callback/upstream"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler = inner
	return server.URL
}

func newRing(t *testing.T, now func() time.Time, algs ...string) *keys.Ring {
	t.Helper()
	dir := t.TempDir()
	secret, err := keys.LoadOrCreateSecret(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Config{File: filepath.Join(dir, "keys"), Secret: secret, Algs: algs, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	return ring
}

// documented is a block of YAML of docs/certification.md, by its first line, with
// the suite's address where our tests wait for its answers.
func documented(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/certification.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n# "+name+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("docs/certification.md has no block %q", name)
	}
	return strings.ReplaceAll(block, "https://www.certification.openid.net/test/a/ALIAS/", suiteHost)
}

func (o *op) config(port int, data, upstream, policy, clients string) string {
	return fmt.Sprintf(`
issuer: %s
listen: 127.0.0.1:%d
development: true
data: %s
providers:
  - id: upstream
    name: { en: "Post office" }
    issuer: %s
    client_id: voussoir
    client_secret: %s
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas1, map: { eidas1: eidas1 } }
    civil_identity: true
%s%s`, o.issuer, port, data, upstream, upstreamSecret, policy, clients)
}

// run starts the broker and stops it with the test.
func (o *op) run(t *testing.T) {
	t.Helper()
	var printed bytes.Buffer
	cmd := exec.Command(binary(t), "serve", "--config", o.file)
	cmd.Env = append(os.Environ(), "VOUSSOIR_CLOCK="+o.clockFile)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended // the broker ends by itself within 20 s
		if t.Failed() && testing.Verbose() {
			t.Logf("the broker printed:\n%s", &printed)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			t.Fatalf("the broker did not start:\n%s", &printed)
		case <-ctx.Done():
			t.Fatal("the broker does not answer")
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.issuer+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := o.http.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
}

func (o *op) fetch(t *testing.T, path string) []byte {
	t.Helper()
	r := o.exchange(t, http.MethodGet, path, nil, nil)
	if r.status != http.StatusOK {
		t.Fatalf("GET %s: %d", path, r.status)
	}
	return r.text
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
