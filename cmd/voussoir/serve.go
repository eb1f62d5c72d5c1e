package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
)

// The bounds of a server. Behind them stand those of the routes.
const (
	headerTimeout  = 5 * time.Second  // for all headers to arrive: slow clients hold no connection
	requestTimeout = 15 * time.Second // for headers and body
	answerTimeout  = 30 * time.Second // a provider has 5 s for each of three calls
	idleTimeout    = 90 * time.Second
	maxHeader      = 16 << 10         // bytes
	drainTimeout   = 20 * time.Second // for requests under way at the end
)

// garbage is GOGC when nobody has set it. A busy broker's heap is small, so
// collecting half as often as Go would by itself costs little memory (under 20 MB)
// and saves some CPU (docs/performance.md).
const garbage = 200 // percent

func (p *program) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the broker",
		Long: "serve runs the broker until SIGTERM or SIGINT, and then lets the requests under way finish (20 s at most).\n" +
			"SIGHUP reloads clients, policies, providers and certificates; a file with mistakes changes nothing. Logs go\n" +
			"to standard error, one JSON object a line.",
		Args: cobra.NoArgs,
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := p.load(*file)
		if err != nil {
			return err
		}
		finish, err := profile()
		if err != nil {
			return err
		}
		defer finish()
		if p.getenv("GOGC") == "" {
			debug.SetGCPercent(garbage)
		}
		events := newEvents(p.err)
		return p.serveUntilSignal(cmd.Context(), loaded, events, func() (*config.Loaded, error) { return p.load(*file) })
	}
	return c
}

// newEvents is the log of a broker in service: JSON, one event a line.
func newEvents(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

func (p *program) serveUntilSignal(ctx context.Context, c *config.Loaded, events *slog.Logger, load func() (*config.Loaded, error)) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	for _, w := range c.Warnings {
		events.LogAttrs(ctx, slog.LevelWarn, "configuration", slog.Int("line", w.Line), slog.String("path", w.Path), slog.String("what", w.What))
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	figures, err := listenMetrics(ctx, c.Metrics)
	if err != nil {
		_ = listener.Close()
		return err
	}
	b, err := wire(ctx, c, events, p.now)
	if err != nil {
		_ = listener.Close()
		if figures != nil {
			_ = figures.Close()
		}
		return err
	}
	defer b.close()
	events.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("issuer", c.Issuer), slog.String("listen", c.Listen), slog.String("metrics_listen", c.Metrics),
		slog.String("version", release), slog.String("config", c.Digest))
	return b.serve(ctx, stop, b.speakTLS(listener), figures, load)
}

// serve answers on listener, and shows the figures on another unless that is nil,
// until ctx ends, then drains. A second signal ends
// the process at once, because stop has given signals back their usual effect.
func (b *broker) serve(ctx context.Context, stop func(), listener, figures net.Listener, load func() (*config.Loaded, error)) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangups:
				b.reloadFile(ctx, load)
			}
		}
	})
	if figures != nil {
		g.Go(func() error { return b.serveMetrics(ctx, figures) })
	}
	g.Go(func() error {
		return serveHTTP(ctx, listener, b.handler, b.events, stop)
	})
	return g.Wait()
}

// serveHTTP answers until ctx ends; then it calls leaving, takes no new
// connection, and waits for the requests under way.
func serveHTTP(ctx context.Context, listener net.Listener, h http.Handler, events *slog.Logger, leaving func()) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(events.Handler(), slog.LevelDebug), // broken connections of strangers
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	leaving()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if closed := <-failed; !errors.Is(closed, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", closed)
	}
	if err != nil {
		_ = server.Close() // the requests that are left are cut off
		return fmt.Errorf("some requests did not finish within %s: %w", drainTimeout, err)
	}
	return nil
}

// listen opens an address, and says what to do when it is taken.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s: stop it, or choose another address or port", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s: choose a port above 1023", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine has no address %s: choose one that it has", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
