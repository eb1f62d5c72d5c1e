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
	// SuspiciousContext has a person sign in more securely where a proxy in front warns of
	// her request. Default: nobody warns.
	SuspiciousContext SuspiciousContext `yaml:"suspicious_context"`
	// MetricsListen is the address and port of /metrics, for Prometheus (docs/metrics.md).
	// Whoever reaches it may read the figures. A port alone (:9090) is one of loopback.
	// Needs a restart. Default: none, and nothing listens.
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
	// Audit is the log of what the broker did (docs/audit.md).
	Audit Audit `yaml:"audit"`
	// Statistics are open figures at /status (docs/statistics.md).
	Statistics Statistics `yaml:"statistics"`
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
	// issuer followed by /logout/return must be registered there; a SAML provider finds
	// what it needs in our metadata (docs/saml.md). Default relay.
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
	// TokenEndpointAuthMethod is how the secret is sent, or that client_certificate
	// takes its place (RFC 8705). Default client_secret_basic.
	TokenEndpointAuthMethod string `yaml:"token_endpoint_auth_method" jsonschema:"enum=client_secret_basic,enum=client_secret_post,enum=tls_client_auth,enum=self_signed_tls_client_auth" eg:"client_secret_basic"`
	// PrivateKeyJWT signs our requests to the token endpoint with our own key
	// (published at /jwks/providers) in place of a secret. Default false.
	PrivateKeyJWT bool `yaml:"private_key_jwt" eg:"true"`
	// ClientCertificate is shown to the provider in every TLS handshake. Default: none.
	ClientCertificate ClientCertificate `yaml:"client_certificate"`
	// PAR: requests are pushed to the provider (RFC 9126), so that the browser carries
	// a reference only: auto where its metadata offers it, require or off. Default auto.
	PAR string `yaml:"par" jsonschema:"enum=auto,enum=require,enum=off" eg:"auto"`
	// PushedAuthorizationRequestEndpoint is used with authorization_endpoint. Default:
	// discovered, or none.
	PushedAuthorizationRequestEndpoint string `yaml:"pushed_authorization_request_endpoint" eg:"https://idp.example/par"`
	// DPoP: access tokens are bound to a key of ours (RFC 9449): auto where its metadata
	// offers it, require or off. Default auto; with authorization_endpoint off.
	DPoP string `yaml:"dpop" jsonschema:"enum=auto,enum=require,enum=off" eg:"auto"`
	// IDTokenEncryptedResponseAlg: its ID tokens come signed and then encrypted to our
	// key at /jwks/providers that says use: enc, with A256GCM, and no other way. A new
	// algorithm needs a restart. Default "": in clear, under TLS.
	IDTokenEncryptedResponseAlg string `yaml:"id_token_encrypted_response_alg" jsonschema:"enum=,enum=ECDH-ES,enum=RSA-OAEP-256" eg:"ECDH-ES"`
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
	// Identity says what it sends of a person, beyond civil_identity
	// (docs/identity-quality.md).
	Identity ProviderIdentity `yaml:"identity"`
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

// ProviderIdentity is what one provider owes us of a person, beyond civil_identity.
type ProviderIdentity struct {
	// Required are claims without which a sign-in there is refused, beside the six of
	// civil_identity, by our names. Default [].
	Required []string `yaml:"required" eg:"[email]"`
	// Optional are claims that are taken from it where they hold, and left out where
	// not. What is in neither list is never looked at. Default: what its scopes ask for
	// and what is in claims; all, if one of the scopes means nothing to us or openid is
	// the only one, and with saml.
	Optional []string `yaml:"optional" eg:"[preferred_username, email, email_verified]"`
	// Letters is latin for a provider that writes names in Latin letters only, as the
	// French civil registry does: a name with others is refused. Default any: one
	// script in a name, whichever.
	Letters string `yaml:"letters" jsonschema:"enum=any,enum=latin" eg:"latin"`
	// WholeBirthdates refuses birth dates without the day or the month (-00), for a
	// provider that knows them of everybody. Default false.
	WholeBirthdates bool `yaml:"whole_birthdates" eg:"true"`
}

// UserInfo says how claims are fetched from a provider.
type UserInfo struct {
	// Fetch asks the userinfo endpoint. Default false: the ID token has the claims.
	Fetch bool `yaml:"fetch" eg:"true"`
	// SignedResponseAlg is the one algorithm accepted on a signed userinfo answer.
	// Default "": plain JSON.
	SignedResponseAlg string `yaml:"signed_response_alg" jsonschema:"enum=,enum=ES256,enum=ES384,enum=ES512,enum=EdDSA,enum=PS256,enum=RS256" eg:"ES256"`
	// EncryptedResponseAlg: signed answers come encrypted to our key, as
	// id_token_encrypted_response_alg says. Default "": in clear, under TLS.
	EncryptedResponseAlg string `yaml:"encrypted_response_alg" jsonschema:"enum=,enum=ECDH-ES,enum=RSA-OAEP-256" eg:"ECDH-ES"`
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
	// Request is how a level is asked for: acr_values, which a provider may ignore, or
	// essential, by the claims parameter, where it must reach it or refuse. What comes
	// back is checked in either case. Default acr_values.
	Request string `yaml:"request" jsonschema:"enum=acr_values,enum=essential" eg:"acr_values"`
}

// OneOrMore is a text, or a list of texts.
type OneOrMore []string

// Raw is YAML that is kept as JSON.
type Raw []byte

func (t Text) text() protocol.Text { return protocol.Text(t) }
