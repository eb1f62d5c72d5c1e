package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// maxCredential bounds each part of what a client proves itself with, in bytes.
const maxCredential = 8 << 10

// credentials is what a client sent to prove itself, by one method only.
type credentials struct {
	method    clients.AuthMethod
	id        protocol.ClientID // empty: only the assertion says
	secret    string
	assertion string
	chain     []*x509.Certificate // of a client that is onlyNamed; or
	fault     string              // why there is none
}

// errClient is the answer to every client that does not prove itself, whatever
// the reason (RFC 6749 section 5.2).
func errClient(reason string) *protocol.Error {
	return protocol.Fail(protocol.InvalidClient, errors.New(reason), "client authentication failed")
}

// readCredentials finds the one method that a request uses. Two are an
// invalid_request (RFC 6749 section 2.3), nothing at all is invalid_client. A
// client_id alone is onlyNamed.
func readCredentials(h http.Header, form url.Values) (credentials, error) {
	var found []credentials
	id := protocol.ClientID(form.Get("client_id"))
	if len(h["Authorization"]) > 0 {
		basic, err := readBasic(h["Authorization"])
		if err != nil {
			return credentials{}, err
		}
		if id != "" && id != basic.id {
			return credentials{}, invalid("two different client ids")
		}
		found = append(found, basic)
	}
	if s := form.Get("client_secret"); s != "" {
		found = append(found, credentials{method: clients.SecretPost, id: id, secret: s})
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		if form.Get("client_assertion_type") != assertionType {
			return credentials{}, errClient("assertion of another type")
		}
		found = append(found, credentials{method: clients.PrivateKeyJWT, id: id, assertion: form.Get("client_assertion")})
	}
	switch {
	case len(found) > 1:
		return credentials{}, invalid("more than one method of client authentication")
	case len(found) == 0 && id == "":
		return credentials{}, errClient("no credentials")
	case len(found) == 0:
		found = append(found, credentials{method: onlyNamed, id: id})
	}
	c := found[0]
	if len(c.id) > maxCredential || len(c.secret) > maxCredential || len(c.assertion) > maxCredential {
		return credentials{}, errClient("too long")
	}
	return c, nil
}

// readBasic reads client_secret_basic: id and secret are form-urlencoded before
// they are joined and base64-encoded (RFC 6749 section 2.3.1). The errors quote
// nothing of it.
func readBasic(values []string) (credentials, error) {
	if len(values) != 1 {
		return credentials{}, invalid("more than one Authorization header")
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	raw, err := base64.StdEncoding.DecodeString(rest)
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return credentials{}, errClient("Authorization is not Basic")
	}
	user, password, ok := strings.Cut(string(raw), ":")
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	if !ok || err1 != nil || err2 != nil {
		return credentials{}, errClient("Authorization is malformed")
	}
	return credentials{method: clients.SecretBasic, id: protocol.ClientID(id), secret: secret}, nil
}

// authenticate returns the client that proved itself by its registered method,
// or invalid_client. An error that is temporarily_unavailable means that nobody
// can tell (its keys or the store cannot be reached).
func (p *Provider) authenticate(ctx context.Context, cred credentials) (*clients.Client, error) {
	switch cred.method {
	case clients.PrivateKeyJWT:
		return p.authenticateByKey(ctx, cred)
	case onlyNamed:
		if c, ok := p.Clients().Get(cred.id); ok && c.AuthMethod == clients.Public {
			return c, nil
		}
		return p.authenticateByCertificate(ctx, cred)
	}
	c, known := p.Clients().Get(cred.id)
	if !known {
		c = stranger
	}
	// One hash and all comparisons happen for an unknown client and for the wrong
	// method too, so that the time of a refusal says nothing.
	if !secretMatches(c.SecretSHA256, cred.secret) || !known || c.AuthMethod != cred.method {
		return nil, errClient("wrong secret, method or client")
	}
	return c, nil
}

// stranger stands in for a client that does not exist.
var stranger = &clients.Client{SecretSHA256: make([][32]byte, 1)}

// secretMatches compares with every registered hash, in constant time.
func secretMatches(hashes [][32]byte, secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	match := 0
	for i := range hashes {
		match |= subtle.ConstantTimeCompare(hashes[i][:], sum[:])
	}
	return match == 1 && secret != ""
}
