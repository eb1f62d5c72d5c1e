package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// Started is where to send the browser and which cookies go with it. URL is a
// path of ours or the address of a provider.
type Started struct {
	URL     string
	Cookies []*http.Cookie
}

// Start begins a visit for a valid authorization request; h is the header that
// the browser sent with it. A *protocol.Error is the answer for the service: no
// provider can do what it asks for. Any other error means that we do not know,
// and nothing has begun.
func (s *Service) Start(ctx context.Context, req protocol.AuthRequest, h http.Header) (Started, error) {
	handle, browser := newHandle()
	v := &visit{
		id: FlowID(random(16)), stage: Choosing, expires: s.Now().Add(s.FlowTTL),
		Request: req, Browser: browser, Fresh: wantsFresh(req),
	}
	s.heed(v, h)
	req = v.Request
	client, ok := s.Clients().Get(req.ClientID)
	if !ok {
		return Started{}, protocol.Fail(protocol.UnauthorizedClient, nil, "the client is not registered")
	}
	offers, denial := s.offers(client, req)
	if denial != "" {
		return Started{}, s.turnAway(ctx, v, client, denial)
	}
	out, events, err := s.setOut(ctx, v, client, offers, h)
	if err != nil {
		return Started{}, err
	}
	if err := s.record(ctx, events...); err != nil {
		return Started{}, err
	}
	if err := s.create(ctx, &out.next); err != nil {
		return Started{}, err
	}
	// A crash from here on leaves a visit that nobody has the cookie of.
	failpoint.Here("start.after-create")
	return Started{URL: out.url, Cookies: flowCookies(h, v.id, handle, s.FlowTTL)}, nil
}

// setOut is where a new visit goes first, to the choice or straight to a provider,
// and what goes on record of it.
func (s *Service) setOut(ctx context.Context, v *visit, client *clients.Client, offers []policies.Offer, h http.Header) (departure, []audit.Event, error) {
	started := s.event(audit.LoginStarted, v, outcomeOK)
	started.Public.ACR = string(s.Policies().RequiredACR(client, v.Request))
	events := append([]audit.Event{started}, s.warnings(v, client)...)
	to, err := s.direct(ctx, v, client, offers, h)
	if err != nil {
		return departure{}, nil, err
	}
	if to == "" {
		return departure{next: *v, url: choicePath(v.id)}, events, nil
	}
	if read := s.noticePath(v, to); read != "" {
		return departure{next: *v, url: read}, events, nil
	}
	out, err := s.leave(ctx, v, client, to)
	return out, append(events, out.event), err
}

// turnAway is the answer for a service whose request no provider can meet.
func (s *Service) turnAway(ctx context.Context, v *visit, client *clients.Client, denial protocol.ErrorCode) error {
	denied := s.event(audit.LoginDenied, v, string(denial))
	denied.Public.Rule = ruleOf(denial)
	if err := s.record(ctx, append(s.warnings(v, client), denied)...); err != nil {
		return err
	}
	return protocol.Fail(denial, nil, describe(denial))
}

func (s *Service) create(ctx context.Context, v *visit) error {
	f, err := s.sealVisit(v)
	if err != nil {
		return err
	}
	if err := s.Flows.Create(ctx, f); err != nil {
		return fmt.Errorf("create flow %s: %w", v.id, err)
	}
	return nil
}

// direct is the provider that the browser can be sent to at once, or "": the one
// that the service names, or the only one there is. Not when the person shall
// choose, when no page may be shown, when the session may do, or when she has to be told
// why it does not.
func (s *Service) direct(ctx context.Context, v *visit, client *clients.Client, offers []policies.Offer, h http.Header) (protocol.ProviderID, error) {
	if v.Request.Prompt.SelectAccount || v.Request.Prompt.None {
		return "", nil
	}
	to := v.Request.IdPHint
	if !selectable(offers, to) {
		to = onlyOne(offers)
	}
	if to == "" {
		return "", nil
	}
	sso, err := s.session(ctx, v, offers, h)
	if err != nil || sso != nil {
		return "", err
	}
	c, err := s.choices(ctx, v, client, h)
	if err != nil || c.weak != nil || !selectable(c.offers, to) {
		return "", err
	}
	return to, nil
}

// onlyOne is the only provider that can be chosen, or "".
func onlyOne(offers []policies.Offer) protocol.ProviderID {
	var only protocol.ProviderID
	for _, o := range offers {
		switch {
		case o.TooWeak:
		case only != "":
			return ""
		default:
			only = o.ID
		}
	}
	return only
}

// client returns the service of a visit. It may have gone since the visit began,
// or lost the address that the answer was to go to.
func (s *Service) client(v *visit) (*clients.Client, error) {
	c, ok := s.Clients().Get(v.Request.ClientID)
	if !ok {
		return nil, web.Fail(web.ClientUnknown, errors.New("the client of the visit is gone"))
	}
	if !c.HasRedirectURI(v.Request.RedirectURI) {
		return nil, web.Fail(web.RedirectInvalid, errors.New("the redirect URI of the visit is gone"))
	}
	return c, nil
}
