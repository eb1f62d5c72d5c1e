package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// neighbours are three providers beside the one that is measured. They work until
// they are switched over; then one is silent, one answers 503 and one serves rubbish.
type neighbours struct {
	All  []idp
	sick atomic.Bool

	listeners []net.Listener
	servers   []*http.Server
}

// newNeighbours finds their ports.
func newNeighbours(ctx context.Context) (*neighbours, error) {
	n := &neighbours{}
	for _, id := range []protocol.ProviderID{"hole", "five", "rubbish"} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			n.stop()
			return nil, err
		}
		n.listeners = append(n.listeners, l)
		n.All = append(n.All, idp{id, fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port), protocol.EIDAS1})
	}
	return n, nil
}

// The rest of an idp is for the template.
func (p idp) ID() string     { return string(p.id) }
func (p idp) Issuer() string { return p.issuer }

// serve runs them in this process until stop.
func (n *neighbours) serve(at addresses) error {
	ways := []http.HandlerFunc{
		func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the broker has gone
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		},
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"issuer": 7, "` + strings.Repeat("a", 4096))) // the broker may be gone
		},
	}
	for i, p := range n.All {
		well, err := p.handler(at.Broker, at.BrokerSecret, 1)
		if err != nil {
			return err
		}
		srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.sick.Load() {
				ways[i](w, r)
				return
			}
			well.ServeHTTP(w, r)
		})}
		n.servers = append(n.servers, srv)
		go func() { _ = srv.Serve(n.listeners[i]) }() // ends with Close
	}
	return nil
}

func (n *neighbours) stop() {
	for _, s := range n.servers {
		_ = s.Close() // nothing of theirs is to be kept
	}
	for _, l := range n.listeners {
		_ = l.Close()
	}
}

// visit is somebody who chooses a neighbour and comes back from it with a code that it
// does not know: the broker asks it, and tells her what it found. A provider that works
// refuses at once.
func (l load) visit(ctx context.Context, p idp) error {
	one := newLogin(l.target, l.service, l.client)
	flow, err := one.open(ctx)
	if err != nil {
		return err
	}
	away, err := one.post(ctx, flow+"/provider", url.Values{"provider": {p.ID()}})
	if err != nil {
		return err
	}
	to, err := url.Parse(away.Next)
	if err != nil {
		return errors.New("the way to a provider is no address")
	}
	if !to.Query().Has("state") {
		return nil // it is known to be down, and she reads so
	}
	answer := url.Values{"code": {"nobodys"}, "state": {to.Query().Get("state")}, "iss": {p.issuer}}
	page, err := one.follow(ctx, l.target.Broker+"/callback/"+p.ID()+"?"+answer.Encode())
	if err == nil && page.Status != http.StatusOK {
		err = errors.New("no page for one who comes back from a provider that does not work")
	}
	return err
}

// bother has people visit the neighbours until ctx ends, each of them once a second if
// the answers let her. wait returns how many came, and what they met that is no page.
func (l load) bother(ctx context.Context, n *neighbours, workers int) (wait func() (came int, errs map[string]int)) {
	done := make(chan outcome, len(n.All))
	l.client = newClient(workers * len(n.All))
	for _, p := range n.All {
		go func() {
			done <- l.each(ctx, 1<<30, workers, func(ctx context.Context, _ int) (time.Duration, error) {
				// What is cut off by the end of the measurement is no failure.
				if err := l.visit(context.WithoutCancel(ctx), p); err != nil {
					return 0, err
				}
				pause(ctx)
				return 0, nil
			})
		}()
	}
	return func() (int, map[string]int) {
		came, errs := 0, map[string]int{}
		for range n.All {
			o := <-done
			came += len(o.Added)
			for what, k := range o.Errors {
				errs[what] += k
			}
		}
		return came, errs
	}
}

