package saml

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	rsaSHA256        = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	formatPersistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	timeFormat       = "2006-01-02T15:04:05Z"
	maxRelayState    = 80 // bytes (SAML bindings section 3.4.3)
)

// pending is what Finish needs of Start. Whoever keeps it keeps it sealed.
type pending struct {
	Provider protocol.ProviderID `json:"p"`
	Request  string              `json:"r"` // ID of our request
	Started  int64               `json:"t"` // seconds since 1970
}

// Start implements federation.Provider. Nothing in the request tells which service
// the person came from.
func (p *Provider) Start(ctx context.Context, r federation.Request) (federation.Started, error) {
	if r.State == "" || len(r.State) > maxRelayState {
		return federation.Started{}, p.failf(federation.Invalid, "start without a state that fits RelayState")
	}
	if r.MinACR != "" && !p.cfg.ACR.Max.Reaches(r.MinACR) {
		return federation.Started{}, p.failf(federation.TooWeak, "cannot reach %s", r.MinACR)
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return federation.Started{}, err
	}
	pend := pending{Provider: p.cfg.ID, Request: newID(), Started: p.cfg.Now().Unix()}
	saved, err := json.Marshal(pend)
	if err != nil {
		return federation.Started{}, p.fail(federation.Unavailable, err)
	}
	message, err := p.authnRequest(m.sso, r, pend)
	if err != nil {
		return federation.Started{}, p.fail(federation.Unavailable, err)
	}
	query, err := p.signedQuery(ctx, message, r.State)
	if err != nil {
		return federation.Started{}, p.fail(federation.Unavailable, err)
	}
	u := *m.sso
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return federation.Started{URL: u.String(), Pending: saved}, nil
}

// signedQuery writes the message for the HTTP-Redirect binding (SAML bindings
// section 3.4.4). What is signed is the very text that is sent.
func (p *Provider) signedQuery(ctx context.Context, message []byte, state string) (string, error) {
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.DefaultCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated.Bytes())) +
		"&RelayState=" + url.QueryEscape(state) + "&SigAlg=" + url.QueryEscape(rsaSHA256)
	sig, err := p.cfg.Keys.SignSAMLQuery(ctx, query)
	if err != nil {
		return "", err
	}
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig)), nil
}

// authnRequest writes the request (SAML core section 3.4.1).
func (p *Provider) authnRequest(sso *url.URL, r federation.Request, pend pending) ([]byte, error) {
	doc := etree.NewDocument()
	req := doc.CreateElement("samlp:AuthnRequest")
	for _, a := range [][2]string{
		{"xmlns:samlp", nsProtocol}, {"xmlns:saml", nsAssertion},
		{"ID", pend.Request}, {"Version", "2.0"}, {"IssueInstant", time.Unix(pend.Started, 0).UTC().Format(timeFormat)},
		{"Destination", sso.String()}, {"AssertionConsumerServiceURL", p.cfg.ACS}, {"ProtocolBinding", bindingPost},
	} {
		req.CreateAttr(a[0], a[1])
	}
	// A provider has no word for "let her choose": a new sign-in lets another
	// person in as well. max_age=0 is the same wish.
	if fresh(r) || r.SelectAccount {
		req.CreateAttr("ForceAuthn", "true")
	}
	req.CreateElement("saml:Issuer").SetText(p.cfg.OurEntityID)
	if p.cfg.SubjectAttribute == "" && !p.cfg.Schema.Civil {
		policy := req.CreateElement("samlp:NameIDPolicy")
		policy.CreateAttr("Format", formatPersistent)
		policy.CreateAttr("AllowCreate", "true")
	}
	if classes := p.classes(r.MinACR); len(classes) > 0 {
		wanted := req.CreateElement("samlp:RequestedAuthnContext")
		wanted.CreateAttr("Comparison", "exact")
		if p.cfg.ACR.Minimum {
			wanted.Attr[0].Value, classes = "minimum", classes[:1]
		}
		for _, c := range classes {
			wanted.CreateElement("saml:AuthnContextClassRef").SetText(c)
		}
	}
	return doc.WriteToBytes()
}

// fresh reports whether only a sign-in from now on will do.
func fresh(r federation.Request) bool {
	return r.ForceLogin || r.MaxAge != nil && *r.MaxAge < time.Second
}

// classes are the provider's names for the levels that satisfy least, weakest
// first: nobody is asked for a stronger sign-in than the service needs. All of
// them are named and the comparison is exact, because what "minimum" means is the
// provider's own ordering, and what each class is worth is ours.
func (p *Provider) classes(least protocol.ACR) []string {
	if least == "" {
		return nil
	}
	var out []string
	for class, level := range p.cfg.ACR.Map {
		if level.Reaches(least) {
			out = append(out, class)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		la, lb := p.cfg.ACR.Map[a], p.cfg.ACR.Map[b]
		switch {
		case la == lb:
			return strings.Compare(a, b)
		case lb.Reaches(la):
			return -1
		}
		return 1
	})
	return out
}

// newID is an xs:ID of 160 random bits (SAML core section 1.3.4).
func newID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process rather than return bad bytes
	return "_" + hex.EncodeToString(b[:])
}
