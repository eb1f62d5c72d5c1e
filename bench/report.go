package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// result is what a run found. Times are in nanoseconds in JSON.
type result struct {
	Kind         kind           `json:"kind"`
	Logins       int            `json:"logins"`
	People       int            `json:"different_people"`
	Workers      int            `json:"workers"`
	OpenFlows    int            `json:"open_flows"`
	BrokerCPU    time.Duration  `json:"broker_cpu_ns"`
	PerCPUSecond float64        `json:"logins_per_broker_cpu_second"`
	PerSecond    float64        `json:"logins_per_second"`
	Floor        time.Duration  `json:"crypto_floor_ns"` // of one login; see work
	Price        price          `json:"crypto_prices_ns"`
	AddedP50     time.Duration  `json:"added_p50_ns"` // sum of the broker's answers to one login
	AddedP95     time.Duration  `json:"added_p95_ns"`
	AddedP99     time.Duration  `json:"added_p99_ns"`
	PeakMemory   int64          `json:"broker_peak_memory_bytes"`
	Errors       map[string]int `json:"errors"`
}

func (r *result) add(o outcome, cpu time.Duration) {
	r.Logins, r.People, r.BrokerCPU = len(o.Added), o.People, cpu
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

// report writes what the runs found, and fails when there were errors: a fast
// broker that answers wrongly is not fast.
func report(out io.Writer, all []result, asJSON bool) error {
	middle := median(all)
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(middle); err != nil {
			return err
		}
	} else if err := table(out, all, middle); err != nil {
		return err
	}
	failed := 0
	for _, r := range all {
		for _, n := range r.Errors {
			failed += n
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d logins failed", failed)
	}
	return nil
}

// median is the run in the middle by logins per CPU-second; of an even number the
// slower one of the two.
func median(all []result) result {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b result) int { return cmp.Compare(a.PerCPUSecond, b.PerCPUSecond) })
	return sorted[(len(sorted)-1)/2]
}

// table is Markdown, ready for docs/performance.md.
func table(out io.Writer, all []result, r result) error {
	perCPU := make([]string, len(all))
	for i, one := range all {
		perCPU[i] = fmt.Sprintf("%.0f", one.PerCPUSecond)
	}
	slices.Sort(perCPU)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
	us := func(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond)) }
	lines := [][2]string{
		{fmt.Sprintf("a service of the kind %s (median of %d runs)", r.Kind, len(all)), ""},
		{"---", "---:"},
		{"logins per CPU-second of the broker", fmt.Sprintf("**%.0f**", r.PerCPUSecond)},
		{"the same, each run", strings.Join(perCPU, ", ")},
		{"CPU time of the broker for one login", fmt.Sprintf("%.2f ms", 1e3/max(r.PerCPUSecond, 1e-9))},
		{"of it cryptography that no broker can do without", us(r.Floor)},
		{"a P-256 signature, a verification, an encryption", strings.Join([]string{us(r.Price.Sign), us(r.Price.Verify), us(r.Price.Encrypt)}, ", ")},
		{"complete logins in a run", fmt.Sprint(r.Logins)},
		{"different people among them", fmt.Sprint(r.People)},
		{"people signing in at the same time", fmt.Sprint(r.Workers)},
		{"logins per second, everything on this machine", fmt.Sprintf("%.0f", r.PerSecond)},
		{"time that the broker adds to a login, p50", ms(r.AddedP50)},
		{"p95", ms(r.AddedP95)},
		{"p99", ms(r.AddedP99)},
		{"flows open meanwhile", fmt.Sprint(r.OpenFlows)},
		{"peak memory of the broker", fmt.Sprintf("%.1f MB", float64(r.PeakMemory)/1e6)},
	}
	for i, one := range all {
		for _, what := range slices.Sorted(maps.Keys(one.Errors)) {
			lines = append(lines, [2]string{fmt.Sprintf("run %d failed: %s", i+1, what), fmt.Sprint(one.Errors[what])})
		}
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(out, "| %s | %s |\n", l[0], l[1]); err != nil {
			return err
		}
	}
	return nil
}
