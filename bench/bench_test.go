package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *standIn) load() load {
	return load{
		target:  target{Broker: s.url, RedirectURI: redirectURI, Scope: scope, Provider: "tax"},
		service: &service{kind: basic, id: basic.clientID(), secret: "ours", broker: s.url},
		client:  newClient(4), people: 3,
	}
}

func TestLoad_CompleteLogins(t *testing.T) {
	s := newStandIn(t)
	got := s.load().logins(t.Context(), 20, 4)
	if len(got.Added) != 20 || len(got.Errors) != 0 {
		t.Fatalf("%d logins, errors %v", len(got.Added), got.Errors)
	}
	if got.Added[0] <= 0 || got.Added[0] > got.Added[19] {
		t.Errorf("times are not sorted: %v", got.Added)
	}
	if len(s.flows) != 20 || len(s.codes) != 20 {
		t.Errorf("%d flows and %d codes at the broker, want 20 and 20", len(s.flows), len(s.codes))
	}
}

func TestLoad_OpenFlowsAreLeftAtTheChoicePage(t *testing.T) {
	s := newStandIn(t)
	if got := s.load().open(t.Context(), 15, 4); len(got.Added) != 15 || len(got.Errors) != 0 {
		t.Fatalf("%d opened, errors %v", len(got.Added), got.Errors)
	}
	if len(s.flows) != 15 || len(s.codes) != 0 {
		t.Errorf("%d flows and %d codes at the broker, want 15 and 0", len(s.flows), len(s.codes))
	}
}

// What goes wrong is counted under words that hold no code, token or cookie.
func TestLoad_SaysWhatWentWrong(t *testing.T) {
	tests := []struct {
		name   string
		change func(*load)
		want   string
	}{
		{"the choice page lacks the provider", func(l *load) { l.target.Provider = "nowhere" }, `/login/*/ answered 200, want a page with id="provider-nowhere"`},
		{"the provider does not know the person", func(l *load) { l.people = 4 }, "the provider answered 400, want the way to the broker's callback"},
		{"the secret is wrong", func(l *load) { l.service.secret = "guess" }, "/token answered 400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newStandIn(t).load()
			tt.change(&l)
			got := l.logins(t.Context(), 4, 1)
			if len(got.Errors) == 0 {
				t.Fatal("no error")
			}
			for what := range got.Errors {
				if a, b, _ := strings.Cut(tt.want, "*/"); !strings.HasPrefix(what, a) || !strings.HasSuffix(what, b) {
					t.Errorf("error %q, want %q", what, tt.want)
				}
			}
		})
	}
}

func TestBrowser_WithoutItsCookiesIsTurnedAway(t *testing.T) {
	s := newStandIn(t)
	l := newLogin(s.load().target, s.load().service, newClient(1))
	flow, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.cookies = map[string]string{}
	if _, err := l.atProvider(t.Context(), flow, "p0"); err == nil || !strings.Contains(err.Error(), "400 (flow_not_yours)") {
		t.Errorf("error %v", err)
	}
}

func TestPercentile_NearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	tests := []struct {
		name   string
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{"of nothing is nothing", nil, 99, 0},
		{"of one is that one", hundred[:1], 50, 1},
		{"the median of four is the second", hundred[:4], 50, 2},
		{"p95 of a hundred", hundred, 95, 95},
		{"p99 of a hundred", hundred, 99, 99},
		{"p99 of ten is the last", hundred[:10], 99, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := percentile(tt.sorted, tt.p); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestProc_ReadsWhatTheKernelWrites(t *testing.T) {
	cpu, err := parseStat("42 (a) strange) name) S 1 42 42 0 -1 4194560 100 0 0 0 250 37 0 0 20 0 9 0 100 0 0")
	if err != nil || cpu != 2870*time.Millisecond {
		t.Errorf("CPU %v, %v; want 2.87s", cpu, err)
	}
	mem, err := parseHWM("Name:\tvoussoir\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t 4 kB\n")
	if err != nil || mem != 50<<20 {
		t.Errorf("memory %d, %v; want 50 MiB", mem, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 x S 1 42 42 0 -1 4194560 100 0 0 0 a b 0"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) did not refuse", bad)
		}
	}
	if _, err := parseHWM("VmRSS: 4 kB\n"); err == nil {
		t.Error("parseHWM did not refuse")
	}
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Errorf("of this process: %v", err)
	}
	if mem, err := peakMemory(os.Getpid()); err != nil || mem < 1<<20 {
		t.Errorf("of this process: %d, %v", mem, err)
	}
}

