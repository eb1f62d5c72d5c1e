package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/protocol"
)

// process is the program as a process of its own.
type process struct {
	*exec.Cmd
	errs *journal
	seen chan string // its lines on standard error
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), "VOUSSOIR_TEST_MAIN=1")
	pipe, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: c, errs: &journal{}, seen: make(chan string, 1000)}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.seen)
		lines := bufio.NewScanner(io.TeeReader(pipe, p.errs))
		for lines.Scan() {
			p.seen <- lines.Text()
		}
	}()
	return p
}

// await reads lines until one holds text.
func (p *process) await(t *testing.T, text string) string {
	t.Helper()
	for line := range p.seen {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("the process ended without saying %q:\n%s", text, p.errs)
	return ""
}

// end waits for the process and returns its exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	for range p.seen { //nolint:revive // drains standard error
	}
	_ = p.Wait() // the code says it
	return p.ProcessState.ExitCode()
}

func TestServe_SignalsAndLock(t *testing.T) {
	file, port := writeConfig(t)
	p := start(t, "serve", "--config", file)
	p.await(t, `"msg":"serving"`)
	data := filepath.Join(filepath.Dir(file), "data")
	for name, want := range map[string]os.FileMode{"": 0o700, keyFile: 0o600, keySecret: 0o600, "records.db": 0o600, "flow.db": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, mode %v, want %v", name, err, info.Mode().Perm(), want)
		}
	}

	t.Run("a second broker on the same data is refused", func(t *testing.T) {
		other := filepath.Join(filepath.Dir(file), "other.yaml")
		if err := os.WriteFile(other, demoConfig(freePort(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		second := start(t, "serve", "--config", other)
		if code := second.end(t); code != exitFailure || !strings.Contains(second.errs.String(), "another voussoir (process "+strconv.Itoa(p.Process.Pid)+")") {
			t.Errorf("exit %d: %s", code, second.errs)
		}
	})
	t.Run("a taken port is explained", func(t *testing.T) {
		second := start(t, "serve", "--config", file)
		if code := second.end(t); code != exitFailure || !strings.Contains(second.errs.String(), "another program listens on 127.0.0.1:"+strconv.Itoa(port)) {
			t.Errorf("exit %d: %s", code, second.errs)
		}
	})
	t.Run("SIGHUP with a mistake changes nothing and raises an alarm", func(t *testing.T) {
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(good), "redirect_uris:", "redirect_uri:", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = p.Process.Signal(syscall.SIGHUP)
		if line := p.await(t, "not reloaded"); !strings.Contains(line, `"alarm":true`) || !strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("the alarm is %s", line)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = p.Process.Signal(syscall.SIGHUP)
		p.await(t, "configuration reloaded")
	})
	_ = p.Process.Signal(syscall.SIGTERM)
	if code := p.end(t); code != exitOK {
		t.Errorf("exit %d after SIGTERM, want %d: %s", code, exitOK, p.errs)
	}
	if strings.Contains(p.errs.String(), "demo-secret") {
		t.Error("a secret is in the log")
	}
}

func TestServe_DrainsTheRequestsUnderWay(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		plain(w, http.StatusOK, "whole")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	file, _ := writeConfig(t)
	b := newBroker(t, file, io.Discard)
	go func() { ended <- serveHTTP(ctx, l, h, b.events, func() { close(leave) }) }()
	answered := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		answered <- string(body)
	}()
	<-entered
	cancel()
	if got := <-answered; got != "whole\n" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	file, _ := writeConfig(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var events journal
	b := newBroker(t, file, &events)
	p := &program{getenv: os.Getenv}
	tests := []struct {
		name, old, new string
		changes        bool
		says           string
	}{
		{"a mistake changes nothing", "policy: library", "policy: libary", false, "did you mean library"},
		{"text that is no YAML changes nothing", "clients:", "clients: [", false, "mistake in the configuration"},
		{"another address of the figures changes nothing", "clients:", "metrics_listen: 127.0.0.1:9090\nclients:", false, "metrics_listen has changed, which needs a restart"},
		{"another issuer changes nothing", "issuer: http://localhost", "issuer: http://127.0.0.1", false, "issuer has changed, which needs a restart"},
		{"a new algorithm changes nothing", "    policy: library", "    policy: library\n    id_token_signed_response_alg: PS256", false, "PS256"},
		{"a level that no provider reaches any more is gone at once", "acr: { max: eidas2, map: { eidas1: eidas1, eidas2: eidas2 } }", "acr: { max: eidas1 }", false, "eidas2"},
		{"a level that a provider reaches now is there at once", "acr: { max: eidas2, map: { eidas1: eidas1, eidas2: eidas2 } }", "acr: { max: eidas3 }", true, "configuration reloaded"},
		{"a new client is known at once", "clients:", "clients:\n  - { id: new, name: { en: New }, redirect_uris: [http://localhost:9/], policy: library, client_secret_sha256: \"" + strings.Repeat("ab", 32) + "\" }", true, "configuration reloaded"},
		{"and gone at once", "", "", true, "configuration reloaded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := b.current.Load()
			if err := os.WriteFile(file, []byte(strings.Replace(string(good), tt.old, tt.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			said := len(events.String())
			b.reloadFile(t.Context(), func() (*config.Loaded, error) { return p.load(file) })
			if changed := b.current.Load() != before; changed != tt.changes {
				t.Errorf("changed = %v, want %v", changed, tt.changes)
			}
			if log := events.String()[said:]; !strings.Contains(log, tt.says) || tt.changes == strings.Contains(log, "alarm") {
				t.Errorf("the log says %s", log)
			}
			_, known := b.current.Load().clients.Get(protocol.ClientID("new"))
			if want := strings.Contains(tt.new, "id: new"); tt.changes && known != want {
				t.Errorf("the new client is known: %v, want %v", known, want)
			}
		})
	}
	kinds := map[audit.Kind]int{}
	entries, err := b.records.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		for _, k := range []audit.Kind{audit.ConfigLoaded, audit.KeyGenerated} {
			if strings.Contains(string(e.Public), `"`+string(k)+`"`) {
				kinds[k]++
			}
		}
	}
	// The start and the three reloads that held; for services and for providers the key
	// that is active and the next; and the secrets that derive and seal.
	if kinds[audit.ConfigLoaded] != 4 || kinds[audit.KeyGenerated] != 6 {
		t.Errorf("on record: %v", kinds)
	}
	if strings.Contains(events.String(), "demo-secret") {
		t.Error("a secret is in the log")
	}
}

func TestWire_NeverBeginsNewKeysForOldRecords(t *testing.T) {
	file, _ := writeConfig(t)
	newBroker(t, file, io.Discard).close()
	if err := os.Remove(filepath.Join(filepath.Dir(file), "data", keyFile)); err != nil {
		t.Fatal(err)
	}
	p := &program{getenv: os.Getenv}
	c, err := p.load(file)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := wire(t.Context(), c, newEvents(io.Discard), time.Now); err == nil {
		b.close()
		t.Error("the broker started with new keys: every person would be a stranger")
	}
}

func TestKeys(t *testing.T) {
	file, _ := writeConfig(t)
	newBroker(t, file, io.Discard).close()
	list := func() string {
		code, out, errs := say(t, "keys", "list", "--config", file)
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
		return out
	}
	states := func(s string) (n int) {
		for line := range strings.Lines(list()) {
			if f := strings.Fields(line); f[2] == "services" && f[4] == s {
				n++
			}
		}
		return n
	}
	if states("active") != 1 || states("next") != 1 {
		t.Fatalf("at first:\n%s", list())
	}
	if code, _, errs := say(t, "keys", "rotate", "--config", file); code != exitFailure || !strings.Contains(errs, "may not know the next ES256 key yet") {
		t.Errorf("rotate at once: exit %d: %s", code, errs)
	}
	if code, out, errs := say(t, "keys", "rotate", "--early", "--config", file); code != exitOK || !strings.Contains(out, "is the active ES256 key now") {
		t.Fatalf("rotate: exit %d: %s%s", code, out, errs)
	}
	if states("active") != 1 || states("next") != 1 || states("retired") != 1 {
		t.Errorf("after rotate:\n%s", list())
	}
	kid := ""
	for _, line := range strings.Split(list(), "\n") {
		if strings.Contains(line, " active ") && strings.Contains(line, " services ") {
			kid = strings.Fields(line)[0]
		}
	}
	if code, _, errs := say(t, "keys", "revoke", "--config", file, kid); code != exitOK {
		t.Fatalf("revoke: exit %d: %s", code, errs)
	}
	if states("revoked") != 1 || states("active") != 1 {
		t.Errorf("after revoke:\n%s", list())
	}
	if code, _, errs := say(t, "keys", "revoke", "--config", file, "none"); code != exitFailure || !strings.Contains(errs, "no key with this id") {
		t.Errorf("revoke of nothing: exit %d: %s", code, errs)
	}
	if code, _, errs := say(t, "keys", "rotate", "--early", "--for", "providers", "--config", file); code != exitOK {
		t.Errorf("rotate for providers: exit %d: %s", code, errs)
	}
	if states("active") != 1 || states("retired") != 1 || strings.Count(list(), " retired ") != 2 {
		t.Errorf("after a rotation for providers:\n%s", list())
	}
	if code, _, errs := say(t, "keys", "rotate", "--for", "friends", "--config", file); code != exitUsage {
		t.Errorf("rotate for friends: exit %d: %s", code, errs)
	}
	if code, _, errs := say(t, "keys", "rotate", "--alg", "RS256", "--config", file); code != exitFailure || !strings.Contains(errs, "no keys for RS256") {
		t.Errorf("rotate of nothing: exit %d: %s", code, errs)
	}
}
