package provider

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// authorize serves GET and POST /authorize (OpenID Connect Core section 3.1.2).
// The library calls prove, then begin. Until prove has succeeded nothing in the
// request says where an answer may go, so that the person gets a page; after it
// every error goes back to the service.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	x := &exchange{header: r.Header, form: r.Form}
	p.library.run(r.Context(), r.Method, PathAuthorize, x)
	if x.client == nil {
		return cmp.Or(x.err, error(web.Fail(web.RequestInvalid, errLibrary)))
	}
	p.Note(r, slog.String("client", string(x.client.ID)))
	if !x.submitted { // the library knows a reason against this URI that we do not
		return web.Fail(web.RedirectInvalid, errLibrary)
	}
	if x.err != nil {
		return p.refuse(w, r, x)
	}
	for _, c := range x.cookies {
		http.SetCookie(w, c)
	}
	seeOther(w, x.location)
	return nil
}

// prove finds the client and checks that the redirect URI is one of its own, byte
// for byte (RFC 9700 section 2.1). An unknown client and a disabled one, which is
// not in the set, look the same. The URI must be sent even when there is only one.
func (p *Provider) prove(form url.Values) (*clients.Client, string, error) {
	ids, uris := form["client_id"], form["redirect_uri"]
	if len(ids) > 1 || len(uris) > 1 {
		return nil, "", web.Fail(web.RequestInvalid, errors.New("client_id or redirect_uri is repeated"))
	}
	if len(ids) == 0 {
		return nil, "", web.Fail(web.ClientUnknown, nil)
	}
	client, ok := p.Clients().Get(protocol.ClientID(ids[0]))
	if !ok {
		return nil, "", web.Fail(web.ClientUnknown, nil)
	}
	if len(uris) == 0 || uris[0] == "" || !client.HasRedirectURI(uris[0]) {
		return nil, "", web.Fail(web.RedirectInvalid, nil)
	}
	return client, uris[0], nil
}

// begin validates the rest of the request and starts the visit. On an error
// x.req holds what Answer needs to bring it back to the service.
func (p *Provider) begin(ctx context.Context, x *exchange) error {
	if err := p.parse(x.client, x.form, &x.req); err != nil {
		return err
	}
	var err error
	x.location, x.cookies, err = p.Start(ctx, x.req, x.header)
	return err
}

// refuse brings an error back to the service; a page for people stays a page.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, x *exchange) error {
	var page *web.Problem
	if errors.As(x.err, &page) {
		return page
	}
	var answer *protocol.Error
	if !errors.As(x.err, &answer) {
		p.Log.LogAttrs(r.Context(), slog.LevelError, "sign-in could not start",
			slog.String("client", string(x.client.ID)), slog.Any("err", x.err))
		answer = unavailable(x.err)
	}
	p.Note(r, slog.String("error", string(answer.Code)), slog.String("reason", answer.Description))
	return p.Codes.Answer(w, r, x.req, login.Answer{Err: answer})
}
