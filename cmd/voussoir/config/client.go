package config

// Client is one service.
type Client struct {
	// ID is its client_id: 1 to 64 of letters, digits and -._~. Required, never
	// reused.
	ID string `yaml:"id" jsonschema:"required" eg:"city-library"`
	// Name is what people read on the choice and consent pages. Required.
	Name Text `yaml:"name" jsonschema:"required" eg:"{ fr: \"Médiathèque\", en: \"City library\" }"`
	// RedirectURIs are where answers may go, compared byte for byte: https, or
	// loopback http with development: true. At least one.
	RedirectURIs []string `yaml:"redirect_uris" jsonschema:"required" eg:"[https://service.example/callback]"`
	// PostLogoutRedirectURIs are where a person may be sent after logging out, compared
	// byte for byte (docs/logout.md). Default [].
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris" eg:"[https://service.example/]"`
	// Profile is a whole set of rules by one name: franceconnect takes what a service
	// of FranceConnect v2 sends, fapi2 demands what the FAPI 2.0 Security Profile does
	// (docs/profiles.md). What contradicts it is refused. Default standard.
	Profile string `yaml:"profile" jsonschema:"enum=standard,enum=franceconnect,enum=fapi2" eg:"standard"`
	// ApplicationType is native for an app on the person's own device (RFC 8252): its
	// redirect URIs may be http on 127.0.0.1 or [::1], where every port holds, or of a
	// scheme such as com.example.app. Default web.
	ApplicationType string `yaml:"application_type" jsonschema:"enum=web,enum=native" eg:"web"`
	// AuthorizationDetailsTypes are the types of authorization details (RFC 9396) that
	// it may ask for. This version has none. Default [].
	AuthorizationDetailsTypes []string `yaml:"authorization_details_types" eg:"[]"`
	// FrontChannelLogoutURI is a page of the service that a hidden frame in the
	// person's browser loads when her session ends, with iss and sid; on the scheme,
	// host and port of one of its redirect URIs. Default "": none.
	FrontChannelLogoutURI string `yaml:"frontchannel_logout_uri" eg:"https://service.example/logged-out"`
	// BackChannelLogoutURI is where we post a signed logout token when a session ends.
	// Default "": the service is not told.
	BackChannelLogoutURI string `yaml:"backchannel_logout_uri" eg:"https://service.example/backchannel-logout"`
	// BackChannelLogoutSessionRequired: the service needs sid in the logout token. It
	// is always there, and false changes nothing. Default false.
	BackChannelLogoutSessionRequired bool `yaml:"backchannel_logout_session_required" eg:"true"`
	// SecurityEventsURI is where we push a signed security event token (RFC 8417, RFC 8935)
	// when a person takes back what she had agreed to. Default "": the service is not told.
	SecurityEventsURI string `yaml:"security_events_uri" eg:"https://service.example/security-events"`
	// TokenEndpointAuthMethod is how the service proves itself, and the only way
	// accepted; none is for programs that can keep no secret, in browsers and on
	// people's devices. Default client_secret_basic, or what its profile says.
	TokenEndpointAuthMethod string `yaml:"token_endpoint_auth_method" jsonschema:"enum=client_secret_basic,enum=client_secret_post,enum=private_key_jwt,enum=tls_client_auth,enum=self_signed_tls_client_auth,enum=none" eg:"client_secret_basic"`
	// TokenEndpointAuthSigningAlg is the algorithm of its client assertions, with
	// private_key_jwt. Default ES256.
	TokenEndpointAuthSigningAlg string `yaml:"token_endpoint_auth_signing_alg" jsonschema:"enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// ClientSecretSHA256 is the SHA-256 of its secret in hex (of a random secret of
	// at least 32 bytes), or a list of them while a secret is being changed.
	ClientSecretSHA256 OneOrMore `yaml:"client_secret_sha256" secret:"true" eg:"\"64 hex digits, from: printf %s THE_SECRET | sha256sum\""`
	// JWKS holds its public keys: for private_key_jwt and self_signed_tls_client_auth,
	// for request objects and to encrypt to. Default: none.
	JWKS Raw `yaml:"jwks" secret:"true" eg:"{ keys: [ … ] }"`
	// JWKSURI is where its public keys are, in place of jwks. Default "".
	JWKSURI string `yaml:"jwks_uri" eg:"https://service.example/jwks"`
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
	// CertificateBoundAccessTokens: it gets access tokens only with a client
	// certificate, and only that certificate opens userinfo with them (RFC 8705 section
	// 3). It may prove itself by another method. Default false.
	CertificateBoundAccessTokens bool `yaml:"tls_client_certificate_bound_access_tokens" eg:"true"`
	// Sector decides which services see the same subject for a person: those of
	// one sector do. Default: the host of its redirect URIs.
	Sector string `yaml:"sector" eg:"service.example"`
	// Policy is the id of the policy that says what it may receive. Required.
	Policy string `yaml:"policy" jsonschema:"required" eg:"library"`
	// RequirePKCE: an authorization request needs a code_challenge (RFC 7636,
	// S256). Default true; false needs an exception_reason.
	RequirePKCE *bool `yaml:"require_pkce" eg:"true"`
	// RequireNonce: an authorization request needs a nonce. Default true; false
	// needs an exception_reason.
	RequireNonce *bool `yaml:"require_nonce" eg:"true"`
	// RequireState: an authorization request needs a state. Default true; false
	// needs an exception_reason.
	RequireState *bool `yaml:"require_state" eg:"true"`
	// ExceptionReason says why one of the three above is false, and until when; what
	// its profile switches off needs none. Default "".
	ExceptionReason string `yaml:"exception_reason" eg:"\"their library knows no PKCE; until 2027-06\""`
	// AllowedOrigins are the websites whose programs may call /token, /userinfo,
	// /revoke and /par for it from a browser (CORS, never with credentials): exact
	// origins. A redirect URI allows none. Default [].
	AllowedOrigins []string `yaml:"allowed_origins" eg:"[https://app.example]"`
	// RequirePAR: its authorization requests must be pushed to /par (RFC 9126). Every
	// client may push them. Default false.
	RequirePAR bool `yaml:"require_par" eg:"false"`
	// RequestObjectSigningAlg is the algorithm of its signed request objects (RFC
	// 9101), whose keys are in jwks or jwks_uri. Default "": it sends none.
	RequestObjectSigningAlg string `yaml:"request_object_signing_alg" jsonschema:"enum=,enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// RequireSignedRequestObject: every authorization request must be a signed
	// request object, with nbf. Default false.
	RequireSignedRequestObject bool `yaml:"require_signed_request_object" eg:"false"`
	// AuthorizationSignedResponseAlg signs the answers that it asks for with
	// response_mode jwt, query.jwt or form_post.jwt (JARM). Default "": it may not.
	AuthorizationSignedResponseAlg string `yaml:"authorization_signed_response_alg" jsonschema:"enum=,enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// Resources are the APIs where it may ask to use its access tokens, by the
	// resource parameter (RFC 8707), compared byte for byte. A token that names some is
	// for these only; to read userinfo with it too, our /userinfo must be one of them.
	// Default [].
	Resources []string `yaml:"resources" eg:"[https://api.example/]"`
	// DPoPBoundAccessTokens: it gets no token without a DPoP proof (RFC 9449), and its
	// access tokens are of use with that key only. A proof binds the tokens of every
	// other client too. Default false.
	DPoPBoundAccessTokens bool `yaml:"dpop_bound_access_tokens" eg:"false"`
	// IDTokenSignedResponseAlg signs its ID tokens. RS256 only where the service
	// cannot do better. Default ES256.
	IDTokenSignedResponseAlg string `yaml:"id_token_signed_response_alg" jsonschema:"enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// IDTokenEncryptedResponseAlg encrypts its ID tokens, once
	// signed, to its key in jwks or jwks_uri that says use: enc. Default "": in clear,
	// under TLS.
	IDTokenEncryptedResponseAlg string `yaml:"id_token_encrypted_response_alg" jsonschema:"enum=,enum=ECDH-ES,enum=RSA-OAEP-256" eg:"ECDH-ES"`
	// IDTokenEncryptedResponseEnc is the content encryption that goes with it. Default
	// A256GCM.
	IDTokenEncryptedResponseEnc string `yaml:"id_token_encrypted_response_enc" jsonschema:"enum=,enum=A256GCM" eg:"A256GCM"`
	// UserInfoSignedResponseAlg signs what it gets from userinfo, as a JWT. Default
	// "": plain JSON; with profile: franceconnect ES256.
	UserInfoSignedResponseAlg string `yaml:"userinfo_signed_response_alg" jsonschema:"enum=,enum=ES256,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// UserInfoEncryptedResponseAlg encrypts what it gets from userinfo, once
	// signed, to its key in jwks or jwks_uri that says use: enc. Default "": in clear,
	// under TLS.
	UserInfoEncryptedResponseAlg string `yaml:"userinfo_encrypted_response_alg" jsonschema:"enum=,enum=ECDH-ES,enum=RSA-OAEP-256" eg:"ECDH-ES"`
	// UserInfoEncryptedResponseEnc is the content encryption that goes with it. Default
	// A256GCM.
	UserInfoEncryptedResponseEnc string `yaml:"userinfo_encrypted_response_enc" jsonschema:"enum=,enum=A256GCM" eg:"A256GCM"`
	// AccessTokenLifetime is how long its access tokens live, ISO 8601, at most
	// PT1H. Default PT60S.
	AccessTokenLifetime string `yaml:"access_token_lifetime" eg:"PT60S"`
	// AccessTokenFormat is opaque or jwt (RFC 9068). A JWT can be verified without
	// asking us, until it expires and even if it is revoked; and whoever is shown it
	// reads the person's subject at this service. Default opaque.
	AccessTokenFormat string `yaml:"access_token_format" jsonschema:"enum=opaque,enum=jwt" eg:"opaque"`
	// RefreshTokens lets it come back while the person is away, if it asks for
	// offline_access and she agrees. Default: it may not.
	RefreshTokens RefreshTokens `yaml:"refresh_tokens" eg:"{ idle: P30D, max: P180D }"`
	// SingleSignOn: a person who signed in for another service a moment ago need not do so
	// again. With false she signs in at her provider each time, and that sign-in serves
	// no other service either. Default true.
	SingleSignOn *bool `yaml:"single_sign_on" eg:"true"`
	// IdPHints are the providers that it may name in idp_hint. Default []: none.
	IdPHints []string `yaml:"idp_hints" eg:"[tax]"`
	// Scopes are the scopes that it may ask for. Default []: every one that we know.
	Scopes []string `yaml:"scopes" eg:"[openid, given_name]"`
	// IDTokenClaims are the claims, of those that its policy allows, that are also
	// in the ID token. Default []: claims are in userinfo only.
	IDTokenClaims []string `yaml:"id_token_claims" eg:"[age_over_18]"`
}

// RefreshTokens says for how long a service may come back while the person is away.
type RefreshTokens struct {
	// Max is for how long in all, from the sign-in, ISO 8601 in days and hours, at most
	// P366D: she reads the day on which it ends. Required with refresh_tokens.
	Max string `yaml:"max" eg:"P180D"`
	// Idle is how long a refresh token may lie unused, at most max. Default P30D, or
	// max if that is less.
	Idle string `yaml:"idle" eg:"P30D"`
	// Rotation: each use gives a new token, and a used one that comes again ends them
	// all. Default true. false is for a service that proves itself and cannot be sure to
	// keep each answer, or that FAPI 2.0 applies to; it needs a reason.
	Rotation *bool `yaml:"rotation" eg:"true"`
	// Reason says why rotation is false. Default "".
	Reason string `yaml:"reason" eg:"\"FAPI 2.0 Security Profile 5.3.2.1: no rotation\""`
}
