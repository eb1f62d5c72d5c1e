package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
)

// How far apart the times of an ID token may lie. It was made while we waited
// for it, so an old one was made for something else.
const (
	longestLife = 24 * time.Hour
	oldestIssue = 10 * time.Minute
)

// verifyIDToken checks the signature first and reads claims only then (OpenID
// Connect Core section 3.1.3.7).
func (p *Provider) verifyIDToken(ctx context.Context, m *metadata, t tokens, code string, pend pending) (object, error) {
	payload, err := m.keys.Verify(ctx, t.id, p.cfg.IDTokenSigningAlg)
	if err != nil {
		return nil, p.unverified(err)
	}
	// Another kind of token by the same issuer is no ID token (RFC 8725 section 3.11).
	if typ, err := keys.Typ(t.id); err != nil || typ != "" && typ != "jwt" {
		return nil, p.because(federation.ReasonDocument, "ID token is a token of another kind")
	}
	members, err := protocol.Object(payload)
	if err != nil {
		return nil, p.fail(federation.Invalid, federation.Because(federation.ReasonDocument, err))
	}
	claims := object(members)
	if iss, _, err := claims.text("iss"); err != nil || iss != p.cfg.Issuer {
		return nil, p.because(federation.ReasonIssuer, "ID token: another issuer")
	}
	if why := p.checkAudience(claims); why != "" {
		return nil, p.because(federation.ReasonAudience, "ID token: %s", why)
	}
	if why := checkTimes(claims, p.cfg.Now()); why != "" {
		return nil, p.because(federation.ReasonTime, "ID token: %s", why)
	}
	if why := p.checkBinding(claims, t.access, code, pend.Nonce); why != "" {
		return nil, p.because(federation.ReasonBinding, "ID token: %s", why)
	}
	return claims, nil
}

// checkAudience says why a token is not for us alone, or "".
func (p *Provider) checkAudience(claims object) string {
	audience, err := claims.texts("aud")
	if err != nil || len(audience) == 0 {
		return "no audience"
	}
	for _, a := range audience {
		if a != p.cfg.ClientID {
			return "another audience" // even beside us: a stranger could replay it here
		}
	}
	if azp, ok, err := claims.text("azp"); ok && (err != nil || azp != p.cfg.ClientID) {
		return "another authorized party"
	}
	return ""
}

// checkTimes says why a token is not of now, or "".
func checkTimes(claims object, now time.Time) string {
	exp, hasExp, errExp := claims.date("exp")
	iat, hasIat, errIat := claims.date("iat")
	nbf, _, errNbf := claims.date("nbf")
	switch {
	case !hasExp || errExp != nil || !hasIat || errIat != nil || errNbf != nil:
		return "a time is missing or malformed"
	case !now.Before(exp.Add(skew)):
		return "expired"
	case exp.After(now.Add(longestLife + skew)):
		return "expires too late"
	case iat.After(now.Add(skew)) || nbf.After(now.Add(skew)):
		return "not valid yet"
	case iat.Before(now.Add(-oldestIssue)):
		return "issued too long ago"
	}
	return ""
}

// checkBinding says why a token does not belong to this sign-in, or "".
func (p *Provider) checkBinding(claims object, access, code, want string) string {
	nonce, _, err := claims.text("nonce")
	if err != nil || want == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(want)) != 1 {
		return "another nonce"
	}
	for name, value := range map[string]string{"at_hash": access, "c_hash": code} {
		got, ok, err := claims.text(name)
		if ok && (err != nil || subtle.ConstantTimeCompare([]byte(got), []byte(halfHash(p.cfg.IDTokenSigningAlg, value))) != 1) {
			return "another " + name
		}
	}
	return ""
}

// halfHash is at_hash and c_hash (OpenID Connect Core sections 3.1.3.6 and
// 3.3.2.11); Ed25519 goes with SHA-512.
func halfHash(alg, value string) string {
	var sum []byte
	switch alg {
	case "ES384":
		s := sha512.Sum384([]byte(value))
		sum = s[:]
	case "ES512", "EdDSA":
		s := sha512.Sum512([]byte(value))
		sum = s[:]
	default:
		s := sha256.Sum256([]byte(value))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// level maps acr. It is never raised: an unknown value is no level, and one above
// the provider's maximum counts as the maximum.
func (p *Provider) level(claims object) (protocol.ACR, error) {
	value, present, err := claims.text("acr")
	if err != nil {
		return "", p.because(federation.ReasonLevel, "acr is not a string")
	}
	if !present {
		return protocol.WeakerACR(p.cfg.ACR.Default, p.cfg.ACR.Max), nil
	}
	return protocol.WeakerACR(p.cfg.ACR.Map[value], p.cfg.ACR.Max), nil
}
