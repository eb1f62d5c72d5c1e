package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registration"
	"github.com/voussoir-id/voussoir/store/sql"
)

func (p *program) clients() *cobra.Command {
	c := &cobra.Command{
		Use:   "clients",
		Short: "List and remove clients that registered by API",
		Long: "clients works on the records in the data folder, also while the broker runs: it takes over a removal within\n" +
			"ten seconds. Clients of the configuration are not in the list: they are in the file.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usageError("clients list or clients remove") },
	}
	c.AddCommand(p.clientsList(), p.clientsRemove())
	return c
}

// clientLine is a registered client as the list shows it; times are RFC 3339.
type clientLine struct {
	ID      string `json:"client_id"`
	Name    string `json:"client_name,omitempty"`
	Initial string `json:"initial_token"`
	Policy  string `json:"policy,omitempty"`
	Issued  string `json:"issued"`
	Changed string `json:"changed"`
	State   string `json:"state"` // "in service", or why it is not
}

func (p *program) clientsList() *cobra.Command {
	c := &cobra.Command{Use: "list --config FILE", Short: "List the clients that registered by API", Args: cobra.NoArgs}
	file := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print them as JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withRecords(cmd.Context(), *file, func(c *config.Loaded, records *sql.Records, _ *audit.Log) error {
			all, err := records.Registrations(cmd.Context())
			if err != nil {
				return err
			}
			lines, err := p.describeClients(c, all)
			if err != nil || *asJSON {
				return errors.Join(err, p.printJSON(lines))
			}
			w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "CLIENT\tNAME\tTOKEN\tPOLICY\tISSUED\tCHANGED\tSTATE")
			for _, l := range lines {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, orDash(l.Name), l.Initial, orDash(l.Policy), l.Issued, l.Changed, l.State)
			}
			return w.Flush()
		})
	}
	return c
}

// describeClients says of each whether a broker that reads this configuration now
// would have it in service.
func (p *program) describeClients(c *config.Loaded, all []registration.Registration) ([]clientLine, error) {
	s, err := newSnapshot(c, outside{Now: p.now})
	if err != nil {
		return nil, err
	}
	lines := []clientLine{}
	for _, r := range all {
		l := clientLine{
			ID: string(r.ID), Initial: r.Initial, State: "in service",
			Issued: r.Issued.Format(time.RFC3339), Changed: r.Changed.Format(time.RFC3339),
		}
		client, _, _, err := s.admit(r, p.now)
		if err == nil {
			l.Name, l.Policy = client.Name.In("en"), client.Policy
		} else {
			l.State = "out of service: " + err.Error()
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func (p *program) clientsRemove() *cobra.Command {
	c := &cobra.Command{
		Use: "remove --config FILE CLIENT", Short: "Remove a client that registered by API",
		Long: "remove forgets a client that registered by API: its secret, its tokens and its redirect URIs are worth nothing\n" +
			"any more, for a running broker within ten seconds. What people agreed to stays on record.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("name one client: its id, as voussoir clients list shows it")
			}
			return nil
		},
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withRecords(cmd.Context(), *file, func(_ *config.Loaded, records *sql.Records, log *audit.Log) error {
			return p.removeClient(cmd.Context(), records, log, protocol.ClientID(args[0]))
		})
	}
	return c
}

func (p *program) removeClient(ctx context.Context, records *sql.Records, log *audit.Log, id protocol.ClientID) error {
	all, err := records.Registrations(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(r registration.Registration) bool { return r.ID == id })
	if i < 0 {
		return errors.New("no client with this id registered by API: see clients list")
	}
	entry, err := log.Prepare(registration.Removed(all[i]))
	if err != nil {
		return err
	}
	if err := records.RemoveRegistration(ctx, id, entry); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s is removed\n", id)
	return err
}

// withRecords opens the records of a configuration beside a broker that may be
// running, and the audit log in them.
func (p *program) withRecords(ctx context.Context, file string, do func(*config.Loaded, *sql.Records, *audit.Log) error) error {
	return p.withKeys(ctx, file, func(c *config.Loaded, records *sql.Records, log *audit.Log, _ *keys.Ring) error {
		return do(c, records, log)
	})
}

// withKeys is withRecords for one who needs the keys too.
func (p *program) withKeys(ctx context.Context, file string, do func(*config.Loaded, *sql.Records, *audit.Log, *keys.Ring) error) error {
	c, err := p.load(file)
	if err != nil {
		return err
	}
	if err := started(c); err != nil {
		return err
	}
	if err := ownKeys(c.Data); err != nil { // before SQLite makes files of its own
		return err
	}
	records, err := sql.OpenRecords(ctx, sql.Config{Dir: c.Data, Now: p.now})
	if err != nil {
		return err
	}
	defer records.Close() //nolint:errcheck // each write was acknowledged
	ring, err := openRing(ctx, c, records, newEvents(p.err), p.now)
	if err != nil {
		return err
	}
	defer ring.Close()
	log, err := audit.New(audit.Config{Store: records, Sealer: ring, Now: p.now, Of: entriesOf(ring)})
	if err != nil {
		return err
	}
	return do(c, records, log, ring)
}
