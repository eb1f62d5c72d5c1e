package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	assertionLife = 5 * time.Minute                                          // exp may be this far ahead
	assertionSkew = 10 * time.Second                                         // clocks of clients may be this far off
	maxJTI        = 256                                                      // bytes
)

// assertion is a client assertion (RFC 7523 section 3, OpenID Connect Core section 9).
type assertion struct {
	iss, sub, aud, jti string
	exp, nbf, iat      int64 // seconds since 1970; nbf and iat 0 when absent
}

// authenticateByKey checks a client assertion: signature first, with the client's
// registered algorithm, then every claim, then that its jti was never seen. aud is
// our issuer or our token endpoint, as one string: an array could name another
// server as well, which could then use the assertion here.
func (p *Provider) authenticateByKey(ctx context.Context, cred credentials) (*clients.Client, error) {
	c, err := p.assertionClient(cred)
	if err != nil {
		return nil, err
	}
	payload, err := p.verifyAssertion(ctx, c, cred.assertion)
	if err != nil {
		return nil, err
	}
	a, err := parseAssertion(payload)
	if err != nil {
		return nil, errClient(err.Error())
	}
	if reason := p.assertionFault(a, c); reason != "" {
		return nil, errClient(reason)
	}
	sum := sha256.Sum256([]byte(string(c.ID) + "\x00" + a.jti))
	until := time.Unix(a.exp, 0).Add(assertionSkew)
	first, err := p.Once.Consume(ctx, "jti", hex.EncodeToString(sum[:]), until, p.Now())
	if err != nil {
		return nil, unavailable(err)
	}
	if !first {
		return nil, errClient("jti was used before")
	}
	return c, nil
}

// assertionClient finds whose keys to use: by client_id, or by the iss of an
// assertion that is not verified yet and that nothing else is believed of.
func (p *Provider) assertionClient(cred credentials) (*clients.Client, error) {
	id := cred.id
	if id == "" {
		if id = assertedID(cred.assertion); id == "" {
			return nil, errClient("assertion is malformed")
		}
	}
	c, ok := p.Clients().Get(id)
	if !ok || c.AuthMethod != clients.PrivateKeyJWT {
		return nil, errClient("unknown client or another method")
	}
	return c, nil
}

// assertedID is the iss of an assertion that nobody has verified, "" when it has
// none.
func assertedID(compact string) protocol.ClientID {
	_, rest, _ := strings.Cut(compact, ".")
	body, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return ""
	}
	a, err := parseAssertion(raw)
	if err != nil {
		return ""
	}
	return protocol.ClientID(a.iss)
}

func (p *Provider) verifyAssertion(ctx context.Context, c *clients.Client, compact string) ([]byte, error) {
	alg := c.AuthSigningAlg
	if alg == "" {
		if alg = headerAlg(compact); !slices.Contains(signingAlgs(), alg) {
			return nil, errClient("algorithm is not accepted")
		}
	}
	set, err := p.ClientKeys(c)
	if err != nil {
		return nil, unavailable(err)
	}
	payload, err := set.Verify(ctx, compact, alg)
	if errors.Is(err, keys.ErrUnavailable) {
		return nil, unavailable(err)
	}
	if err != nil {
		return nil, errClient("signature does not verify")
	}
	return payload, nil
}

// headerAlg is the alg that a JWS names; the key must name the same one.
func headerAlg(compact string) string {
	head, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	m, err := protocol.Object(raw)
	if err != nil {
		return ""
	}
	var alg string
	if json.Unmarshal(m["alg"], &alg) != nil {
		return ""
	}
	return alg
}

// assertionFault says which claim does not hold, or "".
func (p *Provider) assertionFault(a assertion, c *clients.Client) string {
	now := p.Now()
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	switch {
	case a.iss != string(c.ID) || a.sub != string(c.ID):
		return "iss and sub are not the client"
	case a.aud != p.Issuer && (a.aud != p.Issuer+PathToken || c.AssertionForIssuerOnly):
		return "aud is not this server"
	case !now.Before(at(a.exp)):
		return "expired"
	case at(a.exp).After(now.Add(assertionLife + assertionSkew)):
		return "exp is too far ahead"
	case at(a.nbf).After(now.Add(assertionSkew)) || at(a.iat).After(now.Add(assertionSkew)):
		return "not valid yet"
	case a.jti == "" || len(a.jti) > maxJTI:
		return "jti is missing or too long"
	}
	return ""
}

// parseAssertion is strict: an aud that is an array, a time that is a string or a
// fraction and a member that occurs twice are refused. Its errors quote nothing.
func parseAssertion(payload []byte) (assertion, error) {
	m, err := protocol.Object(payload)
	if err != nil {
		return assertion{}, errors.New("payload is not a JSON object")
	}
	var a assertion
	for name, dst := range map[string]*string{"iss": &a.iss, "sub": &a.sub, "aud": &a.aud, "jti": &a.jti} {
		if json.Unmarshal(m[name], dst) != nil || *dst == "" {
			return assertion{}, errors.New(name + " is missing or no string")
		}
	}
	for name, dst := range map[string]*int64{"exp": &a.exp, "nbf": &a.nbf, "iat": &a.iat} {
		raw, ok := m[name]
		if !ok && name != "exp" {
			continue
		}
		if json.Unmarshal(raw, dst) != nil || *dst <= 0 || *dst > 1<<40 {
			return assertion{}, errors.New(name + " is missing or no time")
		}
	}
	return a, nil
}
