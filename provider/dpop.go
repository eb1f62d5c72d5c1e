package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	maxProof   = 8 << 10          // bytes
	proofAge   = 60 * time.Second // how long ago a proof may have been made
	proofSkew  = 10 * time.Second // how far apart the clocks of replicas may be
	proofAhead = 30 * time.Second // how far clocks of clients may be ahead (FAPI 2.0 wants 10 s at least, 60 s at most)
)

// dpopAlgs are the algorithms of proofs. RS256 is not among them: nobody has old
// DPoP software to carry along.
func dpopAlgs() []string { return []string{"ES256", "EdDSA", "PS256"} }

// proof is what a DPoP proof says (RFC 9449 section 4.2); times are seconds since
// 1970, 0 when absent.
type proof struct {
	jti, htm, htu, nonce, ath string
	iat, nbf, exp             int64
}

// errProof is the answer to every proof that does not hold. It says why: whoever
// sent the proof made it, and the key in it is no secret.
func errProof(why string) *protocol.Error {
	return protocol.Fail(protocol.InvalidDPoPProof, nil, "the DPoP proof "+why)
}

// proofHeader returns the one proof of a request, "" when it has none (section 4.3,
// check 1).
func proofHeader(r *http.Request) (string, error) {
	values := r.Header["Dpop"] // as net/http spells it
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", errProof("is not the only one")
	case values[0] == "" || len(values[0]) > maxProof:
		return "", errProof("is empty or longer than 8 KiB")
	}
	return values[0], nil
}

// freshProof looks at the nonce of a proof, if the request has one, before anything
// is believed or used up: a client that has to come again with a fresh nonce comes
// with the same code, and may come with the same client assertion. The nonce is no
// secret, so that it may be read from a proof that nobody has verified.
func (p *Provider) freshProof(h http.Header, r *http.Request) error {
	compact, err := proofHeader(r)
	if compact == "" || err != nil {
		return err
	}
	_, rest, _ := strings.Cut(compact, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return errProof("is not a compact JWS")
	}
	claims, err := parseProof(raw)
	if err != nil {
		return err
	}
	return p.checkNonce(r.Context(), h, claims.nonce)
}

// provenKey verifies the proof of a request to a route that issues something and
// uses it up. It returns the thumbprint of the key that the sender has, "" when it
// sends no proof. The nonce was looked at by freshProof.
func (p *Provider) provenKey(r *http.Request) (string, error) {
	compact, err := proofHeader(r)
	if compact == "" || err != nil {
		return "", err
	}
	claims, jkt, err := p.verifyProof(r, compact)
	if err != nil {
		return "", err
	}
	return jkt, p.useUp(r, claims, jkt)
}

// holdsKey checks that the request proves the key to which token is bound, for this
// very token. A nonce is not required here: the digest of the token, which lives for
// minutes, keeps anybody from making proofs for later. One that is there must be ours.
func (p *Provider) holdsKey(h http.Header, r *http.Request, token, jkt string) error {
	compact, err := proofHeader(r)
	if err != nil {
		return err
	}
	if compact == "" {
		return errProof("is missing")
	}
	claims, got, err := p.verifyProof(r, compact)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(token))
	if !sameKey(claims.ath, base64.RawURLEncoding.EncodeToString(sum[:])) {
		return errProof("is for another access token")
	}
	if !sameKey(got, jkt) {
		return errToken("bound to another key")
	}
	if claims.nonce != "" {
		if err := p.checkNonce(r.Context(), h, claims.nonce); err != nil {
			return err
		}
	}
	return p.useUp(r, claims, jkt)
}

