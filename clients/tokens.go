package clients

import (
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// AccessTokenFormat is what a client's access tokens look like.
type AccessTokenFormat string

// The formats. An opaque token is random and means nothing; a JWT (RFC 9068) can be
// read and verified by whoever holds it.
const (
	Opaque AccessTokenFormat = "opaque"
	JWT    AccessTokenFormat = "jwt"
)

// DataProvider is an API that services call with our access tokens: a resource
// server (RFC 6749 section 1.1). It has no redirect URIs and signs nobody in; it
// asks /introspect what a token is worth (RFC 7662). Its Sector decides which
// subject it knows a person by.
type DataProvider struct {
	Scopes    []protocol.Scope // a token that carries none of them is not meant for it
	Claims    []protocol.Claim // that it may see, of those that were released to the service
	Resources []string         // the names by which services ask for it (RFC 8707); a token that names resources must name one of them
}

// Encryption says how a signed token is encrypted to the key that its recipient
// publishes (OpenID Connect Core section 10.2). The zero value: it is not.
type Encryption struct{ Alg, Enc string }

// MayRefresh reports whether the client may come back while the person is away.
func (c *Client) MayRefresh() bool { return c.RefreshMax > 0 }

// EncryptionAlgs lists the algorithms of the keys that we need of this client.
func (c *Client) EncryptionAlgs() []string {
	var algs []string
	for _, e := range []Encryption{c.IDTokenEncryption, c.UserInfoEncryption, c.IntrospectionEncryption} {
		if e.Alg != "" && !slices.Contains(algs, e.Alg) {
			algs = append(algs, e.Alg)
		}
	}
	return algs
}

// SigningAlgs lists the algorithms that we sign with for this client.
func (c *Client) SigningAlgs() []string {
	var algs []string
	for _, alg := range []string{c.IDTokenSigningAlg, c.ResponseSigningAlg, c.UserInfoSigningAlg, c.IntrospectionSigningAlg} {
		if alg != "" && !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}
