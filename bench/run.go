package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/voussoir-id/voussoir/sandbox"
)

// plan is what one run does.
type plan struct {
	BrokerBin string
	Kind      kind
	Logins    int
	WarmUp    int
	Workers   int
	OpenFlows int
	People    int
	Runs      int
	JSON      bool
	Keep      bool
	Broken    bool
}

func (p *plan) parse(args []string, progress io.Writer) error {
	fs := flag.NewFlagSet("bench run", flag.ContinueOnError)
	fs.SetOutput(progress)
	fs.StringVar(&p.BrokerBin, "broker-bin", "", "the voussoir binary to measure")
	fs.StringVar((*string)(&p.Kind), "kind", string(basic), "how demanding the service is: basic, jwt or fapi2")
	fs.IntVar(&p.Logins, "logins", 5000, "complete logins to measure")
	fs.IntVar(&p.WarmUp, "warm-up", 500, "complete logins before measuring")
	fs.IntVar(&p.Workers, "workers", 8, "people who sign in at the same time")
	fs.IntVar(&p.OpenFlows, "open-flows", 10000, "logins opened first and left at the choice page")
	fs.IntVar(&p.People, "people", 0, "invented people at the providers; 0: as many as logins, so that each is a new person")
	fs.IntVar(&p.Runs, "runs", 1, "how often to measure, each time with a new broker")
	fs.BoolVar(&p.JSON, "json", false, "print JSON")
	fs.BoolVar(&p.Keep, "keep", false, "keep the folder with configuration, data and the broker's log")
	fs.BoolVar(&p.Broken, "broken", false, "compare logins while three other providers work and while they are broken, --runs times by turns in one broker")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if !slices.Contains(kinds(), p.Kind) {
		return errors.New("--kind is basic, jwt or fapi2")
	}
	if p.BrokerBin == "" || p.Logins < 1 || p.WarmUp < 0 || p.Workers < 1 || p.OpenFlows < 0 || p.People < 0 || p.Runs < 1 {
		return errors.New("run needs --broker-bin, and numbers that make sense")
	}
	if p.People == 0 {
		p.People = p.WarmUp + p.Logins
		if p.Broken {
			p.People += (2*p.Runs - 1) * p.Logins
		}
	}
	return nil
}

// runVerb measures as often as it is asked to.
func runVerb(ctx context.Context, args []string, out, progress io.Writer) error {
	var p plan
	if err := p.parse(args, progress); err != nil {
		return err
	}
	if p.Broken {
		return p.among(ctx, out, progress)
	}
	all := make([]result, p.Runs)
	for i := range all {
		say(progress, "run %d of %d\n", i+1, p.Runs)
		var err error
		if all[i], err = p.once(ctx, progress); err != nil {
			return err
		}
	}
	return report(out, all, p.JSON)
}

// once starts broker and providers, measures, and stops them.
func (p plan) once(ctx context.Context, progress io.Writer) (r result, err error) {
	return r, p.within(ctx, progress, nil, func(at addresses, pid int) (err error) {
		r, err = p.measure(ctx, at, pid, progress)
		return err
	})
}

// among is once for the comparison of --broken.
func (p plan) among(ctx context.Context, out, progress io.Writer) error {
	n, err := newNeighbours(ctx)
	if err != nil {
		return err
	}
	defer n.stop()
	var c comparison
	err = p.within(ctx, progress, n, func(at addresses, _ int) (err error) {
		c, err = p.compare(ctx, p.load(at), n, progress)
		return err
	})
	if err != nil {
		return err
	}
	return c.report(out, p.JSON)
}

// within runs do while a broker and its providers run.
func (p plan) within(ctx context.Context, progress io.Writer, n *neighbours, do func(at addresses, pid int) error) error {
	dir, err := os.MkdirTemp("", "voussoir-bench-")
	if err != nil {
		return err
	}
	if p.Keep {
		say(progress, "folder: %s\n", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }() // it lies in the folder for temporary files
	}
	at, err := newAddresses(ctx, dir)
	if err != nil {
		return err
	}
	if at.Neighbours = n; n != nil {
		if err := n.serve(at); err != nil {
			return err
		}
	}
	c, err := p.start(ctx, dir, at)
	defer c.stop()
	if err != nil {
		return err
	}
	return do(at, c.broker.cmd.Process.Pid)
}