// verifyProof checks type and signature, then every claim but nonce and ath (section
// 4.3). Whether it was seen before is for useUp, once it is known who asks.
func (p *Provider) verifyProof(r *http.Request, compact string) (proof, string, error) {
	if typ, err := keys.Typ(compact); err != nil || typ != "dpop+jwt" {
		return proof{}, "", errProof("is not a JWS of the type dpop+jwt")
	}
	payload, jkt, err := keys.VerifyEmbedded(compact, dpopAlgs()...)
	if err != nil {
		return proof{}, "", protocol.Fail(protocol.InvalidDPoPProof, err, "the DPoP proof is not signed by the public key in its header with an algorithm that is accepted")
	}
	claims, err := parseProof(payload)
	if err != nil {
		return proof{}, "", err
	}
	uri := p.Issuer + r.URL.Path
	if alias := p.aliasOf(r.URL.Path); sameURI(claims.htu, alias) {
		uri = alias
	}
	if why := claims.fault(r.Method, uri, p.Now()); why != "" {
		return proof{}, "", errProof(why)
	}
	return claims, jkt, nil
}

// fault says which claim does not hold, or "". exp and nbf are not asked for (section
// 4.2); a proof that has them means them.
func (c proof) fault(method, uri string, now time.Time) string {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	got, ok := normalURI(c.htu)
	want, _ := normalURI(uri)
	switch {
	case c.htm != method:
		return "is for another method"
	case !ok || got != want:
		return "is for another URI"
	case at(c.iat).Before(now.Add(-proofAge)):
		return "is more than 60 seconds old"
	case at(c.iat).After(now.Add(proofAhead)) || at(c.nbf).After(now.Add(proofAhead)):
		return "is not valid yet"
	case c.exp != 0 && !now.Before(at(c.exp)):
		return "has expired"
	}
	return ""
}

// useUp accepts a proof once (section 11.1). It is remembered for as long as it
// could be accepted, by its key: nobody can use up another one's. An unknown outcome is
// temporarily_unavailable, and the client's next proof is a new one.
func (p *Provider) useUp(r *http.Request, c proof, jkt string) error {
	sum := sha256.Sum256([]byte(jkt + "\x00" + c.jti))
	until := time.Unix(c.iat, 0).Add(proofAge + proofSkew)
	first, err := p.Once.Consume(r.Context(), "dpop", hex.EncodeToString(sum[:]), until, p.Now())
	if err != nil {
		return unavailable(err)
	}
	failpoint.Here("dpop.after-consume")
	if !first {
		return errProof("was used before")
	}
	return nil
}

// parseProof is strict about what we read: a time that is a string or a fraction and
// a member that occurs twice are refused. Members that we do not know are ignored.
func parseProof(payload []byte) (proof, error) {
	m, err := protocol.Object(payload)
	if err != nil {
		return proof{}, errProof("is not a JSON object")
	}
	var c proof
	for name, dst := range map[string]*string{"jti": &c.jti, "htm": &c.htm, "htu": &c.htu, "nonce": &c.nonce, "ath": &c.ath} {
		if m[name] == nil && (name == "nonce" || name == "ath") {
			continue
		}
		var ok bool
		if *dst, ok = text(m[name]); !ok || *dst == "" {
			return proof{}, errProof("has no " + name + ", or one that is no text")
		}
	}
	for name, dst := range map[string]*int64{"iat": &c.iat, "nbf": &c.nbf, "exp": &c.exp} {
		if m[name] == nil && name != "iat" {
			continue
		}
		if json.Unmarshal(m[name], dst) != nil || *dst <= 0 || *dst > 1<<40 {
			return proof{}, errProof("has no " + name + ", or one that is no time")
		}
	}
	if len(c.jti) > maxJTI {
		return proof{}, errProof("has a jti of more than 256 bytes")
	}
	return c, nil
}

// normalURI is an absolute http or https URI without its query and fragment, in the
// one spelling that we compare (section 4.3, check 9; RFC 3986 sections 6.2.2 and
// 6.2.3). Dot segments stay as they are: they lead to no path of ours.
func normalURI(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme { // in lower case
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	return u.Scheme + "://" + host + u.Path, true
}
