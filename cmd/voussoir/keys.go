package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/store/sql"
)

func (p *program) keys() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate and revoke signing keys",
		Long: "keys works on the key file in the data folder, also while the broker runs: it takes over a change within\n" +
			"ten seconds. Where a signer holds the keys (keys.signer), its token is changed with the file. Every change is\n" +
			"an entry in the audit log.\n\n" +
			"There are keys for four uses: services verify our tokens by those at /jwks, identity providers verify our\n" +
			"client assertions by those at /jwks/providers, SAML providers, where there are any, know those in our\n" +
			"metadata, where providers encrypt to us there are keys for decryption, and with those for checkpoints anyone\n" +
			"verifies the audit log. Each has an active key, which is used, and a next one.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usageError("keys list, keys rotate or keys revoke") },
	}
	c.AddCommand(p.keysList(), p.keysRotate(), p.keysRevoke())
	return c
}

func (p *program) keysList() *cobra.Command {
	c := &cobra.Command{Use: "list --config FILE", Short: "List all signing keys there ever were", Args: cobra.NoArgs}
	file := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print them as JSON")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withRing(cmd.Context(), *file, func(r *keys.Ring) error {
			if *asJSON {
				return p.printJSON(describe(r.Keys()))
			}
			w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "KEY\tALGORITHM\tFOR\tIN\tSTATE\tCREATED\tACTIVATED\tENDED")
			for _, k := range describe(r.Keys()) {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.KID, k.Alg, k.For, orDash(k.In), k.State, k.Created, orDash(k.Activated), orDash(k.Ended))
			}
			return w.Flush()
		})
	}
	return c
}

func (p *program) keysRotate() *cobra.Command {
	c := &cobra.Command{
		Use: "rotate --config FILE", Short: "Make the next key the active one", Args: cobra.NoArgs,
		Long: "rotate makes the next key of an algorithm the active one, retires the active one (its private part is\n" +
			"destroyed, its public part stays published for 30 days) and publishes a new next key. It refuses within a day\n" +
			"of the rotation before: services must have had time to see the next key. Where a signer holds the keys and\n" +
			"cannot be reached, it changes nothing. A key that decrypts goes on doing so for two days, for what is on its way.\n\n" +
			"For SAML (--for saml), SAML-RS256 signs our requests and SAML-OAEP opens assertions: a day is not enough there,\n" +
			"each provider must have fetched our metadata since the rotation before.",
	}
	file := configFlag(c)
	alg := c.Flags().String("alg", "ES256", "the `ALGORITHM`: ES256, EdDSA, PS256 or RS256; for decryption ECDH-ES or RSA-OAEP-256; for saml SAML-RS256 or SAML-OAEP; for checkpoints NOTE-Ed25519")
	use := c.Flags().String("for", "services", "whose keys: of `services` (tokens), providers (our client assertions), decryption (what providers encrypt to us), saml, or checkpoints (of the audit log)")
	early := c.Flags().Bool("early", false, "rotate although services may not know the next key yet: some sign-ins may fail")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		verifies, ok := map[string]keys.Use{
			"services": keys.ForServices, "providers": keys.ForProviders, "decryption": keys.ForDecryption, "saml": keys.ForSAML, "checkpoints": keys.ForCheckpoints,
		}[*use]
		if !ok {
			return usageError("--for services, --for providers, --for decryption, --for saml or --for checkpoints")
		}
		if (*alg == keys.NoteSigning) != (verifies == keys.ForCheckpoints) {
			return usageError("--for checkpoints goes with --alg NOTE-Ed25519, and it with that")
		}
		if saml := *alg == keys.SAMLSigning || *alg == keys.SAMLDecryption; saml != (verifies == keys.ForSAML) {
			return usageError("--for saml goes with --alg SAML-RS256 or --alg SAML-OAEP, and they with it")
		}
		return p.withRing(cmd.Context(), *file, func(r *keys.Ring) error {
			if known := r.KnownFrom(verifies, *alg); !*early && p.now().Before(known) {
				return fmt.Errorf("%s may not know the next %s key yet: wait until %s (or --early; a key that somebody else may have is a case for keys revoke)",
					*use, *alg, known.UTC().Format(time.RFC3339))
			}
			err := r.Rotate(cmd.Context(), verifies, *alg)
			if errors.Is(err, keys.ErrUnavailable) {
				return fmt.Errorf("nothing was rotated: %w", err)
			}
			if errors.Is(err, keys.ErrNoKey) {
				return fmt.Errorf("there are no keys for %s of %s: see keys list", *alg, *use)
			}
			if err != nil {
				return err
			}
			for _, k := range r.Keys() {
				if k.Alg == *alg && k.Use == verifies && k.State == keys.Active {
					fmt.Fprintf(p.out, "%s is the active %s key now\n", k.KID, k.Alg)
				}
			}
			return nil
		})
	}
	return c
}

