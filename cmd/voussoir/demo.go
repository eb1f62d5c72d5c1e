package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/deploy"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/sandbox"
)

// serviceSecret is the secret of all sample services; deploy/demo.yaml has its
// digest. It is published, and refused outside development.
const serviceSecret = "demo-secret-of-the-sample-services"

// The ports of the demo, counted from the broker's.
const (
	taxPort      = 1
	postPort     = 2
	registryPort = 3
	servicePort  = 10
)

func (p *program) demo() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show everything on this machine: broker, two identity providers, a registry, a service",
		Long: "demo starts a broker, two identity providers with invented people, a civil registry and a sample service, all in\n" +
			"this process and reachable from this machine only, and prints where to begin. The broker listens on the given port,\n" +
			"the providers on the next two, the registry on the one after those, the service on the tenth after the broker's. Nothing is kept, unless --data names a folder;\n" +
			"voussoir.yaml in it is written anew at each start.",
		Args: cobra.NoArgs,
	}
	port := c.Flags().Int("port", 8080, "the `PORT` of the broker")
	dir := c.Flags().String("data", "", "keep records and keys in this `FOLDER` (default: one that is removed at the end)")
	_ = c.MarkFlagDirname("data") // for completions; fails only without the flag
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *port < 1 || *port+servicePort > 65535 {
			return usageError("--port must be from 1 to 65525")
		}
		return p.runDemo(cmd.Context(), *port, *dir)
	}
	return c
}

// demonstration is a running demo.
type demonstration struct {
	dir     string
	port    int
	started time.Time
	servers []demoServer
	broker  *broker
}

type demoServer struct {
	listener net.Listener
	handler  http.Handler
}

func (p *program) runDemo(ctx context.Context, port int, dir string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	d := &demonstration{dir: dir, port: port, started: p.now()}
	if dir == "" {
		temporary, err := os.MkdirTemp("", "voussoir-demo-")
		if err != nil {
			return fmt.Errorf("make a folder for the demo: %w", err)
		}
		defer os.RemoveAll(temporary) //nolint:errcheck // a temporary folder
		d.dir = temporary
	}
	events := slog.New(slog.NewTextHandler(p.err, &slog.HandlerOptions{Level: demoLevel(p.err)}))
	if err := p.prepareDemo(ctx, d, events); err != nil {
		d.close()
		return err
	}
	defer d.close()
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error {
		return d.broker.serve(running, stop, d.servers[0].listener, nil, func() (*config.Loaded, error) { return p.load(d.file()) })
	})
	for _, s := range d.servers[1:] {
		g.Go(func() error { return serveHTTP(running, s.listener, s.handler, events, func() {}) })
	}
	if _, err := fmt.Fprint(p.out, d.welcome(p.now())); err != nil {
		return err
	}
	return g.Wait()
}

// demoLevel keeps a terminal calm: only what went wrong. A file gets everything.
func demoLevel(w io.Writer) slog.Level {
	if f, ok := w.(*os.File); ok {
		if s, err := f.Stat(); err == nil && s.Mode()&os.ModeCharDevice != 0 {
			return slog.LevelWarn
		}
	}
	return slog.LevelInfo
}

func (d *demonstration) file() string { return filepath.Join(d.dir, "voussoir.yaml") }

func (d *demonstration) at(offset int) string {
	return "http://localhost:" + strconv.Itoa(d.port+offset)
}

func (d *demonstration) close() {
	if d.broker != nil {
		d.broker.close()
	}
	for _, s := range d.servers {
		_ = s.listener.Close() // closed already, unless the start failed
	}
}

