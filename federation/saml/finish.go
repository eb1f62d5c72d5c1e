package saml

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
)

const (
	// skew is how far the provider's clock may be from ours.
	skew = 10 * time.Second
	// longest is the longest life of an assertion: its ID is remembered until then.
	longest = 24 * time.Hour
	// onceAssertion is the kind of what is remembered.
	onceAssertion = "saml-assertion"
	maxSubject    = 512 // bytes
)

const (
	statusPrefix  = "urn:oasis:names:tc:SAML:2.0:status:"
	bearer        = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	formatEntity  = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
	parameterName = "SAMLResponse"
	relayName     = "RelayState"
)

// Finish implements federation.Provider for a response that came by HTTP-POST;
// answer has SAMLResponse and RelayState, and nothing else. The order matters:
// the shape of the message, then its signatures, and only then what it says. An
// error that is not an *Error means that nobody knows, for instance whether the
// assertion was used before.
func (p *Provider) Finish(ctx context.Context, r federation.Request, saved []byte, answer url.Values) (federation.Login, error) {
	login, err := p.finish(ctx, r, saved, answer)
	if e, ok := errors.AsType[*federation.Error](err); ok {
		p.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "provider's answer refused",
			slog.String("provider", string(p.cfg.ID)), slog.String("why", e.Err.Error()))
	}
	return login, err
}

func (p *Provider) finish(ctx context.Context, r federation.Request, saved []byte, answer url.Values) (federation.Login, error) {
	var pend pending
	if err := json.Unmarshal(saved, &pend); err != nil || pend.Provider != p.cfg.ID || pend.Request == "" {
		return federation.Login{}, p.failf(federation.Invalid, "answer to a sign-in that was not started here")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return federation.Login{}, err
	}
	root, err := p.readAnswer(r, answer)
	if err != nil {
		return federation.Login{}, err
	}
	if err := p.response(root, pend); err != nil {
		return federation.Login{}, p.fail(federation.Invalid, err)
	}
	if err := p.status(root, m); err != nil {
		return federation.Login{}, err
	}
	assertion, err := p.assertion(ctx, root, m)
	if err != nil {
		return federation.Login{}, err
	}
	return p.accept(ctx, r, pend, assertion)
}

// accept judges a verified assertion.
func (p *Provider) accept(ctx context.Context, r federation.Request, pend pending, assertion signed) (federation.Login, error) {
	until, err := p.conditions(assertion, pend)
	if err != nil {
		return federation.Login{}, p.fail(federation.Invalid, err)
	}
	login, err := p.judge(r, pend, assertion)
	if err != nil {
		return federation.Login{}, err
	}
	given, err := readAttributes(assertion)
	if err != nil {
		return federation.Login{}, p.fail(federation.Invalid, err)
	}
	if login.Subject, err = p.subject(assertion, given); err != nil {
		return federation.Login{}, err
	}
	p.delivered(given)
	if login.Identity, login.Dropped, err = p.identity(given); err != nil {
		return federation.Login{}, err
	}
	// Last, so that only what would be believed takes up room.
	id, _ := attr(assertion.el, "ID")
	first, err := p.cfg.Once.Consume(ctx, onceAssertion, fmt.Sprintf("%d %s %s", len(p.cfg.EntityID), p.cfg.EntityID, id), until, p.cfg.Now())
	if err != nil {
		return federation.Login{}, fmt.Errorf("provider %s: remember an assertion: %w", p.cfg.ID, err)
	}
	if !first {
		return federation.Login{}, p.failf(federation.Invalid, "assertion was used before")
	}
	return login, nil
}

// readAnswer parses the response. A query that was not posted has other
// parameters, so a response by HTTP-Redirect is refused.
func (p *Provider) readAnswer(r federation.Request, answer url.Values) (*etree.Element, error) {
	if len(answer) != 2 || len(answer[parameterName]) != 1 || len(answer[relayName]) != 1 {
		return nil, p.failf(federation.Invalid, "answer is not one response by HTTP-POST")
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get(relayName)), []byte(r.State)) != 1 {
		return nil, p.failf(federation.Invalid, "answer has another RelayState")
	}
	encoded := answer.Get(parameterName)
	if len(encoded) > base64.StdEncoding.EncodedLen(maxDocument)*80/76 { // with line ends
		return nil, p.failf(federation.Invalid, "response is too large")
	}
	raw, err := unbase64(encoded)
	if err != nil {
		return nil, p.fail(federation.Invalid, err)
	}
	root, err := parse(raw)
	if err != nil {
		return nil, p.fail(federation.Invalid, err)
	}
	return root, nil
}

// response checks that this is an answer of this provider to this request of ours
// (SAML core section 3.2.2). All of it is required, although the specification
// leaves some of it out of unsigned messages.
func (p *Provider) response(root *etree.Element, pend pending) error {
	if !is(root, nsProtocol, "Response") {
		return errors.New("message is not a response")
	}
	if err := only(root, nsAssertion+" Issuer", nsSignature+" Signature", nsProtocol+" Status",
		nsAssertion+" Assertion", nsAssertion+" EncryptedAssertion"); err != nil {
		return err
	}
	if err := p.header(root, pend); err != nil {
		return err
	}
	if to, _ := attr(root, "Destination"); to != p.cfg.ACS {
		return errors.New("response is meant for another address")
	}
	if request, _ := attr(root, "InResponseTo"); subtle.ConstantTimeCompare([]byte(request), []byte(pend.Request)) != 1 {
		return errors.New("response is not to this request")
	}
	return nil
}