func (p *program) keysRevoke() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke --config FILE KEY", Short: "Withdraw a key at once", Args: oneKey,
		Long: "revoke takes a key out of the published set at once and destroys its private part: for a key that somebody\n" +
			"else may have. The next key takes the place of an active one. ID tokens that it signed no longer verify. It is\n" +
			"in force at once even where a signer holds the keys and cannot be reached; the broker then has it destroy the\n" +
			"private part as soon as it is back.",
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withRing(cmd.Context(), *file, func(r *keys.Ring) error {
			err := r.Revoke(cmd.Context(), args[0])
			if errors.Is(err, keys.ErrNoKey) {
				return errors.New("there is no key with this id: see keys list")
			}
			if err == nil {
				fmt.Fprintf(p.out, "%s is revoked\n", args[0])
			}
			return err
		})
	}
	return c
}

// withRing opens the keys of a configuration beside a broker that may be
// running, with the audit log behind them.
func (p *program) withRing(ctx context.Context, file string, do func(*keys.Ring) error) error {
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
	events := newEvents(p.err)
	records, err := sql.OpenRecords(ctx, sql.Config{Dir: c.Data, Now: p.now})
	if err != nil {
		return err
	}
	defer records.Close() //nolint:errcheck // each write was acknowledged
	ring, err := openRing(ctx, c, records, events, p.now)
	if err != nil {
		return err
	}
	defer ring.Close()
	log, err := audit.New(audit.Config{Store: records, Sealer: ring, Now: p.now, Of: entriesOf(ring)})
	if err != nil {
		return err
	}
	if err := ring.AuditTo(ctx, log); err != nil {
		return err
	}
	if err := syncKeys(ctx, ring, records, events); err != nil {
		return err
	}
	if err := do(ring); err != nil {
		return err
	}
	return syncKeys(ctx, ring, records, events)
}

// keyLine is a key as the list shows it; times are RFC 3339, empty: not yet.
type keyLine struct {
	KID       string `json:"kid"`
	Alg       string `json:"alg"`
	For       string `json:"for"`          // services | providers | decryption | saml | checkpoints
	In        string `json:"in,omitempty"` // where its private part is: file | signer; empty: nowhere any more
	State     string `json:"state"`
	Created   string `json:"created"`
	Activated string `json:"activated,omitempty"`
	Ended     string `json:"ended,omitempty"`
}

func describe(ks []keys.Description) []keyLine {
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	out := []keyLine{}
	for _, k := range ks {
		line := keyLine{k.KID, k.Alg, "services", "", string(k.State), at(k.Created), at(k.Activated), at(k.Ended)}
		if k.Use != keys.ForServices {
			line.For = string(k.Use)
		}
		switch {
		case k.InSigner:
			line.In = "signer"
		case k.State == keys.Next || k.State == keys.Active:
			line.In = "file"
		}
		out = append(out, line)
	}
	return out
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// started refuses a data folder in which no broker has run: listing keys must
// not make some.
func started(c *config.Loaded) error {
	if exists(c.Data, keyFile) {
		return nil
	}
	return fmt.Errorf("there are no keys in %s yet: they are made when the broker starts for the first time", c.Data)
}

func oneKey(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("name one key: its id, as voussoir keys list shows it")
	}
	return nil
}
