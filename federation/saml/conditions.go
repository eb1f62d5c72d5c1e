package saml

import (
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

// conditions checks that the assertion is of this provider, about this sign-in, for
// us alone and for now (SAML core section 2.3 to 2.5, profiles section 4.1.4.3). It
// returns when nobody will accept it any more.
func (p *Provider) conditions(assertion signed, pend pending) (time.Time, error) {
	el := assertion.el
	if err := only(el, nsAssertion+" Issuer", nsSignature+" Signature", nsAssertion+" Subject", nsAssertion+" Conditions",
		nsAssertion+" AuthnStatement", nsAssertion+" AttributeStatement"); err != nil {
		return time.Time{}, err
	}
	if err := p.header(el, pend); err != nil {
		return time.Time{}, err
	}
	if err := p.audience(el); err != nil {
		return time.Time{}, err
	}
	return p.confirmation(el, pend)
}

// audience checks Conditions. One that we do not know makes an assertion void
// (section 2.5.1.1).
func (p *Provider) audience(el *etree.Element) error {
	c, err := one(el, nsAssertion, "Conditions")
	if err != nil {
		return err
	}
	if err := only(c, nsAssertion+" AudienceRestriction", nsAssertion+" OneTimeUse", nsAssertion+" ProxyRestriction"); err != nil {
		return err
	}
	if err := p.period(c); err != nil {
		return err
	}
	restrictions := children(c, nsAssertion, "AudienceRestriction")
	if len(restrictions) == 0 {
		return errors.New("assertion is for no audience")
	}
	for _, r := range restrictions {
		ours := false
		for _, a := range children(r, nsAssertion, "Audience") {
			name, err := text(a)
			ours = ours || err == nil && strings.Trim(name, " \t\r\n") == p.cfg.OurEntityID
		}
		if !ours {
			return errors.New("assertion is for another audience")
		}
	}
	return nil
}

// period checks NotBefore and NotOnOrAfter where they are given.
func (p *Provider) period(el *etree.Element) error {
	now := p.cfg.Now()
	from, given, err := instant(el, "NotBefore")
	if err != nil || given && now.Add(skew).Before(from) {
		return errors.New(el.Tag + ": not valid yet, or malformed")
	}
	until, given, err := instant(el, "NotOnOrAfter")
	if err != nil || given && !now.Add(-skew).Before(until) {
		return errors.New(el.Tag + ": not valid any more, or malformed")
	}
	return nil
}

// confirmation finds the one bearer confirmation.
func (p *Provider) confirmation(el *etree.Element, pend pending) (time.Time, error) {
	subject, err := one(el, nsAssertion, "Subject")
	if err != nil {
		return time.Time{}, err
	}
	c, err := one(subject, nsAssertion, "SubjectConfirmation")
	if err != nil {
		return time.Time{}, err
	}
	if m, _ := attr(c, "Method"); m != bearer {
		return time.Time{}, errors.New("assertion is not for its bearer")
	}
	data, err := one(c, nsAssertion, "SubjectConfirmationData")
	if err != nil {
		return time.Time{}, err
	}
	if to, _ := attr(data, "Recipient"); to != p.cfg.ACS {
		return time.Time{}, errors.New("assertion is for another recipient")
	}
	if request, _ := attr(data, "InResponseTo"); subtle.ConstantTimeCompare([]byte(request), []byte(pend.Request)) != 1 {
		return time.Time{}, errors.New("assertion is not about this request")
	}
	if err := p.period(data); err != nil {
		return time.Time{}, err
	}
	until, given, err := instant(data, "NotOnOrAfter")
	if err != nil || !given || until.After(p.cfg.Now().Add(longest)) {
		return time.Time{}, errors.New("assertion has no end, or one that is too far away")
	}
	return until.Add(skew + time.Second), nil
}

// judge holds the sign-in against what was asked for: its level and its age.
func (p *Provider) judge(r federation.Request, pend pending, assertion signed) (federation.Login, error) {
	fail := func(kind federation.Kind, err error) (federation.Login, error) {
		return federation.Login{}, p.fail(kind, err)
	}
	statement, err := one(assertion.el, nsAssertion, "AuthnStatement")
	if err != nil {
		return fail(federation.Invalid, err)
	}
	level, err := p.level(statement)
	if err != nil {
		return federation.Login{}, err
	}
	if r.MinACR != "" && !level.Reaches(r.MinACR) {
		return federation.Login{}, p.failf(federation.TooWeak, "sign-in does not reach %s", r.MinACR)
	}
	if until, given, err := instant(statement, "SessionNotOnOrAfter"); err != nil || given && !p.cfg.Now().Add(-skew).Before(until) {
		return fail(federation.Invalid, errors.New("session there is over, or its end malformed"))
	}
	at, given, err := instant(statement, "AuthnInstant")
	if err != nil || !given || at.After(p.cfg.Now().Add(skew)) {
		return fail(federation.Invalid, errors.New("AuthnInstant is missing, malformed or in the future"))
	}
	if oldest, asked := oldestSignIn(r, pend); asked && at.Before(oldest) {
		return fail(federation.TooOld, errors.New("sign-in is older than was asked"))
	}
	return federation.Login{Provider: p.cfg.ID, Issuer: p.cfg.EntityID, ACR: level, AuthTime: at.Truncate(time.Second)}, nil
}

// level is what the sign-in is worth: what the operator says of its class, and at
// most the provider's maximum. No class, or one that nobody has mapped, is no level.
func (p *Provider) level(statement *etree.Element) (protocol.ACR, error) {
	context, err := one(statement, nsAssertion, "AuthnContext")
	if err != nil {
		return "", p.fail(federation.Invalid, err)
	}
	classes := children(context, nsAssertion, "AuthnContextClassRef")
	if len(classes) > 1 {
		return "", p.failf(federation.Invalid, "sign-in has several authentication contexts")
	}
	if len(classes) == 0 {
		return "", p.failf(federation.TooWeak, "sign-in has no authentication context class")
	}
	class, err := text(classes[0])
	if err != nil {
		return "", p.fail(federation.Invalid, err)
	}
	level, known := p.cfg.ACR.Map[strings.Trim(class, " \t\r\n")]
	if !known {
		return "", p.failf(federation.TooWeak, "sign-in has an authentication context that is worth nothing here")
	}
	return protocol.WeakerACR(level, p.cfg.ACR.Max), nil
}

// oldestSignIn is the earliest AuthnInstant that will do; age counts from the
// moment when we sent the person off.
func oldestSignIn(r federation.Request, pend pending) (time.Time, bool) {
	started := time.Unix(pend.Started, 0).Add(-skew)
	switch {
	case r.ForceLogin:
		return started, true
	case r.MaxAge != nil:
		return started.Add(-max(0, *r.MaxAge).Truncate(time.Second)), true
	}
	return time.Time{}, false
}

// subject names the account: by the attribute that the operator chose, or by the
// persistent NameID with its qualifiers. A name of another kind may be somebody
// else's tomorrow. With a civil identity there need be none.
func (p *Provider) subject(assertion signed, given attributes) (string, error) {
	name, err := p.accountName(assertion, given)
	switch {
	case err == nil:
		return name, nil
	case p.cfg.Schema.Civil:
		return "", nil
	}
	return "", p.fail(federation.Invalid, err)
}

func (p *Provider) accountName(assertion signed, given attributes) (string, error) {
	if a := p.cfg.SubjectAttribute; a != "" {
		if v := given[a]; len(v) == 1 && visible(v[0]) {
			return a + " " + v[0], nil // two words: never what a NameID gives
		}
		return "", errors.New("the attribute that names the account is missing or malformed")
	}
	subject, err := one(assertion.el, nsAssertion, "Subject")
	if err != nil {
		return "", err
	}
	id, err := one(subject, nsAssertion, "NameID")
	if err != nil {
		return "", err
	}
	if format, _ := attr(id, "Format"); format != formatPersistent {
		return "", errors.New("NameID is not persistent")
	}
	value, err := text(id)
	if err != nil {
		return "", err
	}
	whose, named := attr(id, "NameQualifier")
	forWhom, meant := attr(id, "SPNameQualifier")
	if !named {
		whose = p.cfg.EntityID // SAML core section 8.3.7
	}
	if !meant {
		forWhom = p.cfg.OurEntityID
	}
	if !visible(value) || !visible(whose) || !visible(forWhom) {
		return "", errors.New("NameID or a qualifier of it is malformed")
	}
	if whose == p.cfg.EntityID && forWhom == p.cfg.OurEntityID {
		return value, nil
	}
	return value + " " + whose + " " + forWhom, nil // one word or three: none is another's
}

// visible reports whether s is one word of visible ASCII.
func visible(s string) bool {
	return s != "" && len(s) <= maxSubject && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
}
