package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/voussoir-id/voussoir/clients"
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
	Development bool
	Data        string // absolute path
	KeysSecret  []byte // 32 bytes; nil: made in the data folder on the first start
	Providers   []Upstream
	Clients     *clients.Set
	ClientCount int
	Policies    *policies.Table
}

// Upstream is one identity provider as configured, with its secret read.
type Upstream struct {
	ID                    protocol.ProviderID
	Name                  protocol.Text
	Issuer                string
	AuthorizationEndpoint string // "" with the others: discovery
	TokenEndpoint         string
	UserInfoEndpoint      string
	JWKSURI               string
	ClientID              string
	ClientSecret          string
	AuthMethod            clients.AuthMethod
	Scopes                []string
	IDTokenAlg            string
	FetchUserInfo         bool
	UserInfoAlg           string
	MaxACR                protocol.ACR
	ACRMap                map[string]protocol.ACR
	Claims                map[protocol.Claim]string
	Civil                 bool
	DefaultACR            protocol.ACR
	ISSParameter          bool
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
	c := &checker{decoder: d, f: &f, dir: dir, getenv: getenv}
	if len(d.at) > 1 { // otherwise there was no document to look at
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
		fill(&f.Providers[i].Protocol, "oidc")
	}
	for i := range f.Clients {
		fill(&f.Clients[i].TokenEndpointAuthMethod, string(clients.SecretBasic))
		fill(&f.Clients[i].IDTokenSignedResponseAlg, "ES256")
		fill(&f.Clients[i].AccessTokenLifetime, "PT60S")
	}
	for i := range f.Policies {
		fill(&f.Policies[i].MinACR, string(protocol.EIDAS1))
		fill(&f.Policies[i].ConsentValidity, "PT0S")
	}
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
		Issuer: c.f.Issuer, Listen: c.f.Listen, Development: c.f.Development, Data: c.resolve(c.f.Data),
		KeysSecret: c.keysSecret(),
	}
	for i := range c.f.Providers {
		out.Providers = append(out.Providers, c.upstream(i))
	}
	var cs []*clients.Client
	for i := range c.f.Clients {
		cs = append(cs, c.loadClient(&c.f.Clients[i]))
	}
	var ps []*policies.Policy
	for i := range c.f.Policies {
		ps = append(ps, loadPolicy(&c.f.Policies[i]))
	}
	out.Clients, out.ClientCount, out.Policies = clients.NewSet(cs...), len(cs), policies.NewTable(ps...)
	return out
}

func (c *checker) upstream(i int) Upstream {
	p, path := &c.f.Providers[i], index("providers", i)
	u := Upstream{
		ID: protocol.ProviderID(p.ID), Name: p.Name.text(), Issuer: p.Issuer,
		AuthorizationEndpoint: p.AuthorizationEndpoint, TokenEndpoint: p.TokenEndpoint,
		UserInfoEndpoint: p.UserInfoEndpoint, JWKSURI: p.JWKSURI,
		ClientID: p.ClientID, AuthMethod: clients.AuthMethod(p.TokenEndpointAuthMethod),
		Scopes: p.Scopes, IDTokenAlg: p.IDTokenSignedResponseAlg,
		FetchUserInfo: p.UserInfo.Fetch, UserInfoAlg: p.UserInfo.SignedResponseAlg,
		MaxACR: protocol.ACR(p.ACR.Max), ACRMap: map[string]protocol.ACR{}, Claims: map[protocol.Claim]string{},
		DefaultACR: protocol.ACR(p.ACR.Default), Civil: p.CivilIdentity, ISSParameter: p.ISSParameter,
	}
	if p.PrivateKeyJWT {
		u.AuthMethod = clients.PrivateKeyJWT
	} else if u.AuthMethod == "" {
		u.AuthMethod = clients.SecretBasic
	}
	if u.ClientSecret = p.ClientSecret; u.ClientSecret == "" {
		u.ClientSecret = string(c.secret(path+".client_secret_file", p.ClientSecretFile, p.ClientSecretEnv))
	}
	if len(u.Scopes) == 0 {
		u.Scopes = []string{string(protocol.OpenID)}
	}
	for theirs, ours := range p.ACR.Map {
		u.ACRMap[theirs] = protocol.ACR(ours)
	}
	for ours, theirs := range p.Claims {
		u.Claims[protocol.Claim(ours)] = theirs
	}
	return u
}

func (c *checker) loadClient(k *Client) *clients.Client {
	_, lifetime, _ := parseDuration(k.AccessTokenLifetime) // a mistake is reported by the check
	out := &clients.Client{
		ID: protocol.ClientID(k.ID), Name: k.Name.text(),
		RedirectURIs: k.RedirectURIs, PostLogoutURIs: k.PostLogoutRedirectURIs,
		AuthMethod: clients.AuthMethod(k.TokenEndpointAuthMethod),
		JWKS:       []byte(k.JWKS), JWKSURI: k.JWKSURI, AuthSigningAlg: k.TokenEndpointAuthSigningAlg,
		Sector: k.Sector, Policy: k.Policy,
		RequirePKCE: on(k.RequirePKCE), RequireNonce: on(k.RequireNonce), RequireState: on(k.RequireState),
		IDTokenSigningAlg: k.IDTokenSignedResponseAlg, AccessTokenTTL: lifetime,
		IdPHints:       words[protocol.ProviderID](k.IdPHints),
		AllowedOrigins: k.AllowedOrigins, Scopes: words[protocol.Scope](k.Scopes),
		ClaimsInIDToken: words[protocol.Claim](k.IDTokenClaims), AllowInsecureBackend: c.f.Development,
	}
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
	return out
}

func loadPolicy(p *Policy) *policies.Policy {
	validity, _, _ := parseDuration(p.ConsentValidity) // a mistake is reported by the check
	out := &policies.Policy{
		ID: p.ID, Version: p.Version, Purpose: p.Purpose.text(), Basis: policies.LegalBasis(p.LegalBasis),
		Retention: p.Retention, MinACR: protocol.ACR(p.MinACR),
		AllowProviders: words[protocol.ProviderID](p.Providers.Allow), ConsentValidity: validity,
	}
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
	defer f.Close() //nolint:errcheck // read only
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
