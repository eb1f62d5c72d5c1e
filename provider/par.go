package provider

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

const (
	// requestURIPrefix is what a reference of ours begins with (RFC 9126 section
	// 2.2). Any other request_uri is an address, and we never fetch one: it would
	// let a stranger choose whom we call.
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	// pushedTTL is how long a browser may take from the service to /authorize.
	pushedTTL = 90 * time.Second
	// pushedMemory is how long we remember that a pushed request was answered. Any
	// visit that began with it is over long before.
	pushedMemory = 24 * time.Hour
)

// pushedAnswer is the answer of /par (RFC 9126 section 2.2).
type pushedAnswer struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// par serves POST /par (RFC 9126): the client proves itself as at /token, and its
// request is validated here as at /authorize, so that what is wrong with it is
// told to the service and never to the person. The validated request is what is
// kept; nothing of it is read twice.
func (p *Provider) par(w http.ResponseWriter, r *http.Request) error {
	if err := p.freshProof(w.Header(), r); err != nil {
		return err
	}
	cred, err := p.credentialsOf(r)
	if err != nil {
		return err
	}
	client, err := p.authenticate(r.Context(), cred)
	if err != nil {
		return err
	}
	p.Note(r, slog.String("client", string(client.ID)))
	req, err := p.pushed(r.Context(), client, r.PostForm)
	if err != nil {
		return err
	}
	if err := p.bindCode(r, &req); err != nil {
		return err
	}
	handle, err := storeGrant(r.Context(), p.Codes, PushedGrant, login.GrantID(req.Pushed), req, p.Now().Add(pushedTTL))
	if err != nil {
		return unavailable(err)
	}
	body, err := json.Marshal(pushedAnswer{RequestURI: requestURIPrefix + handle, ExpiresIn: int64(pushedTTL.Seconds())})
	if err != nil {
		return errors.New("encode request_uri") // the cause could quote it
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, err = w.Write(body)
	return err
}

// pushed validates what an authenticated client pushes. client_id may be left
// out, since we know who it is; another one than its own was refused with its
// credentials. Of a request object only what is inside counts (RFC 9126 section
// 3). An error never leads to the redirect URI: the service is asking.
func (p *Provider) pushed(ctx context.Context, client *clients.Client, form url.Values) (protocol.AuthRequest, error) {
	if form.Has("request_uri") {
		return protocol.AuthRequest{}, invalid("request_uri must not be pushed") // section 2.1
	}
	signed := form.Get("request") != "" && client.RequestObjectSigningAlg != ""
	if signed {
		var err *protocol.Error
		if form, err = p.requestObject(ctx, client, form.Get("request")); err != nil {
			return protocol.AuthRequest{}, err
		}
	}
	req := protocol.AuthRequest{ClientID: client.ID, RedirectURI: form.Get("redirect_uri"), Pushed: newPushedID()}
	if !client.HasRedirectURI(req.RedirectURI) {
		return protocol.AuthRequest{}, invalid("redirect_uri is missing or not registered")
	}
	if err := p.parse(client, form, &req); err != nil {
		return protocol.AuthRequest{}, err
	}
	return req, mustBeSigned(client, signed)
}

func newPushedID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return hex.EncodeToString(b[:])
}

// recall puts a pushed request in the place of a request_uri of ours. Of the
// other parameters only client_id counts (RFC 9126 section 4, RFC 9101 section
// 5). A reference that is unknown, expired, answered or another client's gets one
// and the same page: nothing in such a request says where an answer may go.
func (p *Provider) recall(ctx context.Context, x *exchange) error {
	uris, ids := x.form["request_uri"], x.form["client_id"]
	if len(uris) == 0 || !strings.HasPrefix(uris[0], requestURIPrefix) {
		return nil
	}
	if len(uris) > 1 || len(ids) > 1 {
		return web.Fail(web.RequestInvalid, errors.New("request_uri or client_id is repeated"))
	}
	client, ok := p.Clients().Get(protocol.ClientID(x.form.Get("client_id")))
	if !ok {
		return web.Fail(web.ClientUnknown, nil)
	}
	var req protocol.AuthRequest
	_, err := loadGrant(ctx, p.Codes, PushedGrant, strings.TrimPrefix(uris[0], requestURIPrefix), &req)
	if err != nil && !errors.Is(err, ErrNoGrant) {
		return web.Fail(web.Unavailable, err)
	}
	if err != nil || req.ClientID != client.ID {
		gone := web.Fail(web.FlowUnknown, errors.New("request_uri is unknown, expired, answered or of another client"))
		gone.Back = frontPage(client)
		return gone
	}
	// The redirect URI is proven once more: the registration may have changed.
	x.form = url.Values{"client_id": ids, "redirect_uri": {req.RedirectURI}}
	x.pushed = &req
	return nil
}

// frontPage is where a person can start again: the origin of the client's first
// redirect URI, or nil when that is no website.
func frontPage(c *clients.Client) *web.Back {
	if len(c.RedirectURIs) == 0 {
		return nil
	}
	u, err := url.Parse(c.RedirectURIs[0])
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || c.Native) || u.Host == "" {
		return nil
	}
	return &web.Back{Client: c.Name, URL: u.Scheme + "://" + u.Host + "/"}
}

// Complete uses up the pushed request that a visit came by, if it did: whoever
// answers it first is the only one (RFC 9126 section 7.3). Until then /authorize
// may be loaded again, as people do; of several visits from one request the first
// to end gets the answer. The fact is durable before anything leaves; the
// tombstone after it only saves people from a visit that cannot end well.
func (c *Codes) Complete(ctx context.Context, req protocol.AuthRequest) error {
	if req.Pushed == "" {
		return nil
	}
	now := c.cfg.Now()
	failpoint.Here("pushed.before-consume")
	first, err := c.cfg.Once.Consume(ctx, "pushed", req.Pushed, now.Add(pushedMemory), now)
	if err != nil {
		return fmt.Errorf("use up pushed request of client %s: %w", req.ClientID, err)
	}
	failpoint.Here("pushed.after-consume")
	if err := c.cfg.Grants.RevokeGrant(ctx, login.GrantID(req.Pushed), now.Add(pushedTTL)); err != nil {
		return fmt.Errorf("forget pushed request of client %s: %w", req.ClientID, err)
	}
	if !first {
		return web.Fail(web.AlreadyAnswered, errors.New("another visit has answered this pushed request"))
	}
	return nil
}
