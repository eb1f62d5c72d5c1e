package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// noon is when the facts of these tests hold.
var noon = time.Date(2026, 3, 12, 12, 0, 0, 0, time.UTC)

func facts(context.Context) Facts {
	return Facts{
		Providers: []Provider{{ID: "tax", InService: true, Changed: noon, Breaker: "half_open"}, {ID: "post"}},
		Queues:    map[string]int{"records": 3},
		Keys:      []Key{{Use: "services", Alg: "ES256", Since: noon}},
		Witnesses: map[string]time.Time{"witness.example/one": time.Unix(1_700_000_000, 0)}, Certificates: map[string]time.Time{"server": noon}, Loaded: noon,
	}
}

// whole has heard of everything once.
func whole(t *testing.T) *Metrics {
	t.Helper()
	m, err := New(Config{Version: "test", Facts: facts, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m.Answered("login.callback", "GET", 303, 40*time.Millisecond)
	m.Begun("tax")
	m.Ended("tax", "too_weak")
	m.Fetched("tax", "sign_in", "timeout", 5*time.Second)
	m.Fetched("tax", "sign_in", "breaker_open", 0)
	m.Delivered("tax", []protocol.Claim{protocol.GivenName, protocol.Birthplace}, []protocol.Claim{protocol.GivenName, protocol.Email})
	m.Checked("exact", time.Second)
	m.Issued("authorization_code", "private_key_jwt")
	m.Noted("consent.given")
	m.Witnessed("witness.example/one", "ok")
	m.Appended(time.Millisecond, nil)
	m.Appended(time.Millisecond, fmt.Errorf("append: %w", context.Canceled))
	m.Committed("records", time.Millisecond, errors.New("disk full"))
	m.Reloaded(errors.New("a mistake"))
	return m
}

func show(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	return w.Body.String()
}

func TestHandler_ShowsWhatWasHeard(t *testing.T) {
	text := show(t, whole(t))
	for _, want := range []string{
		`voussoir_http_requests_total{method="GET",route="login.callback",status="303"} 1`,
		`voussoir_http_request_duration_seconds_bucket{route="login.callback",le="0.05"} 1`,
		`voussoir_http_request_duration_seconds_bucket{route="login.callback",le="0.025"} 0`,
		`voussoir_sign_ins_begun_total{provider="tax"} 1`,
		`voussoir_sign_ins_ended_total{outcome="too_weak",provider="tax"} 1`,
		`voussoir_provider_in_service{provider="tax"} 1`, `voussoir_provider_in_service{provider="post"} 0`,
		`voussoir_provider_up{provider="tax"} 0`,
		`voussoir_provider_changed_timestamp_seconds{provider="tax"} 1.7733168e+09`,
		`voussoir_provider_breaker{provider="tax",state="half_open"} 1`, `voussoir_provider_breaker{provider="tax",state="open"} 0`,
		`voussoir_provider_fetches_total{call="sign_in",outcome="timeout",provider="tax"} 1`,
		`voussoir_provider_fetches_total{call="sign_in",outcome="breaker_open",provider="tax"} 1`,
		`voussoir_provider_fetch_duration_seconds_count{call="sign_in",provider="tax"} 1`,
		`voussoir_provider_claims_total{claim="given_name",promised="true",provider="tax",sent="true"} 1`,
		`voussoir_provider_claims_total{claim="birthplace",promised="true",provider="tax",sent="false"} 1`,
		`voussoir_provider_claims_total{claim="email",promised="false",provider="tax",sent="true"} 1`,
		`voussoir_registry_checks_total{outcome="exact"} 1`,
		`voussoir_tokens_issued_total{client_auth="private_key_jwt",grant="authorization_code"} 1`,
		`voussoir_audit_entries_total{kind="consent.given"} 1`,
		`voussoir_audit_appends_total{outcome="ok"} 1`, `voussoir_audit_appends_total{outcome="abandoned"} 1`, `voussoir_audit_appends_total{outcome="failed"} 0`,
		`voussoir_store_commits_total{outcome="failed",store="records"} 1`, `voussoir_store_commits_total{outcome="failed",store="flow"} 0`,
		`voussoir_queue_length{queue="records"} 3`,
		`voussoir_key_active_since_timestamp_seconds{alg="ES256",use="services"} 1.7733168e+09`,
		`voussoir_certificate_expiry_timestamp_seconds{certificate="server"} 1.7733168e+09`,
		`voussoir_config_reloads_total{outcome="failed"} 1`, `voussoir_config_last_reload_successful 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if !strings.Contains(text, "\ngo_goroutines ") || !strings.Contains(text, "\nprocess_open_fds ") {
		t.Error("nothing of the runtime and the process")
	}
}

func TestReloaded_TheNextGoodOneEndsTheAlarm(t *testing.T) {
	m := whole(t)
	m.Reloaded(nil)
	if !strings.Contains(show(t, m), "voussoir_config_last_reload_successful 1\n") {
		t.Error("the alarm goes on")
	}
}

// Whatever goes wrong elsewhere, what looks like somebody's does not become a label.
func TestWord_LetsNoIdentifierThrough(t *testing.T) {
	for text, want := range map[string]string{
		"login.callback": "login.callback", "registry_not_civil": "registry_not_civil", "": "other",
		"Camille": "other", "camille@mail.example": "other", "1984-02-29": "other", "deadbeef00": "other", "two words": "other", "é": "other",
		"https://id.example/login?flow=x": "other", strings.Repeat("a", 41): "other",
	} {
		if got := word(text); got != want {
			t.Errorf("word(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestNew_RefusesAMissingCollaborator(t *testing.T) {
	for _, c := range []Config{{Facts: facts}, {Log: slog.New(slog.DiscardHandler)}} {
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v) accepts it", c)
		}
	}
}

// No metric has both a provider and a service: together they could say who.
func TestDefinitions_NoMetricTellsWhoUsesWhat(t *testing.T) {
	for _, d := range Definitions() {
		for _, l := range d.Labels {
			if slices.Contains([]string{"client", "person", "flow", "sub", "url", "address", "session"}, l) {
				t.Errorf("%s has a label %s", d.Name, l)
			}
		}
		if strings.HasSuffix(d.Name, "_total") != (d.Kind == Counter) || d.Help == "" {
			t.Errorf("%s is not named or described as Prometheus wants it", d.Name)
		}
	}
}

var row = regexp.MustCompile("^\\| `(voussoir_\\w+)` \\| (\\w+) \\|([^|]*)\\|")

// TestDocs_TheTableAndTheRegistryAgree: name, type and labels, in one order, and
// everything of the list is really shown, with those labels and no others.
func TestDocs_TheTableAndTheRegistryAgree(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for line := range strings.Lines(string(page)) {
		if m := row.FindStringSubmatch(line); m != nil {
			listed = append(listed, fmt.Sprintln(m[1], m[2], strings.Fields(strings.ReplaceAll(m[3], "`", ""))))
		}
	}
	families, err := whole(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "voussoir_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		shown[f.GetName()] = fmt.Sprintln(strings.ToLower(f.GetType().String()), labels)
	}
	for _, d := range Definitions() {
		want = append(want, fmt.Sprintln(d.Name, d.Kind, d.Labels))
		sorted := slices.Sorted(slices.Values(d.Labels))
		if got := shown[d.Name]; got != fmt.Sprintln(d.Kind, sorted) {
			t.Errorf("%s is shown as %q, and defined as %s %v", d.Name, got, d.Kind, sorted)
		}
		delete(shown, d.Name)
	}
	if !slices.Equal(listed, want) {
		t.Errorf("docs/metrics.md lists\n%s\nand the registry has\n%s", strings.Join(listed, ""), strings.Join(want, ""))
	}
	for name := range shown {
		t.Errorf("%s is shown and not defined", name)
	}
}

// The alarms and the page speak of metrics and labels that there are.
func TestDocs_AlarmsNameMetricsThatThereAre(t *testing.T) {
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`)
	for _, file := range []string{"../deploy/alerts.yaml", "../docs/metrics.md", "../docs/operate.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(voussoir_[a-z_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(string(text), -1) {
			i := slices.IndexFunc(Definitions(), func(d Definition) bool { return d.Name == m[1] || d.Name == suffix.ReplaceAllString(m[1], "") })
			if i < 0 {
				t.Errorf("%s names %s, which is no metric", file, m[1])
				continue
			}
			for _, l := range regexp.MustCompile(`(\w+)\s*(?:=|!=|=~)"`).FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(Definitions()[i].Labels, l[1]) {
					t.Errorf("%s: %s has no label %s", file, m[1], l[1])
				}
			}
		}
	}
}

func BenchmarkAnswered(b *testing.B) {
	m, err := New(Config{Version: "test", Facts: facts, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Answered("token", "POST", 200, time.Millisecond)
	}
}
