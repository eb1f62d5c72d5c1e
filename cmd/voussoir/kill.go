package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registration"
	"github.com/voussoir-id/voussoir/store/sql"
)

// maxReason is the longest reason for a stop, in bytes.
const maxReason = 500

func (p *program) kill() *cobra.Command {
	c := &cobra.Command{
		Use:   "kill",
		Short: "Take a provider, a service or a person out of service, at once",
		Long: "kill works on the records in the data folder, also while the broker runs: every broker on the same data follows\n" +
			"within five seconds, and visits that are on their way back from a provider are refused. It holds across restarts\n" +
			"and reloads until voussoir restore. Keys cannot be killed in this version (see keys revoke).",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError("kill provider ID, kill client ID, kill person ID or kill list")
		},
	}
	c.AddCommand(p.killOne(sql.StopProvider), p.killOne(sql.StopClient), p.killPerson(), p.killList())
	return c
}

func (p *program) restore() *cobra.Command {
	c := &cobra.Command{
		Use: "restore", Short: "Put back into service what kill took out", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError("restore provider ID, restore client ID or restore person ID")
		},
	}
	c.AddCommand(p.restoreOne(sql.StopProvider), p.restoreOne(sql.StopClient), p.restorePerson())
	return c
}

// stopLine is what the commands print with --json; since is RFC 3339.
type stopLine struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	State  string `json:"state"` // killed or restored
	Reason string `json:"reason,omitempty"`
	Since  string `json:"since,omitempty"`
}

func lineOf(s sql.Stop) stopLine {
	return stopLine{Kind: string(s.Kind), ID: s.ID, State: "killed", Reason: s.Reason, Since: s.Since.Format(time.RFC3339)}
}

func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("name one: its id, as in the configuration")
	}
	return nil
}

func (p *program) killOne(kind sql.StopKind) *cobra.Command {
	c := &cobra.Command{Use: string(kind) + " --config FILE --reason TEXT ID", Short: "Take a " + string(kind) + " out of service", Args: oneID}
	file, asJSON := configFlag(c), c.Flags().Bool("json", false, "print the outcome as JSON")
	reason := c.Flags().String("reason", "", "why, for your colleagues: `TEXT` of at most 500 bytes, without personal data")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		why, err := goodReason(*reason)
		if err != nil {
			return err
		}
		return p.withRecords(cmd.Context(), *file, func(c *config.Loaded, records *sql.Records, log *audit.Log) error {
			s := sql.Stop{Kind: kind, ID: args[0], Reason: why, Since: p.now().UTC()}
			if err := killable(cmd.Context(), c, records, kind, args[0]); err != nil {
				return err
			}
			entry, err := log.Prepare(stopEvent(kind, args[0], true))
			if err != nil {
				return err
			}
			if err := records.PutStop(cmd.Context(), s, entry); err != nil {
				return fmt.Errorf("%s %s: %w", kind, args[0], err)
			}
			return p.said(*asJSON, lineOf(s))
		})
	}
	return c
}

// goodReason is the reason as it is kept.
func goodReason(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxReason || !utf8.ValidString(text) {
		return "", usageError("--reason TEXT is missing or too long: say why in at most 500 bytes")
	}
	return text, nil
}

func (p *program) restoreOne(kind sql.StopKind) *cobra.Command {
	c := &cobra.Command{Use: string(kind) + " --config FILE ID", Short: "Put a " + string(kind) + " back into service", Args: oneID}
	file, asJSON := configFlag(c), c.Flags().Bool("json", false, "print the outcome as JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withRecords(cmd.Context(), *file, func(_ *config.Loaded, records *sql.Records, log *audit.Log) error {
			entry, err := log.Prepare(stopEvent(kind, args[0], false))
			if err != nil {
				return err
			}
			if err := records.LiftStop(cmd.Context(), kind, args[0], entry); err != nil {
				return fmt.Errorf("%s %s: %w", kind, args[0], err)
			}
			return p.said(*asJSON, stopLine{Kind: string(kind), ID: args[0], State: "restored"})
		})
	}
	return c
}

// said prints what was done.
func (p *program) said(asJSON bool, l stopLine) error {
	if asJSON {
		return p.printJSON(l)
	}
	_, err := fmt.Fprintf(p.out, "%s %s is %s; running brokers follow within five seconds\n", l.Kind, l.ID, l.State)
	return err
}

func (p *program) killList() *cobra.Command {
	c := &cobra.Command{Use: "list --config FILE", Short: "List what is out of service by kill", Args: cobra.NoArgs}
	file, asJSON := configFlag(c), c.Flags().Bool("json", false, "print them as JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withRecords(cmd.Context(), *file, func(_ *config.Loaded, records *sql.Records, _ *audit.Log) error {
			all, err := records.Stops(cmd.Context())
			if err != nil {
				return err
			}
			lines := []stopLine{}
			for _, s := range all {
				lines = append(lines, lineOf(s))
			}
			people, err := peopleOut(cmd.Context(), records)
			if err != nil {
				return err
			}
			lines = append(lines, people...)
			if *asJSON {
				return p.printJSON(lines)
			}
			w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "KIND\tID\tSINCE\tREASON")
			for _, l := range lines {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Kind, l.ID, l.Since, strings.Join(strings.Fields(l.Reason), " "))
			}
			return w.Flush()
		})
	}
	return c
}

// killable refuses an id that nobody has: with a slip of the pen the operator would
// believe that something is out of service which is not.
func killable(ctx context.Context, c *config.Loaded, records *sql.Records, kind sql.StopKind, id string) error {
	if kind == sql.StopProvider {
		if _, ok := c.Listings[protocol.ProviderID(id)]; !ok {
			return errors.New("no provider of the configuration has this id")
		}
		return nil
	}
	if _, ok := c.Clients.Get(protocol.ClientID(id)); ok {
		return nil
	}
	all, err := records.Registrations(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(r registration.Registration) bool { return string(r.ID) == id }) {
		return errors.New("no client of the configuration, and none that registered by API, has this id")
	}
	return nil
}

// stopEvent is the audit entry of a command. The reason stays out: it is free text.
func stopEvent(kind sql.StopKind, id string, killed bool) audit.Event {
	e := audit.Public{Kind: audit.ProviderRestored, Object: id, Rule: "operator", Outcome: "ok"}
	switch {
	case kind == sql.StopProvider && killed:
		e.Kind = audit.ProviderKilled
	case kind == sql.StopClient && killed:
		e = audit.Public{Kind: audit.ClientKilled, Client: id, Rule: "operator", Outcome: "ok"}
	case kind == sql.StopClient:
		e = audit.Public{Kind: audit.ClientRestored, Client: id, Rule: "operator", Outcome: "ok"}
	}
	return audit.Event{Public: e}
}
