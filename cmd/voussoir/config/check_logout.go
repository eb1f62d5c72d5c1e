package config

import (
	"net/url"
	"slices"

	"github.com/voussoir-id/voussoir/clients"
)

// logout: where a service is told of the end of a session.
func (c *checker) logout(k *Client, path string) {
	if at := path + ".frontchannel_logout_uri"; c.has(at) && c.ok(at) && k.FrontChannelLogoutURI != "" {
		switch f := clients.CheckRedirectURI(k.FrontChannelLogoutURI, c.f.Development); {
		case f != nil:
			c.add(at, "this front-channel logout URI will not do: "+f.What, f.Instead)
		case carries(k.FrontChannelLogoutURI, "sid"):
			c.add(at, "it must not carry the parameter sid: we add our own", "the URI without it")
		case !slices.ContainsFunc(k.RedirectURIs, func(r string) bool { return origin(r) == origin(k.FrontChannelLogoutURI) }):
			// OpenID Connect Front-Channel Logout section 2: else anyone could have a
			// frame of somebody else's loaded on our page.
			c.add(at, "it has another scheme, host or port than every redirect URI", "a page on the site that redirect_uris name")
		}
	}
	at := path + ".backchannel_logout_uri"
	if c.has(at) && c.ok(at) && k.BackChannelLogoutURI != "" {
		if f := clients.CheckURL(k.BackChannelLogoutURI, c.f.Development); f != nil {
			c.add(at, "this back-channel logout URI will not do: "+f.What, f.Instead)
		}
	}
	if k.BackChannelLogoutSessionRequired && k.BackChannelLogoutURI == "" && c.ok(at) {
		c.add(path+".backchannel_logout_session_required", "sid is wanted in a logout token, and none is sent", "backchannel_logout_uri: https://service.example/backchannel-logout beside it, or remove it")
	}
}

func carries(uri, parameter string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Query().Has(parameter)
}

// origin is scheme, host and port.
func origin(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// leaving: where people log out of a provider is said like its other endpoints.
func (c *checker) leaving(p *Provider, path string) {
	at := path + ".end_session_endpoint"
	c.uri(at, p.EndSessionEndpoint)
	if p.EndSessionEndpoint == "" || !c.ok(at) {
		return
	}
	switch {
	case p.AuthorizationEndpoint == "" && c.ok(path+".authorization_endpoint"):
		c.add(at, "the provider's metadata is discovered, and says this itself", "nothing: remove this line")
	case p.Logout == "off":
		c.add(at, "nobody is sent there with logout: off", "logout: relay, or remove this line")
	}
}
