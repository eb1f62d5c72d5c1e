package sandbox

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// signingAlg is the one algorithm of the sandbox.
const signingAlg = "ES256"

// grant is what a code and the access token that it buys stand for. It is
// immutable once its code is out, but for the two marks.
type grant struct {
	session
	client      *ProviderClient
	redirectURI string
	nonce       string
	challenge   string
	scopes      []protocol.Scope
	fault       Fault

	used    atomic.Bool // the code was redeemed, or tried with a wrong verifier
	revoked atomic.Bool // the code came twice (RFC 6749 section 4.1.2)
}

// token answers POST /token (RFC 6749 section 4.1.3).
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	v, client, fail := p.tokenRequest(w, r)
	if fail != nil {
		refuseToken(w, r, fail)
		return
	}
	g, fail := p.redeem(v, client)
	if fail != nil {
		refuseToken(w, r, fail)
		return
	}
	switch g.fault {
	case FaultTokenError:
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": string(protocol.ServerError)})
		return
	case FaultSlow:
		if p.Wait(r.Context(), SlowFor) != nil {
			return // nobody is listening any more
		}
	}
	access := p.tokens.put(g, p.Now())
	id, err := p.idToken(r, g, access)
	if err != nil {
		p.Log.LogAttrs(r.Context(), slog.LevelError, "sandbox: signing failed", slog.String("provider", string(p.ID)), slog.Any("err", err))
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": string(protocol.ServerError)})
		return
	}
	writeJSON(w, http.StatusOK, tokenResponse{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int(tokenTTL / time.Second), IDToken: id, Scope: joinScopes(g.scopes),
	})
}

type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	IDToken     string `json:"id_token"`
	Scope       string `json:"scope"`
}

// tokenRequest reads the form and proves the client.
func (p *provider) tokenRequest(w http.ResponseWriter, r *http.Request) (map[string]string, *ProviderClient, *protocol.Error) {
	if r.URL.RawQuery != "" {
		return nil, nil, protocol.Fail(protocol.InvalidRequest, nil, "parameters belong in the body")
	}
	f, err := form(w, r)
	if err != nil {
		return nil, nil, protocol.Fail(protocol.InvalidRequest, nil, "the form cannot be read")
	}
	v, err := params(f)
	if err != nil {
		return nil, nil, protocol.Fail(protocol.InvalidRequest, nil, "a parameter occurs twice")
	}
	id, secret, inBody := v["client_id"], v["client_secret"], v["client_secret"] != ""
	if user, pass, ok := r.BasicAuth(); ok {
		if inBody {
			return nil, nil, protocol.Fail(protocol.InvalidRequest, nil, "one way of client authentication, not two")
		}
		// Both halves are form-encoded first (RFC 6749 section 2.3.1).
		u, err1 := url.QueryUnescape(user)
		s, err2 := url.QueryUnescape(pass)
		if err1 != nil || err2 != nil || (id != "" && id != u) {
			return nil, nil, protocol.Fail(protocol.InvalidClient, nil, "client authentication does not hold")
		}
		id, secret = u, s
	}
	c, ok := p.clients[id]
	if !ok || !c.authenticates(secret) {
		return nil, nil, protocol.Fail(protocol.InvalidClient, nil, "client authentication does not hold")
	}
	return v, c, nil
}

// redeem takes the code out of circulation before it looks at anything else, so
// that nobody gets a second try at the verifier.
func (p *provider) redeem(v map[string]string, client *ProviderClient) (*grant, *protocol.Error) {
	if v["grant_type"] != "authorization_code" {
		return nil, protocol.Fail(protocol.UnsupportedGrantType, nil, "only authorization_code")
	}
	g, ok := p.codes.get(v["code"], p.Now())
	if !ok {
		return nil, protocol.Fail(protocol.InvalidGrant, nil, "the code is not valid")
	}
	if !g.used.CompareAndSwap(false, true) {
		g.revoked.Store(true)
		return nil, protocol.Fail(protocol.InvalidGrant, nil, "the code is not valid")
	}
	sum := sha256.Sum256([]byte(v["code_verifier"]))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case g.client != client:
		return nil, protocol.Fail(protocol.InvalidGrant, nil, "the code is not valid")
	case v["redirect_uri"] != g.redirectURI:
		return nil, protocol.Fail(protocol.InvalidGrant, nil, "redirect_uri is not the one of the request")
	case subtle.ConstantTimeCompare([]byte(challenge), []byte(g.challenge)) != 1:
		return nil, protocol.Fail(protocol.InvalidGrant, nil, "code_verifier does not match")
	}
	return g, nil
}

// idClaims are the claims of an ID token (OpenID Connect Core section 2).
// Identity claims are in userinfo only.
type idClaims struct {
	Iss      string       `json:"iss"`
	Sub      string       `json:"sub"`
	Aud      string       `json:"aud"`
	Exp      int64        `json:"exp"`
	Iat      int64        `json:"iat"`
	AuthTime int64        `json:"auth_time"`
	Nonce    string       `json:"nonce,omitempty"`
	ACR      protocol.ACR `json:"acr"`
	AMR      []string     `json:"amr"`
	AtHash   string       `json:"at_hash"`
}

func (p *provider) idToken(r *http.Request, g *grant, access string) (string, error) {
	now := p.Now()
	half := sha256.Sum256([]byte(access))
	c := idClaims{
		Iss: p.Issuer, Sub: p.subject(g.identity), Aud: g.client.ID,
		Iat: now.Unix(), Exp: now.Add(tokenTTL).Unix(), AuthTime: g.authTime.Unix(),
		Nonce: g.nonce, ACR: p.ACR, AMR: []string{"pwd"},
		AtHash: base64.RawURLEncoding.EncodeToString(half[:16]),
	}
	switch g.fault {
	case FaultWrongNonce:
		c.Nonce = newHandle()
	case FaultExpired:
		c.Iat, c.Exp = now.Add(-time.Hour-tokenTTL).Unix(), now.Add(-time.Hour).Unix()
	case FaultLowerACR:
		c.ACR = oneBelow(p.ACR)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	jws, err := p.Signer.Sign(r.Context(), signingAlg, "JWT", payload)
	if err == nil && g.fault == FaultBadSignature {
		jws = breakSignature(jws)
	}
	return jws, err
}

// subject is the same for a person at each visit and different at each provider.
func (p *provider) subject(id *Identity) string {
	sum := sha256.Sum256([]byte("sandbox subject\x00" + p.Issuer + "\x00" + id.ID))
	return hex.EncodeToString(sum[:16])
}

func joinScopes(ss []protocol.Scope) string {
	words := make([]string, len(ss))
	for i, s := range ss {
		words[i] = string(s)
	}
	return strings.Join(words, " ")
}

// refuseToken answers an error of the token endpoint (RFC 6749 section 5.2).
func refuseToken(w http.ResponseWriter, r *http.Request, e *protocol.Error) {
	status := http.StatusBadRequest
	if e.Code == protocol.InvalidClient {
		status = http.StatusUnauthorized
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="sandbox", charset="UTF-8"`)
		}
	}
	writeJSON(w, status, map[string]string{"error": string(e.Code), "error_description": e.Description})
}

// writeJSON is for answers to other programs, none of which may be kept
// (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the other side hung up
}
