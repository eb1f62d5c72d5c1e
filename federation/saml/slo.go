package saml

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
)

const (
	// oldestLogout is how old a logout message may be: it was made to be sent at once.
	oldestLogout = 5 * time.Minute
	// maxIndexes is how many sessions one message may name.
	maxIndexes = 20
	// maxLogoutQuery is the longest message by HTTP-Redirect that we look at.
	maxLogoutQuery = 16 << 10
	requestName    = "SAMLRequest"
)

// nameID is how a provider names her: what a LogoutRequest must repeat (SAML core
// section 3.7.1). It names her to us too, so it is kept sealed.
type nameID struct {
	Value       string `json:"v"`
	Format      string `json:"f,omitempty"`
	Qualifier   string `json:"q,omitempty"`
	SPQualifier string `json:"s,omitempty"`
	Index       string `json:"i,omitempty"` // SessionIndex
}

func readNameID(el *etree.Element) (nameID, error) {
	value, err := text(el)
	if err != nil || value == "" || len(value) > maxSubject {
		return nameID{}, errors.New("NameID is empty, malformed or too long")
	}
	n := nameID{Value: value}
	n.Format, _ = attr(el, "Format")
	n.Qualifier, _ = attr(el, "NameQualifier")
	n.SPQualifier, _ = attr(el, "SPNameQualifier")
	return n, nil
}

// name is one text for one NameID, with what is left out filled in (SAML core
// section 8.3.7), so that both spellings are the same person and nobody else is.
func (p *Provider) name(n nameID) string {
	if n.Format == "" {
		n.Format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	}
	if n.Qualifier == "" {
		n.Qualifier = p.cfg.EntityID
	}
	if n.SPQualifier == "" {
		n.SPQualifier = p.cfg.OurEntityID
	}
	return fmt.Sprintf("%q %q %q %q", n.Format, n.Qualifier, n.SPQualifier, n.Value)
}

// keepForLogout fills in what a sign-in needs to be ended there, or from there. A
// provider without NameID or SessionIndex signs in all the same.
func (p *Provider) keepForLogout(login *federation.Login, m *metadata, assertion signed) {
	subject, err := one(assertion.el, nsAssertion, "Subject")
	if err != nil {
		return
	}
	id, err := one(subject, nsAssertion, "NameID")
	if err != nil {
		return
	}
	n, err := readNameID(id)
	if err != nil {
		return
	}
	if statement, err := one(assertion.el, nsAssertion, "AuthnStatement"); err == nil {
		if n.Index, _ = attr(statement, "SessionIndex"); len(n.Index) > maxSubject {
			n.Index = ""
		}
	}
	login.Names = federation.Names{Subject: p.name(n), Session: n.Index}
	if !p.cfg.Relay || m.slo == nil {
		return
	}
	if hint, err := json.Marshal(n); err == nil {
		login.LogoutHint = string(hint)
	}
}

// Leave implements federation.Leaver: a signed LogoutRequest by HTTP-Redirect (SAML
// profiles section 4.4.3.1). She comes back to our SLO address, and from there goes on
// to where returnTo says; a SAML provider is not told of it.
func (p *Provider) Leave(ctx context.Context, hint, _, state string) (string, error) {
	var n nameID
	if !p.cfg.Relay || json.Unmarshal([]byte(hint), &n) != nil || n.Value == "" {
		return "", nil //nolint:nilerr // a hint of the time when this provider spoke another protocol: nowhere to go
	}
	m, err := p.metadata(ctx)
	if err != nil || m.slo == nil {
		return "", err
	}
	doc := etree.NewDocument()
	req := p.message(doc, "LogoutRequest", logoutID(state), m.slo)
	req.CreateAttr("NotOnOrAfter", p.cfg.Now().Add(oldestLogout).UTC().Format(timeFormat))
	el := req.CreateElement("saml:NameID")
	for _, a := range [][2]string{{"Format", n.Format}, {"NameQualifier", n.Qualifier}, {"SPNameQualifier", n.SPQualifier}} {
		if a[1] != "" {
			el.CreateAttr(a[0], a[1])
		}
	}
	el.SetText(n.Value)
	if n.Index != "" {
		req.CreateElement("samlp:SessionIndex").SetText(n.Index)
	}
	return p.redirect(ctx, doc, requestName, m.slo, state)
}

// logoutID is the ID of the LogoutRequest that goes with a state, so that an answer
// can be held against it and nothing has to be kept. Whoever cannot know the state
// cannot know it either.
func logoutID(state string) string {
	d := sha256.Sum256([]byte("saml logout " + state))
	return "_" + hex.EncodeToString(d[:20])
}

