package login

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

const (
	// maxLogoutForm is the largest posted logout message, in bytes.
	maxLogoutForm = 128 << 10
	// maxTheirState is the longest RelayState that goes back to a provider, in bytes;
	// the specification has 80.
	maxTheirState = 512
	// logoutReturn is where whoever comes back from her provider's logout goes on, by
	// the state that she left with. The page is of provider.
	logoutReturn = "/logout/return"
)

// partnerLogout is GET and POST /saml/{provider}/slo (SAML profiles section 4.4): the
// provider's word, carried by the browser, that sessions there are over, or its answer
// to ours. It is believed for its signature; whether the browser has a cookie of ours
// makes no difference, since a message that was posted never brings one.
func (s *Service) partnerLogout(w http.ResponseWriter, r *http.Request) error {
	provider := protocol.ProviderID(r.PathValue("provider"))
	entry, ok := s.Directory().Get(provider)
	partner, can := entry.Provider.(federation.Partner)
	if !ok || !can {
		return web.Fail(web.NotFound, nil)
	}
	form, err := logoutForm(r)
	if err != nil {
		return err
	}
	m, err := partner.Logout(r.Context(), r.URL.RawQuery, form)
	var e *federation.Error
	switch {
	case errors.As(err, &e) && e.Kind == federation.Invalid:
		return web.Fail(web.LogoutInvalid, err)
	case err != nil:
		return web.Fail(web.Unavailable, err)
	case m.Ended == nil: // she has left it; what it says of that changes nothing here
		seeOther(w, logoutReturn+"?"+url.Values{"state": {m.Relay}}.Encode())
		return nil
	case len(m.Relay) > maxTheirState:
		return web.Fail(web.LogoutInvalid, errors.New("RelayState is too long"))
	}
	return s.endAndAnswer(w, r, provider, partner, m)
}

// logoutForm is the form of a POST, nil for a GET.
func logoutForm(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	if r.URL.RawQuery != "" {
		return nil, web.Fail(web.LogoutInvalid, errors.New("a posted message with a query"))
	}
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, web.Fail(web.LogoutInvalid, errors.New("malformed form")) // the cause quotes the form
	}
	return r.PostForm, nil
}

// endAndAnswer ends the sessions and sends the browser back with the answer. Where we
// do not know whether they ended, the answer is that they did not, so that the
// provider's other services are told all the same.
func (s *Service) endAndAnswer(w http.ResponseWriter, r *http.Request, provider protocol.ProviderID, partner federation.Partner, m federation.LogoutMessage) error {
	ctx, done := finishing(r.Context())
	defer done()
	x, err := s.browserSession(ctx, r.Header)
	if err == nil {
		err = s.endFrom(ctx, provider, *m.Ended)
	}
	if errors.Is(err, errEndedBefore) {
		return web.Fail(web.LogoutInvalid, err)
	}
	if err != nil {
		s.Note(r, slog.String("err", err.Error()))
	}
	to, failed := partner.Answer(ctx, *m.Ended, m.Relay, err == nil)
	if failed != nil || to == "" && err != nil {
		return web.Fail(web.Unavailable, errors.Join(err, failed))
	}
	if x != nil {
		if left, err := s.browserSession(ctx, r.Header); err == nil && left == nil {
			for _, c := range s.Forget(r.Header) { // it was this browser's
				http.SetCookie(w, c)
			}
		}
	}
	if to == "" { // it wants no answer: our page says that nobody is signed in
		to = "/logout"
	}
	seeOther(w, to)
	return nil
}
