// Command voussoir-signer holds the broker's signing keys in a PKCS #11 token and
// signs with them for one user on this machine, over a Unix socket. It is a
// process and a module of its own, because PKCS #11 needs cgo and the broker has
// none, and because a library of a token's maker should not live in the process
// that strangers talk to. It never reads a private key and never opens the
// network. What is said on the socket: signer/wire.go; why: docs/decisions/0022-signer.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/voussoir-id/voussoir/signer"
)

const usage = `voussoir-signer holds the signing keys of a Voussoir broker in a PKCS #11 token.

  voussoir-signer -module FILE (-token-label L | -token-serial S) (-pin-file FILE | -pin-env NAME)
                  [-socket PATH] [-uid N]

Without -socket it serves the socket that systemd hands over (deploy/voussoir-signer.socket).

`

// options are the command line.
type options struct {
	module, label, serial string
	pinFile, pinEnv       string
	socket                string
	uid                   int
}

func main() {
	err := run(os.Args[1:], os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "voussoir-signer:", err)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "voussoir-signer:", err)
	os.Exit(1)
}

var errUsage = errors.New("wrong command line")

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("voussoir-signer", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() { fmt.Fprint(out, usage); f.PrintDefaults() }
	f.StringVar(&o.module, "module", "", "the PKCS #11 library of the token (absolute `path`)")
	f.StringVar(&o.label, "token-label", "", "the token, by its `label`")
	f.StringVar(&o.serial, "token-serial", "", "the token, by its `serial` number")
	f.StringVar(&o.pinFile, "pin-file", "", "a `file` with the user's PIN, mode 0600 or 0400")
	f.StringVar(&o.pinEnv, "pin-env", "", "the environment `variable` with the user's PIN")
	f.StringVar(&o.socket, "socket", "", "`path` of the socket to make, mode 0600")
	f.IntVar(&o.uid, "uid", os.Geteuid(), "the only `user` whose processes are answered: the broker's")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	for _, wrong := range []struct {
		is   bool
		what string
	}{
		{f.NArg() > 0, "there are no arguments, only flags"},
		{o.module == "" || o.module[0] != '/', "-module is the absolute path of a PKCS #11 library"},
		{(o.label == "") == (o.serial == ""), "name the token by -token-label or by -token-serial"},
		{(o.pinFile == "") == (o.pinEnv == ""), "the PIN comes from -pin-file or from -pin-env"},
		{o.uid < 0, "-uid is a user's number"},
	} {
		if wrong.is {
			return o, fmt.Errorf("%w: %s (-h explains)", errUsage, wrong.what)
		}
	}
	return o, nil
}

func run(args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	pin, err := readPIN(o)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(out, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	token, err := openToken(o, pin)
	if err != nil {
		return err
	}
	defer token.close(ctx, log)
	ks, err := token.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	l, err := listen(ctx, o.socket)
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelInfo, "serving", slog.Int("keys", len(ks)), slog.Int("uid", o.uid))
	return signer.Serve(ctx, l, signer.ServerConfig{Token: token, UID: uint32(o.uid), Log: log, Now: time.Now})
}