// message begins a message of ours to the provider.
func (p *Provider) message(doc *etree.Document, tag, id string, to *url.URL) *etree.Element {
	el := doc.CreateElement("samlp:" + tag)
	for _, a := range [][2]string{
		{"xmlns:samlp", nsProtocol}, {"xmlns:saml", nsAssertion}, {"ID", id}, {"Version", "2.0"},
		{"IssueInstant", p.cfg.Now().UTC().Format(timeFormat)}, {"Destination", to.String()},
	} {
		el.CreateAttr(a[0], a[1])
	}
	el.CreateElement("saml:Issuer").SetText(p.cfg.OurEntityID)
	return el
}

func (p *Provider) redirect(ctx context.Context, doc *etree.Document, name string, to *url.URL, relay string) (string, error) {
	raw, err := doc.WriteToBytes()
	if err != nil {
		return "", p.fail(federation.Unavailable, err)
	}
	query, err := p.signedQuery(ctx, name, raw, relay)
	if err != nil {
		return "", p.fail(federation.Unavailable, err)
	}
	u := *to
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String(), nil
}

// Logout implements federation.Partner.
func (p *Provider) Logout(ctx context.Context, query string, form url.Values) (federation.LogoutMessage, error) {
	out, err := p.logout(ctx, query, form)
	federation.LogLogoutRefused(ctx, p.cfg.Log, p.cfg.ID, err)
	return out, err
}

func (p *Provider) logout(ctx context.Context, query string, form url.Values) (federation.LogoutMessage, error) {
	none := federation.LogoutMessage{}
	m, err := p.metadata(ctx)
	if err != nil {
		return none, err
	}
	read := func() (*etree.Element, string, error) { return postedLogout(form, m) }
	if form == nil {
		read = func() (*etree.Element, string, error) { return redirectedLogout(query, m) }
	}
	root, relay, err := read()
	if err != nil {
		return none, p.because(federation.ReasonAnswer, err)
	}
	out := federation.LogoutMessage{Relay: relay}
	if is(root, nsProtocol, "LogoutResponse") {
		err = p.logoutResponse(root, relay)
	} else {
		out.Ended, err = p.logoutRequest(root)
	}
	if err != nil {
		return none, p.because(federation.ReasonDocument, err)
	}
	return out, nil
}

// postedLogout reads a message by HTTP-POST: its signature is within (SAML bindings
// section 3.5).
func postedLogout(form url.Values, m *metadata) (*etree.Element, string, error) {
	for name, values := range form {
		if len(values) != 1 || name != requestName && name != parameterName && name != relayName {
			return nil, "", errors.New("form has a field that is unknown or stands twice")
		}
	}
	if form.Has(requestName) == form.Has(parameterName) {
		return nil, "", errors.New("form is not one request or one response")
	}
	name := requestName
	if form.Has(parameterName) {
		name = parameterName
	}
	raw, err := unbase64(form.Get(name))
	if err != nil {
		return nil, "", err
	}
	root, err := parse(raw)
	if err != nil {
		return nil, "", err
	}
	if err := kindOf(root, name); err != nil {
		return nil, "", err
	}
	if count(root, nsSignature, "Signature") != 1 {
		return nil, "", federation.Because(federation.ReasonSignature, errors.New("message has not exactly one signature"))
	}
	vouched, err := verify(root, m.keys)
	if err != nil {
		return nil, "", federation.Because(federation.ReasonSignature, err)
	}
	return vouched.el, form.Get(relayName), nil
}

// redirectedLogout reads a message by HTTP-Redirect. The signature is over the very
// text of the query, in the order of the specification (SAML bindings section
// 3.4.4.1), so that text is taken apart here and never written again.
func redirectedLogout(query string, m *metadata) (*etree.Element, string, error) {
	if len(query) > maxLogoutQuery {
		return nil, "", errors.New("query is too long")
	}
	raw, plain := map[string]string{}, map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		decoded, err := url.QueryUnescape(value)
		if _, twice := raw[name]; twice || err != nil {
			return nil, "", errors.New("query has a parameter that stands twice or is malformed")
		}
		switch name {
		case requestName, parameterName, relayName, "SigAlg", "Signature":
		default:
			return nil, "", errors.New("query has an unknown parameter")
		}
		raw[name], plain[name] = part, decoded
	}
	name := requestName
	if _, response := raw[parameterName]; response {
		name = parameterName
	}
	if len(raw[requestName]) > 0 && len(raw[parameterName]) > 0 || raw[name] == "" || raw["SigAlg"] == "" || raw["Signature"] == "" {
		return nil, "", errors.New("query is not one signed request or response")
	}
	signedText := raw[name]
	if relay, given := raw[relayName]; given {
		signedText += "&" + relay
	}
	signedText += "&" + raw["SigAlg"]
	if err := m.vouchesFor(signedText, plain["SigAlg"], plain["Signature"]); err != nil {
		return nil, "", federation.Because(federation.ReasonSignature, err)
	}
	root, err := inflated(plain[name])
	if err != nil {
		return nil, "", err
	}
	if err := kindOf(root, name); err != nil {
		return nil, "", err
	}
	if count(root, nsSignature, "Signature") != 0 { // section 3.4.4.1: it is to be taken out
		return nil, "", federation.Because(federation.ReasonSignature, errors.New("message has a second signature"))
	}
	return root, plain[relayName], nil
}

