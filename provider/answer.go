package provider

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// Answer writes the authorization response, success or error, in the mode of the
// request: a 303 with the parameters in the query, or a page with a form
// (OAuth 2.0 Form Post Response Mode). iss is always among them (RFC 9207), and
// state whenever the request had a valid one. In the modes of JARM they are inside
// one signed parameter.
func (c *Codes) Answer(w http.ResponseWriter, r *http.Request, req protocol.AuthRequest, a login.Answer) error {
	if (a.Code == "") == (a.Err == nil) {
		return errors.New("answer: want a code or an error")
	}
	fields := c.fields(req, a)
	if jwtModes[req.ResponseMode] != "" {
		var err error
		if fields, err = c.signResponse(r.Context(), req, fields); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // a code in the address must not travel on
	if req.ResponseMode == protocol.ModeFormPost || req.ResponseMode == protocol.ModeFormPostJWT {
		page := web.FormPostPage{Action: req.RedirectURI, Fields: fields}
		if client, ok := c.cfg.Clients().Get(req.ClientID); ok {
			page.Client = client.Name
		}
		return c.cfg.Site.FormPost(w, r, page)
	}
	seeOther(w, responseURL(req.RedirectURI, fields))
	return nil
}

func (c *Codes) fields(req protocol.AuthRequest, a login.Answer) []web.Field {
	fields := make([]web.Field, 0, 4)
	if a.Err != nil {
		fields = append(fields, web.Field{Name: "error", Value: string(a.Err.Code)})
		if a.Err.Description != "" {
			fields = append(fields, web.Field{Name: "error_description", Value: a.Err.Description})
		}
	} else {
		fields = append(fields, web.Field{Name: "code", Value: a.Code})
	}
	if req.State != "" {
		fields = append(fields, web.Field{Name: "state", Value: req.State})
	}
	return append(fields, web.Field{Name: "iss", Value: c.cfg.Issuer})
}

// responseURL adds the fields to the registered URI without parsing it: what is
// sent back begins with exactly the registered bytes (RFC 6749 section 3.1.2).
func responseURL(redirectURI string, fields []web.Field) string {
	var b strings.Builder
	b.WriteString(redirectURI)
	sep := byte('?')
	if strings.ContainsRune(redirectURI, '?') {
		sep = '&'
	}
	for _, f := range fields {
		b.WriteByte(sep)
		b.WriteString(f.Name)
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(f.Value))
		sep = '&'
	}
	return b.String()
}

// seeOther answers 303 and nothing else: a 307 would post a person's form again
// at the next address (RFC 9700 section 4.12), a 302 leaves it to the browser.
func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}
