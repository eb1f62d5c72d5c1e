package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

func (c *checker) provider(i int) {
	p, path := &c.f.Providers[i], index("providers", i)
	if at := path + ".id"; c.sound(at, p.ID) && !providerID.MatchString(p.ID) {
		c.add(at, quote(p.ID)+" cannot be a provider's id", "1 to 32 of a-z, 0-9 and -, such as tax")
	}
	c.empty(path+".id", p.ID, "id: tax")
	c.text(path+".name", p.Name, 100)
	if p.Protocol == "saml" {
		c.samlProvider(p, path)
		return
	}
	c.notSAML(path)
	c.needed(path+".client_id", "client_id: voussoir")
	c.needed(path+".id_token_signed_response_alg", "id_token_signed_response_alg: ES256")
	c.empty(path+".client_id", p.ClientID, "client_id: voussoir")
	c.uri(path+".issuer", p.Issuer)
	c.endpoints(p, path)
	c.leaving(p, path)
	c.credential(p, path)
	c.protection(p, path)
	c.provideScopes(p, path)
	c.levels(p, path)
	c.renamed(p, path)
	c.identity(p, path)
	c.listing(p, path)
	if c.has(path+".userinfo.signed_response_alg") && p.UserInfo.SignedResponseAlg != "" && !p.UserInfo.Fetch {
		c.add(path+".userinfo.signed_response_alg", "a signed userinfo answer is expected but never fetched", "fetch: true beside it, or remove it")
	}
}

// renamed: a claim of ours comes from one claim of theirs, and from no other's.
func (c *checker) renamed(p *Provider, path string) {
	names := identityClaims()
	if p.Protocol == "saml" { // attributes are texts, and an address is several
		names = append(slices.DeleteFunc(names, func(n string) bool { return n == address }), postalCode, locality, "country")
	}
	taken := map[string]string{}
	for _, ours := range slices.Sorted(maps.Keys(p.Claims)) {
		theirs, at := p.Claims[ours], path+".claims."+ours
		switch {
		case !c.ok(at):
		case !slices.Contains(names, ours):
			what, instead := unknownName("claim that a provider gives", ours, names)
			c.add(at, what, instead)
		case theirs == "":
			c.add(at, "the provider's claim has no name", ours+": its name there")
		case taken[theirs] != "":
			c.add(at, "the provider's claim "+quote(theirs)+" is used for "+taken[theirs]+" already", "another claim of the provider")
		default:
			taken[theirs] = ours
		}
	}
}

// identityClaims are those that come from providers; the others we derive.
func identityClaims() []string {
	var out []string
	for _, k := range []protocol.Claim{
		protocol.GivenName, protocol.FamilyName, protocol.PreferredUsername, protocol.Birthdate, protocol.Gender,
		protocol.Birthplace, protocol.Birthcountry, protocol.Email, address,
	} {
		out = append(out, string(k))
	}
	return append(out, "email_verified")
}

// endpoints: all of the static ones, or discovery.
func (c *checker) endpoints(p *Provider, path string) {
	named := map[string]string{
		".authorization_endpoint": p.AuthorizationEndpoint, ".token_endpoint": p.TokenEndpoint, ".jwks_uri": p.JWKSURI,
	}
	given := p.UserInfoEndpoint != ""
	for key, value := range named {
		c.uri(path+key, value)
		given = given || value != ""
	}
	c.uri(path+".userinfo_endpoint", p.UserInfoEndpoint)
	if !given {
		if p.ISSParameter {
			c.add(path+".iss_parameter", "the provider's metadata is discovered, and says this itself", "nothing: remove this line")
		}
		return
	}
	for key, value := range named {
		if value == "" && c.ok(path+key) {
			c.add(path+key, "an endpoint is given, so this one is needed too", key[1:]+": https://idp.example/…, or none of them (discovery)")
		}
	}
	if p.UserInfo.Fetch && p.UserInfoEndpoint == "" && c.ok(path+".userinfo_endpoint") {
		c.add(path+".userinfo_endpoint", "userinfo is to be fetched, and endpoints are given without this one", "userinfo_endpoint: https://idp.example/userinfo")
	}
}

