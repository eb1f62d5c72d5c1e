package provider

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// The paths of a logout behind PathLogout: the answer to our page, and the way back
// from a provider.
const (
	pathLogoutAnswer = PathLogout + "/answer"
	pathLogoutReturn = PathLogout + "/return"
)

// logoutPatience is how long a person may read our page, or be at her provider.
const logoutPatience = 30 * time.Minute

// returnCookie binds the way back from a provider to the browser that left.
const returnCookie = "__Host-voussoir-logout"

// Purposes of what is sealed on the way through a logout.
const (
	sealLogoutRequest = "logout/request" // a request that was posted
	sealLogoutForm    = "logout/form"    // what our page asks
	sealLogoutReturn  = "logout/return"  // where to go after the provider
)

// Sessions are the browsers' sessions. Implemented by login.Service.
type Sessions interface {
	// SignedIn returns the session of the browser that sent h, or nil.
	SignedIn(ctx context.Context, h http.Header) (*login.SignedIn, error)
	// SID is what a service knows the session by.
	SID(ctx context.Context, x *login.SignedIn, client protocol.ClientID) (string, error)
	// EndSession: when it returns nil the session and all that rests on it is dead.
	EndSession(ctx context.Context, x *login.SignedIn, asked protocol.ClientID, h http.Header) ([]login.Departure, []*http.Cookie, error)
	ProviderName(x *login.SignedIn) protocol.Text
	// Leave is where to send her to log out at her provider too; "": nowhere.
	Leave(ctx context.Context, x *login.SignedIn, returnTo, state string) string
}

// logout serves GET and POST /logout (OpenID Connect RP-Initiated Logout section 2).
// A request that is posted comes from another site without a cookie: it is checked,
// sealed and sent round as a GET, which has one.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		req, err := p.readLogout(r.Form)
		if err != nil {
			return err
		}
		sealed, err := p.sealLogout(sealLogoutRequest, req)
		if err != nil {
			return err
		}
		seeOther(w, PathLogout+"?request="+sealed)
		return nil
	}
	req, err := p.logoutRequest(r.Form)
	if err != nil {
		return err
	}
	p.Note(r, slog.String("client", string(req.Client)))
	p.Site.Lang(r, req.Locales)
	x, err := p.Sessions.SignedIn(r.Context(), r.Header)
	if err != nil {
		return web.Fail(web.Unavailable, err)
	}
	if x == nil {
		return p.nothingToEnd(w, r, req)
	}
	meant, err := p.isMeant(r.Context(), x, req)
	if err != nil {
		return web.Fail(web.Unavailable, err)
	}
	if meant {
		return p.endAndGoOn(w, r, x, req)
	}
	return p.askLogout(w, r, x, req)
}

// isMeant reports whether the request proves that the person wants to end just this
// session: only her service has the ID token that names it.
func (p *Provider) isMeant(ctx context.Context, x *login.SignedIn, req logoutRequest) (bool, error) {
	if req.SID == "" {
		return false, nil
	}
	sid, err := p.Sessions.SID(ctx, x, req.Client)
	return err == nil && subtle.ConstantTimeCompare([]byte(sid), []byte(req.SID)) == 1, err
}

// nothingToEnd is the answer for a browser without a session. A service that proves
// that it is one gets its person back at once; else she goes on herself.
func (p *Provider) nothingToEnd(w http.ResponseWriter, r *http.Request, req logoutRequest) error {
	if req.Hinted && req.URI != "" {
		seeOther(w, req.onward())
		return nil
	}
	return p.Site.LoggedOut(w, r, web.LoggedOutPage{Nothing: true, Client: p.clientName(req.Client), Next: req.onward()})
}

