package config

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// demoSecret is the digest of the secret that deploy/demo.yaml publishes. It is
// refused outside development (default credentials).
const demoSecret = "31eb90f707e189187076e881e4f0015f5b01e2eb657852331c0dfa716a142edd"

// maxAccessToken is the longest life that a client may ask for: until it ends, a
// code must be remembered for the sake of its second use.
const maxAccessToken = time.Hour

func (c *checker) client(i int) {
	k, path := &c.f.Clients[i], index("clients", i)
	if at := path + ".id"; c.sound(at, k.ID) && !clientID.MatchString(k.ID) {
		c.add(at, quote(k.ID)+" cannot be a client id", "1 to 64 of letters, digits and -._~, such as city-library")
	}
	c.empty(path+".id", k.ID, "id: city-library")
	c.text(path+".name", k.Name, 100)
	c.redirects(k, path)
	c.sector(k, path)
	c.authentication(k, path, k.IDTokenEncryptedResponseAlg, k.UserInfoEncryptedResponseAlg)
	c.encryption(path, "id_token", k.IDTokenEncryptedResponseAlg)
	c.encryption(path, "userinfo", k.UserInfoEncryptedResponseAlg)
	if at := path + ".userinfo_encrypted_response_alg"; k.UserInfoEncryptedResponseAlg != "" && k.UserInfoSignedResponseAlg == "" && c.ok(at) {
		c.add(at, "an answer that is encrypted and not signed says nothing about who made it: anyone can encrypt to a public key", "userinfo_signed_response_alg: ES256 beside it")
	}
	c.clientPolicy(k, path)
	c.exceptions(k, path)
	c.requests(k, path)
	c.refreshTokens(k, path)
	c.public(k, path)
	c.origins(k, path)
	c.detailTypes(k, path)
	c.certificateBound(k, path)
	c.logout(k, path)
	c.securityEvents(k, path)
	c.singleSignOn(k, path)
}

func (c *checker) redirects(k *Client, path string) {
	if at := path + ".redirect_uris"; c.has(at) && c.ok(at) && len(k.RedirectURIs) == 0 {
		c.add(at, "a service without a redirect URI can receive nothing", "redirect_uris: [https://service.example/callback]")
	}
	for _, l := range []struct {
		key  string
		uris []string
	}{{".redirect_uris", k.RedirectURIs}, {".post_logout_redirect_uris", k.PostLogoutRedirectURIs}} {
		for i, uri := range l.uris {
			at := index(path+l.key, i)
			if !c.ok(at) {
				continue
			}
			if f := c.redirectFault(k, uri); f != nil {
				c.add(at, "this redirect URI will not do: "+f.What, f.Instead)
			} else if slices.Index(l.uris, uri) < i {
				c.add(at, "this URI is in the list twice", "it once")
			}
		}
	}
}

func (c *checker) sector(k *Client, path string) {
	at := path + ".sector"
	if c.has(at) {
		if c.ok(at) && !hostLike.MatchString(k.Sector) {
			c.add(at, quote(k.Sector)+" is not a sector", "a host name in small letters, such as service.example")
		}
		return
	}
	for i := range k.RedirectURIs {
		if !c.ok(index(path+".redirect_uris", i)) {
			return
		}
	}
	if len(k.RedirectURIs) > 1 && clients.Sector(k.RedirectURIs) == "" {
		c.add(at, "the redirect URIs have several hosts, so the sector must be said: it decides which services see the same subject", "sector: service.example")
	}
}

// authentication: one method, with what it and the encryption algorithms (those
// that are not "") need, and nothing else.
func (c *checker) authentication(k *Client, path string, encryptionAlgs ...string) {
	for i, digest := range k.ClientSecretSHA256 {
		at := path + ".client_secret_sha256"
		if c.has(index(at, i)) {
			at = index(at, i)
		}
		c.digest(at, digest)
	}
	c.certificateNames(k, path)
	if c.certificateMethod(k, path, encryptionAlgs) {
		return
	}
	if k.TokenEndpointAuthMethod == string(clients.PrivateKeyJWT) {
		if c.has(path + ".client_secret_sha256") {
			c.add(path+".client_secret_sha256", "private_key_jwt uses no secret", "remove this line, or token_endpoint_auth_method: client_secret_basic")
		}
		c.clientKeys(k, path, "private_key_jwt needs the service's public keys", encryptionAlgs)
		return
	}
	if at := path + ".token_endpoint_auth_signing_alg"; c.has(at) {
		c.addIdle(at, "this is of use with private_key_jwt only", "token_endpoint_auth_method: private_key_jwt, or remove it")
	}
	c.keysBesideSecret(k, path, encryptionAlgs)
	if k.TokenEndpointAuthMethod == string(clients.Public) {
		return
	}
	if at := path + ".client_secret_sha256"; len(k.ClientSecretSHA256) == 0 && c.ok(at) {
		c.add(at, "the service has no secret to prove itself with", "client_secret_sha256: \"64 hex digits, from: printf %s THE_SECRET | sha256sum\"")
	}
}

