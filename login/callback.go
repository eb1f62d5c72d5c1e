package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// maxCallback is the longest query that a provider's answer may have, in bytes.
const maxCallback = 16 << 10

// byState finds the visit that a provider's answer belongs to, and proves that it
// does: the state is the newest that we gave this visit, the visit is this
// browser's (login CSRF, RFC 9700 section 4.7), and the answer comes in at the
// path of the provider that she was sent to (mix-up, section 4.4).
func (s *Service) byState(r *http.Request) (*visit, error) {
	q, err := callbackQuery(r)
	if err != nil {
		return nil, err
	}
	v, err := s.visitOf(q.Get("state"), func(id FlowID) (*visit, error) { return s.open(r, id) })
	if err != nil {
		return nil, err
	}
	if protocol.ProviderID(r.PathValue("provider")) != v.Provider {
		return nil, s.problem(v, web.Fail(web.CallbackInvalid, errors.New("the answer came in at another provider's path")))
	}
	return v, nil
}

// callbackQuery reads a provider's answer strictly: what occurs twice is read
// differently by two parsers. Errors quote nothing of it.
func callbackQuery(r *http.Request) (url.Values, error) {
	if len(r.URL.RawQuery) > maxCallback {
		return nil, web.Fail(web.CallbackInvalid, errors.New("query too long"))
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, web.Fail(web.CallbackInvalid, errors.New("malformed query"))
	}
	for _, values := range q {
		if len(values) > 1 {
			return nil, web.Fail(web.CallbackInvalid, errors.New("a parameter occurs twice"))
		}
	}
	return q, nil
}

// callback is GET /callback/{provider}: she is back. An answer that was taken
// before (reload, a second tab, a replay) changes nothing and costs the provider
// nothing; it shows where the visit stands.
func (s *Service) callback(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, done := finishing(r.Context())
	defer done()
	if v.stage == AtProvider && v.Since.IsZero() {
		fresh, err := s.takeAnswer(ctx, r, v)
		if err != nil {
			return err
		}
		if fresh != nil {
			if err := s.renewSession(ctx, w, r.Header, *fresh); err != nil {
				return err
			}
		}
	}
	return s.carryOn(ctx, w, r, v)
}

// takeAnswer verifies a provider's answer, once. It returns the session that begins
// with it, or nil when it did not work out; the visit is then at the choice with a
// notice.
func (s *Service) takeAnswer(ctx context.Context, r *http.Request, v *visit) (*renewal, error) {
	client, err := s.client(v)
	if err != nil {
		return nil, err
	}
	entry, err := s.stillOffered(v, client)
	if err != nil {
		return nil, err
	}
	q, err := callbackQuery(r)
	if err != nil {
		return nil, err
	}
	answer, err := s.answerOf(ctx, v, q)
	if err != nil {
		return nil, err
	}
	// Consume first: of many parallel answers only one may cost the provider an
	// exchange. If we crash after this line she finds the choice again.
	pending, verifying := v.Pending, v.at(AtProvider)
	verifying.Since = s.Now()
	if err := s.advance(ctx, v, verifying); err != nil {
		return nil, err
	}
	failpoint.Here("callback.after-consume")
	in, hint, dropped, err := s.verify(ctx, v, client, entry, pending, q.Get("state"), answer)
	failpoint.Here("callback.after-finish")
	s.ended(v.Provider, err)
	if err != nil {
		return nil, s.unverified(ctx, r, v, err)
	}
	fresh, err := s.renewal(ctx, r.Header, client, in, hint)
	if err != nil {
		return nil, err
	}
	v.Switched = v.Switched || fresh.replacesAnother()
	verified := by(s.event(audit.LoginVerified, v, outcomeOK), in)
	verified.Personal.Reasons = s.reasons(r, v.Provider, dropped)
	if err := s.identified(ctx, v, client, fresh.signIn, verified); err != nil {
		return nil, err
	}
	// A crash from here on costs her the session, and nothing else.
	failpoint.Here("callback.after-advance")
	return fresh, nil
}

var errSwitchedOff = errors.New("the provider was switched off meanwhile")

// stillOffered returns the provider of the visit unless it was switched off, or
// forbidden here, while she was there.
func (s *Service) stillOffered(v *visit, client *clients.Client) (federation.Entry, error) {
	offers, _ := s.offers(client, v.Request)
	entry, ok := s.Directory().Get(v.Provider)
	if !ok || !selectable(offers, v.Provider) {
		return federation.Entry{}, web.Fail(web.ProviderUnknown, errSwitchedOff)
	}
	return entry, nil
}

// verify asks the provider, then the civil registry, and finds the person. A
// *federation.Error, an *unvouched and a *turnedDown are something that she is told. hint is for
// logging out at the provider, dropped what of her identity did not hold.
func (s *Service) verify(ctx context.Context, v *visit, client *clients.Client, entry federation.Entry, pending []byte, state string, answer url.Values) (in signIn, hint string, dropped []identity.Flaw, err error) {
	login, err := entry.Finish(ctx, s.request(client, v.Request, state), pending, answer)
	if err != nil {
		return signIn{}, "", nil, err
	}
	login.Identity.Provider = v.Provider
	in, err = s.vouch(ctx, v, client, signIn{Identity: login.Identity, Provider: v.Provider, ACR: login.ACR, AuthTime: login.AuthTime, At: s.Now()})
	if err != nil {
		return signIn{}, "", nil, err
	}
	in.Person, err = s.People.Resolve(ctx, in.Identity, login.Issuer, login.Subject)
	var invalid *identity.InvalidError
	if errors.As(err, &invalid) {
		return signIn{}, "", nil, &federation.Error{Provider: v.Provider, Kind: federation.BadIdentity, Err: err}
	}
	if errors.Is(err, identity.ErrAmbiguous) {
		return signIn{}, "", nil, &unvouched{notice: web.NoticeRegistryAmbiguous, rule: ruleAmbiguous}
	}
	if err != nil {
		return signIn{}, "", nil, err
	}
	if err := s.admit(ctx, in); err != nil {
		return signIn{}, "", nil, err
	}
	return in, login.LogoutHint, login.Dropped, s.confirm(ctx, in)
}

// failed takes the visit back to the choice with a notice that names the provider.
// An error that is none of those that verify names means that we do not know.
func (s *Service) failed(ctx context.Context, v *visit, err error) error {
	var u *unvouched
	if errors.As(err, &u) {
		return s.turnedDown(ctx, v, u)
	}
	var down *turnedDown
	if errors.As(err, &down) {
		return s.turnDown(ctx, v, down)
	}
	var e *federation.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("verify the answer of provider %s: %w", v.Provider, err)
	}
	n := notice{Code: noticeOf(e.Kind)}
	if err := s.record(ctx, s.event(audit.ProviderFailed, v, string(n.Code))); err != nil {
		return err
	}
	return s.advance(ctx, v, v.back(&n))
}
