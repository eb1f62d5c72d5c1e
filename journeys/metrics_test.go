package journeys

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// measured restarts the broker with a listener for its figures.
func (w *faultWorld) measured() (figures string) {
	w.t.Helper()
	at := fmt.Sprintf("127.0.0.1:%d", ports(w.t))
	_ = w.proc.cmd.Process.Signal(syscall.SIGTERM)
	<-w.proc.done
	w.write(strings.Replace(w.config(), "development: true\n", "development: true\nmetrics_listen: "+at+"\n", 1))
	w.proc = launch(w.t, nil, w.broker+"/readyz", binary(w.t, ""), "serve", "--config", w.file)
	return "http://" + at + "/metrics"
}

func read(t *testing.T, address string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestMetrics_OneSignInCanBeSeenAndNobodyRecognised: one person signs in; the figures
// tell where and how, and nothing of her. The public address does not show them.
func TestMetrics_OneSignInCanBeSeenAndNobodyRecognised(t *testing.T) {
	people := linteau()
	people[0].Email, people[0].EmailVerified = "camille.linteau@mail.example", true
	w := newFaultWorld(t, sandboxed(t, people), sandboxed(t, linteau()))
	figures := w.measured()
	w.with(extra("hole", blackHole(t), ", acr: { max: eidas2, default: eidas1 }"))
	sub := fmt.Sprint(w.signIn(w.library, "one", "camille")["sub"])
	eventually(t, "the black hole is known to be one", func() bool { return w.states()["hole"] == "unavailable" })

	status, text := read(t, figures)
	if status != http.StatusOK {
		t.Fatalf("%s answers %d", figures, status)
	}
	overhear(text) // every cookie, code, token and secret of the run is looked for in it
	for _, want := range []string{
		`voussoir_sign_ins_begun_total{provider="one"} 1`,
		`voussoir_sign_ins_ended_total{outcome="verified",provider="one"} 1`,
		`voussoir_provider_fetches_total{call="sign_in",outcome="ok",provider="one"} 2`,
		`voussoir_provider_claims_total{claim="birthdate",promised="true",provider="one",sent="true"} 1`,
		`voussoir_provider_up{provider="one"} 1`, `voussoir_provider_up{provider="hole"} 0`,
		`voussoir_provider_breaker{provider="one",state="closed"} 1`,
		`voussoir_tokens_issued_total{client_auth="client_secret_basic",grant="authorization_code"} 1`,
		`voussoir_audit_entries_total{kind="consent.given"} 1`,
		`voussoir_http_requests_total{method="POST",route="token",status="200"} 1`,
		`voussoir_store_commits_total{outcome="failed",store="records"} 0`,
		`voussoir_config_reloads_total{outcome="ok"} 1`, `voussoir_config_last_reload_successful 1`,
		`voussoir_queue_length{queue="notices"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the figures lack %s", want)
		}
	}
	slow := regexp.MustCompile(`voussoir_provider_fetches_total\{call="documents",outcome="timeout",provider="hole"\} [1-9]`)
	eventually(t, "the figures say how the black hole fails", func() bool { _, text := read(t, figures); return slow.MatchString(text) })
	if !strings.Contains(text, `voussoir_key_active_since_timestamp_seconds{alg="ES256",use="services"} `) {
		t.Error("the figures lack the age of the key")
	}
	for _, hers := range []string{"Camille", "camille", "Linteau", "1984", "69123", "mail.example", sub, "library"} {
		if strings.Contains(text, hers) {
			t.Errorf("the figures hold %q", hers)
		}
	}
	onlyKnownLabels(t, text)

	if status, body := read(t, w.broker+"/metrics"); status != http.StatusNotFound || strings.Contains(body, "voussoir_") {
		t.Errorf("the public address answers %d to /metrics", status)
	}
	if status, _ := read(t, strings.TrimSuffix(figures, "metrics")); status != http.StatusNotFound {
		t.Errorf("the listener of the figures answers %d to /", status)
	}
}

// onlyKnownLabels: each value of a label is an id of the configuration, a number of
// HTTP, or a word; see docs/metrics.md.
func onlyKnownLabels(t *testing.T, text string) {
	t.Helper()
	known := map[string]string{
		"provider": `one|two|hole`, "status": `[2-5]\d\d`, "le": `[\d.e+-]+|\+Inf`, "method": `[A-Z]+|other`, "alg": `[A-Za-z0-9-]+`,
		"version": `.*`, "goversion": `go.*`, "quantile": `[\d.]+`, "promised": `true|false`, "sent": `true|false`,
	}
	label := regexp.MustCompile(`(\w+)="([^"]*)"`)
	var strange []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, m := range label.FindAllStringSubmatch(line, -1) {
			pattern := known[m[1]]
			if pattern == "" {
				pattern = `[a-z._-]{1,40}`
			}
			if !regexp.MustCompile("^(" + pattern + ")$").MatchString(m[2]) {
				strange = append(strange, m[0])
			}
		}
	}
	if slices.Sort(strange); len(strange) > 0 {
		t.Errorf("labels that are no words of ours: %q", slices.Compact(strange))
	}
}

// TestMetrics_ARefusedReloadIsSeen: a file with a mistake raises an alarm that
// Prometheus can see, until a good one comes.
func TestMetrics_ARefusedReloadIsSeen(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	figures := w.measured()
	good := w.config()
	w.write(strings.Replace(good, "version: 1", "version: none", 1))
	w.reload("configuration not reloaded")
	if _, text := read(t, figures); !strings.Contains(text, "voussoir_config_last_reload_successful 0\n") || !strings.Contains(text, `voussoir_config_reloads_total{outcome="failed"} 1`) {
		t.Error("the figures do not show the refused file")
	}
	w.write(good)
	w.reload("configuration reloaded")
	if _, text := read(t, figures); !strings.Contains(text, "voussoir_config_last_reload_successful 1\n") {
		t.Error("the alarm goes on after a good file")
	}
}
