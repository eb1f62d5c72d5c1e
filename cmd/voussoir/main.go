// Command voussoir is the broker: one binary that serves, checks its
// configuration, looks after its keys, and shows itself in a demonstration. It
// owns the verbs and the wiring (wire.go, to be read from top to bottom) and no
// rule of the product. Read on in docs/life-of-a-login.md.
//
// Exit codes: 0 all is well; 1 it failed while working; 2 the command line or
// the configuration is wrong, and nothing was done.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// program is what a verb needs of the world around it.
type program struct {
	out    io.Writer // what was asked for
	err    io.Writer // what went wrong, and logs
	getenv func(string) string
	now    func() time.Time
}

func main() {
	// What libraries log by themselves may quote a request; ours goes to loggers of
	// our own.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	p := &program{out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: clock()}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// run carries out one command line and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	started := false // false: cobra refused the command line before any verb began
	root := &cobra.Command{
		Use:   "voussoir",
		Short: "An identity and trust broker for public services",
		Long: "Voussoir stands between public services and identity providers: a citizen signs in where she\n" +
			"already has an account, sees what is passed on and why, and the service receives that and nothing else.\n\n" +
			"Exit codes: 0 all is well; 1 it failed while working; 2 the command line or the configuration is wrong.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRun:  func(*cobra.Command, []string) { started = true },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.AddCommand(p.demo(), p.serve(), p.check(), p.policy(), p.keys(), p.clients(), p.kill(), p.restore(), p.audit(), p.version(), p.schema())
	root.SetArgs(keyIDsLast(args))
	root.SetOut(p.out)
	root.SetErr(p.err)
	verb, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var mistakes config.Problems
	var said alreadySaid
	switch {
	case errors.As(err, &said):
		return int(said)
	case errors.As(err, &mistakes):
		fmt.Fprintln(p.err, mistakes.Error())
		fmt.Fprintln(p.err, "voussoir: the configuration has mistakes; nothing was started")
		return exitUsage
	}
	fmt.Fprintln(p.err, "voussoir:", err)
	var usage usageError
	if !started || errors.As(err, &usage) {
		fmt.Fprintln(p.err, "Try:", verb.CommandPath(), "--help")
		return exitUsage
	}
	return exitFailure
}

// keyIDsLast puts key ids that begin with a dash behind "--": one in 64 does, and who
// revokes a stolen key should not have to know how command lines are parsed.
func keyIDsLast(args []string) []string {
	var ids, others []string
	for i, a := range args {
		if a == "--" {
			others = append(others, args[i+1:]...)
			break
		}
		if raw, err := base64.RawURLEncoding.DecodeString(a); err == nil && len(raw) == sha256.Size && a[0] == '-' {
			ids = append(ids, a)
			continue
		}
		others = append(others, a)
	}
	if ids == nil {
		return args
	}
	return append(append(others, "--"), ids...)
}

// alreadySaid is an exit code whose reason the verb has written itself.
type alreadySaid int

func (alreadySaid) Error() string { return "see above" }

// usageError is a command line that makes no sense.
type usageError string

func (u usageError) Error() string { return string(u) }

// configFlag adds --config, which load requires.
func configFlag(c *cobra.Command) *string {
	file := c.Flags().String("config", "", "the configuration `FILE` (see deploy/example.yaml)")
	_ = c.MarkFlagFilename("config", "yaml", "yml") // for completions; fails only without the flag
	return file
}

// load reads the configuration that --config names.
func (p *program) load(file string) (*config.Loaded, error) {
	if file == "" {
		return nil, usageError("--config FILE is missing: it names the configuration file")
	}
	return config.Load(file, p.getenv)
}
