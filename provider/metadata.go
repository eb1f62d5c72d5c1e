package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// metadata is the discovery document as bytes, and what it was made for.
type metadata struct {
	keys string // etag of the JWKS
	open bool   // services may register
	acrs []protocol.ACR
	body []byte
	etag string
}

// metadataDocument says what we do and nothing that we do not (OpenID Connect
// Discovery section 3, RFC 8414 section 2, RFC 9207 section 3).
type metadataDocument struct {
	Issuer                string               `json:"issuer"`
	AuthorizationEndpoint string               `json:"authorization_endpoint"`
	PAREndpoint           string               `json:"pushed_authorization_request_endpoint"`
	TokenEndpoint         string               `json:"token_endpoint"`
	UserInfoEndpoint      string               `json:"userinfo_endpoint"`
	JWKSURI               string               `json:"jwks_uri"`
	Scopes                []protocol.Scope     `json:"scopes_supported"`
	ResponseTypes         []string             `json:"response_types_supported"`
	ResponseModes         []string             `json:"response_modes_supported"`
	GrantTypes            []string             `json:"grant_types_supported"`
	ACRValues             []protocol.ACR       `json:"acr_values_supported"`
	SubjectTypes          []string             `json:"subject_types_supported"`
	IDTokenAlgs           []string             `json:"id_token_signing_alg_values_supported"`
	ResponseAlgs          []string             `json:"authorization_signing_alg_values_supported"`
	AuthMethods           []clients.AuthMethod `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs              []string             `json:"token_endpoint_auth_signing_alg_values_supported"`
	ChallengeMethods      []string             `json:"code_challenge_methods_supported"`
	ClaimTypes            []string             `json:"claim_types_supported"`
	Claims                []string             `json:"claims_supported"`
	Prompts               []string             `json:"prompt_values_supported"`
	UILocales             []string             `json:"ui_locales_supported"`
	ClaimsParameter       bool                 `json:"claims_parameter_supported"`
	RequestParameter      bool                 `json:"request_parameter_supported"`
	RequestObjectAlgs     []string             `json:"request_object_signing_alg_values_supported"`
	RequestURIParameter   bool                 `json:"request_uri_parameter_supported"` // true if absent: it must be said
	DetailTypes           []string             `json:"authorization_details_types_supported"`
	PARRequired           bool                 `json:"require_pushed_authorization_requests"`
	IssParameter          bool                 `json:"authorization_response_iss_parameter_supported"`

	DPoPAlgs             []string `json:"dpop_signing_alg_values_supported"` // RFC 9449 section 5.1
	RegistrationEndpoint string   `json:"registration_endpoint,omitempty"`
	EndSessionEndpoint   string   `json:"end_session_endpoint"`
	FrontChannel         bool     `json:"frontchannel_logout_supported"`
	FrontChannelSession  bool     `json:"frontchannel_logout_session_supported"`
	BackChannel          bool     `json:"backchannel_logout_supported"`
	BackChannelSession   bool     `json:"backchannel_logout_session_supported"`

	RevocationEndpoint    string               `json:"revocation_endpoint"`
	IntrospectionEndpoint string               `json:"introspection_endpoint"`
	UserInfoAlgs          []string             `json:"userinfo_signing_alg_values_supported"`
	RevocationMethods     []clients.AuthMethod `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgs        []string             `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionMethods  []clients.AuthMethod `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs []string             `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAlgs     []string             `json:"introspection_signing_alg_values_supported"` // RFC 9701 section 7
	IDTokenEncAlgs        []string             `json:"id_token_encryption_alg_values_supported"`
	IDTokenEncs           []string             `json:"id_token_encryption_enc_values_supported"`
	UserInfoEncAlgs       []string             `json:"userinfo_encryption_alg_values_supported"`
	UserInfoEncs          []string             `json:"userinfo_encryption_enc_values_supported"`
	IntrospectionEncAlgs  []string             `json:"introspection_encryption_alg_values_supported"`
	IntrospectionEncs     []string             `json:"introspection_encryption_enc_values_supported"`

	CertificateBound bool             `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705 section 3.3
	Aliases          *endpointAliases `json:"mtls_endpoint_aliases,omitempty"`
}

