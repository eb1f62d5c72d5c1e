package journeys

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// identityProvider is one side of the matrix.
type identityProvider struct {
	name, id, yaml string
	givenName      string // of whom it knows
	launch         func(broker string)
	agree, refuse  func(x *cell, p *page) *page // one page of it; refuse nil: see cannotRefuse
	leave          func(x *cell, p *page) *page // one page of its logout
	asksWho        func(p *page) bool           // it asks who she is: nobody is signed in there

	cannotRefuse, cannotLeave string // why not, where it cannot
	keepsHer                  string // why she does not come back from its logout
}

// What the counterparts cannot do, as docs/interop.md says it too.
const (
	samlCannotRefuse = "SimpleSAMLphp asks for no consent unless its own module is set up for it: she refuses at the broker."
	samlCannotLeave  = "Nobody is sent to a SAML provider to log out: its session stays."
	lemonKeepsHer    = "LemonLDAP::NG 2.16 ends its session, but after a sign-in with its consent page it forgets where she comes from: she goes back in her browser."
	apacheCannotRead = "mod_auth_openidc 2.4.12 takes an error that comes with iss (RFC 9207) for a request of another kind: it refuses it, without naming the error."
	rubyCannotHint   = "omniauth_openid_connect 0.10 logs out without id_token_hint: the broker's page asks, and she does not come back."
)

func identityProviders(t *testing.T) []*identityProvider {
	t.Helper()
	return []*identityProvider{nodeProvider(t), lemonProvider(t), simpleProvider(t), secondBroker(t)}
}

func oidcYAML(issuer, alg, rest string) string {
	return fmt.Sprintf("    protocol: oidc\n    issuer: %s\n    client_id: voussoir\n    client_secret: %s\n    id_token_signed_response_alg: %s\n    userinfo: { fetch: true }\n%s", issuer, matrixSecret, alg, rest)
}

func nobody(*cell, *page) *page { return nil }

// nodeProvider sends no acr at all.
func nodeProvider(t *testing.T) *identityProvider {
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	port := ports(t)
	issuer := fmt.Sprintf("http://127.0.0.1:%d", port)
	step := func(refuses bool) func(*cell, *page) *page {
		return func(x *cell, p *page) *page {
			switch abort := p.find(func(n *html.Node) bool { return strings.HasSuffix(attr(n, "href"), "/abort") }); {
			case p.field("login") != nil:
				return x.c.submit(p, url.Values{"login": {"camille"}, "password": {"any"}})
			case refuses && abort != nil:
				to, err := p.URL.Parse(attr(abort, "href"))
				if err != nil {
					x.t.Fatal(err)
				}
				return x.c.get(to.String())
			}
			return x.c.submit(p, nil)
		}
	}
	return &identityProvider{
		name: "oidc-provider", id: "node", givenName: "Camille Jeanne",
		yaml: oidcYAML(issuer, "ES256", "    scopes: [openid, profile, birth, email]\n    acr: { max: eidas2, default: eidas1 }\n    civil_identity: true\n"),
		launch: func(broker string) {
			env := []string{
				fmt.Sprintf("PORT=%d", port), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + matrixSecret,
				"REDIRECT_URI=" + broker + "/callback/node", "POST_LOGOUT_URI=" + broker + "/logout/return",
			}
			launch(t, env, issuer+"/.well-known/openid-configuration", node(t), "counterparts/oidc-provider.mjs")
		},
		agree: step(false), refuse: step(true),
		leave:   func(x *cell, p *page) *page { return x.c.submit(p, url.Values{"logout": {"yes"}}) },
		asksWho: func(p *page) bool { return p.field("login") != nil },
	}
}

// lemonProvider answers eidas1 whatever it is asked for.
func lemonProvider(t *testing.T) *identityProvider {
	need(t, "plackup", "Plack")
	need(t, "/usr/share/perl5/Lemonldap/NG/Portal/Issuer/OpenIDConnect.pm", "LemonLDAP::NG's portal")
	need(t, "/usr/share/perl5/String/Random.pm", "libstring-random-perl")
	need(t, "/usr/share/perl5/IO/String.pm", "libio-string-perl")
	port := ports(t)
	issuer := fmt.Sprintf("http://127.0.0.1:%d", port)
	step := func(refuses bool) func(*cell, *page) *page {
		return func(x *cell, p *page) *page {
			confirm := p.field("confirm")
			switch {
			case p.field("user") != nil:
				return x.c.submit(p, url.Values{"user": {"camille"}, "password": {"camille"}})
			case refuses && confirm != nil: // what its script does when the button is pressed
				return x.c.submit(p, url.Values{"confirm": {"-" + attr(confirm, "value")}})
			}
			return x.c.submit(p, nil)
		}
	}
	return &identityProvider{
		name: "LemonLDAP::NG", id: "lemon", givenName: "Camille Jeanne",
		yaml: oidcYAML(issuer, "RS256", "    scopes: [openid, profile, birth, email]\n    acr: { max: eidas2, map: { eidas1: eidas1, eidas2: eidas2 } }\n    civil_identity: true\n"),
		launch: func(broker string) {
			env := []string{
				"DIR=" + t.TempDir(), "ISSUER=" + issuer, "CLIENT_ID=voussoir", "CLIENT_SECRET=" + matrixSecret,
				"REDIRECT_URI=" + broker + "/callback/lemon", "POST_LOGOUT_URI=" + broker + "/logout/return",
			}
			launch(t, env, issuer+"/.well-known/openid-configuration", "plackup", "-s", "HTTP::Server::PSGI", "-E", "deployment",
				"-o", "127.0.0.1", "-p", fmt.Sprint(port), "counterparts/lemonldap.psgi")
		},
		agree: step(false), refuse: step(true), leave: step(false), keepsHer: lemonKeepsHer,
		asksWho: func(p *page) bool { return p.field("user") != nil },
	}
}