// header is what a response and an assertion have in common.
func (p *Provider) header(el *etree.Element, pend pending) error {
	if version, _ := attr(el, "Version"); version != "2.0" {
		return errors.New("version is not 2.0")
	}
	if id, _ := attr(el, "ID"); !ncName.MatchString(id) {
		return errors.New("message has no ID")
	}
	issuer, err := one(el, nsAssertion, "Issuer")
	if err != nil {
		return err
	}
	if format, given := attr(issuer, "Format"); given && format != formatEntity {
		return errors.New("issuer is not an entity")
	}
	if name, err := text(issuer); err != nil || strings.Trim(name, " \t\r\n") != p.cfg.EntityID {
		return errors.New("issuer is not this provider")
	}
	at, given, err := instant(el, "IssueInstant")
	switch {
	case err != nil:
		return err
	case !given || at.After(p.cfg.Now().Add(skew)) || at.Before(time.Unix(pend.Started, 0).Add(-skew)):
		return errors.New("issued before it was asked for, or in the future")
	}
	return nil
}

// status returns nil for a success. An error that the provider reports is, as
// everywhere, not proven: it leads back to the choice and nowhere else. But if it is
// signed the signature must hold, and no assertion may come with it.
func (p *Provider) status(root *etree.Element, m *metadata) error {
	el, err := one(root, nsProtocol, "Status")
	if err != nil {
		return p.fail(federation.Invalid, err)
	}
	code, err := one(el, nsProtocol, "StatusCode")
	if err != nil {
		return p.fail(federation.Invalid, err)
	}
	top, _ := attr(code, "Value")
	if top == statusPrefix+"Success" {
		return nil
	}
	if len(children(root, nsSignature, "Signature")) > 0 {
		if _, err := verify(root, m.keys); err != nil {
			return p.fail(federation.Invalid, err)
		}
	}
	if count(root, nsAssertion, "Assertion")+count(root, nsAssertion, "EncryptedAssertion") > 0 {
		return p.failf(federation.Invalid, "response is an error and a success")
	}
	detail := ""
	for _, sub := range children(code, nsProtocol, "StatusCode") {
		detail, _ = attr(sub, "Value")
	}
	return p.refusal(top, detail)
}

// refusal sorts an error of the provider. Its StatusMessage is for nobody's eyes:
// a stranger wrote it.
func (p *Provider) refusal(top, detail string) error {
	switch detail {
	case statusPrefix + "NoAuthnContext":
		return p.failf(federation.TooWeak, "answered NoAuthnContext")
	case statusPrefix + "AuthnFailed", statusPrefix + "RequestDenied":
		return p.failf(federation.Cancelled, "answered AuthnFailed or RequestDenied")
	}
	if top == statusPrefix+"Responder" {
		return p.failf(federation.Refused, "answered Responder")
	}
	return p.failf(federation.Refused, "answered another error")
}

// assertion returns the one assertion, verified: itself signed, or part of a signed
// response. Every signature that is there must hold.
func (p *Provider) assertion(ctx context.Context, root *etree.Element, m *metadata) (signed, error) {
	fail := func(err error) (signed, error) { return signed{}, p.fail(federation.Invalid, err) }
	plain, sealed := children(root, nsAssertion, "Assertion"), children(root, nsAssertion, "EncryptedAssertion")
	if len(plain)+len(sealed) != 1 || count(root, nsAssertion, "Assertion")+count(root, nsAssertion, "EncryptedAssertion") != 1 {
		return fail(errors.New("response has not exactly one assertion"))
	}
	whole, err := envelope(root, m)
	if err != nil {
		return fail(err)
	}
	if len(plain) == 1 {
		if p.cfg.RequireEncryption {
			return fail(errors.New("assertion is not encrypted"))
		}
		a, err := trusted(plain[0], whole, root, m)
		if err != nil {
			return fail(err)
		}
		return a, nil
	}
	if count(root, nsSignature, "Signature") != len(children(root, nsSignature, "Signature")) {
		return fail(errors.New("a signature stands where none belongs"))
	}
	el, err := p.decrypt(ctx, sealed[0], whole)
	if err != nil {
		return signed{}, err
	}
	if !is(el, nsAssertion, "Assertion") || count(el, nsAssertion, "Assertion") != 1 || count(el, nsAssertion, "EncryptedAssertion") != 0 {
		return fail(errors.New("what was encrypted is not exactly one assertion"))
	}
	// Its own signature is required: that of the response is over the ciphertext, and
	// whoever signs a ciphertext need not know what is in it.
	a, err := trusted(el, nil, el, m)
	if err != nil {
		return fail(err)
	}
	return a, nil
}

// envelope verifies the response's own signature if it has one; nil: it has none.
func envelope(root *etree.Element, m *metadata) (*signed, error) {
	if len(children(root, nsSignature, "Signature")) == 0 {
		return nil, nil
	}
	s, err := verify(root, m.keys)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// trusted verifies an assertion, and that there is no signature in the document
// but where one belongs.
func trusted(assertion *etree.Element, whole *signed, root *etree.Element, m *metadata) (signed, error) {
	own := len(children(assertion, nsSignature, "Signature"))
	expected := own
	if whole != nil {
		expected++
	}
	if count(root, nsSignature, "Signature") != expected {
		return signed{}, errors.New("a signature stands where none belongs")
	}
	switch {
	case own > 0:
		return verify(assertion, m.keys)
	case whole != nil:
		return whole.within(assertion)
	}
	return signed{}, errors.New("neither the assertion nor the response is signed")
}
