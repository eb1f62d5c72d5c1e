package login

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// reuse releases what a standing answer covers. Nobody is asked, but it is on
// record like any other release.
func (s *Service) reuse(ctx context.Context, v *visit, client *clients.Client) (Step, error) {
	return s.release(ctx, v, client, act{kind: consent.Reused, released: v.Decision.Release, outcome: outcomeOK})
}

// release lets the claims of an act go to the service. They are minimised here
// and nothing more of the identity goes any further.
func (s *Service) release(ctx context.Context, v *visit, client *clients.Client, a act) (Step, error) {
	g, err := s.grant(ctx, v, client, a.released)
	if err != nil {
		return nil, err // nothing has happened yet: she can answer again
	}
	// Before anything is recorded: if she has logged out since, nothing is, and if she
	// logs out from now on the grant dies with the session, even before it exists.
	if err := s.join(ctx, g, v.SignIn.Session); errors.Is(err, ErrNoSession) {
		return s.signedOut(ctx, v)
	} else if err != nil {
		return nil, err
	}
	receipt, event := s.receipt(v, client, a, g.ID)
	in := *v.SignIn
	return s.conclude(ctx, v, func(ctx context.Context) (Answer, error) {
		// One durable transaction: receipt, standing answer, audit entry. If it
		// fails there is no code; if we crash after it, the records say that she
		// agreed and nothing was released, and she is not asked again.
		switch _, err := s.Consent.Record(ctx, receipt, event); {
		case errors.Is(err, consent.ErrMoved): // withdrawn a moment ago: nothing leaves, and next time she is asked
			denied := by(s.event(audit.LoginDenied, v, string(protocol.AccessDenied)), in)
			denied.Public.Rule = ruleWithdrawn
			return Answer{Err: protocol.Fail(protocol.AccessDenied, nil, "the person has taken her answer back")}, s.record(ctx, denied)
		case err != nil:
			return Answer{}, fmt.Errorf("record %s: %w", a.kind, err)
		}
		failpoint.Here("consent.after-record")
		code, err := s.Issuer.IssueCode(ctx, g)
		if err != nil {
			return Answer{}, err
		}
		failpoint.Here("consent.after-code")
		return Answer{Code: code}, nil
	})
}

// grant is what the code will stand for.
func (s *Service) grant(ctx context.Context, v *visit, client *clients.Client, released []protocol.Claim) (Grant, error) {
	in, req := *v.SignIn, v.Request
	sub, err := s.subject(ctx, client, in)
	if err != nil {
		return Grant{}, err
	}
	sid, err := s.sid(ctx, in.Session, client.ID)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		ID: newGrantID(), SID: sid, Client: req.ClientID, RedirectURI: req.RedirectURI, Scopes: granted(req, v.Decision),
		Nonce: req.Nonce, CodeChallenge: req.CodeChallenge, Audience: req.Resources, Details: req.Details, DPoPKey: req.DPoPKey, ACR: in.ACR, AuthTime: in.AuthTime,
		Released:  in.Identity.Release(sub, released),
		InIDToken: policies.ClaimsInIDToken(client, req, released),
		Person:    in.Person.ID.String(), SealKey: in.Person.SealKey,
		OfflineUntil: v.Decision.OfflineUntil,
	}, nil
}

// granted is what was asked for, without offline_access where the decision does not
// allow it: the client may have lost that right since it asked.
func granted(req protocol.AuthRequest, d *policies.Decision) []protocol.Scope {
	if !d.OfflineUntil.IsZero() || !slices.Contains(req.Scopes, protocol.OfflineAccess) {
		return req.Scopes
	}
	return slices.DeleteFunc(slices.Clone(req.Scopes), func(s protocol.Scope) bool { return s == protocol.OfflineAccess })
}

// refuse is her no: on record, and access_denied for the service (RFC 6749
// section 4.1.2.1), never an error page. An earlier standing answer stays.
func (s *Service) refuse(ctx context.Context, v *visit, lang string) (Step, error) {
	client, err := s.client(v)
	if err != nil {
		return nil, err
	}
	no := protocol.Fail(protocol.AccessDenied, nil, "the person refused")
	receipt, event := s.receipt(v, client, act{kind: consent.Refused, lang: lang, outcome: string(no.Code)}, "")
	return s.conclude(ctx, v, func(ctx context.Context) (Answer, error) {
		if _, err := s.Consent.Record(ctx, receipt, event); err != nil {
			return Answer{}, fmt.Errorf("record refusal: %w", err)
		}
		failpoint.Here("consent.after-record")
		return Answer{Err: no}, nil
	})
}

// end answers the service with an error without having asked the person.
func (s *Service) end(ctx context.Context, v *visit, rule string, e *protocol.Error) (Step, error) {
	denied := s.event(audit.LoginDenied, v, string(e.Code))
	denied.Public.Rule = rule
	if v.SignIn != nil {
		denied = by(denied, *v.SignIn)
	}
	return s.conclude(ctx, v, func(ctx context.Context) (Answer, error) {
		if err := s.record(ctx, denied); err != nil {
			return Answer{}, err
		}
		return Answer{Err: e}, nil
	})
}

// conclude is the only way out of a visit: take it, record, answer, remember the
// answer. Of all requests that want to conclude a visit one gets to record; the
// others get ErrStale.
func (s *Service) conclude(ctx context.Context, v *visit, record func(context.Context) (Answer, error)) (Step, error) {
	ctx, done := finishing(ctx)
	defer done()
	// Advance first: if two tabs submit at once only one may reach the code below.
	// This write also drops the identity. If we crash after it nothing was
	// released, and after a while she is told to start again at the service.
	taken := v.at(Answered)
	taken.Since = s.Now()
	if err := s.advance(ctx, v, taken); err != nil {
		return nil, err
	}
	failpoint.Here("consent.after-advance")
	// Another visit may have answered the same pushed request; then this one ends
	// without a record, because nothing is released.
	if err := s.Issuer.Complete(ctx, v.Request); err != nil {
		return nil, err
	}
	a, err := record(ctx)
	if err != nil {
		return nil, err
	}
	// If this fails, the code is never shown to anybody and expires.
	over := v.at(Done)
	over.Since, over.Answer = s.Now(), keepAnswer(a)
	if err := s.advance(ctx, v, over); err != nil {
		return nil, err
	}
	failpoint.Here("consent.after-done")
	return Reply{a}, nil
}