// prepareDemo takes all ports first: a demo that is half there helps nobody.
func (p *program) prepareDemo(ctx context.Context, d *demonstration, events *slog.Logger) error {
	for _, offset := range []int{0, taxPort, postPort, registryPort, servicePort} {
		l, err := listen(ctx, "127.0.0.1:"+strconv.Itoa(d.port+offset))
		if err != nil {
			return fmt.Errorf("%w (the demo needs ports %d, %d, %d, %d and %d; --port chooses others)", err,
				d.port, d.port+taxPort, d.port+postPort, d.port+registryPort, d.port+servicePort)
		}
		d.servers = append(d.servers, demoServer{listener: l})
	}
	if err := dataDir(d.dir); err != nil {
		return err
	}
	if err := os.WriteFile(d.file(), demoConfig(d.port), 0o600); err != nil {
		return fmt.Errorf("write the configuration of the demo: %w", err)
	}
	c, err := p.load(d.file())
	if err != nil {
		return err
	}
	if d.broker, err = wire(ctx, c, events, p.now); err != nil {
		return err
	}
	if d.servers[1].handler, err = p.demoProvider(ctx, d, c, sandbox.Tax, protocol.EIDAS1, events); err != nil {
		return err
	}
	if d.servers[2].handler, err = p.demoProvider(ctx, d, c, sandbox.Post, protocol.EIDAS2, events); err != nil {
		return err
	}
	d.servers[3].handler, err = sandbox.NewRegistry(sandbox.RegistryConfig{Now: p.now, Log: events})
	if err != nil {
		return err
	}
	d.servers[4].handler, err = p.demoService(d, events)
	return err
}

// demoConfig is deploy/demo.yaml on other ports.
func demoConfig(port int) []byte {
	var pairs []string
	for _, host := range []string{"localhost:", "127.0.0.1:"} {
		for _, offset := range []int{0, taxPort, postPort, registryPort, servicePort} {
			pairs = append(pairs, host+strconv.Itoa(8080+offset), host+strconv.Itoa(port+offset))
		}
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(deploy.Demo)))
}

func (p *program) demoProvider(ctx context.Context, d *demonstration, c *config.Loaded, id protocol.ProviderID, level protocol.ACR, events *slog.Logger) (http.Handler, error) {
	var ours *oidc.Config
	for i := range c.Providers {
		if c.Providers[i].ID == id {
			ours = &c.Providers[i]
		}
	}
	if ours == nil {
		return nil, errors.New("the configuration of the demo lacks the provider " + string(id))
	}
	secret, err := keys.LoadOrCreateSecret(filepath.Join(d.dir, string(id)+".secret"))
	if err != nil {
		return nil, err
	}
	ring, err := keys.Open(ctx, keys.Config{File: filepath.Join(d.dir, string(id)+".keys"), Secret: secret, Algs: []string{"ES256"}, Now: p.now})
	if err != nil {
		return nil, err
	}
	d.broker.undo = append(d.broker.undo, ring.Close)
	return sandbox.NewProvider(sandbox.ProviderConfig{
		ID: id, Name: ours.Name, Issuer: ours.Issuer, ACR: level, Identities: sandbox.Identities(id, p.now()),
		Clients: []sandbox.ProviderClient{{
			ID: ours.ClientID, SecretSHA256: sha256.Sum256([]byte(ours.ClientSecret)), RedirectURIs: []string{ours.RedirectURI},
			PostLogoutURIs: []string{c.Issuer + "/logout/return"},
		}},
		Signer: ring, Now: p.now, Log: events,
	})
}

func (p *program) demoService(d *demonstration, events *slog.Logger) (http.Handler, error) {
	accounts := sandbox.SampleAccounts()
	for i := range accounts {
		accounts[i].Secret = serviceSecret
	}
	return sandbox.NewService(sandbox.ServiceConfig{
		Issuer: d.at(0), BaseURL: d.at(servicePort), Accounts: accounts, Now: p.now, Log: events,
	})
}

func (d *demonstration) welcome(now time.Time) string {
	return fmt.Sprintf(`
Voussoir is running a demonstration. Everyone in it is invented.

  Start here      %s/   a sample service: press "Sign in"

  Broker          %s/
  Your own space  %s/me   what is on record about you
  Tax office      %s/   an identity provider, level eidas1
  Post office     %s/   an identity provider, level eidas2
  Civil registry  %s/   confirms, corrects or refuses identities
  Configuration   %s
  Your service    client my-service at http://localhost:3000 (see README.md)
  Log             warnings here; every request with 2>demo.log

Ready in %d ms. Press Ctrl-C to stop.

`, d.at(servicePort), d.at(0), d.at(0), d.at(taxPort), d.at(postPort), d.at(registryPort), d.file(), now.Sub(d.started).Milliseconds())
}
