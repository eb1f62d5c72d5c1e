package journeys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries are built once per test run.
var binaries = struct {
	sync.Mutex
	dir  string
	path map[string]string
}{path: map[string]string{}}

// binary builds cmd/voussoir with the given build tag ("" for none).
func binary(t *testing.T, tag string) string {
	t.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if p, ok := binaries.path[tag]; ok {
		return p
	}
	if binaries.dir == "" {
		dir, err := os.MkdirTemp("", "voussoir-journeys-")
		if err != nil {
			t.Fatal(err)
		}
		binaries.dir = dir
	}
	out := filepath.Join(binaries.dir, "voussoir"+tag)
	cmd := exec.Command("go", "build", "-tags", tag, "-o", out, "../cmd/voussoir")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, msg)
	}
	binaries.path[tag] = out
	return out
}

// whole skips a journey in the fast loop.
func whole(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole journey: left to make test")
	}
}

// need skips, or in CI fails, when a counterpart is not installed.
func need(t *testing.T, file, what string) {
	t.Helper()
	whole(t)
	if _, err := exec.LookPath(file); err == nil {
		return
	}
	if _, err := os.Stat(file); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed (%s)", what, file)
	}
	t.Skipf("skipped: %s is not installed (%s)", what, file)
}

// node is the Node.js of the journeys' own packages, which is one that the
// counterparts support, or else the system's.
func node(t *testing.T) string {
	t.Helper()
	whole(t)
	if own, err := filepath.Glob("node_modules/node-linux-*/bin/node"); err == nil && len(own) > 0 {
		path, err := filepath.Abs(own[0])
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	need(t, "node", "Node.js")
	return "node"
}

// ports finds base such that base and base plus each offset are free on loopback. It
// is below the range from which outgoing connections take theirs, so that a broker that
// was killed finds its own free again.
func ports(t *testing.T, offsets ...int) int {
	t.Helper()
	handedOut.Lock()
	defer handedOut.Unlock()
next:
	for range 200 {
		base := 20000 + rand.IntN(12000)
		wanted := append([]int{0}, offsets...)
		for _, o := range wanted {
			if handedOut.ports[base+o] {
				continue next
			}
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+o))
			if err != nil {
				continue next
			}
			_ = l.Close()
		}
		for _, o := range wanted {
			handedOut.ports[base+o] = true
		}
		return base
	}
	t.Fatal("no free ports")
	return 0
}

// handedOut are the ports of this run: the one that a test was given may still be
// free when it asks for the next, and two servers would meet on it.
var handedOut = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// process is a counterpart or a broker that runs beside the test.
type process struct {
	cmd  *exec.Cmd
	out  *transcript
	done chan struct{}
}

// transcript keeps what a process printed.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// launch starts a process, and stops it when the test ends. ready, if not "",
// is an address that must answer HTTP before launch returns.
func launch(t *testing.T, env []string, ready string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), out: &transcript{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(name), tail(p.out.String(), 6000))
		}
		if strings.Contains(filepath.Base(name), "voussoir") {
			overhear(p.out.String())
		}
	})
	if ready != "" {
		p.await(t, ready)
	}
	return p
}

// stop ends a process, at the latest after ten seconds.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// ended reports whether the process is gone; one that was killed may need a
// moment until the system says so.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	case <-time.After(2 * time.Second):
		return false
	}
}

func (p *process) await(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				return
			}
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended before it answered:\n%s", p.cmd.Path, p.out)
		case <-ctx.Done():
			t.Fatalf("%s does not answer at %s:\n%s", p.cmd.Path, url, p.out)
		case <-tick.C:
		}
	}
}

// world is a running demo.
type world struct {
	*process
	Broker, LowIdP, HighIdP, Service string
}

// demo starts `voussoir demo` on free ports.
func demo(t *testing.T) *world {
	t.Helper()
	return demoIn(t, t.TempDir())
}

// demoIn is demo with its data in dir.
func demoIn(t *testing.T, dir string) *world {
	t.Helper()
	port := ports(t, 1, 2, 3, 10, 11)
	at := func(p int) string { return fmt.Sprintf("http://localhost:%d", p) }
	w := &world{Broker: at(port), LowIdP: at(port + 1), HighIdP: at(port + 2), Service: at(port + 10)}
	w.process = launch(t, nil, w.Broker+"/readyz", binary(t, ""), "demo", "--port", fmt.Sprint(port), "--data", dir)
	return w
}

// serve starts `voussoir serve` with this configuration; {port} and {data} in it
// are replaced. It returns the broker's address.
func serve(t *testing.T, tag, config string, env ...string) (*process, string) {
	t.Helper()
	port := ports(t)
	dir := t.TempDir()
	config = strings.NewReplacer("{port}", fmt.Sprint(port), "{data}", filepath.Join(dir, "data")).Replace(config)
	file := filepath.Join(dir, "voussoir.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("http://localhost:%d", port)
	return launch(t, env, base+"/readyz", binary(t, tag), "serve", "--config", file), base
}

// secretFile writes a secret that only we can read, and returns its path.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func sha256hex(s string) string { d := sha256.Sum256([]byte(s)); return hex.EncodeToString(d[:]) }

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