// keysBesideSecret: who proves itself with a secret has keys for signing its
// requests, for encrypting to it, or none.
func (c *checker) keysBesideSecret(k *Client, path string, encryptionAlgs []string) {
	encrypted := slices.ContainsFunc(encryptionAlgs, func(alg string) bool { return encryptionKeyType[alg] != "" })
	switch {
	case !c.ok(path + ".request_object_signing_alg"):
	case k.RequestObjectSigningAlg != "":
		c.clientKeys(k, path, "signed request objects need the service's public keys", encryptionAlgs)
	case encrypted:
		c.clientKeys(k, path, "encryption needs the service's public keys", encryptionAlgs)
	case c.has(path + ".jwks"), k.JWKSURI != "":
		at := path + ".jwks"
		if k.JWKSURI != "" {
			at = path + ".jwks_uri"
		}
		c.addIdle(at, "this is of use with private_key_jwt, self_signed_tls_client_auth, signed request objects or encryption only", "token_endpoint_auth_method: private_key_jwt, or request_object_signing_alg: ES256, or remove it")
	}
}

// resources are compared byte for byte (RFC 8707 section 2).
func (c *checker) resources(path string, list []string) {
	for i, r := range list {
		at := index(path+".resources", i)
		c.uri(at, r)
		if c.ok(at) && slices.Index(list, r) < i {
			c.add(at, "this resource is in the list twice", "it once")
		}
	}
}

// digest never shows what it refuses: it may be the secret itself.
func (c *checker) digest(at, digest string) {
	b, err := hex.DecodeString(digest)
	switch {
	case !c.ok(at):
	case err != nil || len(b) != 32:
		c.add(at, "this is not a SHA-256 in hex (64 hex digits)", "the output of: printf %s THE_SECRET | sha256sum")
	case digest == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855":
		c.add(at, "this is the SHA-256 of an empty secret", "that of a random secret, from: openssl rand -base64 32")
	case strings.EqualFold(digest, demoSecret) && !c.f.Development:
		c.add(at, "this is the published secret of the demo", "that of a secret of its own, from: openssl rand -base64 32")
	}
}

// encryptionKeyType is the kty that an algorithm needs.
var encryptionKeyType = map[string]string{"ECDH-ES": "EC", "RSA-OAEP-256": "RSA"}

// encryption: the content encryption is said only where something is encrypted.
func (c *checker) encryption(path, what, alg string) {
	if at := path + "." + what + "_encrypted_response_enc"; c.has(at) && c.ok(at) && alg == "" {
		c.add(at, "nothing is encrypted without an algorithm for the key", what+"_encrypted_response_alg: ECDH-ES beside it, or remove it")
	}
}

