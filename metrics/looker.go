package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/voussoir-id/voussoir/protocol"
)

// lookTime is what a look may take: whoever looks has a timeout of her own, mostly of
// ten seconds.
const lookTime = 2 * time.Second

// Facts is what holds at the moment of a look.
type Facts struct {
	Providers    []Provider
	Queues       map[string]int // length by name
	Keys         []Key
	Certificates map[string]time.Time // expiry by what the certificate is for
	Witnesses    map[string]time.Time // time of the newest cosignature by witness; zero: none
	Loaded       time.Time            // since when the configuration is in force
}

// Provider is the state of an identity provider.
type Provider struct {
	ID        protocol.ProviderID
	InService bool
	Works     bool
	Changed   time.Time // zero: unknown
	Breaker   string    // one of closed, open and half_open
}

// Key is an active signing key.
type Key struct {
	Use, Alg string
	Since    time.Time
}

// looker makes metrics of facts. A provider that has left the configuration, or a key
// that has retired, is gone with the next look.
type looker struct {
	facts func(context.Context) Facts
	descs map[string]*prometheus.Desc
}

func newLooker(facts func(context.Context) Facts) *looker {
	l := &looker{facts: facts, descs: map[string]*prometheus.Desc{}}
	for _, d := range Definitions() {
		switch d.Name {
		case inService, up, changed, breaker, queue, keySince, expiry, loaded, witnessSigned:
			l.descs[d.Name] = prometheus.NewDesc(d.Name, d.Help, d.Labels, nil)
		}
	}
	return l
}

// Describe implements prometheus.Collector.
func (l *looker) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range l.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *looker) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	f := l.facts(ctx)
	show := func(name string, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(l.descs[name], prometheus.GaugeValue, value, labels...)
	}
	for _, p := range f.Providers {
		id := string(p.ID)
		show(inService, truth(p.InService), id)
		show(up, truth(p.Works), id)
		if !p.Changed.IsZero() {
			show(changed, seconds(p.Changed), id)
		}
		for _, state := range []string{"closed", "open", "half_open"} {
			show(breaker, truth(p.Breaker == state), id, state)
		}
	}
	for name, length := range f.Queues {
		show(queue, float64(length), word(name))
	}
	for _, k := range f.Keys {
		show(keySince, seconds(k.Since), k.Use, k.Alg)
	}
	for name, at := range f.Certificates {
		show(expiry, seconds(at), word(name))
	}
	for name, at := range f.Witnesses {
		if !at.IsZero() {
			show(witnessSigned, seconds(at), name)
		}
	}
	if !f.Loaded.IsZero() {
		show(loaded, seconds(f.Loaded))
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }
