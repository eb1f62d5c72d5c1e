package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// next is the dispatcher: it moves the visit on as far as it goes without the
// person and says what she sees then. Every request of a visit ends by asking
// it, so reload, back and a second tab always show what is true now. h is the
// header of the request, for the session.
func (s *Service) next(ctx context.Context, v *visit, h http.Header) (Step, error) {
	switch v.stage {
	case Choosing:
		return s.choosing(ctx, v, h)
	case AtProvider:
		if s.isBusy(v) {
			return Wait{}, nil
		}
		return Choose{}, nil // she came back without an answer, and may choose again
	case Asking:
		return s.asking(ctx, v, h)
	case Answered:
		if s.isBusy(v) {
			return Wait{}, nil
		}
	case Done:
		if s.Now().Before(v.Since.Add(s.ReplyTTL)) {
			return Reply{v.Answer.answer()}, nil
		}
	}
	return nil, web.Fail(web.AlreadyAnswered, nil)
}

// choosing uses the session if it does, and else shows the choice.
func (s *Service) choosing(ctx context.Context, v *visit, h http.Header) (Step, error) {
	client, err := s.client(v)
	if err != nil {
		return nil, err
	}
	offers, denial := s.offers(client, v.Request)
	if denial != "" {
		return s.end(ctx, v, ruleOf(denial), protocol.Fail(denial, nil, describe(denial)))
	}
	sso, err := s.session(ctx, v, offers, h)
	if err != nil {
		return nil, err
	}
	if sso != nil {
		if err := s.slide(ctx, sso); errors.Is(err, ErrNoSession) {
			sso = nil // she logged out in between
		} else if err != nil {
			return nil, err
		}
	}
	switch {
	case sso != nil:
		if err := s.identified(ctx, v, client, sso.SignIn); err != nil {
			return nil, err
		}
		return s.next(ctx, v, h) // not Choosing with a session again: see back
	case v.Request.Prompt.None && v.Notice != nil && v.Notice.Rule != "":
		rule, answer := turnBack(v)
		return s.end(ctx, v, rule, answer)
	case v.Request.Prompt.None && v.Notice != nil:
		return s.end(ctx, v, rulePromptNone, protocol.Fail(protocol.InteractionRequired, nil, "another identity provider would have to be chosen"))
	case v.Request.Prompt.None:
		return s.end(ctx, v, rulePromptNone, protocol.Fail(protocol.LoginRequired, nil, "the person would have to sign in"))
	}
	return Choose{}, nil
}

// asking makes sure that what was decided when she signed in is still decided
// now, and releases at once what needs no asking. A policy that has changed, or a
// standing answer withdrawn in another tab, leads to the new question.
func (s *Service) asking(ctx context.Context, v *visit, h http.Header) (Step, error) {
	client, err := s.client(v)
	if err != nil {
		return nil, err
	}
	// Switched off, or forbidden here, since she signed in there: what it said of
	// her counts no more, for it may be why it was switched off.
	if offers, _ := s.offers(client, v.Request); !selectable(offers, v.SignIn.Provider) {
		if err := s.failed(ctx, v, &federation.Error{Provider: v.SignIn.Provider, Kind: federation.Unavailable, Err: errSwitchedOff}); err != nil {
			return nil, err
		}
		return s.next(ctx, v, h)
	}
	if err := s.admit(ctx, *v.SignIn); err != nil {
		if err := s.failed(ctx, v, err); err != nil {
			return nil, err
		}
		return s.next(ctx, v, h)
	}
	// The policy wants the civil registry's word since a moment ago: she signs in again.
	if s.vouching(client, *v.SignIn) == policies.Unvouched {
		if err := s.advance(ctx, v, v.back(nil)); err != nil {
			return nil, err
		}
		return s.next(ctx, v, h)
	}
	if other, err := s.isSomeoneElse(ctx, v, *v.SignIn); err != nil {
		return nil, err
	} else if other {
		return s.end(ctx, v, ruleOtherPerson, protocol.Fail(protocol.LoginRequired, nil, "another person signed in than the one that was named"))
	}
	d, err := s.decideAgain(ctx, v, client)
	switch {
	case err != nil:
		return nil, err
	case !d.SameQuestion(*v.Decision) || !bytes.Equal(v.Wording, s.wording(client)):
		if err := s.identified(ctx, v, client, *v.SignIn); err != nil {
			return nil, err
		}
		return s.next(ctx, v, h)
	case d.Ask == policies.AskNothing:
		return s.reuse(ctx, v, client)
	case v.Request.Prompt.None && d.Ask == policies.AskConsent:
		return s.end(ctx, v, rulePromptNone, protocol.Fail(protocol.ConsentRequired, nil, "the person would have to be asked"))
	case v.Request.Prompt.None:
		return s.end(ctx, v, rulePromptNone, protocol.Fail(protocol.InteractionRequired, nil, "the person would have to be informed"))
	}
	return Ask{}, nil
}

