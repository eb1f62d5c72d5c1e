package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// result is what a run found. Times are in nanoseconds in JSON.
type result struct {
	Logins       int            `json:"logins"`
	Workers      int            `json:"workers"`
	OpenFlows    int            `json:"open_flows"`
	BrokerCPU    time.Duration  `json:"broker_cpu_ns"`
	PerCPUSecond float64        `json:"logins_per_broker_cpu_second"`
	PerSecond    float64        `json:"logins_per_second"`
	AddedP50     time.Duration  `json:"added_p50_ns"` // sum of the broker's answers to one login
	AddedP95     time.Duration  `json:"added_p95_ns"`
	AddedP99     time.Duration  `json:"added_p99_ns"`
	PeakMemory   int64          `json:"broker_peak_memory_bytes"`
	Errors       map[string]int `json:"errors"`
}

func (r *result) add(o outcome, cpu time.Duration) {
	r.Logins, r.BrokerCPU = len(o.Added), cpu
	if cpu > 0 {
		r.PerCPUSecond = float64(r.Logins) / cpu.Seconds()
	}
	if o.Took > 0 {
		r.PerSecond = float64(r.Logins) / o.Took.Seconds()
	}
	r.AddedP50, r.AddedP95, r.AddedP99 = percentile(o.Added, 50), percentile(o.Added, 95), percentile(o.Added, 99)
}

// count sums errors by what went wrong.
func (r *result) count(all ...map[string]int) {
	r.Errors = map[string]int{}
	for _, es := range all {
		for what, n := range es {
			r.Errors[what] += n
		}
	}
}

// print writes the result, and fails when there were errors: a fast broker that
// answers wrongly is not fast.
func (r result) print(out io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else if err := r.table(out); err != nil {
		return err
	}
	failed := 0
	for _, n := range r.Errors {
		failed += n
	}
	if failed > 0 {
		return fmt.Errorf("%d logins failed", failed)
	}
	return nil
}

func (r result) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }
	for _, line := range [][2]string{
		{"complete logins", fmt.Sprint(r.Logins)},
		{"logins per CPU-second of the broker", fmt.Sprintf("%.0f", r.PerCPUSecond)},
		{"CPU time of the broker", fmt.Sprintf("%.2f s", r.BrokerCPU.Seconds())},
		{"logins per second, all on this machine", fmt.Sprintf("%.0f", r.PerSecond)},
		{"people signing in at the same time", fmt.Sprint(r.Workers)},
		{"time that the broker adds to a login, p50", ms(r.AddedP50)},
		{"p95", ms(r.AddedP95)},
		{"p99", ms(r.AddedP99)},
		{"flows open meanwhile", fmt.Sprint(r.OpenFlows)},
		{"peak memory of the broker", fmt.Sprintf("%.1f MB", float64(r.PeakMemory)/1e6)},
	} {
		say(w, "%s\t%s\t\n", line[0], line[1])
	}
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		say(w, "failed: %s\t%d\t\n", what, r.Errors[what])
	}
	return w.Flush() // with the first error of all lines
}
