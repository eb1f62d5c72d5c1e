package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/store/sql"
)

// atOnce is how many people are read at a time.
const atOnce = 1000

// never is when a stop ends that nobody has lifted.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// takeOverPeople reads who is out of service, or was.
func (b *broker) takeOverPeople(ctx context.Context) error {
	stops, err := b.records.PersonStops(ctx)
	if err != nil {
		return err
	}
	next := make(map[string]time.Time, len(stops))
	for _, s := range stops {
		next[s.Person.String()] = s.Lifted
		if s.Lifted.IsZero() {
			next[s.Person.String()] = never
		}
	}
	if before := b.barredUntil.Swap(&next); before != nil && !maps.Equal(*before, next) {
		b.events.LogAttrs(ctx, slog.LevelWarn, "who is out of service has changed")
	}
	return nil
}

// barred reports whether what a person began at a time counts no more.
func (b *broker) barred(person string, began time.Time) bool {
	until, known := (*b.barredUntil.Load())[person]
	return known && began.Before(until)
}

// named is how an operator names a person: by her id, or by what a service knows her by.
// A subject is never an argument: one in 64 begins with a hyphen.
type named struct {
	file, client, subject *string
	asJSON                *bool
}

func nameFlags(c *cobra.Command) named {
	return named{
		file: configFlag(c), asJSON: c.Flags().Bool("json", false, "print the outcome as JSON"),
		client:  c.Flags().String("client", "", "with --subject, in place of ID: the service `CLIENT` that knows her by it"),
		subject: c.Flags().String("subject", "", "what that service knows her by: the `SUB` of its ID tokens"),
	}
}

// id is her id, "" when she is named by a subject.
func (n named) id(args []string) (string, error) {
	switch {
	case len(args) == 1 && *n.client+*n.subject == "":
		return args[0], nil
	case len(args) == 0 && *n.client != "" && *n.subject != "":
		return "", nil
	}
	return "", usageError("name one person: by her id, or by --client CLIENT --subject SUB")
}

func (p *program) killPerson() *cobra.Command {
	c := &cobra.Command{
		Use: "person --config FILE --reason TEXT {ID | --client CLIENT --subject SUB}", Args: cobra.ArbitraryArgs,
		Short: "Have a person sign in nowhere any more, and end what she has open",
		Long: "ID is the person's id, 32 hexadecimal digits. Or she is named by what a service knows her by: the subject that she, or\n" +
			"the service, can tell. To find her by it takes some seconds for each million people.",
	}
	by := nameFlags(c)
	reason := c.Flags().String("reason", "", "why, for your colleagues: `TEXT` of at most 500 bytes, without personal data")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		why, err := goodReason(*reason)
		if err != nil {
			return err
		}
		return p.withPerson(cmd.Context(), by, args, func(records *sql.Records, log *audit.Log, who identity.Person) error {
			entry, err := log.Prepare(personEvent(audit.PersonKilled, who))
			if err != nil {
				return err
			}
			s := sql.PersonStop{Person: who.ID, Reason: why, Since: p.now().UTC()}
			if err := records.PutPersonStop(cmd.Context(), s, entry); err != nil {
				return fmt.Errorf("person %s: %w", who.ID, err)
			}
			return p.said(*by.asJSON, personLine(s))
		})
	}
	return c
}

func (p *program) restorePerson() *cobra.Command {
	c := &cobra.Command{
		Use: "person --config FILE {ID | --client CLIENT --subject SUB}", Args: cobra.ArbitraryArgs,
		Short: "Let a person sign in again; what she had open stays ended",
	}
	by := nameFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withPerson(cmd.Context(), by, args, func(records *sql.Records, log *audit.Log, who identity.Person) error {
			entry, err := log.Prepare(personEvent(audit.PersonRestored, who))
			if err != nil {
				return err
			}
			if err := records.LiftPersonStop(cmd.Context(), who.ID, p.now().UTC(), entry); err != nil {
				return fmt.Errorf("person %s: %w", who.ID, err)
			}
			return p.said(*by.asJSON, stopLine{Kind: "person", ID: who.ID.String(), State: "restored"})
		})
	}
	return c
}

// withPerson runs do with the person that an operator has named.
func (p *program) withPerson(ctx context.Context, by named, args []string, do func(*sql.Records, *audit.Log, identity.Person) error) error {
	id, err := by.id(args)
	if err != nil {
		return err
	}
	return p.withKeys(ctx, *by.file, func(c *config.Loaded, records *sql.Records, log *audit.Log, ring *keys.Ring) error {
		who, err := identity.ParsePersonID(strings.ToLower(id))
		if id == "" {
			service, ok := c.Clients.Get(protocol.ClientID(*by.client))
			if !ok {
				return errors.New("no client of the configuration has this id")
			}
			who, err = bySubject(ctx, records, ring, service, identity.Sub(*by.subject))
		}
		if err != nil {
			return err
		}
		person, err := records.Person(ctx, who)
		if err != nil {
			return err
		}
		return do(records, log, person)
	})
}

// bySubject finds whom a service knows by a subject. A subject leads back to nobody, by
// design, so everybody's is computed until it is the same.
func bySubject(ctx context.Context, records *sql.Records, ring *keys.Ring, service *clients.Client, sub identity.Sub) (identity.PersonID, error) {
	var last identity.PersonID
	for {
		some, err := records.People(ctx, last, atOnce)
		if err != nil {
			return identity.PersonID{}, err
		}
		if len(some) == 0 {
			return identity.PersonID{}, errors.New("this service knows nobody by that subject")
		}
		for _, id := range some {
			got, err := identity.PairwiseSub(ctx, ring, service.Sector, id)
			if err != nil || got == sub {
				return id, err
			}
		}
		last = some[len(some)-1]
	}
}

// personEvent is the audit entry of a command. Who is in the sealed part.
func personEvent(kind audit.Kind, who identity.Person) audit.Event {
	return audit.Event{
		Public:   audit.Public{Kind: kind, Rule: "operator", Outcome: "ok"},
		Personal: audit.Personal{Person: who.ID.String()}, SealKey: who.SealKey,
	}
}

func personLine(s sql.PersonStop) stopLine {
	return stopLine{Kind: "person", ID: s.Person.String(), State: "killed", Reason: s.Reason, Since: s.Since.Format(time.RFC3339)}
}

// peopleOut are the lines of those who are out of service now.
func peopleOut(ctx context.Context, records *sql.Records) ([]stopLine, error) {
	all, err := records.PersonStops(ctx)
	if err != nil {
		return nil, err
	}
	var lines []stopLine
	for _, s := range slices.DeleteFunc(all, func(s sql.PersonStop) bool { return !s.Lifted.IsZero() }) {
		lines = append(lines, personLine(s))
	}
	return lines, nil
}
