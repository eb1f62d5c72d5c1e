package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/health"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/federation/saml"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/metrics"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/registration"
	"github.com/voussoir-id/voussoir/registry"
	"github.com/voussoir-id/voussoir/store/sql"
	"github.com/voussoir-id/voussoir/web"
)

// snapshot is everything that a reload of the configuration replaces, at once.
// It is immutable.
type snapshot struct {
	digest    string // of the file
	loadedAt  time.Time
	clients   *clients.Set
	policies  *policies.Table
	directory *federation.Directory
	civil     login.Civil
	saml      map[protocol.ProviderID]*saml.Provider
	keySets   map[protocol.ClientID]provider.KeySet // of clients whose keys we need
	acrs      []protocol.ACR                        // that some provider reaches
	algs      []string                              // that we sign with for services

	tls         *tls.Certificate // our own; nil: we speak http
	authorities *x509.CertPool   // that issue certificates of clients; nil: none
	// Services that registered by API are among clients and keySets too.
	loaded       *config.Loaded
	tokens       []registration.Token
	registered   map[protocol.ClientID]registration.Registration // those in force
	outOfService map[protocol.ClientID]registration.Registration // those that loaded does not allow
	joined       map[protocol.ClientID]*clients.Client           // registered, as clients
	toClients    *http.Client                                    // to fetch their keys

	known []known                // every provider of the configuration, in its order
	logos map[string]web.Picture // by path
	stops []sql.Stop             // what a command has taken out of service
}

// outside is what the parts of a snapshot need to talk to others.
type outside struct {
	Signer   oidc.Signer // nil: none, when nothing is to be started
	Decrypt  oidc.Decrypter
	SAMLKeys saml.Keys
	Once     saml.OnceStore
	Now      func() time.Time
	Log      *slog.Logger
	Health   *health.Monitor  // nil: nobody watches
	Metrics  *metrics.Metrics // nil: nobody counts
}

// newSnapshot calls nobody: a provider that is down keeps nobody from starting.
func newSnapshot(c *config.Loaded, o outside) (*snapshot, error) {
	s := &snapshot{
		digest: c.Digest, loadedAt: o.Now(), clients: c.Clients, policies: c.Policies.With(own()),
		keySets: map[protocol.ClientID]provider.KeySet{}, algs: signingAlgs(c),
		loaded: c, tokens: tokensOf(c), toClients: outbound.New(calls(c)),
		logos: map[string]web.Picture{},
	}
	if s.tls = c.TLS; c.ClientCertificates != nil {
		s.authorities = c.ClientCertificates.Authorities
	}
	entries, err := providers(c, calls(c), o)
	if err != nil {
		return nil, err
	}
	if entries, err = s.addSAML(entries, c, o); err != nil {
		return nil, err
	}
	for i, e := range entries {
		l := c.Listings[e.ID]
		entries[i].Listing = s.list(e.ID, l)
		s.known = append(s.known, known{entries[i], l.Disabled})
	}
	s.stop(nil)
	if s.civil, err = civil(c, o); err != nil {
		return nil, err
	}
	for _, level := range protocol.ACRs() {
		if slices.ContainsFunc(entries, func(e federation.Entry) bool { return e.MaxACR.Reaches(level) }) {
			s.acrs = append(s.acrs, level)
		}
	}
	for _, client := range c.Clients.All() {
		if !needsKeys(client) {
			continue
		}
		set, err := clientKeys(client, s.toClients, o.Now)
		if err != nil {
			return nil, fmt.Errorf("client %s: %w", client.ID, err)
		}
		s.keySets[client.ID] = set
	}
	return s, nil
}

// providers makes one federation.Provider, with an HTTP client of its own, for each
// in the configuration.
func providers(c *config.Loaded, calls outbound.Config, o outside) ([]federation.Entry, error) {
	if o.Signer == nil {
		o.Signer, o.Decrypt = noSigner{}, noSigner{}
	}
	entries := make([]federation.Entry, 0, len(c.Providers))
	for _, p := range c.Providers {
		calls.Certificate = p.Certificate
		p.Decrypter, p.Now, p.Log, p.Delivered = o.Decrypt, o.Now, o.Log, o.delivered(p.ID)
		var err error
		if p.Client, p.Calls, err = o.observed(p.ID, outbound.New(calls)); err != nil {
			return nil, err
		}
		if p.AuthMethod == oidc.PrivateKeyJWT {
			p.Signer = o.Signer
		}
		idp, err := oidc.New(p)
		if err != nil {
			return nil, err
		}
		entries = append(entries, federation.Entry{Description: idp.Description(), Provider: idp})
	}
	return entries, nil
}

// civil makes the civil registry of the configuration, with an HTTP client and a
// breaker of its own.
func civil(c *config.Loaded, o outside) (login.Civil, error) {
	if c.Registry == nil {
		return login.Civil{}, nil
	}
	if o.Log == nil { // the configuration is only checked
		o.Log = slog.New(slog.DiscardHandler)
	}
	breaker, err := outbound.NewBreaker(outbound.BreakerConfig{Now: o.Now})
	if err != nil {
		return login.Civil{}, err
	}
	r, err := registry.NewHTTP(registry.HTTPConfig{
		URL: c.Registry.URL, Token: c.Registry.Token, AllowHTTP: c.Development,
		Client: outbound.New(calls(c)), Breaker: breaker, Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return login.Civil{}, err
	}
	if o.Metrics == nil {
		return login.Civil{Registry: r, Contact: c.Registry.Contact}, nil
	}
	return login.Civil{Registry: countedRegistry{r, o.Metrics, o.Now}, Contact: c.Registry.Contact}, nil
}

// calls says where our calls may go.
func calls(c *config.Loaded) outbound.Config {
	return outbound.Config{AllowPrivate: c.Private, AllowHTTP: c.Development}
}

// needsKeys reports whether we use public keys of this client.
func needsKeys(c *clients.Client) bool {
	return c.AuthMethod == clients.PrivateKeyJWT || c.AuthMethod == clients.SelfSignedTLS || c.RequestObjectSigningAlg != "" || len(c.EncryptionAlgs()) > 0
}

func clientKeys(c *clients.Client, calls *http.Client, now func() time.Time) (provider.KeySet, error) {
	if c.JWKSURI != "" {
		return keys.NewRemote(keys.RemoteConfig{URL: c.JWKSURI, Client: calls, Now: now})
	}
	set, err := keys.NewStatic(c.JWKS)
	if err != nil {
		return nil, err
	}
	needed := c.EncryptionAlgs()
	if c.AuthMethod == clients.PrivateKeyJWT {
		needed = append(needed, c.AuthSigningAlg)
	}
	for _, alg := range needed {
		if !set.Fits(alg) {
			return nil, fmt.Errorf("no key of its jwks is for %s", alg)
		}
	}
	return set, nil
}

// noSigner stands where a configuration is only checked.
type noSigner struct{}

func (noSigner) Sign(context.Context, string, string, []byte) (string, error) {
	return "", errors.New("nothing is signed here")
}

func (noSigner) Decrypt(context.Context, string, string) ([]byte, error) {
	return nil, errors.New("nothing is decrypted here")
}
