package saml

import (
	"encoding/base64"
	"errors"
	"net/url"
	"testing"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
)

// Whatever a stranger posts, it does not panic and is not believed: the only
// messages that are signed here are about account-1.
func FuzzResponse(f *testing.F) {
	w := newWorld(f)
	saved, request := w.begin(federation.Request{})
	a := sign(w.assertion(request), idpKey())
	for _, seed := range []*etree.Element{
		w.response(request), w.response(request, a), w.response(request, w.evil(request), a.Copy()),
		sign(w.response(request, w.assertion(request)), idpKey()), w.response(request, encrypted(a, gcm128, oaep1)),
	} {
		f.Add([]byte(mustXML(seed)))
	}
	f.Add([]byte(`<a xmlns="urn:x" xmlns:b="urn:y" b:c="d"><![CDATA[x]]></a>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w.t = t
		w.once.mu.Lock()
		w.once.seen = nil
		w.once.mu.Unlock()
		login, err := w.finish(federation.Request{}, saved, base64.StdEncoding.EncodeToString(raw))
		var e *federation.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("error %v is not one of a provider", err)
		}
		if err == nil && (login.Subject != "account-1" || login.Identity.Pivot.GivenName != canary) {
			t.Errorf("believed: %q", login.Subject)
		}
	})
}

// Metadata that is read at all leads to an address that a browser may be sent to.
func FuzzMetadata(f *testing.F) {
	w := newWorld(f)
	f.Add(idpMetadata(nil, idpKey()))
	f.Add(*signedMetadata(metadataKey(), nil, idpKey(), ecKey()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := w.p.readMetadata(raw, nil)
		if err == nil && (m.sso.Scheme != "https" || m.sso.Host == "id.test" || len(m.keys) == 0) {
			t.Errorf("address %q with %d keys", m.sso, len(m.keys))
		}
	})
}

// The only logout messages that are signed here are about account-1 and to one state.
func FuzzLogout(f *testing.F) {
	w := newWorld(f)
	for _, el := range []*etree.Element{w.logoutRequest(), sign(w.logoutRequest(), idpKey()), w.logoutResponse("st")} {
		f.Add(signQuery(unsignedQuery("SAMLRequest", el, "st"), idpKey()), []byte(mustXML(el)))
		f.Add(signQuery(unsignedQuery("SAMLResponse", el, "st"), idpKey()), []byte(mustXML(el)))
	}
	f.Fuzz(func(t *testing.T, query string, raw []byte) {
		posted := base64.StdEncoding.EncodeToString(raw)
		for _, form := range []url.Values{nil, {"SAMLRequest": {posted}}, {"SAMLResponse": {posted}, "RelayState": {"st"}}} {
			m, err := w.p.Logout(t.Context(), query, form)
			var e *federation.Error
			switch {
			case err != nil && !errors.As(err, &e):
				t.Errorf("error %v is not one of a provider", err)
			case err != nil:
			case m.Ended == nil && m.Relay != "st":
				t.Errorf("an answer to %q is believed", m.Relay)
			case m.Ended != nil && m.Ended.Subject != w.p.name(nameID{Value: "account-1", Format: formatPersistent, SPQualifier: ours}):
				t.Errorf("believed: %q", m.Ended.Subject)
			}
		}
	})
}
