// Package config reads the one YAML file that tells a broker what it is: where
// it listens, which identity providers it knows, which services may use it, and
// under which policies. It reads strictly, finds every mistake at once, says
// where each one is and what to write instead, and hands the rest of the program
// finished clients, policies and provider settings. It never starts anything,
// and no secret ever appears in its errors. The fields are documented on the
// types below; deploy/example.yaml shows them in use.
package config

import "github.com/voussoir-id/voussoir/protocol"

// File is the whole configuration file.
type File struct {
	// Issuer is the public address of this broker, without a path or a trailing
	// slash: services know it by this name, and it is in every token. https, or
	// http on a loopback host with development: true. Required.
	Issuer string `yaml:"issuer" jsonschema:"required" eg:"https://id.example.org"`
	// Listen is the address and port that the broker listens on. Only a loopback
	// address with development: true. Default 127.0.0.1:8080.
	Listen string `yaml:"listen" eg:"127.0.0.1:8080"`
	// TLS lets the broker speak TLS itself. Default: it speaks http, to a proxy that
	// does.
	TLS TLS `yaml:"tls"`
	// ClientCertificates lets services prove themselves by certificates, and have
	// tokens bound to them (RFC 8705). Default: no certificate is asked for or read.
	ClientCertificates ClientCertificates `yaml:"client_certificates"`
	// MetricsListen is the address and port for metrics. Not served in this
	// version. Default: none.
	MetricsListen string `yaml:"metrics_listen" eg:"127.0.0.1:9090"`
	// Development allows what a test on one machine needs: http, loopback
	// providers and inline secrets. Default false.
	Development bool `yaml:"development" eg:"true"`
	// AllowPrivateAddresses lets our calls to providers and to services' jwks_uri
	// reach private networks (RFC 1918, RFC 4193) and this machine. Default false;
	// always so with development: true.
	AllowPrivateAddresses bool `yaml:"allow_private_addresses" eg:"true"`
	// Data is the folder of the SQLite files and the key file, mode 0700. Relative
	// to this file. Default ./data.
	Data string `yaml:"data" eg:"./data"`
	// Keys says where the secret is that protects the key file.
	Keys Keys `yaml:"keys"`
	// Redis holds short-lived state for several nodes. Not available in this
	// version: leave it out or empty.
	Redis Store `yaml:"redis"`
	// Postgres holds the records for several nodes. Not available in this version:
	// leave it out or empty.
	Postgres Store `yaml:"postgres"`
	// Providers are the identity providers, in the order in which the choice page
	// shows them. At least one.
	Providers []Provider `yaml:"providers" jsonschema:"required" eg:"[{ id: tax, … }]"`
	// Clients are the services. Default: none.
	Clients []Client `yaml:"clients" eg:"[{ id: city-library, … }]"`
	// DataProviders are APIs that services call with our access tokens. Default:
	// none.
	DataProviders []DataProvider `yaml:"data_providers" eg:"[{ id: tax-api, … }]"`
	// Policies say what services may receive, and why. Default: none.
	Policies []Policy `yaml:"policies" eg:"[{ id: library, … }]"`
	// Registration lets services register by API. Default: they cannot.
	Registration Registration `yaml:"registration"`
	// Consultations are not available in this version: leave the list empty.
	Consultations []Later `yaml:"consultations" eg:"[]"`
	// Registry is the civil registry, which is asked about the identities that providers
	// give (docs/registry.md). Default: none.
	Registry Registry `yaml:"registry"`
	// Admin is the operators' console. Not available in this version: leave it out
	// or empty.
	Admin Admin `yaml:"admin"`
}

// Keys says where the secret is that protects the key file, and whether a token
// holds the signing keys.
type Keys struct {
	// SecretFile is a file with the secret (64 hex digits), relative to this file, mode 0600 or
	// 0400. Default: a file that is made in the data folder on the first start.
	SecretFile string `yaml:"secret_file" eg:"secrets/keys"`
	// SecretEnv names the environment variable that holds the secret, in place of
	// secret_file. Default: none.
	SecretEnv string `yaml:"secret_env" eg:"VOUSSOIR_KEYS_SECRET"`
	// Signer is the process that holds the signing keys in a PKCS #11 token.
	// Default: none, they are in the key file.
	Signer Signer `yaml:"signer"`
}

// Signer is the process that holds the signing keys in a PKCS #11 token
// (voussoir-signer). The key file keeps the secrets of the pseudonyms and of what
// rests.
type Signer struct {
	// Socket is the absolute path of its Unix socket. Nobody has to listen there when
	// the broker starts. Needs a restart. Default: none.
	Socket string `yaml:"socket" eg:"/run/voussoir/signer.sock"`
}