// identified takes the visit to Asking: who signed in, and what policy says of
// it, both sealed. If policy denies, it goes back to the choice with the reason,
// since another provider may do better. events are what led here.
func (s *Service) identified(ctx context.Context, v *visit, client *clients.Client, in signIn, events ...audit.Event) error {
	d, err := s.decide(ctx, v, client, in)
	if err != nil {
		return err
	}
	next := v.at(Asking)
	next.Provider, next.SignIn, next.Decision, next.Wording = in.Provider, &in, &d, s.wording(client)
	for i := range events {
		events[i] = under(events[i], d, d.Shown())
	}
	if d.Deny != "" {
		events = append(events, under(by(s.event(audit.LoginDenied, v, string(d.Deny)), in), d, d.Missing))
		next = v.back(deniedNotice(d))
		next.Provider = in.Provider
		// From now on the whole visit needs the level that a condition wants: the next
		// provider is asked for it, and one that cannot reach it is not offered.
		next.Request.MinACR = protocol.StrongerACR(next.Request.MinACR, d.RequireACR)
	}
	if err := s.record(ctx, events...); err != nil {
		return err
	}
	return s.advance(ctx, v, next)
}

// decide asks policy what may happen now.
func (s *Service) decide(ctx context.Context, v *visit, client *clients.Client, in signIn) (policies.Decision, error) {
	f := s.facts(v, client, in)
	st, err := s.Consent.Standing(ctx, in.Person.ID, client.ID)
	if err != nil {
		return policies.Decision{}, fmt.Errorf("standing answer: %w", err)
	}
	if v.standing = [16]byte{}; st != nil {
		v.standing = st.Receipt
		f.Standing = &policies.Standing{
			PolicyID: st.PolicyID, PolicyVersion: st.PolicyVersion, Basis: policies.LegalBasis(st.Basis), Shown: st.Shown, Agreed: st.Agreed, Until: st.Until,
		}
	}
	return s.Policies().Decide(f), nil
}

// decideAgain asks policy once more about what v asks. Once a page asks her, it is
// she who answers: a standing answer that she has meanwhile given in another tab
// does not speak for her here.
func (s *Service) decideAgain(ctx context.Context, v *visit, client *clients.Client) (policies.Decision, error) {
	if v.Decision.Ask == policies.AskNothing {
		return s.decide(ctx, v, client, *v.SignIn)
	}
	return s.Policies().Decide(s.facts(v, client, *v.SignIn)), nil
}

// facts are all that policy looks at but the standing answer.
func (s *Service) facts(v *visit, client *clients.Client, in signIn) policies.Facts {
	return policies.Facts{
		Client: client, Request: v.Request, ACR: in.ACR, Has: in.Identity.Has(), Switched: v.Switched, Now: s.Now(),
		Provider: in.Provider, Person: person(in.Identity),
	}
}

// subject is what the service knows her by.
func (s *Service) subject(ctx context.Context, client *clients.Client, in signIn) (identity.Sub, error) {
	sub, err := identity.PairwiseSub(ctx, s.Deriver, client.Sector, in.Person.ID)
	if err != nil {
		return "", fmt.Errorf("subject for client %s: %w", client.ID, err)
	}
	return sub, nil
}

// isSomeoneElse reports whether the service named a subject and in is not she
// (id_token_hint, OpenID Connect Core section 3.1.2.2).
func (s *Service) isSomeoneElse(ctx context.Context, v *visit, in signIn) (bool, error) {
	if v.Request.SubHint == "" {
		return false, nil
	}
	client, err := s.client(v)
	if err != nil {
		return false, err
	}
	sub, err := s.subject(ctx, client, in)
	return err == nil && string(sub) != v.Request.SubHint, err
}

// show is GET on any address of a visit.
func (s *Service) show(w http.ResponseWriter, r *http.Request, v *visit) error {
	step, err := s.next(r.Context(), v, r.Header)
	if err != nil {
		return err
	}
	switch step.(type) {
	case Choose:
		if r.URL.Path == choicePath(v.id) {
			return s.showChoice(w, r, v)
		}
	case Ask:
		if r.URL.Path == consentPath(v.id) {
			return s.showConsent(w, r, v)
		}
	case Wait:
		return s.Site.Wait(w, r, web.WaitPage{URL: choicePath(v.id)})
	}
	return s.onward(w, r, v, step)
}

// onward carries a step out from anywhere else: pages are shown at their own
// addresses only, so that reload is harmless.
func (s *Service) onward(w http.ResponseWriter, r *http.Request, v *visit, step Step) error {
	switch step := step.(type) {
	case Choose, Wait:
		seeOther(w, choicePath(v.id))
	case Ask:
		seeOther(w, consentPath(v.id))
	case GoTo:
		seeOther(w, step.URL)
	case Reply:
		return s.Issuer.Answer(w, r, v.Request, step.Answer)
	default:
		return fmt.Errorf("flow %s: no such step: %T", v.id, step)
	}
	return nil
}

// carryOn asks the dispatcher and does what it says.
func (s *Service) carryOn(ctx context.Context, w http.ResponseWriter, r *http.Request, v *visit) error {
	step, err := s.next(ctx, v, r.Header)
	if err != nil {
		return err
	}
	return s.onward(w, r, v, step)
}
