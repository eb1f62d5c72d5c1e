package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
	return addresses{
		Broker: at(ports[0]), Listen: fmt.Sprintf("127.0.0.1:%d", ports[0]), Tax: at(ports[1]), Post: at(ports[2]),
		BrokerSecret: token(), ClientSecret: token(), Data: filepath.Join(dir, "data"),
	}, nil
}

// ClientSecretSHA256 is how the broker's configuration holds our secret.
func (a addresses) ClientSecretSHA256() string {
	sum := sha256.Sum256([]byte(a.ClientSecret))
	return hex.EncodeToString(sum[:])
}

// ClientID, BrokerID and RedirectURI are for the template.
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
clients:
  - id: {{.ClientID}}
    name: { fr: "Banc d'essai", en: "Test bench" }
    redirect_uris: [{{.RedirectURI}}]
    client_secret_sha256: "{{.ClientSecretSHA256}}"
    sector: bench.example
    policy: bench
    id_token_signed_response_alg: ES256
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
