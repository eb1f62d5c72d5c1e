// Package metrics counts what an operator must see of a running broker, and shows it
// in the format of Prometheus. It hears of what happens by functions that wiring puts
// into the rooms, and asks for what holds at the moment (Facts) each time that somebody
// looks; no room knows it. Labels are ids of the configuration and words of fixed
// lists: never a person, a visit, an address or a value. It decides nothing, keeps
// nothing, and is served on a listener of its own, never on the public one.
//
// definitions.go is the whole list; docs/metrics.md explains it, and a test
// compares the two. Why it is a room: docs/decisions/0028-metrics.md.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/voussoir-id/voussoir/protocol"
)

// Config is what New needs; all of it.
type Config struct {
	Version string // of the binary
	// Facts is asked at each look. What could not be found out is left out. It is
	// given two seconds.
	Facts func(ctx context.Context) Facts
	Log   *slog.Logger
}

// Metrics counts. Its methods do not block, and are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	log      *slog.Logger

	counters   map[string]*prometheus.CounterVec
	histograms map[string]*prometheus.HistogramVec
	reloaded   prometheus.Gauge
}

// New refuses a missing collaborator. The registry is its own: what a module of
// others puts into the global one is not shown.
func New(c Config) (*Metrics, error) {
	if c.Facts == nil || c.Log == nil {
		return nil, errors.New("metrics: facts and a log are needed")
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(), log: c.Log,
		counters: map[string]*prometheus.CounterVec{}, histograms: map[string]*prometheus.HistogramVec{},
	}
	all := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newLooker(c.Facts),
	}
	for _, d := range Definitions() {
		switch d.Kind {
		case Counter:
			m.counters[d.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
			all = append(all, m.counters[d.Name])
		case Histogram:
			m.histograms[d.Name] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.buckets}, d.Labels)
			all = append(all, m.histograms[d.Name])
		case Gauge: // the looker's, but for the two below
		}
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: buildInfo, Help: helpOf(buildInfo)}, []string{"version", "goversion"})
	build.WithLabelValues(c.Version, runtime.Version()).Set(1)
	m.reloaded = prometheus.NewGauge(prometheus.GaugeOpts{Name: reloadWorked, Help: helpOf(reloadWorked)})
	m.reloaded.Set(1) // the configuration of the start is in force
	for _, collector := range append(all, build, m.reloaded) {
		if err := m.registry.Register(collector); err != nil {
			return nil, err
		}
	}
	m.begin()
	return m, nil
}

// begin shows the alarms at zero from the start: an alert on a counter that appears
// with its first failure would miss that one.
func (m *Metrics) begin() {
	for _, outcome := range []string{worked, failed, abandoned} {
		m.counters[auditAppends].WithLabelValues(outcome)
		for _, store := range []string{"records", "flow"} {
			m.counters[storeCommits].WithLabelValues(store, outcome)
		}
	}
	m.counters[reloads].WithLabelValues(worked)
	m.counters[reloads].WithLabelValues(failed)
}

// Handler answers GET with everything. A look that finds two values for one thing
// shows the rest, and the log says so.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelError), MaxRequestsInFlight: 4,
	})
}

// Answered hears of each request: the name of its route, its method, the status of
// the answer and the time that it took.
func (m *Metrics) Answered(route, method string, status int, took time.Duration) {
	m.counters[requests].WithLabelValues(word(route), method, strconv.Itoa(status)).Inc()
	m.histograms[requestTime].WithLabelValues(word(route)).Observe(took.Seconds())
}

// Begun hears of each person who is sent to a provider.
func (m *Metrics) Begun(provider protocol.ProviderID) {
	m.counters[begun].WithLabelValues(string(provider)).Inc()
}

// Ended hears how a sign-in at a provider ended.
func (m *Metrics) Ended(provider protocol.ProviderID, outcome string) {
	m.counters[ended].WithLabelValues(string(provider), word(outcome)).Inc()
}