func TestReport_Table(t *testing.T) {
	r := result{Workers: 8, OpenFlows: 10000, PeakMemory: 61_400_000}
	r.add(outcome{Added: []time.Duration{time.Millisecond, 2 * time.Millisecond, 30 * time.Millisecond}, Took: time.Second}, 4*time.Millisecond)
	r.count(map[string]int{"/token answered 503": 1}, map[string]int{"/token answered 503": 2})
	var out bytes.Buffer
	if err := report(&out, []result{r}, false); err == nil || err.Error() != "3 logins failed" {
		t.Errorf("error %v, want one: a fast broker that answers wrongly is not fast", err)
	}
	for _, want := range []string{
		"| logins per CPU-second of the broker | **750** |", "p50 | 2.0 ms |", "| p99 | 30.0 ms |", "61.4 MB", "| 10000 |",
		"| run 1 failed: /token answered 503 | 3 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	var asJSON bytes.Buffer
	r.count()
	if err := report(&asJSON, []result{r}, true); err != nil {
		t.Fatal(err)
	}
	var back result
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || back.PerCPUSecond != 750 || back.AddedP99 != 30*time.Millisecond {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestMedian_IsTheRunInTheMiddle(t *testing.T) {
	all := []result{{PerCPUSecond: 900}, {PerCPUSecond: 100}, {PerCPUSecond: 300}, {PerCPUSecond: 200}}
	if got := median(all).PerCPUSecond; got != 200 {
		t.Errorf("median of four runs is the one with %.0f, want 200: the slower one of the two", got)
	}
}

func TestCrowd_AllDifferentAndWithoutDigits(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range crowd(2000) {
		if seen[p.GivenName] || strings.ContainsAny(p.GivenName, "0123456789") {
			t.Fatalf("%q is doubled or has digits", p.GivenName)
		}
		seen[p.GivenName] = true
	}
}

func TestDispatch_RefusesWhatMakesNoSense(t *testing.T) {
	for _, args := range [][]string{{}, {"dance"}, {"run"}, {"run", "--broker-bin", "x", "--workers", "0"}, {"provider", "--people", "0"}} {
		if err := dispatch(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

// A broker that ends at once, or never answers, is explained by its own words,
// and no child is left behind.
func TestLaunch_ExplainsAProgramThatEnds(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	p, err := launch(t.Context(), filepath.Join(t.TempDir(), "log"), nil, sh, "-c", "echo the configuration is wrong; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ready(t.Context(), "http://127.0.0.1:1/readyz"); err == nil || !strings.Contains(err.Error(), "the configuration is wrong") {
		t.Errorf("error %v", err)
	}
	p.stop()
	p.stop() // harmless
}

// The whole way of a child: it starts, answers, and ends when told.
func TestLaunch_ProviderProcess(t *testing.T) {
	if os.Getenv(secretVariable) != "" { // this is the child
		if err := dispatch(t.Context(), strings.Split(os.Getenv("BENCH_ARGS"), " "), io.Discard, os.Stderr); err != nil {
			t.Fatal(err)
		}
		return
	}
	at, err := newAddresses(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(t.Context(), filepath.Join(t.TempDir(), "log"),
		[]string{secretVariable + "=x", "BENCH_ARGS=provider --tax " + at.Tax + " --post " + at.Post + " --broker " + at.Broker},
		os.Args[0], "-test.run=^TestLaunch_ProviderProcess$")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	for _, address := range []string{at.Tax + "/jwks", at.Post + "/.well-known/openid-configuration"} {
		if err := p.ready(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cpuTime(p.cmd.Process.Pid); err != nil {
		t.Error(err)
	}
}

func TestConfig_IsWrittenPrivately(t *testing.T) {
	dir := t.TempDir()
	at, err := newAddresses(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	path, err := at.write(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"issuer: " + at.Broker + "\n", "client_secret: " + at.BrokerSecret + "\n", `client_secret_sha256: "` + at.ClientSecretSHA256() + `"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(string(body), at.ClientSecret) {
		t.Error("the file holds our own secret in plain text")
	}
}
