package login

import (
	"context"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registry"
	"github.com/voussoir-id/voussoir/web"
)

// Civil is the civil registry, and where people can turn to when it is wrong about
// them.
type Civil struct {
	Registry registry.Registry // nil: there is none
	Contact  protocol.Text     // may be empty
}

// outcomeGrace is the outcome of an entry when the registry did not answer and the
// person passed all the same, because it has confirmed her before.
const outcomeGrace = "grace"

// unvouched: the registry's word, or the lack of it, keeps a sign-in from going on.
type unvouched struct {
	notice web.NoticeCode
	rule   string // goes on record as a denial; "": registry.checked says it all
}

func (e *unvouched) Error() string { return "civil registry: " + string(e.notice) }

// vouch asks the civil registry about the identity of a sign-in, where the
// service's policy wants that, and returns it as the registry has it. It is asked
// once for each sign-in: what it said stays with the sign-in. An *unvouched is
// something that the person is told; any other error means that we do not know.
func (s *Service) vouch(ctx context.Context, v *visit, client *clients.Client, in signIn) (signIn, error) {
	if s.vouching(client, in) == policies.Unasked {
		return in, nil
	}
	if !in.Identity.Civil {
		return signIn{}, &unvouched{notice: web.NoticeRegistryNotCivil, rule: ruleNotCivil}
	}
	answer := s.askRegistry(ctx, in)
	failpoint.Here("registry.after-answer")
	in.Registry = answer.Outcome
	outcome := string(answer.Outcome)
	switch answer.Outcome {
	case registry.Exact:
	case registry.Corrected:
		in.Identity = in.Identity.Corrected(answer.Identity)
	case registry.Unavailable:
		before, err := s.People.Confirmed(ctx, in.Identity)
		if err != nil {
			return signIn{}, err
		}
		if in.Confirmed = before; s.vouching(client, in) == policies.Grace {
			outcome = outcomeGrace
		}
	default: // what it said before counts no more
		if err := s.People.Unconfirm(ctx, in.Identity); err != nil {
			return signIn{}, err
		}
	}
	if err := s.record(ctx, s.event(audit.RegistryChecked, v, outcome)); err != nil {
		return signIn{}, err
	}
	if s.vouching(client, in) == policies.Unvouched {
		return signIn{}, &unvouched{notice: noticeOfRegistry(answer.Outcome)}
	}
	return in, nil
}

// askRegistry treats a registry that the configuration took away like one that does
// not answer. Why it does not is in its own log.
func (s *Service) askRegistry(ctx context.Context, in signIn) registry.Result {
	civil := s.Civil()
	if civil.Registry == nil {
		return registry.Result{Outcome: registry.Unavailable}
	}
	answer, _ := civil.Registry.Check(ctx, in.Identity.Pivot)
	return answer
}

// confirm remembers that the registry knows the person, for the next time that it
// does not answer.
func (s *Service) confirm(ctx context.Context, in signIn) error {
	if !in.confirmed() {
		return nil
	}
	if err := s.People.Confirm(ctx, in.Person.ID); err != nil {
		return err
	}
	failpoint.Here("registry.after-confirm")
	return nil
}

// confirmed reports whether the registry has confirmed this very sign-in.
func (in signIn) confirmed() bool {
	return in.Registry == registry.Exact || in.Registry == registry.Corrected
}

// vouching is what the registry's word for a sign-in is worth at a service.
func (s *Service) vouching(client *clients.Client, in signIn) policies.Vouching {
	return s.Policies().Vouch(client, in.confirmed(), in.Confirmed, s.Now())
}

// turnedDown takes the visit back to the choice with what the registry said.
func (s *Service) turnedDown(ctx context.Context, v *visit, u *unvouched) error {
	if u.rule != "" {
		denied := s.event(audit.LoginDenied, v, string(protocol.AccessDenied))
		denied.Public.Rule = u.rule
		if err := s.record(ctx, denied); err != nil {
			return err
		}
	}
	return s.advance(ctx, v, v.back(&notice{Code: u.notice}))
}

// stopped is the page in place of the choice, where no other account could help:
// the registry holds her for dead (she may be alive and reading this), or an operator has
// taken her out of service.
func (s *Service) stopped(v *visit) error {
	if v.Notice != nil && v.Notice.Code == web.NoticePersonBlocked {
		p := web.Fail(web.PersonBlocked, nil)
		p.TurnBack = &web.TurnBack{Action: choicePath(v.id) + "/cancel", ReturnURI: appURI(v.Request)}
		return p
	}
	if v.Notice == nil || v.Notice.Code != web.NoticeRegistryDeceased {
		return nil
	}
	p := web.Fail(web.CivilStatus, nil)
	p.Contact = s.Civil().Contact
	return p
}

// turnBack is what the service hears of a person who goes back without a sign-in:
// that it was not her choice, where it was not.
func turnBack(v *visit) (rule string, answer *protocol.Error) {
	switch {
	case v.Notice != nil && v.Notice.Code == web.NoticeRegistryUnavailable:
		return ruleRegistry, protocol.Fail(protocol.TemporarilyUnavailable, nil, "the civil registry could not be asked")
	case v.Notice != nil && v.Notice.Code == web.NoticeTooWeak:
		return policies.RuleACR, protocol.Fail(protocol.UnmetAuthentication, nil, "the person's sign-in did not reach the level")
	}
	if v.Notice != nil && v.Notice.Code == web.NoticeBadIdentity { // it will not pass by waiting
		return ruleBadIdentity, protocol.Fail(protocol.AccessDenied, nil, "the identity provider gave no identity that can be used")
	}
	if v.Notice != nil && v.Notice.Rule != "" {
		return v.Notice.Rule, protocol.Fail(protocol.AccessDenied, nil, "the policy of this service does not allow the sign-in")
	}
	return ruleTurnedBack, protocol.Fail(protocol.AccessDenied, nil, "the person turned back")
}

// noticeOfRegistry words what the registry said.
func noticeOfRegistry(o registry.Outcome) web.NoticeCode {
	switch o {
	case registry.Several:
		return web.NoticeRegistrySeveral
	case registry.None:
		return web.NoticeRegistryNone
	case registry.Refused:
		return web.NoticeRegistryRefused
	case registry.Deceased:
		return web.NoticeRegistryDeceased
	}
	return web.NoticeRegistryUnavailable
}
