package config

import (
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
)

// The profiles. A profile is a way to write many settings at once and nothing more:
// the rest of the program sees the rules that it stands for, and never its name.
const (
	standard      = "standard"
	franceConnect = "franceconnect"
	fapi2         = "fapi2"
)

// profiles fills in what each client's profile stands for and refuses what
// contradicts it. It runs before the defaults, while it can still be told what was
// written.
func (c *checker) profiles() {
	for i := range c.f.Clients {
		k, path := &c.f.Clients[i], index("clients", i)
		fill(&k.Profile, standard)
		switch k.Profile {
		case franceConnect:
			c.franceConnect(k, path)
		case fapi2:
			c.fapi2(k, path)
		}
	}
}

// fapi2 is the FAPI 2.0 Security Profile (section 5.3.2); docs/profiles.md has it line
// by line.
func (c *checker) fapi2(k *Client, path string) {
	fill(&k.TokenEndpointAuthMethod, string(clients.PrivateKeyJWT))
	c.oneMethodOf(k, path, clients.PrivateKeyJWT, clients.TLSClient, clients.SelfSignedTLS)
	c.must(path+".require_par", !k.RequirePAR, "its requests must be pushed", "require_par: true")
	k.RequirePAR = true
	c.must(path+".require_pkce", k.RequirePKCE != nil && !*k.RequirePKCE, "PKCE has no exception", "require_pkce: true")
	c.must(path+".refresh_tokens.rotation", on(k.RefreshTokens.Rotation), "it keeps its refresh token", "rotation: false, with a reason, or nothing")
	c.must(path+".application_type", k.ApplicationType == native, "it is for services that keep a key, with https redirect URIs", "application_type: web")
	const certificate = ".tls_client_certificate_bound_access_tokens"
	c.must(path+".dpop_bound_access_tokens", !k.DPoPBoundAccessTokens && !c.has(path+certificate), "its tokens must be bound to a key or to a certificate", "dpop_bound_access_tokens: true, or "+certificate[1:]+": true")
	for key, alg := range map[string]string{
		".token_endpoint_auth_signing_alg": k.TokenEndpointAuthSigningAlg, ".request_object_signing_alg": k.RequestObjectSigningAlg,
		".authorization_signed_response_alg": k.AuthorizationSignedResponseAlg, ".id_token_signed_response_alg": k.IDTokenSignedResponseAlg,
		".userinfo_signed_response_alg": k.UserInfoSignedResponseAlg,
	} {
		c.must(path+key, alg == "RS256", "RS256 is not among its algorithms", key[1:]+": ES256, PS256 or EdDSA")
	}
}

// franceConnect is what a service sends that was made for FranceConnect v2
// (docs/migrate-from-franceconnect.md).
func (c *checker) franceConnect(k *Client, path string) {
	fill(&k.TokenEndpointAuthMethod, string(clients.SecretPost))
	c.oneMethodOf(k, path, clients.SecretPost, clients.PrivateKeyJWT)
	c.must(path+".userinfo_signed_response_alg", k.UserInfoSignedResponseAlg == "", "its userinfo is a signed JWT", "userinfo_signed_response_alg: ES256")
	fill(&k.UserInfoSignedResponseAlg, "ES256")
	c.must(path+".require_nonce", k.RequireNonce != nil && !*k.RequireNonce, "such a service always sends a nonce", "require_nonce: true")
	c.must(path+".require_state", k.RequireState != nil && !*k.RequireState, "such a service always sends a state", "require_state: true")
	c.must(path+".require_par", k.RequirePAR, "such a service cannot push its requests", "require_par: false")
	c.must(path+".require_signed_request_object", k.RequireSignedRequestObject, "such a service cannot sign its requests", "require_signed_request_object: false")
	c.must(path+".dpop_bound_access_tokens", k.DPoPBoundAccessTokens, "such a service knows no DPoP", "dpop_bound_access_tokens: false")
	c.must(path+".application_type", k.ApplicationType == native, "such a service is a website", "application_type: web")
}

// must refuses a setting that is written and contradicts the profile.
func (c *checker) must(path string, contradicts bool, why, instead string) {
	if !contradicts || !c.has(path) || !c.ok(path) {
		return
	}
	c.add(path, "this contradicts the profile: "+why, instead+"; or profile: standard")
}

func (c *checker) oneMethodOf(k *Client, path string, methods ...clients.AuthMethod) {
	if !slices.Contains(methods, clients.AuthMethod(k.TokenEndpointAuthMethod)) {
		names := make([]string, len(methods))
		for i, m := range methods {
			names[i] = string(m)
		}
		c.must(path+".token_endpoint_auth_method", true, "such a service proves itself by "+list(names), "token_endpoint_auth_method: "+names[0])
	}
}

// implied reports whether a profile itself switches a protection off, so that it
// needs no reason of its own.
func implied(profile, key string) bool {
	switch profile {
	case fapi2:
		return key == ".require_nonce" || key == ".require_state" // PKCE does their work (FAPI 2.0 section 5.3.2.2)
	case franceConnect:
		return key == ".require_pkce" // FranceConnect refuses its parameters
	}
	return false
}

// rules puts into out what the profile stands for and no setting says.
func (k *Client) rules(out *clients.Client) {
	for key, rule := range map[string]struct {
		written *bool
		out     *bool
	}{
		".require_pkce": {k.RequirePKCE, &out.RequirePKCE}, ".require_nonce": {k.RequireNonce, &out.RequireNonce},
		".require_state": {k.RequireState, &out.RequireState},
	} {
		if rule.written == nil {
			*rule.out = !implied(k.Profile, key)
		}
	}
	out.Native = k.ApplicationType == native
	out.AuthorizationDetailTypes = k.AuthorizationDetailsTypes
	switch k.Profile {
	case franceConnect:
		out.RequireACRValues = true
	case fapi2:
		out.AssertionForIssuerOnly, out.KeepRefreshToken = true, true
		out.DPoPBound = out.DPoPBound || !out.CertificateBound
	}
}

// detailTypes: what nobody can read cannot be allowed either.
func (c *checker) detailTypes(k *Client, path string) {
	for i, name := range k.AuthorizationDetailsTypes {
		if at := index(path+".authorization_details_types", i); c.ok(at) && strings.TrimSpace(name) != "" {
			c.add(at, "there is no type of authorization details "+quote(name)+": this version has none", "authorization_details_types: []")
		}
	}
}