// pause keeps those who are turned away at once from being all the load there is: a
// person reads the page first.
func pause(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// comparison is what logins through one provider cost while three others work, and
// while they do not, under the same load.
type comparison struct {
	Rounds []round        `json:"rounds"`
	Well   spread         `json:"well"`
	Sick   spread         `json:"sick"`
	Ratio  float64        `json:"p99_ratio"`         // of all rounds together
	Visits int            `json:"visits_while_sick"` // to the three
	Errors map[string]int `json:"errors"`
}

// round is one measurement of each, one after the other.
type round struct {
	Well spread `json:"well"`
	Sick spread `json:"sick"`
}

// spread is how long logins took, as the broker's share of them.
type spread struct {
	Logins int           `json:"logins"`
	P50    time.Duration `json:"added_p50_ns"`
	P95    time.Duration `json:"added_p95_ns"`
	P99    time.Duration `json:"added_p99_ns"`
}

func spreadOf(sorted []time.Duration) spread {
	return spread{len(sorted), percentile(sorted, 50), percentile(sorted, 95), percentile(sorted, 99)}
}

// compare measures by turns, in one run of one broker: so whatever else the machine does
// meets both. Which of the two comes first changes from round to round.
func (p plan) compare(ctx context.Context, l load, n *neighbours, progress io.Writer) (comparison, error) {
	c := comparison{Errors: map[string]int{}}
	times := map[bool][]time.Duration{}
	say(progress, "warming up with %d logins\n", p.WarmUp)
	l.logins(ctx, p.WarmUp, p.Workers)
	l.from = p.WarmUp
	for i := range p.Runs {
		var both round
		for _, sick := range []bool{i%2 == 1, i%2 == 0} {
			say(progress, "round %d of %d: %d logins, %s\n", i+1, p.Runs, p.Logins, map[bool]string{true: "three neighbours are broken", false: "all work"}[sick])
			n.sick.Store(sick)
			got, came := p.turn(ctx, l, n, c.Errors)
			l.from += p.Logins
			times[sick] = append(times[sick], got...)
			if sick {
				both.Sick, c.Visits = spreadOf(got), c.Visits+came
			} else {
				both.Well = spreadOf(got)
			}
		}
		c.Rounds = append(c.Rounds, both)
	}
	for _, all := range times {
		slices.Sort(all)
	}
	c.Well, c.Sick = spreadOf(times[false]), spreadOf(times[true])
	if c.Well.P99 > 0 {
		c.Ratio = float64(c.Sick.P99) / float64(c.Well.P99)
	}
	return c, ctx.Err()
}

// turn measures logins while people visit the neighbours.
func (p plan) turn(ctx context.Context, l load, n *neighbours, errs map[string]int) (times []time.Duration, came int) {
	bothered, enough := context.WithCancel(ctx)
	wait := l.bother(bothered, n, p.Workers)
	got := l.logins(ctx, p.Logins, p.Workers)
	enough()
	came, met := wait()
	for _, es := range []map[string]int{got.Errors, met} {
		for what, k := range es {
			errs[what] += k
		}
	}
	return got.Added, came
}

// report writes the comparison, and fails when a login failed: whoever signs in at a
// provider that works must not notice the others.
func (c comparison) report(out io.Writer, asJSON bool) error {
	write := c.table
	if asJSON {
		write = func(out io.Writer) error {
			e := json.NewEncoder(out)
			e.SetIndent("", "  ")
			return e.Encode(c)
		}
	}
	if err := write(out); err != nil {
		return err
	}
	if len(c.Errors) > 0 {
		return fmt.Errorf("visits failed: %v", c.Errors)
	}
	return nil
}

func (c comparison) table(out io.Writer) error {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
	row := func(name string, s spread) string {
		return fmt.Sprintf("| %s | %d | %s | %s | %s |\n", name, s.Logins, ms(s.P50), ms(s.P95), ms(s.P99))
	}
	text := "| time that the broker adds to a login | logins | p50 | p95 | p99 |\n| --- | ---: | ---: | ---: | ---: |\n"
	for i, r := range c.Rounds {
		text += row(fmt.Sprintf("round %d, all work", i+1), r.Well) + row(fmt.Sprintf("round %d, three broken", i+1), r.Sick)
	}
	text += row("**all rounds, all work**", c.Well) + row("**all rounds, three broken**", c.Sick)
	text += fmt.Sprintf("\np99 with three broken to p99 when all work: %.3f (visits to the broken ones: %d)\n", c.Ratio, c.Visits)
	_, err := io.WriteString(out, text)
	return err
}
