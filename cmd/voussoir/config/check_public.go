package config

import (
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
)

// native is the application_type of an app on the person's own device.
const native = "native"

// public: a client that can keep no secret has none, and PKCE in its place; an app
// has a sector of its own, and no secret either.
func (c *checker) public(k *Client, path string) {
	if k.TokenEndpointAuthMethod == string(clients.Public) {
		if at := path + ".client_secret_sha256"; c.has(at) {
			c.add(at, "a public client proves itself with nothing: a secret that is in every copy of a program is none", "remove this line, or token_endpoint_auth_method: client_secret_basic")
		}
		if at := path + ".require_pkce"; k.RequirePKCE != nil && !*k.RequirePKCE && c.ok(at) {
			c.add(at, "PKCE is all that keeps a stolen code of a public client from being used, so that there is no exception", "remove this line")
		}
	}
	if k.ApplicationType != native {
		return
	}
	if at := path + ".token_endpoint_auth_method"; k.TokenEndpointAuthMethod == string(clients.SecretBasic) || k.TokenEndpointAuthMethod == string(clients.SecretPost) {
		c.add(at, "a secret that is in every copy of an app is none", "token_endpoint_auth_method: none")
	}
	// Every app that listens on this machine has the same host, and schemes have none.
	at := path + ".sector"
	if !c.has(at) && c.ok(at) && slices.ContainsFunc(k.RedirectURIs, func(uri string) bool { return !strings.HasPrefix(uri, "https://") }) {
		c.add(at, "the redirect URIs of an app say nothing of who made it, so the sector must be said: it decides which services see the same subject", "sector: app.example")
	}
}

// redirectFault says what is wrong with a redirect URI of this client, or nil.
func (c *checker) redirectFault(k *Client, uri string) *clients.Fault {
	if k.ApplicationType == native {
		return clients.CheckNativeRedirectURI(uri, c.f.Development)
	}
	f := clients.CheckRedirectURI(uri, c.f.Development)
	if f != nil && clients.CheckNativeRedirectURI(uri, c.f.Development) == nil {
		f.Instead = "application_type: native beside it, if this is an app; or " + f.Instead
	}
	return f
}

// origins are compared byte for byte with what browsers send.
func (c *checker) origins(k *Client, path string) {
	for i, origin := range k.AllowedOrigins {
		at := index(path+".allowed_origins", i)
		if !c.ok(at) {
			continue
		}
		if f := clients.CheckOrigin(origin, c.f.Development); f != nil {
			c.add(at, "this origin will not do: "+f.What, f.Instead)
		} else if slices.Index(k.AllowedOrigins, origin) < i {
			c.add(at, "this origin is in the list twice", "it once")
		}
	}
	secret := k.TokenEndpointAuthMethod == string(clients.SecretBasic) || k.TokenEndpointAuthMethod == string(clients.SecretPost)
	if at := path + ".allowed_origins"; len(k.AllowedOrigins) > 0 && secret && c.ok(at) {
		c.warn(at, "a program in a browser may call for this client, and everyone can read its secret there", "token_endpoint_auth_method: none, or allowed_origins: []")
	}
}