// Store is the address of a service that this version does not use yet.
type Store struct {
	// URL is its address. Must be empty in this version. Default "".
	URL string `yaml:"url" eg:"\"\""`
}

// Admin configures the operators' console, which this version does not have yet.
type Admin struct {
	// Issuer must be empty in this version. Default "".
	Issuer string `yaml:"issuer" eg:"\"\""`
	// ClientID must be empty in this version. Default "".
	ClientID string `yaml:"client_id" eg:"\"\""`
	// Roles must be empty in this version.
	Roles Roles `yaml:"roles"`
}

// Roles says who may do what in the console.
type Roles struct {
	// Auditor must be empty in this version. Default [].
	Auditor []string `yaml:"auditor" eg:"[]"`
	// Operator must be empty in this version. Default [].
	Operator []string `yaml:"operator" eg:"[]"`
	// Support must be empty in this version. Default [].
	Support []string `yaml:"support" eg:"[]"`
}

// Later is an entry of a list that must be empty in this version.
type Later struct{}

// Text is a sentence in several languages, by two-letter code. At least one of
// fr and en.
type Text map[string]string

// Provider is one identity provider.
type Provider struct {
	// ID names the provider in policies and in its callback path,
	// /callback/ID: 1 to 32 of a-z, 0-9 and -. Required, and never reused.
	ID string `yaml:"id" jsonschema:"required" eg:"tax"`
	// Name is what people read on its button. Required.
	Name Text `yaml:"name" jsonschema:"required" eg:"{ fr: \"Impôts\", en: \"Tax office\" }"`
	// Protocol is oidc (OpenID Connect) or saml (SAML 2.0). Default oidc.
	Protocol string `yaml:"protocol" jsonschema:"enum=oidc,enum=saml" eg:"oidc"`
	// Issuer is the provider's issuer, exactly as in its ID tokens: https, or
	// loopback http with development: true. With saml, its entity ID, exactly as in
	// its metadata. Required.
	Issuer string `yaml:"issuer" jsonschema:"required" eg:"https://idp.example"`
	// AuthorizationEndpoint, with token_endpoint and jwks_uri, replaces discovery.
	// Default: discovered at the issuer.
	AuthorizationEndpoint string `yaml:"authorization_endpoint" eg:"https://idp.example/authorize"`
	// TokenEndpoint is used with authorization_endpoint. Default: discovered.
	TokenEndpoint string `yaml:"token_endpoint" eg:"https://idp.example/token"`
	// UserInfoEndpoint is used with authorization_endpoint. Default: discovered.
	UserInfoEndpoint string `yaml:"userinfo_endpoint" eg:"https://idp.example/userinfo"`
	// JWKSURI is used with authorization_endpoint. Default: discovered.
	JWKSURI string `yaml:"jwks_uri" eg:"https://idp.example/jwks"`
	// EndSessionEndpoint, with authorization_endpoint, is where people log out of the
	// provider. Default: discovered, or none.
	EndSessionEndpoint string `yaml:"end_session_endpoint" eg:"https://idp.example/logout"`
	// Logout is relay or off: whether a person who logs out here is sent to the
	// provider to log out there too, where it offers that (docs/logout.md). Our
	// issuer followed by /logout/return must be registered there. Default relay; with
	// saml, off, and nothing else.
	Logout string `yaml:"logout" jsonschema:"enum=relay,enum=off" eg:"relay"`
	// ClientID is our client id at the provider. Required with oidc.
	ClientID string `yaml:"client_id" eg:"voussoir"`
	// ClientSecret is our secret there, in plain text: with development: true only.
	ClientSecret string `yaml:"client_secret" secret:"true" eg:"(nothing: use client_secret_file)"`
	// ClientSecretFile is a file with our secret, relative to this file, mode 0600
	// or 0400. One of client_secret_file, client_secret_env and private_key_jwt.
	ClientSecretFile string `yaml:"client_secret_file" eg:"secrets/tax"`
	// ClientSecretEnv names the environment variable that holds our secret.
	ClientSecretEnv string `yaml:"client_secret_env" eg:"VOUSSOIR_TAX_SECRET"`
	// TokenEndpointAuthMethod is how the secret is sent. Default
	// client_secret_basic.
	TokenEndpointAuthMethod string `yaml:"token_endpoint_auth_method" jsonschema:"enum=client_secret_basic,enum=client_secret_post" eg:"client_secret_basic"`
	// PrivateKeyJWT signs our requests to the token endpoint with our own key
	// (published at /jwks/providers) in place of a secret. Default false.
	PrivateKeyJWT bool `yaml:"private_key_jwt" eg:"true"`
	// Scopes are what we ask for; openid is always among them. Default [openid].
	Scopes []string `yaml:"scopes" eg:"[openid, profile, birth, email]"`
	// IDTokenSignedResponseAlg is the one algorithm that we accept on its ID
	// tokens. Required with oidc: there is no way not to verify.
	IDTokenSignedResponseAlg string `yaml:"id_token_signed_response_alg" jsonschema:"enum=ES256,enum=ES384,enum=ES512,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// UserInfo says whether and how claims are fetched.
	UserInfo UserInfo `yaml:"userinfo"`
	// ACR says how its levels are read. Required.
	ACR ProviderACR `yaml:"acr" jsonschema:"required" eg:"{ max: eidas1, map: { \"urn:x:low\": eidas1 } }"`
	// Claims renames: our name of a claim, then the provider's. Default: the names are
	// the same.
	Claims map[string]string `yaml:"claims" eg:"{ given_name: first_names }"`
	// CivilIdentity: the provider gives a verified civil identity (names, birth
	// date, gender, place and country of birth). Without it a person is known by
	// her account there only. Default false.
	CivilIdentity bool `yaml:"civil_identity" eg:"true"`
	// ISSParameter, with authorization_endpoint: its authorization responses carry
	// iss (RFC 9207), and one without is refused. Default false; with discovery its
	// metadata says so.
	ISSParameter bool `yaml:"iss_parameter" eg:"true"`
	// Keywords are towns and other words that the search of the choice page finds it by,
	// beside its name. They are not shown. Default [].
	Keywords []string `yaml:"keywords" eg:"[Lyon, Villeurbanne]"`
	// LogoFile is its picture on the choice page: PNG or WebP, at most 32 KiB, relative
	// to this file. Read again on SIGHUP. Default: none.
	LogoFile string `yaml:"logo_file" eg:"logos/tax.png"`
	// Beta says on the choice page that it is on trial. Default false.
	Beta bool `yaml:"beta" eg:"true"`
	// Notice is shown before a person leaves for it. Default: none, and she leaves at
	// once.
	Notice Text `yaml:"notice" eg:"{ fr: \"Munissez-vous de votre carte.\", en: \"Have your card at hand.\" }"`
	// Disabled takes it out of service, also for those who are on their way back from
	// it, from the next reload on. Default false.
	Disabled bool `yaml:"disabled" eg:"true"`
	// SAML holds what a SAML 2.0 provider needs; see docs/saml.md. Required with
	// protocol: saml.
	SAML ProviderSAML `yaml:"saml"`
}

// ProviderSAML describes a SAML 2.0 provider.
type ProviderSAML struct {
	// MetadataFile is a file with its metadata, relative to this file; that it is
	// genuine is for you to see to. One of metadata_file and metadata_url. Read at
	// the start and on reload.
	MetadataFile string `yaml:"metadata_file" eg:"metadata/uni.xml"`
	// MetadataURL is where its metadata is fetched every hour. It must be signed by
	// metadata_certificate_file.
	MetadataURL string `yaml:"metadata_url" eg:"https://idp.example/metadata"`
	// MetadataCertificateFile is a PEM file with the certificate, or several, of the
	// key that signs the metadata at metadata_url. Relative to this file.
	MetadataCertificateFile string `yaml:"metadata_certificate_file" eg:"metadata/federation.pem"`
	// Preset maps the attributes of a family of providers to claims: eduperson
	// (universities) or eidas (eIDAS nodes). claims adds to it. Default "": claims
	// alone.
	Preset string `yaml:"preset" jsonschema:"enum=,enum=eduperson,enum=eidas" eg:"eduperson"`
	// SubjectAttribute is the attribute that names an account there, for a provider
	// without a persistent NameID. Never change it: the accounts would be others.
	// Default "": the persistent NameID.
	SubjectAttribute string `yaml:"subject_attribute" eg:"urn:oasis:names:tc:SAML:attribute:pairwise-id"`
	// RequireEncryption refuses assertions that are not encrypted to our key.
	// Default false.
	RequireEncryption bool `yaml:"require_encryption" eg:"true"`
	// CBCExceptionReason is why assertions may come encrypted with AES-CBC, which
	// nobody should use any more; they are then accepted in signed responses only.
	// Default "": AES-GCM alone.
	CBCExceptionReason string `yaml:"cbc_exception_reason" eg:"SimpleSAMLphp 1.19 has nothing else; until it is replaced in 2027"`
	// MinimumContext asks for "this authentication context or better" in place of a
	// list of those that will do; eIDAS nodes want it. Default false.
	MinimumContext bool `yaml:"minimum_context" eg:"true"`
}

// UserInfo says how claims are fetched from a provider.
type UserInfo struct {
	// Fetch asks the userinfo endpoint. Default false: the ID token has the claims.
	Fetch bool `yaml:"fetch" eg:"true"`
	// SignedResponseAlg is the one algorithm accepted on a signed userinfo answer.
	// Default "": plain JSON.
	SignedResponseAlg string `yaml:"signed_response_alg" jsonschema:"enum=,enum=ES256,enum=ES384,enum=ES512,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
}