// askLogout asks the person: a picture on any page can bring a browser here.
func (p *Provider) askLogout(w http.ResponseWriter, r *http.Request, x *login.SignedIn, req logoutRequest) error {
	req.Session, req.Until = x.ID, p.Now().Add(logoutPatience)
	sealed, err := p.sealLogout(sealLogoutForm, req)
	if err != nil {
		return err
	}
	return p.Site.Logout(w, r, web.LogoutPage{
		Client: p.clientName(req.Client), Provider: p.Sessions.ProviderName(x), Action: pathLogoutAnswer, Form: sealed, After: req.URI,
	})
}

// logoutAnswer serves POST /logout/answer: she has read our page and chosen. The
// form is of use with the session that it was made for, and so once.
func (p *Provider) logoutAnswer(w http.ResponseWriter, r *http.Request) error {
	var req logoutRequest
	if repeated(r.PostForm) {
		return web.Fail(web.RequestInvalid, errors.New("a field is repeated"))
	}
	if err := p.openLogout(sealLogoutForm, r.PostForm.Get("form"), &req); err != nil {
		return err
	}
	p.Note(r, slog.String("client", string(req.Client)))
	p.Site.Lang(r, req.Locales)
	answer := r.PostForm.Get("answer")
	if answer != "logout" && answer != "stay" {
		return web.Fail(web.RequestInvalid, errors.New("neither logout nor stay"))
	}
	if answer == "stay" {
		seeOther(w, p.frontPage(req.Client))
		return nil
	}
	x, err := p.Sessions.SignedIn(r.Context(), r.Header)
	switch {
	case err != nil:
		return web.Fail(web.Unavailable, err)
	case x == nil: // a double click: the first one has ended it
		req.Hinted = true // she has confirmed where she goes
		return p.nothingToEnd(w, r, req)
	case x.ID != req.Session:
		return web.Fail(web.LogoutInvalid, errors.New("the form was made for another session"))
	}
	return p.endAndGoOn(w, r, x, req)
}

// endAndGoOn ends the session first and thinks of the way afterwards: whatever fails
// from there on, she is logged out.
func (p *Provider) endAndGoOn(w http.ResponseWriter, r *http.Request, x *login.SignedIn, req logoutRequest) error {
	gone, cookies, err := p.Sessions.EndSession(r.Context(), x, req.Client, r.Header)
	if err != nil {
		return web.Fail(web.Unavailable, err)
	}
	for _, c := range cookies {
		http.SetCookie(w, c)
	}
	page := web.LoggedOutPage{
		Client: p.clientName(req.Client), Provider: p.Sessions.ProviderName(x),
		Next: req.onward(), Frames: p.frames(gone),
	}
	if to, err := p.relay(w, r, x, req); err != nil {
		p.Log.LogAttrs(r.Context(), slog.LevelError, "no way to the provider's logout", slog.Any("err", err))
	} else if to != "" {
		page.Next, page.Relay = to, true
	}
	if len(page.Frames) == 0 && page.Next != "" {
		seeOther(w, page.Next)
		return nil
	}
	return p.Site.LoggedOut(w, r, page)
}

// frames are what a page loads to tell services by the browser (OpenID Connect
// Front-Channel Logout section 2), each once.
func (p *Provider) frames(gone []login.Departure) []string {
	var out []string
	for _, d := range gone {
		client, ok := p.Clients().Get(d.Client)
		if !ok || client.FrontChannelLogoutURI == "" {
			continue
		}
		uri := responseURL(client.FrontChannelLogoutURI, []web.Field{{Name: "iss", Value: p.Issuer}, {Name: "sid", Value: d.SID}})
		if !slices.Contains(out, uri) {
			out = append(out, uri)
		}
	}
	return out
}

// wayBack is what the cookie holds while she is at her provider.
type wayBack struct {
	Left     []byte // digest of the state that went to the provider
	Client   protocol.ClientID
	URI      string
	State    string // the service's own
	Provider protocol.Text
	Until    time.Time
}

// maxCookie is the longest cookie that every browser keeps, less its name and
// attributes (RFC 6265 section 6.1). Who asks for a longer way back goes straight on.
const maxCookie = 3800

