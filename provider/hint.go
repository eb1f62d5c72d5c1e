package provider

import (
	"encoding/json"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/protocol"
)

// hintKeys is our own published keys, parsed once per change.
type hintKeys struct {
	etag string
	set  jose.JSONWebKeySet
}

// signingAlgs is every algorithm that we or our clients may sign with.
func signingAlgs() []string { return []string{"ES256", "EdDSA", "PS256", "RS256"} }

// hintedSubject returns the subject of an ID token that we issued to this client.
func (p *Provider) hintedSubject(client protocol.ClientID, compact string) (string, bool) {
	t, ok := p.hinted(compact)
	return t.Sub, ok && t.Aud == string(client)
}

// hint is what we read of an ID token of ours that comes back.
type hint struct {
	Iss, Aud, Sub, SID string
	AtHash             string `json:"at_hash"` // not in a signed userinfo answer, which looks the same else
}

// hinted reads an ID token that we issued to anybody. Its age does not matter
// (OpenID Connect Core section 3.1.2.1, RP-Initiated Logout section 2).
func (p *Provider) hinted(compact string) (hint, bool) {
	algs := []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.PS256, jose.RS256}
	jws, err := jose.ParseSignedCompact(compact, algs)
	if err != nil {
		return hint{}, false
	}
	h := jws.Signatures[0].Protected
	keys := p.ownKeys().Key(h.KeyID)
	// The key's own algorithm counts, not the header's word alone (RFC 8725 section 3.1).
	if len(keys) != 1 || keys[0].Algorithm != h.Algorithm || h.ExtraHeaders[jose.HeaderType] != "JWT" {
		return hint{}, false
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		return hint{}, false
	}
	var t hint
	if _, err := protocol.Object(payload); err != nil || json.Unmarshal(payload, &t) != nil {
		return hint{}, false
	}
	return t, t.Iss == p.Issuer && t.Aud != "" && t.Sub != "" && t.AtHash != ""
}

func (p *Provider) ownKeys() *jose.JSONWebKeySet {
	body, etag := p.Keys.JWKS()
	if k := p.hints.Load(); k != nil && k.etag == etag {
		return &k.set
	}
	k := &hintKeys{etag: etag}
	if json.Unmarshal(body, &k.set) != nil {
		return &jose.JSONWebKeySet{}
	}
	p.hints.Store(k)
	return &k.set
}
