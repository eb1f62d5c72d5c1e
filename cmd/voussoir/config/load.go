package config

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// maxSecret is the largest secret that is read from a file, in bytes.
const maxSecret = 64 << 10

// Loaded is a configuration without mistakes, in the types of the rooms that
// use it. It is immutable.
type Loaded struct {
	Digest      string // SHA-256 of the file, hex: goes into the audit log
	Warnings    Problems
	Issuer      string
	Listen      string
	Metrics     string // address of the metrics; "": none
	Development bool
	Data        string // absolute path
	KeysSecret  []byte // 32 bytes; nil: made in the data folder on the first start
	KeysSigner  string // socket of the process that holds the signing keys; "": none
	Private     bool   // outgoing calls may go to private addresses
	// Providers are complete but for Client, Signer, Check, Now and Log.
	Providers   []oidc.Config
	Listings    map[protocol.ProviderID]Listing
	SAML        []SAMLProvider
	Clients     *clients.Set // data providers too, after the services
	Policies    *policies.Table
	PolicyCount int

	TLS                *tls.Certificate   // of our own listener; nil: it speaks http
	Suspicious         *Suspicious        // nil: no proxy warns
	ClientCertificates *CertificateSource // nil: none are asked for or read
	Registry           *CivilRegistry     // nil: none
	Statistics         Statistics
	AuditRetention     policies.Period // of the personal parts of audit entries
	Witnesses          []LoadedWitness // of the audit log
	Initial            []Initial       // tokens with which services register

	file File // for services that register: see Admit
}

// Load reads, checks and converts a configuration file. getenv reads the
// environment (os.Getenv). A file with mistakes gives a Problems error that
// holds all of them; any other error says why the file cannot be read.
func Load(file string, getenv func(string) string) (*Loaded, error) {
	data, err := read(file, maxFile+1)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(file, data, getenv)
}

// Parse is Load for a file that is in memory; file is its name, for messages and
// for the folder that relative paths start from.
func Parse(file string, data []byte, getenv func(string) string) (*Loaded, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("find the folder of the configuration: %w", err)
	}
	f, d := decode(file, data)
	c := &checker{decoder: d, f: &f, dir: dir, getenv: getenv, compiled: map[string]policies.Condition{}}
	if len(d.at) > 1 { // otherwise there was no document to look at
		c.profiles()
		defaults(&f)
		c.all()
	}
	out := c.load()
	mistakes, warnings := d.problems.split()
	if len(mistakes) > 0 {
		return nil, append(mistakes, warnings...)
	}
	digest := sha256.Sum256(data)
	out.Digest, out.Warnings = hex.EncodeToString(digest[:]), warnings
	return out, nil
}