func (p plan) load(at addresses) load {
	return load{
		target:  target{Broker: at.Broker, RedirectURI: redirectURI, Scope: scope, Provider: string(sandbox.Tax)},
		service: newService(p.Kind, at),
		client:  newClient(p.Workers), people: p.People,
	}
}

// children are the processes of a run, in the order in which they were started.
type children struct{ idps, broker *process }

// stop ends them and waits. It does nothing for one that was not started.
func (c children) stop() {
	for _, p := range []*process{c.broker, c.idps} {
		if p != nil {
			p.stop()
		}
	}
}

// start runs the providers and then the broker, each as a process of its own,
// and waits until they answer. The caller stops what there is, even after an error.
func (p plan) start(ctx context.Context, dir string, at addresses) (c children, err error) {
	config, err := at.write(dir)
	if err != nil {
		return c, err
	}
	self, err := os.Executable()
	if err != nil {
		return c, err
	}
	c.idps, err = launch(ctx, filepath.Join(dir, "providers.log"), []string{secretVariable + "=" + at.BrokerSecret},
		self, "provider", "--tax", at.Tax, "--post", at.Post, "--broker", at.Broker, "--people", fmt.Sprint(p.People))
	if err != nil {
		return c, fmt.Errorf("providers: %w", err)
	}
	for _, address := range []string{at.Tax + "/jwks", at.Post + "/jwks"} {
		if err := c.idps.ready(ctx, address); err != nil {
			return c, fmt.Errorf("providers: %w", err)
		}
	}
	c.broker, err = launch(ctx, filepath.Join(dir, "broker.log"), nil, p.BrokerBin, "serve", "--config", config)
	if err != nil {
		return c, fmt.Errorf("broker: %w", err)
	}
	if err := c.broker.ready(ctx, at.Broker+"/readyz"); err != nil {
		return c, fmt.Errorf("broker: %w", err)
	}
	return c, nil
}

// process is a child of ours. done is closed when it has ended.
type process struct {
	cmd  *exec.Cmd
	end  context.CancelFunc // SIGTERM, and SIGKILL ten seconds later
	done chan struct{}
	log  string
}

// launch starts a program with its output in a log.
func launch(ctx context.Context, log string, env []string, name string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the child has its own
	// The child outlives ctx until stop, so that a run that is interrupted can
	// still end its children in order.
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = f, f, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		end()
		return nil, err
	}
	p := &process{cmd: cmd, end: end, done: make(chan struct{}), log: log}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// stop ends the process and waits until it has ended. It may be called twice.
func (p *process) stop() {
	p.end()
	<-p.done
}

// ready waits until address answers 200: asks every 50 ms, for ten seconds at most.
func (p *process) ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !answers(ctx, address) {
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("ended at once\n%s", tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer 200\n%s", address, tail(p.log))
		}
	}
	return nil
}

func answers(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// tail is the end of a log, to explain a process that did not start.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-2000):])
}

// measure opens flows, warms up, and measures.
func (p plan) measure(ctx context.Context, at addresses, pid int, progress io.Writer) (result, error) {
	l := p.load(at)
	one, err := measurePrice() // while nothing else runs
	if err != nil {
		return result{}, err
	}
	r := result{Kind: p.Kind, Workers: p.Workers, Floor: one.of(p.Kind.work()), Price: one}
	say(progress, "opening %d flows\n", p.OpenFlows)
	opened := l.open(ctx, p.OpenFlows, p.Workers)
	r.OpenFlows = len(opened.Added)
	say(progress, "warming up with %d logins\n", p.WarmUp)
	warm := l.logins(ctx, p.WarmUp, p.Workers)
	l.from = p.WarmUp // others than those who came to warm up
	before, err := cpuTime(pid)
	if err != nil {
		return r, err
	}
	say(progress, "measuring %d logins\n", p.Logins)
	got := l.logins(ctx, p.Logins, p.Workers)
	after, err := cpuTime(pid)
	if err != nil {
		return r, err
	}
	if r.PeakMemory, err = peakMemory(pid); err != nil {
		return r, err
	}
	r.add(got, after-before)
	r.count(opened.Errors, warm.Errors, got.Errors)
	return r, ctx.Err()
}
