// Command bench measures a broker from outside: it runs the real binary, an
// identity provider of the sandbox and a load generator as three processes that
// talk over loopback, and prints complete logins per CPU-second of the broker,
// the time that the broker adds to a login, and its peak memory. It never looks
// inside the broker and never runs in the same process with it. Linux only: it
// reads /proc. docs/performance.md has its figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage:
  bench run --broker-bin FILE [--kind basic|jwt|fapi2] [--logins N] [--workers N] [--open-flows N] [--json]
        start a broker and two identity providers, measure, stop them
  bench run --broker-bin FILE --broken [--runs N] …
        the same login while three other providers work, and while one of them is silent, one
        answers 503 and one serves rubbish
  bench provider --tax ORIGIN --post ORIGIN --broker ORIGIN [--people N]
        the identity providers alone; the broker's secret in BENCH_SECRET

bench COMMAND -h explains the flags.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// say writes a line of progress; one that is lost is no reason to stop.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func dispatch(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		say(progress, usage)
		return flag.ErrHelp
	}
	switch args[0] {
	case "run":
		return runVerb(ctx, args[1:], out, progress)
	case "provider":
		return providerVerb(ctx, args[1:], progress)
	default:
		say(progress, usage)
		return fmt.Errorf("unknown command %q", args[0])
	}
}
