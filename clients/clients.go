// Package clients owns what we know of services: registration data, sector, keys,
// and what makes a redirect URI good. It never decides what a service may receive;
// see policies. cmd/voussoir/config makes the set from the configuration.
package clients

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// AuthMethod is how a client proves itself at /token (OpenID Connect Core
// section 9). The registered method is the only one accepted.
type AuthMethod string

// The methods.
const (
	SecretBasic   AuthMethod = "client_secret_basic"
	SecretPost    AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
	TLSClient     AuthMethod = "tls_client_auth"             // a certificate of an authority (RFC 8705 section 2.1)
	SelfSignedTLS AuthMethod = "self_signed_tls_client_auth" // a certificate in its JWKS (section 2.2)
	Public        AuthMethod = "none"                        // it can keep no secret (RFC 6749 section 2.1)
)

// Client is one registered service. It is immutable once loaded, and shared.
type Client struct {
	ID                protocol.ClientID
	Name              protocol.Text
	RedirectURIs      []string // compared byte for byte (RFC 9700 section 4.1.3)
	PostLogoutURIs    []string
	AuthMethod        AuthMethod
	SecretSHA256      [][32]byte      // of random secrets of at least 32 bytes; several during rotation
	JWKS              json.RawMessage // inline keys for private_key_jwt, request objects and encryption, or
	JWKSURI           string          // where to fetch them
	AuthSigningAlg    string          // algorithm of client assertions, e.g. ES256; empty: what the key says
	CertificateName   CertificateName // how an authority's certificate names it, for tls_client_auth
	Sector            string          // pairwise sector; never empty once loaded
	Policy            string          // id of its policy
	RequirePKCE       bool
	RequireNonce      bool
	RequireState      bool
	IDTokenSigningAlg string                // ES256 unless registered otherwise
	AccessTokenTTL    time.Duration         // 60 s by default, at most 1 h
	IdPHints          []protocol.ProviderID // the providers that it may name in idp_hint
	AllowedOrigins    []string              // may call us from a browser (CORS), byte for byte
	Scopes            []protocol.Scope      // scopes that it may ask for; empty: every known one
	ClaimsInIDToken   []protocol.Claim      // claims that its policy also allows in the ID token

	// How it asks, and is answered (docs/requests.md).
	RequirePAR                 bool     // its requests must be pushed (RFC 9126)
	RequestObjectSigningAlg    string   // algorithm of its request objects (RFC 9101); empty: we read none
	RequireSignedRequestObject bool     // a request that is none is refused
	ResponseSigningAlg         string   // algorithm of signed authorization responses (JARM); empty: it gets none
	Resources                  []string // where it may ask to use its access tokens (RFC 8707), byte for byte

	// What it is given, and how.
	AccessTokenFormat  AccessTokenFormat // empty: opaque
	UserInfoSigningAlg string            // userinfo is a JWT, signed with it; empty: JSON
	IDTokenEncryption  Encryption        // to its key in JWKS
	UserInfoEncryption Encryption        // of a signed answer only

	// What kind of program it is, and what a profile demands (docs/profiles.md).
	Native                   bool     // an app on the person's device (RFC 8252): a loopback redirect URI holds for every port
	RequireACRValues         bool     // an authorization request needs acr_values
	AssertionForIssuerOnly   bool     // the audience of its assertions is our issuer, not also the token endpoint
	AuthorizationDetailTypes []string // types of authorization details that it may ask for, or see (RFC 9396)

	// Whom its tokens are bound to (docs/tokens.md).
	DPoPBound        bool // it gets no token without a DPoP proof (RFC 9449)
	CertificateBound bool // nor without a client certificate (RFC 8705 section 3)

	// How long it may act while the person is away: from one use of offline_access
	// to the next, and in all. 0: it may not.
	RefreshIdle, RefreshMax time.Duration
	KeepRefreshToken        bool // it keeps its refresh token instead of getting a new one each time

	// Its people sign in at their provider each time: no session takes the place of that,
	// and none begins with it.
	NoSingleSignOn bool

	// Where it is told of the end of a session (OpenID Connect Front-Channel and
	// Back-Channel Logout); empty: it is not.
	FrontChannelLogoutURI string
	BackChannelLogoutURI  string

	// SecurityEventsURI is where it is pushed security event tokens (RFC 8935), such as
	// that a person has taken her answer back; empty: nowhere.
	SecurityEventsURI string

	// A data provider has these, and no redirect URI.
	DataProvider            *DataProvider // nil for a service
	IntrospectionSigningAlg string        // of JWT answers of /introspect; empty: ES256
	IntrospectionEncryption Encryption    // its answers are then always JWTs
}

// HasRedirectURI reports whether uri is registered, byte for byte; of a native
// app's loopback URI the port does not count.
func (c *Client) HasRedirectURI(uri string) bool {
	for _, r := range c.RedirectURIs {
		if r == uri || c.Native && anyPort(r, uri) {
			return true
		}
	}
	return false
}

// Set is an immutable set of clients.
type Set struct {
	order   []*Client
	byID    map[protocol.ClientID]*Client
	origins map[string]bool // that some client may call from
}

// NewSet makes a set. Of two clients with one id the later wins in Get, so the
// caller refuses doubles first (cmd/voussoir/config does).
func NewSet(cs ...*Client) *Set {
	s := &Set{order: cs, byID: make(map[protocol.ClientID]*Client, len(cs)), origins: map[string]bool{}}
	for _, c := range cs {
		s.byID[c.ID] = c
		for _, o := range c.AllowedOrigins {
			s.origins[o] = true
		}
	}
	return s
}

// HasOrigin reports whether some client may call us from this origin.
func (s *Set) HasOrigin(origin string) bool { return s.origins[origin] }

// Get returns the client with this id, or false.
func (s *Set) Get(id protocol.ClientID) (*Client, bool) { c, ok := s.byID[id]; return c, ok }

// Services returns those that sign people in: all but the data providers.
func (s *Set) Services() []*Client {
	return slices.DeleteFunc(slices.Clone(s.order), func(c *Client) bool { return c.DataProvider != nil })
}

// All returns the clients in the order of NewSet. The caller does not change the
// slice.
func (s *Set) All() []*Client { return s.order }
