package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// brokerID is the broker's client id at the providers, clientID ours at the broker.
const (
	brokerID = "voussoir"
	clientID = "bench"
)

// addresses of one run, all on loopback.
type addresses struct {
	Broker, Listen, Tax, Post string
	BrokerSecret              string // the broker's at the providers
	ClientSecret              string // ours at the broker
	Data                      string
	Neighbours                *neighbours // nil: two providers are enough
	Asserts, Proves           *throwaway  // the service's: for client assertions and for DPoP proofs
	Opens                     *sealed     // what is encrypted to it
}

// redirectURI is where nobody listens: the generator reads it from the redirect.
const redirectURI = "http://localhost:9/callback"

// scope asks for what the policy below allows.
const scope = "openid given_name family_name age_over_18 email"

// newAddresses finds three free ports. Another program could take one before we
// do; then the run says so and can be repeated.
func newAddresses(ctx context.Context, dir string) (addresses, error) {
	var ports [3]int
	for i := range ports {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return addresses{}, err
		}
		defer func() { _ = ln.Close() }() // all three are held until we know them all
		ports[i] = ln.Addr().(*net.TCPAddr).Port
	}
	at := func(port int) string { return fmt.Sprintf("http://localhost:%d", port) }
	asserts, err1 := newThrowaway()
	proves, err2 := newThrowaway()
	opens, err3 := newThrowaway()
	if err := errors.Join(err1, err2, err3); err != nil {
		return addresses{}, err
	}
	return addresses{
		Asserts: asserts, Proves: proves, Opens: &sealed{opens},
		Broker: at(ports[0]), Listen: fmt.Sprintf("127.0.0.1:%d", ports[0]), Tax: at(ports[1]), Post: at(ports[2]),
		BrokerSecret: token(), ClientSecret: token(), Data: filepath.Join(dir, "data"),
	}, nil
}

// ClientSecretSHA256 is how the broker's configuration holds our secret.
func (a addresses) ClientSecretSHA256() string {
	sum := sha256.Sum256([]byte(a.ClientSecret))
	return hex.EncodeToString(sum[:])
}

// JWKS holds the service's public keys, to verify with and to encrypt to.
func (a addresses) JWKS() string {
	with := func(t *throwaway, more string) string {
		return strings.TrimSuffix(string(t.jwk), "}") + "," + more + "}"
	}
	return `{"keys":[` + with(a.Asserts, `"use":"sig","alg":"ES256","kid":"`+throwawayKeyID+`"`) + "," +
		with(a.Opens.key, `"use":"enc","alg":"ECDH-ES","kid":"enc"`) + "]}"
}

// The rest is for the template.
func (addresses) ClientID() string    { return clientID }
func (addresses) BrokerID() string    { return brokerID }
func (addresses) RedirectURI() string { return redirectURI }

// brokerConfig asks for consent at each login: a remembered answer would leave
// out the consent page. Two providers, so that the choice page is shown.
var brokerConfig = template.Must(template.New("voussoir.yaml").Parse(`issuer: {{.Broker}}
listen: {{.Listen}}
development: true
data: {{printf "%q" .Data}}
providers:
  - id: tax
    name: { fr: "Impôts", en: "Tax office" }
    issuer: {{.Tax}}
    client_id: {{.BrokerID}}
    client_secret: {{.BrokerSecret}}
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas1, map: { eidas1: eidas1 } }
    civil_identity: true
  - id: post
    name: { fr: "Bureau de poste", en: "Post office" }
    issuer: {{.Post}}
    client_id: {{.BrokerID}}
    client_secret: {{.BrokerSecret}}
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas2, map: { eidas2: eidas2 } }
    civil_identity: true
{{with .Neighbours}}{{range .All}}  - id: {{.ID}}
    name: { fr: "Voisin {{.ID}}", en: "Neighbour {{.ID}}" }
    issuer: {{.Issuer}}
    client_id: {{$.BrokerID}}
    client_secret: {{$.BrokerSecret}}
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas1, map: { eidas1: eidas1 } }
    civil_identity: true
{{end}}{{end}}clients:
  - id: {{.ClientID}}-basic
    name: { fr: "Banc d'essai", en: "Test bench" }
    redirect_uris: [{{.RedirectURI}}]
    client_secret_sha256: "{{.ClientSecretSHA256}}"
    sector: bench.example
    policy: bench
    id_token_signed_response_alg: ES256
  - id: {{.ClientID}}-jwt
    name: { fr: "Banc d'essai", en: "Test bench" }
    redirect_uris: [{{.RedirectURI}}]
    token_endpoint_auth_method: private_key_jwt
    jwks: {{.JWKS}}
    userinfo_signed_response_alg: ES256
    sector: bench.example
    policy: bench
  - id: {{.ClientID}}-fapi2
    name: { fr: "Banc d'essai", en: "Test bench" }
    redirect_uris: [{{.RedirectURI}}]
    profile: fapi2
    token_endpoint_auth_method: private_key_jwt
    dpop_bound_access_tokens: true
    jwks: {{.JWKS}}
    id_token_encrypted_response_alg: ECDH-ES
    userinfo_signed_response_alg: ES256
    userinfo_encrypted_response_alg: ECDH-ES
    sector: bench.example
    policy: bench
policies:
  - id: bench
    version: 1
    purpose: { fr: "Mesurer", en: "Measure" }
    legal_basis: consent
    retention: P1D
    claims:
      - { name: given_name, required: true }
      - { name: family_name, required: true }
      - { name: age_over_18, required: true }
      - { name: email, required: false }
    consent_validity: PT0S
`))

// write puts the broker's configuration into dir and returns its path.
func (a addresses) write(dir string) (string, error) {
	var b bytes.Buffer
	if err := brokerConfig.Execute(&b, a); err != nil {
		return "", err
	}
	if err := os.MkdirAll(a.Data, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "voussoir.yaml")
	return path, os.WriteFile(path, b.Bytes(), 0o600)
}
