package config

import (
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
)

// Registration lets services register by API (RFC 7591, RFC 7592). Without tokens
// there is no such API.
type Registration struct {
	// Tokens are the initial access tokens: who has one may register services, under
	// the policy that it is bound to. Default []: nobody may.
	Tokens []InitialToken `yaml:"tokens" eg:"[{ id: city-onboarding, … }]"`
}

// InitialToken is one initial access token, and what its services may be.
type InitialToken struct {
	// ID names it in the audit log and in lists: 1 to 64 of letters, digits and -._~.
	// Required, never reused. When it leaves the configuration, its services are out
	// of service, and come back with it.
	ID string `yaml:"id" jsonschema:"required" eg:"city-onboarding"`
	// Name is the organisation that has the token; people read it in place of the
	// name of a service that gives none. Required.
	Name Text `yaml:"name" jsonschema:"required" eg:"{ fr: \"Ville\", en: \"City\" }"`
	// TokenSHA256 is the SHA-256 of the token in hex (of a random token of at least
	// 32 bytes). Required.
	TokenSHA256 string `yaml:"token_sha256" jsonschema:"required" secret:"true" eg:"\"64 hex digits, from: printf %s THE_TOKEN | sha256sum\""`
	// Policy is the id of the policy of its services. Required.
	Policy string `yaml:"policy" jsonschema:"required" eg:"library"`
	// MaxClients is how many of its services there may be at a time: 1 to 10000.
	// Default 10.
	MaxClients int `yaml:"max_clients" eg:"10"`
	// Expires is the last day on which somebody may register with it, in UTC. Services
	// that are registered stay. Default "": no last day.
	Expires string `yaml:"expires" eg:"\"2027-06-30\""`
	// RedirectHosts are the hosts that redirect URIs of its services may have, also those
	// after a logout, each in full. Default []: any host.
	RedirectHosts []string `yaml:"redirect_hosts" eg:"[app.city.example]"`
	// PublicClients: its services may be public clients, which prove themselves by
	// nothing (token_endpoint_auth_method none). Default false.
	PublicClients bool `yaml:"public_clients" eg:"false"`
	// RefreshTokens lets those of its services that register the grant refresh_token
	// come back while the person is away, as with a client. Default: none may.
	RefreshTokens RefreshTokens `yaml:"refresh_tokens" eg:"{ idle: P30D, max: P180D }"`
	// RequirePKCE: its services must use PKCE (S256). Default true; false needs an
	// exception_reason, and does not hold for public clients.
	RequirePKCE *bool `yaml:"require_pkce" eg:"true"`
	// RequireNonce: its services must send a nonce. Default true; false needs an
	// exception_reason.
	RequireNonce *bool `yaml:"require_nonce" eg:"true"`
	// RequireState: its services must send a state. Default true; false needs an
	// exception_reason.
	RequireState *bool `yaml:"require_state" eg:"true"`
	// ExceptionReason says why one of the three above is false, and until when.
	// Default "".
	ExceptionReason string `yaml:"exception_reason" eg:"\"the certification suite sends no PKCE\""`
}

// maxRegistered is the most services that one token can have.
const maxRegistered = 10_000

// asClient is the part that its services have in common.
func (t *InitialToken) asClient() *Client {
	return &Client{
		Name: t.Name, Policy: t.Policy, RequirePKCE: t.RequirePKCE, RequireNonce: t.RequireNonce,
		RequireState: t.RequireState, ExceptionReason: t.ExceptionReason, RefreshTokens: t.RefreshTokens,
	}
}

func (c *checker) registration() {
	tokens := c.f.Registration.Tokens
	for i := range tokens {
		c.initialToken(&tokens[i], index("registration.tokens", i))
		at := index("registration.tokens", i) + ".token_sha256"
		if c.ok(at) && slices.ContainsFunc(tokens[:i], func(t InitialToken) bool { return strings.EqualFold(t.TokenSHA256, tokens[i].TokenSHA256) }) {
			c.add(at, "this is the token of another entry", "that of a random token of its own, from: openssl rand -base64 32")
		}
	}
	doubles(c, "registration.tokens", tokens, func(t InitialToken) string { return t.ID })
}

func (c *checker) initialToken(t *InitialToken, path string) {
	if at := path + ".id"; c.sound(at, t.ID) && !clientID.MatchString(t.ID) {
		c.add(at, quote(t.ID)+" cannot be the id of a token", "1 to 64 of letters, digits and -._~, such as city-onboarding")
	}
	c.empty(path+".id", t.ID, "id: city-onboarding")
	c.text(path+".name", t.Name, 100)
	if at := path + ".token_sha256"; c.has(at) {
		c.digest(at, t.TokenSHA256)
	}
	c.clientPolicy(t.asClient(), path)
	c.exceptions(t.asClient(), path)
	c.refreshTokens(t.asClient(), path)
	if at := path + ".max_clients"; c.has(at) && c.ok(at) && (t.MaxClients < 1 || t.MaxClients > maxRegistered) {
		c.add(at, "a token has between 1 and 10000 services", "max_clients: 10")
	}
	if at := path + ".expires"; c.sound(at, t.Expires) {
		if _, err := lastDay(t.Expires); err != nil {
			c.add(at, quote(t.Expires)+" is not a day", "expires: \"2027-06-30\"")
		}
	}
	for i, host := range t.RedirectHosts {
		at := index(path+".redirect_hosts", i)
		switch {
		case !c.ok(at):
		case !hostLike.MatchString(host):
			c.add(at, quote(host)+" is not a host name", "a host name in small letters, without scheme, port or *, such as app.city.example")
		case slices.Index(t.RedirectHosts, host) < i:
			c.add(at, quote(host)+" is in the list twice", "it once")
		}
	}
}

// lastDay is the end of a day in UTC; zero for "".
func lastDay(day string) (time.Time, error) {
	if day == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, day)
	return t.AddDate(0, 0, 1), err
}

// allows reports whether the services of this token may have such a redirect URI.
func (t *InitialToken) allows(redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	return len(t.RedirectHosts) == 0 || err == nil && slices.Contains(t.RedirectHosts, u.Hostname())
}

// Initial is an initial access token, for those who compare tokens.
type Initial struct {
	ID      string
	SHA256  [32]byte
	Max     int
	Expires time.Time // zero: never
}

func (t *InitialToken) load() Initial {
	out := Initial{ID: t.ID, Max: t.MaxClients}
	if out.Max == 0 {
		out.Max = 10
	}
	out.Expires, _ = lastDay(t.Expires)     // a mistake is reported by the check
	b, _ := hex.DecodeString(t.TokenSHA256) // likewise
	copy(out.SHA256[:], b)
	return out
}

// RegisteredAlgs are the algorithms that services may ask for which register while we
// run: keys for them must be there before.
func RegisteredAlgs() []string { return []string{"ES256", "EdDSA", "PS256", "RS256"} }

// public reports whether a method of authentication proves nothing.
func public(method string) bool { return method == string(clients.Public) }
