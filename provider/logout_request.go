package provider

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// maxLogoutState is the longest state of a logout, in bytes.
const maxLogoutState = 2048

// logoutRequest is a request to log out as far as it was checked.
type logoutRequest struct {
	Client  protocol.ClientID `json:",omitempty"` // "" : nobody knows
	Hinted  bool              `json:",omitempty"` // a good ID token says so, so a service of ours sent her
	SID     string            `json:",omitempty"` // of the session that the ID token is of
	URI     string            `json:",omitempty"` // registered for Client
	State   string            `json:",omitempty"`
	Locales []string          `json:",omitempty"`
	Session login.SessionID   `json:",omitempty"` // that our page was shown for
	Until   time.Time
}

// onward is where the person goes afterwards, "" for nowhere.
func (x logoutRequest) onward() string {
	if x.URI == "" {
		return ""
	}
	if x.State == "" {
		return x.URI
	}
	return responseURL(x.URI, []web.Field{{Name: "state", Value: x.State}})
}

// logoutRequest reads what a browser brings: the request itself, or the one that was
// posted.
func (p *Provider) logoutRequest(form url.Values) (logoutRequest, error) {
	if repeated(form) || !form.Has("request") {
		return p.readLogout(form)
	}
	var req logoutRequest
	err := p.openLogout(sealLogoutRequest, form.Get("request"), &req)
	return req, err
}

// readLogout checks a request (OpenID Connect RP-Initiated Logout section 2). What
// asks for a way out that is not the service's own, or brings an ID token that is
// not good, gets a page and never a redirect (section 3). logout_hint is not
// needed: the session says who she is.
func (p *Provider) readLogout(form url.Values) (logoutRequest, error) {
	req := logoutRequest{Until: p.Now().Add(logoutPatience)}
	if repeated(form) {
		return req, web.Fail(web.RequestInvalid, errors.New("a parameter is repeated"))
	}
	if len(form.Get("state")) > maxLogoutState {
		return req, web.Fail(web.TooLarge, errors.New("state too long"))
	}
	req.State, req.Client = form.Get("state"), protocol.ClientID(form.Get("client_id"))
	if f := strings.Fields(form.Get("ui_locales")); len(f) > 0 {
		req.Locales = f[:min(len(f), 10)]
	}
	if compact := form.Get("id_token_hint"); compact != "" {
		t, ok := p.hinted(compact)
		if !ok || req.Client != "" && string(req.Client) != t.Aud {
			return req, web.Fail(web.LogoutInvalid, errors.New("the id_token_hint is not one of ours for this client"))
		}
		req.Client, req.SID, req.Hinted = protocol.ClientID(t.Aud), t.SID, true
	}
	if req.Client == "" {
		return req, nil // whatever it asks for: nobody knows whose address it is
	}
	client, ok := p.Clients().Get(req.Client)
	if !ok {
		return req, web.Fail(web.ClientUnknown, nil)
	}
	return req, req.wayOut(client, form)
}

// wayOut takes the address that the person shall go to, if it is the client's.
func (x *logoutRequest) wayOut(client *clients.Client, form url.Values) error {
	uri := form.Get("post_logout_redirect_uri")
	if uri != "" && !isPostLogout(client, uri) {
		return web.Fail(web.LogoutRedirectInvalid, nil)
	}
	x.URI = uri
	return nil
}