// vouchesFor verifies the signature of a query by one of the pinned keys.
func (m *metadata) vouchesFor(message, algorithm, signature string) error {
	how, known := methods()[algorithm]
	if !known {
		return errors.New("signature algorithm is not one that we accept")
	}
	value, err := unbase64(signature)
	if err != nil {
		return err
	}
	for _, key := range m.keys {
		if strong(key) && how.check(key, []byte(message), value) {
			return nil
		}
	}
	return errors.New("signature is not by a pinned key")
}

// inflated parses a message of the DEFLATE encoding, which may be a bomb.
func inflated(encoded string) (*etree.Element, error) {
	deflated, err := unbase64(encoded)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), maxDocument+1))
	if err != nil {
		return nil, errors.New("message is not deflated")
	}
	return parse(raw) // which refuses what is too long
}

// kindOf holds the message against the parameter that it came in.
func kindOf(root *etree.Element, name string) error {
	want := "LogoutRequest"
	if name == parameterName {
		want = "LogoutResponse"
	}
	if !is(root, nsProtocol, want) {
		return errors.New("message is of another kind than its parameter says")
	}
	return nil
}

// logoutHead is what both messages have in common.
func (p *Provider) logoutHead(root *etree.Element) error {
	if to, _ := attr(root, "Destination"); p.cfg.SLO == "" || to != p.cfg.SLO {
		return errors.New("message is meant for another address")
	}
	return p.header(root, pending{Started: p.cfg.Now().Add(-oldestLogout).Unix()})
}

// logoutRequest reads a verified LogoutRequest (SAML core section 3.7.1).
func (p *Provider) logoutRequest(root *etree.Element) (*federation.Ended, error) {
	if err := only(root, nsAssertion+" Issuer", nsSignature+" Signature", nsAssertion+" NameID", nsProtocol+" SessionIndex"); err != nil {
		return nil, err
	}
	if err := p.logoutHead(root); err != nil {
		return nil, err
	}
	if err := p.period(root); err != nil {
		return nil, err
	}
	el, err := one(root, nsAssertion, "NameID")
	if err != nil {
		return nil, err
	}
	n, err := readNameID(el)
	if err != nil {
		return nil, err
	}
	id, _ := attr(root, "ID")
	at, _, _ := instant(root, "IssueInstant") // checked with the head
	out := &federation.Ended{Subject: p.name(n), At: at, ID: id, Until: at.Add(oldestLogout + 2*skew + time.Second)}
	for _, index := range children(root, nsProtocol, "SessionIndex") {
		s, err := text(index)
		if err != nil || s == "" || len(s) > maxSubject {
			return nil, errors.New("SessionIndex is empty, malformed or too long")
		}
		out.Sessions = append(out.Sessions, s)
	}
	if len(out.Sessions) > maxIndexes {
		return nil, errors.New("message names too many sessions")
	}
	return out, nil
}

// logoutResponse checks that this is the answer to the LogoutRequest that went with
// this state. What it answers makes no difference: our own session is over.
func (p *Provider) logoutResponse(root *etree.Element, state string) error {
	if err := only(root, nsAssertion+" Issuer", nsSignature+" Signature", nsProtocol+" Status"); err != nil {
		return err
	}
	if err := p.logoutHead(root); err != nil {
		return err
	}
	to, _ := attr(root, "InResponseTo")
	if state == "" || subtle.ConstantTimeCompare([]byte(to), []byte(logoutID(state))) != 1 {
		return errors.New("response is not to this request")
	}
	_, err := one(root, nsProtocol, "Status")
	return err
}

// Answer implements federation.Partner: a signed LogoutResponse by HTTP-Redirect
// (SAML core section 3.7.2).
func (p *Provider) Answer(ctx context.Context, e federation.Ended, relay string, done bool) (string, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	if m.sloAnswer == nil {
		return "", nil
	}
	doc := etree.NewDocument()
	el := p.message(doc, "LogoutResponse", newID(), m.sloAnswer)
	el.CreateAttr("InResponseTo", e.ID)
	status := "Success"
	if !done {
		status = "Responder"
	}
	el.CreateElement("samlp:Status").CreateElement("samlp:StatusCode").CreateAttr("Value", statusPrefix+status)
	return p.redirect(ctx, doc, parameterName, m.sloAnswer, relay)
}