// ProviderACR reads a provider's levels.
type ProviderACR struct {
	// Max is the highest level that this provider can reach, whatever it says.
	// Required.
	Max string `yaml:"max" jsonschema:"required,enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas1"`
	// Map is what each of its acr values is worth. A value that is not here is
	// worth nothing. Default: eidas1, eidas2 and eidas3, by their names.
	Map map[string]string `yaml:"map" eg:"{ \"urn:x:low\": eidas1 }"`
	// Default is the level of a sign-in whose ID token says none. Default "": no
	// level, so it is refused.
	Default string `yaml:"default" jsonschema:"enum=,enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas1"`
}

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

// Policy says what services may receive, why, and from whom.
type Policy struct {
	// ID is its name for clients: 1 to 64 of letters, digits and -._~. Required.
	ID string `yaml:"id" jsonschema:"required" eg:"library"`
	// Version is a whole number, 1 or more. Raise it with each change: people are
	// then asked anew. Required.
	Version int `yaml:"version" jsonschema:"required" eg:"1"`
	// Purpose completes the sentence "to …" on the consent page. Required.
	Purpose Text `yaml:"purpose" jsonschema:"required" eg:"{ fr: \"Ouvrir votre compte\", en: \"Open your account\" }"`
	// LegalBasis is the ground of article 6(1) GDPR: consent asks the person, the
	// others inform her. Required.
	LegalBasis string `yaml:"legal_basis" jsonschema:"required,enum=consent,enum=public_task,enum=legal_obligation" eg:"consent"`
	// Retention is how long the service keeps the data, ISO 8601, shown to the
	// person. Default "": not said.
	Retention string `yaml:"retention" eg:"P1Y"`
	// MinACR is the weakest level that will do. Default eidas1.
	MinACR string `yaml:"min_acr" jsonschema:"enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas1"`
	// Providers says which identity providers may be used.
	Providers Allow `yaml:"providers"`
	// Claims are what may be released; nothing else ever is. Default []: only sub.
	Claims []ClaimRule `yaml:"claims" eg:"[{ name: given_name, required: true }]"`
	// Conditions narrow what may be released, by facts of the sign-in
	// (docs/policies.md). Default [].
	Conditions []Condition `yaml:"conditions" eg:"[{ id: adults, when: \"!person.age_over(18)\", then: deny, reason: { en: … } }]"`
	// Accepted answers warnings about this policy with a written reason. Default [].
	Accepted []Acceptance `yaml:"accepted" eg:"[{ remark: all-required, reason: \"a loan needs both\" }]"`
	// Tests are cases that voussoir policy test decides: facts, and what is expected.
	// Default [].
	Tests []PolicyTest `yaml:"tests" eg:"[{ name: \"asks the first time\", want: { rule: first-time } }]"`
	// Registry is whether the civil registry has to confirm an identity before anything
	// of it leaves: require; prefer, which lets those pass whom it confirmed before while it
	// does not answer; or off. Default require if there is a registry and the policy
	// releases anything of the civil identity, ages included; otherwise off.
	Registry string `yaml:"registry" jsonschema:"enum=require,enum=prefer,enum=off" eg:"prefer"`
	// RegistryGrace is for how long the registry's word lets a person pass while it
	// does not answer, with prefer: ISO 8601 in years, months or days, at most P1Y. Default
	// P30D.
	RegistryGrace string `yaml:"registry_grace" eg:"P30D"`
	// ConsentValidity is how long an answer is remembered, ISO 8601 in years,
	// months or days. Default PT0S: ask each time.
	ConsentValidity string `yaml:"consent_validity" eg:"P1Y"`
}

// Allow says which providers may be used.
type Allow struct {
	// Allow lists provider ids. Default []: all of them.
	Allow []string `yaml:"allow" eg:"[tax]"`
	// Deny lists provider ids that may not be used. Default [].
	Deny []string `yaml:"deny" eg:"[city]"`
}

// ClaimRule allows one claim.
type ClaimRule struct {
	// Name is the claim. Required.
	Name string `yaml:"name" jsonschema:"required" eg:"given_name"`
	// Required: the service cannot work without it, so there is no checkbox.
	// Default false.
	Required bool `yaml:"required" eg:"true"`
}

// OneOrMore is a text, or a list of texts.
type OneOrMore []string

// Raw is YAML that is kept as JSON.
type Raw []byte

func (t Text) text() protocol.Text { return protocol.Text(t) }