// relay is where to send her to log out at her provider too, "" for nowhere; the
// cookie then knows the way on.
func (p *Provider) relay(w http.ResponseWriter, r *http.Request, x *login.SignedIn, req logoutRequest) (string, error) {
	state := newHandle()
	to := p.Sessions.Leave(r.Context(), x, p.Issuer+pathLogoutReturn, state)
	if to == "" {
		return "", nil
	}
	digest := p.Codes.digest(state)
	value, err := p.sealLogout(sealLogoutReturn, wayBack{
		Left: digest[:], Client: req.Client, URI: req.URI, State: req.State,
		Provider: p.Sessions.ProviderName(x), Until: p.Now().Add(logoutPatience),
	})
	if err != nil || len(value) > maxCookie {
		return "", err
	}
	http.SetCookie(w, returning(value, int(logoutPatience/time.Second)))
	return to, nil
}

func returning(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: returnCookie, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// logoutReturn serves GET /logout/return: she is back from her provider. Whatever it
// says, she is logged out here; the state says that this is the browser that left.
func (p *Provider) logoutReturn(w http.ResponseWriter, r *http.Request) error {
	cookie, err := r.Cookie(returnCookie)
	if err != nil {
		return p.nothingToEnd(w, r, logoutRequest{})
	}
	http.SetCookie(w, returning("", -1))
	var back wayBack
	digest := p.Codes.digest(r.Form.Get("state"))
	if p.openLogout(sealLogoutReturn, cookie.Value, &back) != nil || subtle.ConstantTimeCompare(digest[:], back.Left) != 1 {
		return p.nothingToEnd(w, r, logoutRequest{})
	}
	client, ok := p.Clients().Get(back.Client)
	if back.URI != "" && ok && isPostLogout(client, back.URI) {
		seeOther(w, logoutRequest{URI: back.URI, State: back.State}.onward())
		return nil
	}
	return p.Site.LoggedOut(w, r, web.LoggedOutPage{Client: p.clientName(back.Client), Provider: back.Provider, Relayed: true})
}

func (p *Provider) clientName(id protocol.ClientID) protocol.Text {
	if c, ok := p.Clients().Get(id); ok {
		return c.Name
	}
	return nil
}

// frontPage is where she goes who wants to stay: to the front page of the service,
// or to ours.
func (p *Provider) frontPage(id protocol.ClientID) string {
	c, ok := p.Clients().Get(id)
	if !ok {
		return "/"
	}
	for _, uri := range slices.Concat(c.PostLogoutURIs, c.RedirectURIs) {
		if u, err := url.Parse(uri); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return u.Scheme + "://" + u.Host + "/"
		}
	}
	return "/"
}

// limited is what expires.
type limited interface{ until() time.Time }

func (x logoutRequest) until() time.Time { return x.Until }
func (x wayBack) until() time.Time       { return x.Until }

func (p *Provider) sealLogout(purpose string, v limited) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", errors.New("encode logout") // the cause could quote the state
	}
	sealed, err := p.Codes.cfg.Sealer.Seal(purpose, []byte(p.Issuer), plain)
	if err != nil {
		return "", web.Fail(web.Unavailable, fmt.Errorf("seal logout: %w", err))
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openLogout reads what sealLogout wrote: anything else, and what is too old, is a
// request that nobody meant.
func (p *Provider) openLogout(purpose, text string, into limited) error {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		sealed, err = p.Codes.cfg.Sealer.Open(purpose, []byte(p.Issuer), sealed)
	}
	if err == nil {
		err = json.Unmarshal(sealed, into)
	}
	if err != nil || !p.Now().Before(into.until()) {
		return web.Fail(web.LogoutInvalid, cmp.Or(err, errors.New("too old")))
	}
	return nil
}

// isPostLogout reports whether uri is registered, byte for byte.
func isPostLogout(c *clients.Client, uri string) bool { return slices.Contains(c.PostLogoutURIs, uri) }
