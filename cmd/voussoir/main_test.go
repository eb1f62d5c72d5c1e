package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/deploy"
)

// TestMain lets this test binary be the program itself, for what only a process
// of its own can show: signals, locks and exit codes.
func TestMain(m *testing.M) {
	if os.Getenv("VOUSSOIR_TEST_MAIN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// say runs one command line in this process.
func say(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	p := &program{out: &o, err: &e, getenv: func(string) string { return "" }, now: time.Now}
	code = p.run(context.Background(), args)
	return code, o.String(), e.String()
}

// freePort returns a port whose neighbours for the demo are free as well.
func freePort(t *testing.T) int {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		free := port+servicePort <= 65535
		for _, offset := range []int{taxPort, postPort, servicePort} {
			n, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+offset))
			if err != nil {
				free = false
				continue
			}
			_ = n.Close()
		}
		_ = l.Close()
		if free {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// writeConfig writes a configuration like the demo's on a free port.
func writeConfig(t *testing.T) (file string, port int) {
	t.Helper()
	port = freePort(t)
	file = filepath.Join(t.TempDir(), "voussoir.yaml")
	if err := os.WriteFile(file, demoConfig(port), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, port
}

// journal is a log that a test reads while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// newBroker wires a broker on the configuration in file.
func newBroker(t *testing.T, file string, events io.Writer) *broker {
	t.Helper()
	p := &program{getenv: os.Getenv}
	c, err := p.load(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire(context.Background(), c, newEvents(events), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("isuer: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, _ := writeConfig(t)
	tests := []struct {
		name string
		args []string
		want int
		text string // in what is written, out or err
	}{
		{"version", []string{"version"}, exitOK, "voussoir development"},
		{"help says the exit codes", []string{"--help"}, exitOK, "Exit codes"},
		{"completions", []string{"completion", "bash"}, exitOK, "voussoir"},
		{"an unknown verb", []string{"sevre"}, exitUsage, `unknown command "sevre"`},
		{"an unknown flag", []string{"serve", "--confg", "x"}, exitUsage, "unknown flag"},
		{"a word too many", []string{"check", "voussoir.yaml"}, exitUsage, "Try: voussoir check --help"},
		{"serve without a configuration", []string{"serve"}, exitUsage, "--config FILE is missing"},
		{"serve with a mistake", []string{"serve", "--config", broken}, exitUsage, "did you mean issuer?"},
		{"check with a mistake", []string{"check", "--config", broken}, exitUsage, "broken.yaml:1:1: there is no key \"isuer\" here; did you mean issuer?"},
		{"check without a file", []string{"check", "--config", filepath.Join(dir, "none.yaml")}, exitFailure, "no such file"},
		{"check of a good file", []string{"check", "--config", good}, exitOK, "good: 2 providers, 4 clients, 4 policies"},
		{"keys without a verb", []string{"keys"}, exitUsage, "keys list, keys rotate or keys revoke"},
		{"keys before the first start", []string{"keys", "list", "--config", good}, exitFailure, "the first time"},
		{"a key to revoke is not named", []string{"keys", "revoke", "--config", good}, exitUsage, "name one key"},
		{"a port out of range", []string{"demo", "--port", "65530"}, exitUsage, "65525"},
		{"the schema", []string{"schema"}, exitOK, `"$schema"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := say(t, tt.args...)
			if code != tt.want || !strings.Contains(out+errs, tt.text) {
				t.Errorf("exit %d, want %d; text %q, want %q in it", code, tt.want, out+errs, tt.text)
			}
		})
	}
}

func TestCheck_JSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "voussoir.yaml")
	text := strings.Replace(string(deploy.Demo), "development: true", "development: truue", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := say(t, "check", "--json", "--config", file)
	var got struct {
		Good     bool
		Problems []struct {
			Line, Column  int
			Path, What    string
			Write_instead string `json:"write_instead"`
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitUsage || got.Good || errs != "" {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	if p := got.Problems[0]; p.Line == 0 || p.Column == 0 || p.What == "" || p.Write_instead == "" {
		t.Errorf("incomplete: %+v", p)
	}
	if strings.Contains(out, "demo-secret") {
		t.Error("a secret of the file is in the answer")
	}
}

func TestRoutes(t *testing.T) {
	file, port := writeConfig(t)
	b := newBroker(t, file, io.Discard)
	host := "localhost:" + strconv.Itoa(port)
	tests := []struct {
		name, method, target, host string
		want                       int
		text                       string
	}{
		{"home", "GET", "/", host, 200, "<h1"},
		{"discovery", "GET", "/.well-known/openid-configuration", host, 200, `"issuer":"http://` + host + `"`},
		{"RFC 8414 metadata", "GET", "/.well-known/oauth-authorization-server", host, 200, `"issuer"`},
		{"keys", "GET", "/jwks", host, 200, `"keys"`},
		{"keys for providers", "GET", "/jwks/providers", host, 200, `"keys":[{`},
		{"alive, under any host", "GET", "/healthz", "10.0.0.7", 200, "ok"},
		{"ready, after a real write", "GET", "/readyz", host, 200, "ready"},
		{"a path that is nobody's", "GET", "/nowhere", host, 404, `data-code="not_found"`},
		{"a path with two slashes is not cleaned", "POST", "//token", host, 404, ""},
		{"an unknown visit", "GET", "/login/none", host, 400, "data-code"},
		{"a method that is none", "POST", "/healthz", host, 405, ""},
		{"another host", "GET", "/", "evil.example", 421, ""},
		{"an authorization request of nobody", "GET", "/authorize?client_id=nobody", host, 400, `data-code="client_unknown"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := ask(t, b.handler, tt.method, tt.target, tt.host)
			if status != tt.want || !strings.Contains(body, tt.text) {
				t.Errorf("%s %s = %d, want %d with %q in: %.300s", tt.method, tt.target, status, tt.want, tt.text, body)
			}
		})
	}
}

// ask asks h as a server would pass a request on.
func ask(t *testing.T, h http.Handler, method, target, host string) (int, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go server.Serve(l)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestReadyz_SaysNoWhenTheRecordsAreGone(t *testing.T) {
	file, port := writeConfig(t)
	b := newBroker(t, file, io.Discard)
	if err := b.records.Close(); err != nil {
		t.Fatal(err)
	}
	if status, body := ask(t, b.handler, "GET", "/readyz", "localhost:"+strconv.Itoa(port)); status != 503 || body != "not ready\n" {
		t.Errorf("GET /readyz = %d %q, want 503", status, body)
	}
}

func TestKeysRevoke_TakesIDsThatBeginWithADash(t *testing.T) {
	const id = "-5Z-U9KT1Wz5x6A13BXkSfC4FfTGUIcjv-kYG2ZF-2E"
	for _, tt := range []struct{ name, args, want string }{
		{"the id last", "keys revoke --config f " + id, "keys revoke --config f -- " + id},
		{"the id first", "keys revoke " + id + " --config f", "keys revoke --config f -- " + id},
		{"behind the dashes already", "keys revoke --config f -- " + id, "keys revoke --config f -- " + id},
		{"two dashes", "keys revoke -" + id[:42], "keys revoke -- -" + id[:42]},
		{"no id", "keys list --json --config f", "keys list --json --config f"},
	} {
		if got := strings.Join(keyIDsLast(strings.Fields(tt.args)), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
