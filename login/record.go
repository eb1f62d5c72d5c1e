package login

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// Outcome of an entry when nothing went wrong.
const outcomeOK = "ok"

// Rules of this room, beside those of policies, by which a visit ends.
const (
	ruleTurnedBack      = "turned-back"      // she turned back before anybody knew who she is
	rulePromptNone      = "prompt-none"      // the service asked for silence, and a page would be needed
	ruleRegistry        = "registry"         // she turned back because the civil registry did not answer
	ruleBadIdentity     = "bad-identity"     // she turned back because her provider sent an identity that cannot be used
	ruleNotCivil        = "not-civil"        // the registry's word is wanted, and the provider gives no civil identity
	ruleAmbiguous       = "ambiguous"        // the registry's correction leads to another person than she was
	rulePersonBlocked   = "person-blocked"   // an operator has taken her out of service
	ruleWithdrawn       = "withdrawn"        // she took the answer back on which the release would have rested
	ruleProviderBlocked = "provider-blocked" // she has blocked the provider that she came through
	ruleOtherPerson     = "other-person"     // the service named a subject, and she is someone else
)

// record appends to the audit log. What follows must not happen when it fails.
func (s *Service) record(ctx context.Context, events ...audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	if _, err := s.Audit.Append(ctx, events...); err != nil {
		return fmt.Errorf("audit %s: %w", events[0].Public.Kind, err)
	}
	return nil
}

// event is an entry about v. The provider is in the sealed part: with a small
// service, who used which provider when would already say who.
func (s *Service) event(kind audit.Kind, v *visit, outcome string) audit.Event {
	return audit.Event{
		Public:   audit.Public{Kind: kind, Client: string(v.Request.ClientID), Outcome: outcome},
		Personal: audit.Personal{Flow: string(v.id), Provider: string(v.Provider)},
	}
}

// by adds who signed in.
func by(e audit.Event, in signIn) audit.Event {
	e.Public.ACR = string(in.ACR)
	e.Personal.Person, e.Personal.Provider, e.SealKey = in.Person.ID.String(), string(in.Provider), in.Person.SealKey
	return e
}

// under adds a decision and the names of the claims that the entry is about.
func under(e audit.Event, d policies.Decision, claims []protocol.Claim) audit.Event {
	e.Public.Policy, e.Public.PolicyVersion = d.PolicyID, d.PolicyVersion
	e.Public.Rule, e.Public.Basis = d.Named(), string(d.Basis)
	e.Public.Claims = make([]string, len(claims))
	for i, c := range claims {
		e.Public.Claims[i] = string(c)
	}
	return e
}

// act is what the person did, or what happened without asking her.
type act struct {
	kind     consent.Act
	released []protocol.Claim
	lang     string // of the page that she saw; "" when she saw none
	outcome  string // "ok" or an error code
}

// receipt is the record of an act. The ledger adds its id and time, and makes its
// audit entry of it and of the event.
func (s *Service) receipt(v *visit, client *clients.Client, a act, grant GrantID) (consent.Receipt, audit.Event) {
	in, d := *v.SignIn, *v.Decision
	r := consent.Receipt{
		Act: a.kind, Person: in.Person.ID, Client: client.ID,
		PolicyID: d.PolicyID, PolicyVersion: d.PolicyVersion, Basis: string(d.Basis), Rule: d.Rule,
		Shown: d.Shown(), Released: a.released, ACR: in.ACR, Provider: in.Provider,
		Language: a.lang, Grant: string(grant), Until: d.Until,
	}
	switch a.kind {
	case consent.Given, consent.Informed:
		r.OfflineUntil = d.OfflineUntil
	case consent.Reused:
		r.About = v.standing
	}
	// A reload in this very moment must not put words on record that she has not read:
	// none are better.
	if p, ok := s.Policies().Policy(client); ok && a.lang != "" && p.ID == d.PolicyID && p.Version == d.PolicyVersion {
		r.Notice = consent.Notice{
			PolicyID: d.PolicyID, PolicyVersion: d.PolicyVersion, Language: a.lang, Purpose: p.Purpose.In(a.lang),
			Basis: string(d.Basis), Retention: p.Retention, Claims: r.Shown, OfflineUntil: day(d.OfflineUntil),
		}.Hash()
	}
	return r, audit.Event{
		Public:   audit.Public{Outcome: a.outcome},
		Personal: audit.Personal{Flow: string(v.id)},
		SealKey:  in.Person.SealKey,
	}
}

// day is how the page and the notice name an instant: its day in UTC, "" for none.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

func newGrantID() GrantID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return GrantID(hex.EncodeToString(b[:]))
}
