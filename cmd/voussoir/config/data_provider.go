package config

import (
	"slices"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// DataProvider is an API that services call with our access tokens, and that asks
// /introspect what such a token is worth.
type DataProvider struct {
	// ID is its client_id at /introspect: 1 to 64 of letters, digits and -._~.
	// Required, never reused, and not the id of a service.
	ID string `yaml:"id" jsonschema:"required" eg:"tax-api"`
	// Name is what people read in their history. Required.
	Name Text `yaml:"name" jsonschema:"required" eg:"{ fr: \"API Impôts\", en: \"Tax API\" }"`
	// TokenEndpointAuthMethod is how it proves itself, and the only way accepted.
	// Default client_secret_basic.
	TokenEndpointAuthMethod string `yaml:"token_endpoint_auth_method" jsonschema:"enum=client_secret_basic,enum=client_secret_post,enum=private_key_jwt,enum=tls_client_auth,enum=self_signed_tls_client_auth" eg:"client_secret_basic"`
	// TokenEndpointAuthSigningAlg is the algorithm of its client assertions, with
	// private_key_jwt. Default ES256.
	TokenEndpointAuthSigningAlg string `yaml:"token_endpoint_auth_signing_alg" jsonschema:"enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// ClientSecretSHA256 is the SHA-256 of its secret in hex (of a random secret of
	// at least 32 bytes), or a list of them while a secret is being changed.
	ClientSecretSHA256 OneOrMore `yaml:"client_secret_sha256" secret:"true" eg:"\"64 hex digits, from: printf %s THE_SECRET | sha256sum\""`
	// JWKS holds its public keys: for private_key_jwt and self_signed_tls_client_auth,
	// and to encrypt to. Default: none.
	JWKS Raw `yaml:"jwks" secret:"true" eg:"{ keys: [ … ] }"`
	// JWKSURI is where its public keys are, in place of jwks. Default "".
	JWKSURI string `yaml:"jwks_uri" eg:"https://api.example/jwks"`
	// TLSClientAuthSubjectDN is the subject of its certificate, with tls_client_auth:
	// as RFC 4514 writes it, compared byte for byte. One of the five names. Default "".
	TLSClientAuthSubjectDN string `yaml:"tls_client_auth_subject_dn" eg:"\"CN=library,O=City of Lyon,C=FR\""`
	// TLSClientAuthSANDNS is a host name in its certificate, in place of the subject.
	// Default "".
	TLSClientAuthSANDNS string `yaml:"tls_client_auth_san_dns" eg:"library.example"`
	// TLSClientAuthSANURI is an address in its certificate, likewise. Default "".
	TLSClientAuthSANURI string `yaml:"tls_client_auth_san_uri" eg:"https://library.example/broker"`
	// TLSClientAuthSANIP is an IP address in its certificate, likewise. Default "".
	TLSClientAuthSANIP string `yaml:"tls_client_auth_san_ip" eg:"192.0.2.1"`
	// TLSClientAuthSANEmail is a mailbox in its certificate, likewise. Default "".
	TLSClientAuthSANEmail string `yaml:"tls_client_auth_san_email" eg:"broker@library.example"`
	// Sector decides which subject it knows a person by: that of the services of the
	// same sector, if there are any, so that an API recognises those who have an
	// account at its own service. Required.
	Sector string `yaml:"sector" jsonschema:"required" eg:"tax.example"`
	// Scopes are those that it answers for. A token with none of them is not meant
	// for it, and inactive. At least one, and not openid, which is in every token.
	Scopes []string `yaml:"scopes" jsonschema:"required" eg:"[birthdate]"`
	// Claims are those that it may see, of the claims that were released to the
	// service which shows it the token. Default []: the subject and the level only.
	Claims []string `yaml:"claims" eg:"[birthdate]"`
	// Resources are the addresses by which services name it in the resource parameter
	// (RFC 8707). A token that names resources is inactive for it unless it names one
	// of these. Default [].
	Resources []string `yaml:"resources" eg:"[https://api.tax.example/]"`
	// IntrospectionSignedResponseAlg signs its answers if it asks for JWT answers
	// (RFC 9701). Default ES256.
	IntrospectionSignedResponseAlg string `yaml:"introspection_signed_response_alg" jsonschema:"enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// IntrospectionEncryptedResponseAlg encrypts its answers, once
	// signed, to its key in jwks or jwks_uri that says use: enc; they are then always
	// JWTs. Default "": in clear, under TLS.
	IntrospectionEncryptedResponseAlg string `yaml:"introspection_encrypted_response_alg" jsonschema:"enum=,enum=ECDH-ES,enum=RSA-OAEP-256" eg:"ECDH-ES"`
	// IntrospectionEncryptedResponseEnc is the content encryption that goes with it. Default
	// A256GCM.
	IntrospectionEncryptedResponseEnc string `yaml:"introspection_encrypted_response_enc" jsonschema:"enum=,enum=A256GCM" eg:"A256GCM"`
}

// asClient is the part that it has in common with a service.
func (d *DataProvider) asClient() *Client {
	return &Client{
		ID: d.ID, Name: d.Name, TokenEndpointAuthMethod: d.TokenEndpointAuthMethod,
		TokenEndpointAuthSigningAlg: d.TokenEndpointAuthSigningAlg, ClientSecretSHA256: d.ClientSecretSHA256,
		JWKS: d.JWKS, JWKSURI: d.JWKSURI, Sector: d.Sector,
		TLSClientAuthSubjectDN: d.TLSClientAuthSubjectDN, TLSClientAuthSANDNS: d.TLSClientAuthSANDNS, TLSClientAuthSANURI: d.TLSClientAuthSANURI,
		TLSClientAuthSANIP: d.TLSClientAuthSANIP, TLSClientAuthSANEmail: d.TLSClientAuthSANEmail,
	}
}

func (c *checker) dataProvider(i int) {
	d, path := &c.f.DataProviders[i], index("data_providers", i)
	if at := path + ".id"; c.sound(at, d.ID) {
		if !clientID.MatchString(d.ID) {
			c.add(at, quote(d.ID)+" cannot be a client id", "1 to 64 of letters, digits and -._~, such as tax-api")
		} else if slices.ContainsFunc(c.f.Clients, func(k Client) bool { return k.ID == d.ID }) {
			c.add(at, "the id "+quote(d.ID)+" is that of a service: an organisation that is both has two", "an id of its own")
		}
	}
	c.empty(path+".id", d.ID, "id: tax-api")
	c.text(path+".name", d.Name, 100)
	c.authentication(d.asClient(), path, d.IntrospectionEncryptedResponseAlg)
	c.encryption(path, "introspection", d.IntrospectionEncryptedResponseAlg)
	if at := path + ".sector"; c.has(at) && c.ok(at) && !hostLike.MatchString(d.Sector) {
		c.add(at, quote(d.Sector)+" is not a sector", "a host name in small letters, such as tax.example")
	}
	c.resources(path, d.Resources)
	c.known(path+".claims", d.Claims, claimNames(), "claim")
	c.known(path+".scopes", d.Scopes, scopeNames(), "scope")
	if at := path + ".scopes"; c.has(at) && c.ok(at) {
		if len(d.Scopes) == 0 {
			c.add(at, "no token would be meant for it", "scopes: [birthdate]")
		}
		if j := slices.Index(d.Scopes, string(protocol.OpenID)); j >= 0 {
			c.add(index(at, j), "openid is in every token, so every token would be meant for it", "a scope that says what the API is for")
		}
		if j := slices.Index(d.Scopes, string(protocol.OfflineAccess)); j >= 0 {
			c.add(index(at, j), "offline_access says for how long a service may come back, and nothing of what for", "a scope that says what the API is for")
		}
	}
}

func (c *checker) loadDataProvider(d *DataProvider) *clients.Client {
	out := c.loadClient(d.asClient())
	out.IntrospectionSigningAlg = d.IntrospectionSignedResponseAlg
	out.IntrospectionEncryption = encryption(d.IntrospectionEncryptedResponseAlg)
	out.DataProvider = &clients.DataProvider{Scopes: words[protocol.Scope](d.Scopes), Claims: words[protocol.Claim](d.Claims), Resources: d.Resources}
	return out
}

func scopeNames() []string {
	var out []string
	for _, s := range protocol.Scopes() {
		out = append(out, string(s))
	}
	return out
}