// simpleProvider takes no notice of the level that it is asked for.
func simpleProvider(t *testing.T) *identityProvider {
	dir, port := samlFolder(t), ports(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	return &identityProvider{
		name: "SimpleSAMLphp", id: "simple", givenName: "Camille Jeanne",
		yaml: fmt.Sprintf(`    protocol: saml
    issuer: %[1]s/saml2/idp/metadata.php
    saml:
      metadata_url: %[1]s/saml2/idp/metadata.php
      metadata_certificate_file: %[2]s
      preset: eduperson
    claims: { birthdate: birthdate }
    acr: { max: eidas2, map: { "%[3]s": eidas1, "urn:x:token": eidas2 } }
`, base, filepath.Join(dir, "federation.pem"), passwordACR),
		launch: func(broker string) { launchSAML(t, dir, port, broker+"/saml/simple/metadata", false) },
		agree: func(x *cell, p *page) *page {
			if p.field("SAMLResponse") != nil {
				return x.postedFromElsewhere(p)
			}
			return x.c.submit(p, url.Values{"username": {"camille"}, "password": {"any"}})
		},
		cannotRefuse: samlCannotRefuse, cannotLeave: samlCannotLeave, leave: nobody,
		asksWho: func(p *page) bool { return p.field("username") != nil },
	}
}

const secondBrokerConfig = `
issuer: http://127.0.0.1:{port}
listen: 127.0.0.1:{port}
development: true
data: {data}
providers:
  - id: upstream
    name: { fr: "Mairie", en: "Town hall" }
    issuer: %s
    client_id: voussoir
    client_secret: %s
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas1 }
    civil_identity: true
clients:
  - id: voussoir
    name: { fr: "L’autre Voussoir", en: "The other Voussoir" }
    redirect_uris: [%q]
    post_logout_redirect_uris: [%q]
    client_secret_sha256: %q
    sector: other.example
    policy: federation
policies:
  - id: federation
    version: 1
    purpose: { fr: "Vous connecter ailleurs", en: "Sign you in elsewhere" }
    legal_basis: consent
    retention: P1D
    min_acr: eidas1
    claims:
      - { name: given_name, required: true }
      - { name: family_name, required: true }
      - { name: birthdate, required: true }
      - { name: gender, required: true }
      - { name: birthplace, required: true }
      - { name: birthcountry, required: true }
    consent_validity: PT0S
`

// secondBroker is a Voussoir behind which there is a sandbox provider that reaches
// eidas1: asked for more it answers unmet_authentication_requirements at once.
func secondBroker(t *testing.T) *identityProvider {
	port := ports(t)
	issuer := fmt.Sprintf("http://127.0.0.1:%d", port)
	step := func(answer string) func(*cell, *page) *page {
		return func(x *cell, p *page) *page {
			for _, id := range []string{"provider-upstream", "identity-camille", answer} {
				if p.byID(id) != nil {
					return x.c.press(p, id, nil)
				}
			}
			x.t.Fatalf("nothing to press at %s (status %d, code %q):\n%s", p.URL.Path, p.Status, p.errorCode(), tail(p.Body, 1500))
			return nil
		}
	}
	return &identityProvider{
		name: "Voussoir", id: "second", givenName: "Camille",
		yaml: oidcYAML(issuer, "ES256", "    scopes: [openid, profile, birth]\n    acr: { max: eidas2 }\n    civil_identity: true\n"),
		launch: func(broker string) {
			plain := func(h http.Handler) http.Handler { return h }
			upstream := providerBehind(t, matrixSecret, linteau(), func() string { return issuer + "/callback/upstream" }, plain, issuer+"/logout/return")
			serveOn(t, port, fmt.Sprintf(secondBrokerConfig, upstream, matrixSecret, broker+"/callback/second", broker+"/logout/return", sha256hex(matrixSecret)))
			found(t, http.DefaultTransport, issuer)
		},
		agree: step("consent-agree"), refuse: step("consent-refuse"), leave: nobody,
		asksWho: func(p *page) bool { return p.byID("identity-camille") != nil },
	}
}