func (p *Provider) document(algs []string, acrs []protocol.ACR) metadataDocument {
	names := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "at_hash", "sid", "email_verified"}
	for _, c := range protocol.Claims() {
		names = append(names, string(c))
	}
	methods := append([]clients.AuthMethod{clients.SecretBasic, clients.SecretPost, clients.PrivateKeyJWT}, p.certificateMethods()...)
	return metadataDocument{
		Issuer:                p.Issuer,
		AuthorizationEndpoint: p.Issuer + PathAuthorize,
		PAREndpoint:           p.Issuer + PathPAR,
		TokenEndpoint:         p.Issuer + PathToken,
		UserInfoEndpoint:      p.Issuer + PathUserInfo,
		JWKSURI:               p.Issuer + PathJWKS,
		Scopes:                protocol.Scopes(),
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query", "form_post", "jwt", "query.jwt", "form_post.jwt"},
		GrantTypes:            []string{"authorization_code", "refresh_token"},
		ACRValues:             acrs,
		SubjectTypes:          []string{"pairwise"},
		IDTokenAlgs:           algs,
		ResponseAlgs:          algs,
		AuthMethods:           append(slices.Clone(methods), clients.Public),
		AuthAlgs:              signingAlgs(),
		ChallengeMethods:      []string{"S256"},
		ClaimTypes:            []string{"normal"},
		Claims:                names,
		Prompts:               []string{"none", "login", "consent", "select_account"},
		UILocales:             []string{"fr", "en"},
		ClaimsParameter:       true,
		DetailTypes:           p.detailTypes(),
		RequestParameter:      true,
		RequestObjectAlgs:     signingAlgs(),
		IssParameter:          true,

		DPoPAlgs:            dpopAlgs(),
		EndSessionEndpoint:  p.Issuer + PathLogout,
		FrontChannel:        true,
		FrontChannelSession: true,
		BackChannel:         true,
		BackChannelSession:  true,

		RevocationEndpoint:    p.Issuer + PathRevoke,
		IntrospectionEndpoint: p.Issuer + PathIntrospect,
		UserInfoAlgs:          algs,
		RevocationMethods:     append(slices.Clone(methods), clients.Public),
		RevocationAlgs:        signingAlgs(),
		IntrospectionMethods:  methods,
		IntrospectionAuthAlgs: signingAlgs(),
		IntrospectionAlgs:     algs,
		IDTokenEncAlgs:        encryptionAlgs(),
		IDTokenEncs:           encryptionEncs(),
		UserInfoEncAlgs:       encryptionAlgs(),
		UserInfoEncs:          encryptionEncs(),
		IntrospectionEncAlgs:  encryptionAlgs(),
		IntrospectionEncs:     encryptionEncs(),

		CertificateBound: p.Certificates != nil,
		Aliases:          p.aliases(),
	}
}

// serveMetadata serves discovery and RFC 8414. The algorithms are those of the
// keys that we publish, the levels those of the providers of now, so the bytes are
// made anew when one of them changes and at no other time.
func (p *Provider) serveMetadata(w http.ResponseWriter, r *http.Request) error {
	jwks, keys := p.Keys.JWKS()
	acrs, open := p.ACRs(), p.registering()
	m := p.metadata.Load()
	if m == nil || m.keys != keys || m.open != open || !slices.Equal(m.acrs, acrs) {
		doc := p.document(algsOf(jwks), acrs)
		if open {
			doc.RegistrationEndpoint = p.Issuer + PathRegister
		}
		body, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		m = &metadata{keys: keys, open: open, acrs: acrs, body: body, etag: base64.RawURLEncoding.EncodeToString(sum[:12])}
		p.metadata.Store(m)
	}
	return serveDocument(w, r, m.body, m.etag, "application/json")
}

// serveJWKS serves the public keys (RFC 7517 section 5).
func (p *Provider) serveJWKS(w http.ResponseWriter, r *http.Request) error {
	body, etag := p.Keys.JWKS()
	return serveDocument(w, r, body, etag, "application/jwk-set+json")
}

// serveDocument answers 200, or 304 to one who has it (RFC 9110 section 13.1.2).
// Five minutes: a new key is published long before it signs.
func serveDocument(w http.ResponseWriter, r *http.Request, body []byte, etag, mediaType string) error {
	if !strings.HasPrefix(etag, `"`) {
		etag = `"` + etag + `"`
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", etag)
	// Within a list, and weakened by a proxy that compresses, it is still ours.
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, err := w.Write(body)
	return err
}

// algsOf lists the algorithms of a JWKS, sorted.
func algsOf(jwks []byte) []string {
	var set struct {
		Keys []struct {
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	algs := []string{}
	if json.Unmarshal(jwks, &set) != nil {
		return algs
	}
	for _, k := range set.Keys {
		if k.Alg != "" && !slices.Contains(algs, k.Alg) {
			algs = append(algs, k.Alg)
		}
	}
	slices.Sort(algs)
	return algs
}
