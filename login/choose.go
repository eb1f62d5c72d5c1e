package login

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// offers are the providers of this visit, by the configuration of this moment, or
// why there is none: the error code for the service.
func (s *Service) offers(client *clients.Client, req protocol.AuthRequest) ([]policies.Offer, protocol.ErrorCode) {
	all := s.Directory().All()
	facts := make([]policies.ProviderFacts, len(all))
	for i, e := range all {
		facts[i] = policies.ProviderFacts{ID: e.ID, MaxACR: e.MaxACR}
	}
	return s.Policies().Offer(client, req, facts)
}

func selectable(offers []policies.Offer, id protocol.ProviderID) bool {
	return slices.Contains(offers, policies.Offer{ID: id})
}

// ruleOf names the rule behind a denial of offers.
func ruleOf(denial protocol.ErrorCode) string {
	if denial == protocol.UnmetAuthentication {
		return policies.RuleACR
	}
	return policies.RuleNoPolicy
}

// describe explains a denial of offers to the service's developers.
func describe(denial protocol.ErrorCode) string {
	if denial == protocol.UnmetAuthentication {
		return "no identity provider that may be used here reaches the level"
	}
	return "the client may not receive anything"
}

func (s *Service) showChoice(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := s.stopped(v); err != nil {
		return err
	}
	client, err := s.client(v)
	if err != nil {
		return err
	}
	if v.Notice != nil && len(v.Notice.Flaws) > 0 {
		return s.showFlaws(w, r, v, client)
	}
	page := web.ChoosePage{
		Client: client.Name, Self: choicePath(v.id), Action: choicePath(v.id) + "/provider", Cancel: choicePath(v.id) + "/cancel",
		ReturnURI: appURI(v.Request),
	}
	if p, ok := s.Policies().Policy(client); ok {
		page.Purpose = p.Purpose
	}
	c, err := s.choices(r.Context(), v, client, r.Header)
	if err != nil {
		return err
	}
	if shown, err := s.showNotice(w, r, v, c.offers); shown || err != nil {
		return err
	}
	s.fill(&page, r, c.offers)
	page.Notice, page.Hidden = s.notice(v, client, c), c.hidden
	return s.Site.Choose(w, r, page)
}

// providerName falls back on the id of a provider that has gone.
func (s *Service) providerName(id protocol.ProviderID) protocol.Text {
	if e, ok := s.Directory().Get(id); ok {
		return e.Name
	}
	return protocol.Text{"en": string(id)}
}

// pick is POST /login/{flow}/provider: she chose. A person who pressed back at
// the provider, or at the question, may choose again.
func (s *Service) pick(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(r, "provider", "remember", "read")
	if err != nil {
		return err
	}
	id, one := only(form, "provider")
	client, err := s.client(v)
	if err != nil {
		return err
	}
	c, err := s.choices(r.Context(), v, client, r.Header)
	switch {
	case err != nil:
		return err
	case !v.stage.undecided() || c.denial != "":
		return s.carryOn(r.Context(), w, r, v)
	case !one || !selectable(c.offers, protocol.ProviderID(id)):
		return web.Fail(web.ProviderUnknown, nil)
	}
	if form.Get("remember") == "yes" {
		http.SetCookie(w, cookie(providerCookie, id, providerCookieAge))
	}
	if to := s.noticePath(v, protocol.ProviderID(id)); to != "" && form.Get("read") == "" {
		seeOther(w, to)
		return nil
	}
	out, err := s.leave(r.Context(), v, client, protocol.ProviderID(id))
	if err != nil {
		return err
	}
	if err := s.depart(r.Context(), v, out); err != nil {
		return err
	}
	return s.onward(w, r, v, GoTo{out.url})
}

// departure is the way to a provider: the visit as it will be, where to send the
// browser, and what goes on record.
type departure struct {
	next  visit
	url   string
	event audit.Event
}

