package login

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// choices are the providers of a visit for whoever is at this browser, as far as a
// session says who that is.
type choices struct {
	offers []policies.Offer
	denial protocol.ErrorCode // why there are none
	hidden bool               // those that she has blocked are left out
	weak   *session           // hers, which would do if it were stronger
}

// choices leaves out what she has blocked, and finds out whether she has to be told why
// she signs in once more.
func (s *Service) choices(ctx context.Context, v *visit, client *clients.Client, h http.Header) (choices, error) {
	var c choices
	if c.offers, c.denial = s.offers(client, v.Request); c.denial != "" {
		return c, nil
	}
	x, err := s.liveSession(ctx, h)
	if err != nil || x == nil {
		return c, err
	}
	said, err := s.Preferences.List(ctx, x.SignIn.Person.ID)
	if err != nil {
		return c, fmt.Errorf("blocked providers: %w", err)
	}
	c.offers, c.hidden = unblocked(c.offers, said)
	if !v.Fresh && !client.NoSingleSignOn && !x.SignIn.ACR.Reaches(s.Policies().RequiredACR(client, v.Request)) {
		c.weak = x
	}
	return c, nil
}

// unblocked is offers without those that she has blocked, and whether there were any.
func unblocked(offers []policies.Offer, said preferences.Providers) ([]policies.Offer, bool) {
	left := slices.DeleteFunc(slices.Clone(offers), func(o policies.Offer) bool { return said.Blocks(o.ID) })
	return left, len(left) < len(offers)
}

// notice is the sentence above the choices: what went wrong, or else why she is asked
// although she is signed in, or more than usual is asked of her.
func (s *Service) notice(v *visit, client *clients.Client, c choices) web.Notice {
	switch {
	case v.Notice != nil:
		return web.Notice{Code: v.Notice.Code, Claims: v.Notice.Claims, Reason: v.Notice.Reason, Provider: s.providerName(v.Provider)}
	case v.Suspicious:
		return web.Notice{Code: web.NoticeCaution}
	case c.weak != nil:
		return web.Notice{
			Code: web.NoticeStepUp, Provider: s.providerName(c.weak.SignIn.Provider),
			Has: c.weak.SignIn.ACR, Needs: s.Policies().RequiredACR(client, v.Request),
		}
	}
	return web.Notice{}
}