// defaults fills what the file may leave out; see the fields' comments.
func defaults(f *File) {
	fill(&f.Listen, "127.0.0.1:8080")
	fill(&f.Data, "./data")
	for i := range f.Providers {
		p := &f.Providers[i]
		fill(&p.Protocol, "oidc")
		if len(p.Scopes) == 0 {
			p.Scopes = []string{string(protocol.OpenID)}
		}
	}
	for i := range f.Clients {
		fill(&f.Clients[i].TokenEndpointAuthMethod, string(clients.SecretBasic))
		fill(&f.Clients[i].IDTokenSignedResponseAlg, "ES256")
		fill(&f.Clients[i].AccessTokenLifetime, "PT60S")
		fill(&f.Clients[i].AccessTokenFormat, string(clients.Opaque))
		fill(&f.Clients[i].ApplicationType, "web")
	}
	for i := range f.DataProviders {
		fill(&f.DataProviders[i].TokenEndpointAuthMethod, string(clients.SecretBasic))
		fill(&f.DataProviders[i].IntrospectionSignedResponseAlg, "ES256")
	}
	for i := range f.Policies {
		fill(&f.Policies[i].MinACR, string(protocol.EIDAS1))
		fill(&f.Policies[i].ConsentValidity, "PT0S")
	}
	registryDefaults(f)
	fill(&f.Audit.PersonalRetention, usualAuditRetention)
	statisticsDefaults(f)
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// load converts; secrets that cannot be read are one more mistake. With mistakes
// the result is not used.
func (c *checker) load() *Loaded {
	out := &Loaded{
		Issuer: c.f.Issuer, Listen: c.f.Listen, Metrics: loopbackPort(c.f.MetricsListen), Development: c.f.Development, Private: c.f.AllowPrivateAddresses || c.f.Development,
		Data:       c.resolve(c.f.Data),
		KeysSecret: c.keysSecret(),
		KeysSigner: c.f.Keys.Signer.Socket,
	}
	out.Registry = c.loadRegistry()
	out.Suspicious = c.loadSuspicious()
	out.Statistics = c.f.Statistics
	out.AuditRetention, out.Witnesses = c.auditRetention(), c.loadWitnesses()
	out.TLS, out.ClientCertificates = c.loadTLS(), c.loadClientCertificates()
	hosts := c.issuerHosts()
	for i := range c.f.Providers {
		if c.f.Providers[i].Protocol == "saml" {
			out.SAML = append(out.SAML, c.provideSAML(i, hosts))
			continue
		}
		out.Providers = append(out.Providers, c.provide(i, hosts))
	}
	out.Listings = c.loadListings()
	var cs []*clients.Client
	for i := range c.f.Clients {
		cs = append(cs, c.loadClient(&c.f.Clients[i]))
	}
	for i := range c.f.DataProviders {
		cs = append(cs, c.loadDataProvider(&c.f.DataProviders[i]))
	}
	var ps []*policies.Policy
	for i := range c.f.Policies {
		p := loadPolicy(&c.f.Policies[i])
		p.Conditions = c.loadConditions(&c.f.Policies[i], index("policies", i))
		ps = append(ps, p)
	}
	for i := range c.f.Registration.Tokens {
		out.Initial = append(out.Initial, c.f.Registration.Tokens[i].load())
	}
	out.file = *c.f
	out.Clients, out.Policies, out.PolicyCount = clients.NewSet(cs...), policies.NewTable(ps...), len(ps)
	return out
}

func (c *checker) provide(i int, hosts []string) oidc.Config {
	p, path := &c.f.Providers[i], index("providers", i)
	out := oidc.Config{
		ID: protocol.ProviderID(p.ID), Name: p.Name.text(), Issuer: p.Issuer,
		ClientID: p.ClientID, Scopes: p.Scopes, RedirectURI: c.f.Issuer + "/callback/" + p.ID,
		AuthMethod: oidc.ClientSecretBasic, IDTokenSigningAlg: p.IDTokenSignedResponseAlg,
		UserInfo:             oidc.UserInfo{Fetch: p.UserInfo.Fetch, SigningAlg: p.UserInfo.SignedResponseAlg, EncryptionAlg: p.UserInfo.EncryptedResponseAlg},
		IDTokenEncryptionAlg: p.IDTokenEncryptedResponseAlg, PAR: offer(p.PAR), DPoP: offer(p.DPoP),
		Certificate: c.loadCertificate(p, path+".client_certificate"),
		ACR: oidc.ACR{
			Max: protocol.ACR(p.ACR.Max), Default: protocol.ACR(p.ACR.Default), Map: map[string]protocol.ACR{},
			Essential: p.ACR.Request == "essential",
		},
		Claims: map[string]string{}, ForeignHosts: foreignHosts(i, hosts), AllowHTTP: c.f.Development,
	}
	out.Schema.Civil, out.Schema.Required, out.Schema.Optional = p.CivilIdentity, words[protocol.Claim](p.Identity.Required), c.optional(p, path)
	out.Schema.Latin, out.Schema.WholeDates = p.Identity.Letters == "latin", p.Identity.WholeBirthdates
	if p.AuthorizationEndpoint != "" {
		out.Endpoints = &oidc.Endpoints{
			Authorization: p.AuthorizationEndpoint, Token: p.TokenEndpoint, UserInfo: p.UserInfoEndpoint,
			JWKS: p.JWKSURI, EndSession: p.EndSessionEndpoint, IssParameter: p.ISSParameter,
			Pushed: p.PushedAuthorizationRequestEndpoint,
		}
	}
	out.Relay = p.Logout != "off"
	if p.TokenEndpointAuthMethod != "" {
		out.AuthMethod = oidc.AuthMethod(p.TokenEndpointAuthMethod)
	}
	switch {
	case p.PrivateKeyJWT:
		out.AuthMethod = oidc.PrivateKeyJWT
	case p.byCertificate():
	case p.ClientSecret != "":
		out.ClientSecret = p.ClientSecret
	default:
		out.ClientSecret = string(c.secret(path+".client_secret_file", p.ClientSecretFile, p.ClientSecretEnv))
	}
	for theirs, ours := range p.ACR.Map {
		out.ACR.Map[theirs] = protocol.ACR(ours)
	}
	for ours, theirs := range p.Claims {
		out.Claims[theirs] = ours
	}
	return out
}

// offer reads auto, require and off.
func offer(s string) oidc.Offer {
	if s == "auto" {
		return oidc.Auto
	}
	return oidc.Offer(s)
}

// issuerHosts are the hosts of our own issuer and of each provider, "" where there is
// none.
func (c *checker) issuerHosts() []string {
	out := make([]string, len(c.f.Providers)+1)
	for i := range out {
		issuer := c.f.Issuer
		if i > 0 {
			issuer = c.f.Providers[i-1].Issuer
		}
		if u, err := url.Parse(issuer); err == nil {
			out[i] = u.Host
		}
	}
	return out
}

// foreignHosts are our own and those of the other providers: metadata of
// provider i that names one of them is an attempt at a mix-up.
func foreignHosts(i int, hosts []string) []string {
	out := make([]string, 0, len(hosts)-1)
	for j, h := range hosts {
		if j != i+1 && h != "" {
			out = append(out, h)
		}
	}
	return out
}

func (c *checker) loadClient(k *Client) *clients.Client {
	_, lifetime, _ := parseDuration(k.AccessTokenLifetime) // a mistake is reported by the check
	out := &clients.Client{
		ID: protocol.ClientID(k.ID), Name: k.Name.text(),
		RedirectURIs: k.RedirectURIs, PostLogoutURIs: k.PostLogoutRedirectURIs,
		AuthMethod: clients.AuthMethod(k.TokenEndpointAuthMethod),
		JWKS:       []byte(k.JWKS), JWKSURI: k.JWKSURI, AuthSigningAlg: k.TokenEndpointAuthSigningAlg,
		Sector: k.Sector, Policy: k.Policy,
		RequirePKCE: on(k.RequirePKCE), RequireNonce: on(k.RequireNonce), RequireState: on(k.RequireState), RequirePAR: k.RequirePAR,
		RequestObjectSigningAlg: k.RequestObjectSigningAlg, RequireSignedRequestObject: k.RequireSignedRequestObject,
		ResponseSigningAlg: k.AuthorizationSignedResponseAlg, Resources: k.Resources,
		IDTokenSigningAlg: k.IDTokenSignedResponseAlg, AccessTokenTTL: lifetime,
		IdPHints:       words[protocol.ProviderID](k.IdPHints),
		AllowedOrigins: k.AllowedOrigins, Scopes: words[protocol.Scope](k.Scopes),
		ClaimsInIDToken: words[protocol.Claim](k.IDTokenClaims),
	}
	out.CertificateName, out.CertificateBound = c.certificateName(k), k.CertificateBoundAccessTokens
	out.FrontChannelLogoutURI, out.BackChannelLogoutURI = k.FrontChannelLogoutURI, k.BackChannelLogoutURI
	out.SecurityEventsURI = k.SecurityEventsURI
	out.AccessTokenFormat, out.UserInfoSigningAlg = clients.AccessTokenFormat(k.AccessTokenFormat), k.UserInfoSignedResponseAlg
	out.IDTokenEncryption, out.UserInfoEncryption = encryption(k.IDTokenEncryptedResponseAlg), encryption(k.UserInfoEncryptedResponseAlg)
	out.RefreshIdle, out.RefreshMax, out.KeepRefreshToken = k.RefreshTokens.durations()
	out.DPoPBound, out.NoSingleSignOn = k.DPoPBoundAccessTokens, !on(k.SingleSignOn)
	if out.Sector == "" {
		out.Sector = clients.Sector(k.RedirectURIs)
	}
	if out.AuthMethod == clients.PrivateKeyJWT && out.AuthSigningAlg == "" {
		out.AuthSigningAlg = "ES256"
	}
	for _, s := range k.ClientSecretSHA256 {
		var digest [32]byte
		b, _ := hex.DecodeString(s) // a mistake is reported by the check
		copy(digest[:], b)
		out.SecretSHA256 = append(out.SecretSHA256, digest)
	}
	k.rules(out)
	return out
}

// encryption is with the one content encryption that there is.
func encryption(alg string) clients.Encryption {
	if alg == "" {
		return clients.Encryption{}
	}
	return clients.Encryption{Alg: alg, Enc: "A256GCM"}
}

func loadPolicy(p *Policy) *policies.Policy {
	validity, _, _ := parseDuration(p.ConsentValidity) // a mistake is reported by the check
	out := &policies.Policy{
		ID: p.ID, Version: p.Version, Purpose: p.Purpose.text(), Basis: policies.LegalBasis(p.LegalBasis),
		Retention: p.Retention, MinACR: protocol.ACR(p.MinACR),
		AllowProviders: words[protocol.ProviderID](p.Providers.Allow), DenyProviders: words[protocol.ProviderID](p.Providers.Deny),
		ConsentValidity: validity,
	}
	out.Registry, out.RegistryGrace = p.registry()
	for _, r := range p.Claims {
		out.Claims = append(out.Claims, policies.ClaimRule{Name: protocol.Claim(r.Name), Required: r.Required})
	}
	return out
}

// keysSecret reads the secret of the key file: 32 bytes, in hex.
func (c *checker) keysSecret() []byte {
	path := "keys.secret_file"
	if c.f.Keys.SecretEnv != "" {
		path = "keys.secret_env"
	}
	text := c.secret(path, c.f.Keys.SecretFile, c.f.Keys.SecretEnv)
	if len(text) == 0 {
		return nil
	}
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 32 {
		c.add(path, "the secret of the key file is not 64 hex digits", "the output of: openssl rand -hex 32")
		return nil
	}
	return b
}

// secret reads a secret from its file or the environment, nil when neither is
// named. One line end after it does not count.
func (c *checker) secret(path, file, env string) []byte {
	if env != "" && c.ok(path) {
		return []byte(c.getenv(env))
	}
	if file == "" || !c.ok(path) {
		return nil
	}
	b, err := read(c.resolve(file), maxSecret+1)
	if err != nil {
		c.add(path, "the file "+quote(file)+" cannot be read", "a file that the broker may read")
		return nil
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		c.add(path, quote(file)+" holds an empty secret", "a file that holds the secret and nothing else")
	}
	return b
}

// read returns at most limit bytes of a file.
func read(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func on(b *bool) bool { return b == nil || *b }

func words[T ~string](in []string) []T {
	var out []T
	for _, s := range in {
		out = append(out, T(s))
	}
	return out
}