// Fetched hears of each call to a provider: of which sort it was, and what became of it
// in one word of outbound. The time of one that was not made says nothing.
func (m *Metrics) Fetched(provider protocol.ProviderID, call, outcome string, took time.Duration) {
	m.counters[fetches].WithLabelValues(string(provider), call, word(outcome)).Inc()
	switch outcome {
	case "full", "breaker_open", "not_allowed":
	default:
		m.histograms[fetchTime].WithLabelValues(string(provider), call).Observe(took.Seconds())
	}
}

// Delivered hears which claims a provider promised, and which it sent with a sign-in.
func (m *Metrics) Delivered(provider protocol.ProviderID, promised, sent []protocol.Claim) {
	had := make(map[protocol.Claim]bool, len(sent))
	for _, c := range sent {
		had[c] = true
	}
	count := func(c protocol.Claim, promised, sent string) {
		m.counters[claims].WithLabelValues(string(provider), word(string(c)), promised, sent).Inc()
	}
	for _, c := range promised {
		count(c, "true", strconv.FormatBool(had[c]))
		delete(had, c)
	}
	for c := range had {
		count(c, "false", "true")
	}
}

// Checked hears of each question to the civil registry.
func (m *Metrics) Checked(outcome string, took time.Duration) {
	m.counters[checks].WithLabelValues(word(outcome)).Inc()
	m.histograms[checkTime].WithLabelValues().Observe(took.Seconds())
}

// Issued hears of each set of tokens: for what grant, and how the client proved itself.
func (m *Metrics) Issued(grant, clientAuth string) {
	m.counters[tokens].WithLabelValues(word(grant), word(clientAuth)).Inc()
}

// Noted hears of each entry of the audit log.
func (m *Metrics) Noted(kind string) { m.counters[auditEntries].WithLabelValues(word(kind)).Inc() }

// Witnessed hears what came of each checkpoint that a witness was shown.
func (m *Metrics) Witnessed(witness, outcome string) {
	m.counters[witnessAnswers].WithLabelValues(witness, word(outcome)).Inc()
}

// Witnesses shows the counters of these witnesses at zero, for alerts on them.
func (m *Metrics) Witnesses(names, outcomes []string) {
	for _, name := range names {
		for _, outcome := range outcomes {
			m.counters[witnessAnswers].WithLabelValues(name, word(outcome))
		}
	}
}

// Appended hears of each write to the audit log alone, whatever came of it.
func (m *Metrics) Appended(took time.Duration, err error) {
	m.counters[auditAppends].WithLabelValues(outcomeOf(err)).Inc()
	m.histograms[auditTime].WithLabelValues().Observe(took.Seconds())
}

// Committed hears of each commit of a store.
func (m *Metrics) Committed(store string, took time.Duration, err error) {
	m.counters[storeCommits].WithLabelValues(store, outcomeOf(err)).Inc()
	m.histograms[storeTime].WithLabelValues(store).Observe(took.Seconds())
}

// Reloaded hears whether a configuration was taken over.
func (m *Metrics) Reloaded(err error) {
	m.counters[reloads].WithLabelValues(outcomeOf(err)).Inc()
	m.reloaded.Set(truth(err == nil))
}

// What a write or a reload came to.
const (
	worked    = "ok"
	failed    = "failed"
	abandoned = "abandoned" // whoever asked for it went away: no fault of ours
)

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return worked
	case errors.Is(err, context.Canceled):
		return abandoned
	}
	return failed
}

// word lets through what can be a word of a list of ours: small letters and ". _ -".
// An identifier, a date, an address or a name does not look like that, so a mistake of
// ours elsewhere makes a wrong figure here and not a leak.
func word(s string) string {
	if s == "" || len(s) > 40 {
		return "other"
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '.' && c != '_' && c != '-' {
			return "other"
		}
	}
	return s
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
