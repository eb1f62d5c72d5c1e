package oidc

import (
	"context"
	"net/http"
	"net/url"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// Offer says whether something is used that a provider may offer.
type Offer string

// The offers.
const (
	Auto    Offer = ""        // where its metadata says that it can
	Require Offer = "require" // always; a provider that cannot is unavailable
	Off     Offer = "off"     // never
)

func (o Offer) known() bool { return o == Auto || o == Require || o == Off }

// maxRequestURI is the longest request_uri that we take, in bytes.
const maxRequestURI = 2048

// pushes reports whether requests to this provider are pushed. One that announces
// PAR and then fails at it is not asked in the open instead: that would let whoever
// blocks the endpoint have the request travel through the browser.
func (p *Provider) pushes(m *metadata) (bool, error) {
	switch {
	case p.cfg.PAR == Off:
		return false, nil
	case m.pushed == "" && p.cfg.PAR == Require:
		return false, p.failf(federation.Unavailable, "offers no pushed authorization requests")
	}
	return m.pushed != "", nil
}

// push hands the request over directly (RFC 9126 section 2) and returns what the
// browser carries in its place.
func (p *Provider) push(ctx context.Context, m *metadata, request url.Values) (url.Values, error) {
	req, err := p.post(ctx, m.pushed, request)
	if err != nil {
		return nil, err
	}
	a, err := p.call("PAR endpoint", req)
	if err != nil {
		return nil, err
	}
	uri, err := p.readPushed(a)
	if err != nil {
		return nil, err
	}
	return url.Values{"client_id": {p.cfg.ClientID}, "request_uri": {uri}}, nil
}

// readPushed reads the answer (RFC 9126 sections 2.2 and 2.3).
func (p *Provider) readPushed(a outbound.Answer) (string, error) {
	if mediaType(a.ContentType) != "application/json" {
		return "", p.failf(federation.Invalid, "PAR answer is not JSON")
	}
	members, err := protocol.Object(a.Body)
	if err != nil {
		return "", p.fail(federation.Invalid, err)
	}
	doc := object(members)
	if code, failed, _ := doc.text("error"); failed || a.Status != http.StatusCreated && a.Status != http.StatusOK {
		return "", p.failf(federation.Refused, "PAR endpoint answered %s", readable(code))
	}
	uri, _, err := doc.text("request_uri")
	if err != nil || !visible(uri, maxRequestURI) {
		return "", p.failf(federation.Invalid, "PAR answer has no usable request_uri")
	}
	return uri, nil
}

// readable is an error code that may be repeated.
func readable(code string) string {
	if errorCode.MatchString(code) {
		return code
	}
	return "an unreadable error"
}