// clientKeys: public keys, and public only, with one for each encryption algorithm.
func (c *checker) clientKeys(k *Client, path, why string, encryptionAlgs []string) {
	switch {
	case k.JWKSURI != "" && len(k.JWKS) > 0:
		c.add(path+".jwks_uri", "the keys have two places", "jwks or jwks_uri, one of them")
	case k.JWKSURI == "" && !c.has(path+".jwks") && c.ok(path+".jwks"):
		c.add(path+".jwks", why, "jwks: { keys: [ … ] }, or jwks_uri: https://service.example/jwks")
	case k.JWKSURI != "":
		c.uri(path+".jwks_uri", k.JWKSURI)
	}
	if len(k.JWKS) == 0 || !c.ok(path+".jwks") {
		return
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(k.JWKS, &set); err != nil || len(set.Keys) == 0 {
		c.add(path+".jwks", "this is not a JSON Web Key Set", "jwks: { keys: [ … ] }, with one public key or more")
		return
	}
	for i, key := range set.Keys {
		at := index(path+".jwks.keys", i)
		if _, private := key["d"]; private {
			c.add(at, "this is a private key, and now everyone who read this file has it", "the public half of a new key: without d, p, q, dp, dq and qi")
		} else if kty := key["kty"]; kty != "EC" && kty != "OKP" && kty != "RSA" {
			c.add(at, "this is not a public key", "a key with kty EC, OKP or RSA")
		}
	}
	for _, alg := range encryptionAlgs {
		kty := encryptionKeyType[alg]
		if kty != "" && !slices.ContainsFunc(set.Keys, func(key map[string]any) bool {
			return key["kty"] == kty && (key["use"] == "enc" || key["use"] == nil && key["alg"] == alg)
		}) {
			c.add(path+".jwks", "no key in it is for encryption with "+alg, "one with kty: "+kty+" and use: enc beside the others")
		}
	}
}

func (c *checker) clientPolicy(k *Client, path string) {
	at := path + ".policy"
	if !c.has(at) || !c.ok(at) {
		return
	}
	policy := c.policyByID(k.Policy)
	if policy == nil {
		var ids []string
		for _, p := range c.f.Policies {
			ids = append(ids, p.ID)
		}
		if slices.Contains(ids, "") {
			return // an id is missing or misspelt: reported there
		}
		what, instead := unknownName("policy", k.Policy, ids)
		c.add(at, what, instead)
		return
	}
	for i, hint := range k.IdPHints {
		if h := index(path+".idp_hints", i); len(policy.Providers.Allow) > 0 && slices.Contains(c.providerIDs(), hint) && !slices.Contains(policy.Providers.Allow, hint) {
			c.add(h, "its policy does not allow the provider "+quote(hint), "one of: "+strings.Join(policy.Providers.Allow, ", "))
		}
	}
	for i, claim := range k.IDTokenClaims {
		if h := index(path+".id_token_claims", i); protocol.Claim(claim).Known() && !slices.ContainsFunc(policy.Claims, func(r ClaimRule) bool { return r.Name == claim }) {
			c.add(h, "its policy does not allow the claim "+quote(claim), "a claim of the policy "+policy.ID)
		}
	}
}

func (c *checker) policyByID(id string) *Policy {
	for i := range c.f.Policies {
		if c.f.Policies[i].ID == id {
			return &c.f.Policies[i]
		}
	}
	return nil
}

// exceptions: each protection that is switched off has a reason on record.
func (c *checker) exceptions(k *Client, path string) {
	off := false
	for key, v := range map[string]*bool{".require_pkce": k.RequirePKCE, ".require_nonce": k.RequireNonce, ".require_state": k.RequireState} {
		if v != nil && !*v && c.ok(path+key) && !implied(k.Profile, key) {
			off = true
			if strings.TrimSpace(k.ExceptionReason) == "" && c.ok(path+".exception_reason") {
				c.add(path+key, "a protection is switched off without a reason", key[1:]+": true, or an exception_reason beside it")
			}
		}
	}
	if !off && k.ExceptionReason != "" {
		c.warn(path+".exception_reason", "there is a reason but no exception", "nothing: remove it")
	}
}

func (c *checker) requests(k *Client, path string) {
	c.known(path+".scopes", k.Scopes, scopeNames(), "scope")
	if len(k.Scopes) > 0 && !slices.Contains(k.Scopes, string(protocol.OpenID)) {
		c.add(path+".scopes", "openid is missing: every request must carry it", "scopes: [openid, …]")
	}
	c.resources(path, k.Resources)
	c.known(path+".idp_hints", k.IdPHints, c.providerIDs(), "provider")
	c.known(path+".id_token_claims", k.IDTokenClaims, claimNames(), "claim")
	if k.RequireSignedRequestObject && k.RequestObjectSigningAlg == "" && c.ok(path+".request_object_signing_alg") {
		c.add(path+".require_signed_request_object", "signed requests are required of it, and it is not said how it signs them", "request_object_signing_alg: ES256 beside it")
	}
	at := path + ".access_token_lifetime"
	if !c.has(at) || !c.ok(at) {
		return
	}
	period, clock, err := parseDuration(k.AccessTokenLifetime)
	switch {
	case err != nil:
		c.add(at, quote(k.AccessTokenLifetime)+" "+err.Error(), "access_token_lifetime: PT60S")
	case period.Years+period.Months+period.Days > 0 || clock > maxAccessToken || clock < time.Second:
		c.add(at, "an access token lives between one second and one hour", "access_token_lifetime: PT60S")
	}
}
