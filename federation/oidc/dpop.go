package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// maxNonce is the longest DPoP nonce that we send back, in bytes.
const maxNonce = 512

// possession proves that we hold the key that an access token is bound to (RFC
// 9449). Its key lives as long as one sign-in: nobody is recognised by it, and there
// is none to steal. nil: no proofs are sent.
type possession struct {
	key   *keys.Ephemeral
	nonce string // the last one that the provider gave; "": none
	now   func() time.Time
}

// possession makes the key of one sign-in, nil where none is wanted.
func (p *Provider) possession(m *metadata) (*possession, error) {
	switch {
	case p.cfg.DPoP == Off, p.cfg.DPoP == Auto && !m.dpop:
		return nil, nil
	}
	key, err := keys.NewEphemeral()
	if err != nil {
		return nil, p.fail(federation.Unavailable, err)
	}
	return &possession{key: key, now: p.cfg.Now}, nil
}

// prove adds a proof for req; access is "" at the token endpoint (RFC 9449 section
// 4.2).
func (d *possession) prove(req *http.Request, access string) error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	where := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}
	proof := struct {
		ID       string `json:"jti"`
		Method   string `json:"htm"`
		Where    string `json:"htu"`
		IssuedAt int64  `json:"iat"`
		Token    string `json:"ath,omitempty"`
		Nonce    string `json:"nonce,omitempty"`
	}{
		ID: base64.RawURLEncoding.EncodeToString(id[:]), Method: req.Method, Where: where.String(),
		IssuedAt: d.now().Unix(), Nonce: d.nonce,
	}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		proof.Token = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(proof)
	if err != nil {
		return err
	}
	jws, err := d.key.Sign("dpop+jwt", payload)
	if err != nil {
		return err
	}
	req.Header.Set("DPoP", jws)
	return nil
}

// take remembers the nonce of an answer. It reports whether the request is to be made
// again: the provider refused it for want of this very nonce (sections 8 and 9).
func (d *possession) take(a outbound.Answer) (again bool) {
	nonce := a.Header.Get("DPoP-Nonce")
	if !visible(nonce, maxNonce) || nonce == d.nonce {
		return false
	}
	d.nonce = nonce
	switch a.Status {
	case http.StatusUnauthorized:
		return true
	case http.StatusBadRequest:
		members, err := protocol.Object(a.Body)
		if err != nil {
			return false
		}
		code, _, _ := object(members).text("error")
		return code == "use_dpop_nonce"
	}
	return false
}

// proven makes a request and calls it with a proof, at most twice: a provider that
// wants another nonce each time is not obeyed for ever. d may be nil: no proof.
func (p *Provider) proven(d *possession, what, access string, request func() (*http.Request, error)) (outbound.Answer, error) {
	for again := true; ; again = false {
		req, err := request()
		if err != nil {
			return outbound.Answer{}, err
		}
		if d == nil {
			return p.call(what, req)
		}
		if err := d.prove(req, access); err != nil {
			return outbound.Answer{}, p.fail(federation.Unavailable, err)
		}
		a, err := p.call(what, req)
		if err != nil || !d.take(a) || !again {
			return a, err
		}
	}
}