// credential: exactly one way to prove ourselves, and no secret in the file
// outside development.
func (c *checker) credential(p *Provider, path string) {
	const inline = ".client_secret"
	if c.has(path+inline) && c.ok(path+inline) && !c.f.Development {
		c.add(path+inline, "a secret stands in the configuration itself, where anyone who reads it learns it", "client_secret_file: secrets/"+safe(p.ID)+" (and change this secret)")
	}
	c.secretFile(path+".client_secret_file", p.ClientSecretFile)
	c.environment(path+".client_secret_env", p.ClientSecretEnv)
	ways := 0
	for _, key := range []string{inline, ".client_secret_file", ".client_secret_env"} {
		if c.has(path + key) {
			ways++
		}
	}
	if p.byCertificate() && !p.PrivateKeyJWT {
		if ways > 0 {
			c.add(path+".token_endpoint_auth_method", "there is a secret too: one way only", "the certificate, or a secret")
		}
		return
	}
	if p.PrivateKeyJWT {
		if ways > 0 {
			c.add(path+".private_key_jwt", "there is a secret too: one way only", "private_key_jwt: true, or a secret")
		}
		if p.TokenEndpointAuthMethod != "" {
			c.add(path+".token_endpoint_auth_method", "private_key_jwt is set, so no secret is sent", "one of the two")
		}
		return
	}
	switch {
	case ways > 1:
		c.add(path+inline, "the secret has several places", "one of client_secret_file and client_secret_env")
	case ways == 0 && c.ok(path+".client_secret_file"):
		c.add(path+".client_secret_file", "there is no way to prove ourselves to this provider", "client_secret_file: secrets/"+safe(p.ID)+", or private_key_jwt: true")
	}
}

func (c *checker) provideScopes(p *Provider, path string) {
	openid := len(p.Scopes) == 0
	for i, s := range p.Scopes {
		openid = openid || s == "openid"
		if at := index(path+".scopes", i); c.ok(at) && (s == "" || len(s) > 100 || badScope(s)) {
			c.add(at, quote(s)+" cannot be a scope", "one word without spaces or quotes, such as profile")
		}
	}
	if !openid && c.ok(path+".scopes") {
		c.add(path+".scopes", "openid is missing: without it the provider sends no ID token", "scopes: [openid, …]")
	}
}

// badScope: RFC 6749 section 3.3.
func badScope(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\' {
			return true
		}
	}
	return false
}

// levels: a value may be worth at most what the provider can reach.
func (c *checker) levels(p *Provider, path string) {
	path += ".acr"
	highest := protocol.ACR(p.ACR.Max)
	if without := protocol.ACR(p.ACR.Default); without.Known() && highest.Known() && !highest.Reaches(without) {
		c.add(path+".default", "a sign-in without acr counts as "+string(without)+", but the provider reaches "+string(highest)+" at most", "default: "+string(highest))
	}
	for _, k := range slices.Sorted(maps.Keys(p.ACR.Map)) {
		level, at := protocol.ACR(p.ACR.Map[k]), path+".map."+k
		switch {
		case !c.ok(at):
		case k == "" || strings.Contains(k, " "):
			c.add(at, "an acr value is one word", "\"urn:x:low\": eidas1")
		case !level.Known():
			c.add(at, quote(p.ACR.Map[k])+" is not a level", "eidas1, eidas2 or eidas3")
		case highest.Known() && !highest.Reaches(level):
			c.add(at, "this is worth "+string(level)+", but the provider reaches "+string(highest)+" at most", quote(k)+": "+string(highest)+", or a higher max")
		}
	}
}

// empty refuses a required text that is there and empty.
func (c *checker) empty(path, value, instead string) {
	if c.has(path) && c.ok(path) && value == "" {
		c.add(path, "this is empty, and required", instead)
	}
}

// safe is an id for an example, or a stand-in.
func safe(id string) string {
	if providerID.MatchString(id) {
		return id
	}
	return "provider"
}