// leave prepares the way to a provider. If that cannot be reached, the way leads
// back to the choice, with a notice.
func (s *Service) leave(ctx context.Context, v *visit, client *clients.Client, id protocol.ProviderID) (departure, error) {
	entry, ok := s.Directory().Get(id)
	if !ok {
		return departure{}, web.Fail(web.ProviderUnknown, nil)
	}
	state := string(v.id) + "." + random(16)
	// On a shared computer the provider may still know whoever was here before, and
	// would sign her in again without a word. The same if its last answer did not do.
	another := id == v.Provider && (v.Another || v.stage == Asking || v.stage == Choosing && v.Fresh)
	req := s.request(client, v.Request, state)
	req.SelectAccount = req.SelectAccount || another
	started, err := entry.Start(ctx, req)
	s.Meter.Begun(id)
	var failed *federation.Error
	if errors.As(err, &failed) {
		s.ended(id, err)
		next := v.back(&notice{Code: noticeOf(failed.Kind)})
		next.Provider = id
		return departure{next, choicePath(v.id), s.event(audit.ProviderFailed, &next, string(next.Notice.Code))}, nil
	}
	if err != nil {
		return departure{}, err
	}
	next := v.at(AtProvider)
	next.Fresh, next.Another, next.Provider, next.State, next.Pending = true, another, id, sum(state), started.Pending
	return departure{next, started.URL, s.event(audit.ProviderChosen, &next, outcomeOK)}, nil
}

// request is what we want of a provider. It says nothing of the service.
func (s *Service) request(client *clients.Client, req protocol.AuthRequest, state string) federation.Request {
	return federation.Request{
		MinACR: s.Policies().RequiredACR(client, req), ForceLogin: req.Prompt.Login || client.NoSingleSignOn, SelectAccount: req.Prompt.SelectAccount,
		MaxAge: req.MaxAge, LoginHint: req.LoginHint, UILocales: req.UILocales, State: state,
	}
}

// depart puts a departure on record and takes it.
func (s *Service) depart(ctx context.Context, v *visit, out departure) error {
	if err := s.record(ctx, out.event); err != nil {
		return err
	}
	err := s.advance(ctx, v, out.next)
	if errors.Is(err, ErrStale) {
		// A double click: the browser follows the answer to the last one, so the
		// last one must win, or the first provider's state is gone for nothing.
		now, lerr := s.load(ctx, v.id)
		if lerr != nil || !now.stage.undecided() {
			return err
		}
		out.next.revision = now.revision + 1
		*v = *now
		err = s.advance(ctx, v, out.next)
	}
	if err != nil {
		return err
	}
	failpoint.Here("pick.after-advance")
	return nil
}

// change is POST /login/{flow}: back to the choice, for another provider or
// another person.
func (s *Service) change(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if v.stage.undecided() && !v.Request.Prompt.None {
		next := v.back(nil)
		next.Another = v.Another || v.stage == Asking
		if err := s.advance(r.Context(), v, next); err != nil {
			return err
		}
	}
	return s.carryOn(r.Context(), w, r, v)
}

// cancel is POST /login/{flow}/cancel: back to the service. Once we know who she
// is, that is a refusal and goes into the ledger.
func (s *Service) cancel(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	var step Step
	var err error
	switch {
	case v.stage == Asking:
		step, err = s.refuse(r.Context(), v, s.Site.Lang(r, v.Request.UILocales))
	case v.stage.undecided():
		rule, answer := turnBack(v)
		step, err = s.end(r.Context(), v, rule, answer)
	default:
		step, err = s.next(r.Context(), v, r.Header)
	}
	if err != nil {
		return err
	}
	return s.onward(w, r, v, step)
}

// noticeOf words what went wrong at a provider.
func noticeOf(k federation.Kind) web.NoticeCode {
	switch k {
	case federation.Cancelled:
		return web.NoticeCancelled
	case federation.Refused:
		return web.NoticeRefused
	case federation.Unavailable:
		return web.NoticeUnavailable
	case federation.TooWeak:
		return web.NoticeTooWeak
	case federation.TooOld:
		return web.NoticeTooOld
	case federation.BadIdentity:
		return web.NoticeBadIdentity
	}
	return web.NoticeInvalid
}
