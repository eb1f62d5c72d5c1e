package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/saml"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// addSAML puts the SAML providers among the others, where the file has them.
func (s *snapshot) addSAML(entries []federation.Entry, c *config.Loaded, o outside) ([]federation.Entry, error) {
	if o.SAMLKeys == nil || o.Once == nil {
		o.SAMLKeys, o.Once = noSAML{}, noSAML{}
	}
	s.saml = map[protocol.ProviderID]*saml.Provider{}
	for _, p := range c.SAML {
		cfg := p.Config
		cfg.Client, cfg.Now, cfg.Log = outbound.New(calls(c)), o.Now, o.Log
		cfg.Keys, cfg.Once, cfg.Delivered = o.SAMLKeys, o.Once, o.delivered(cfg.ID)
		var err error
		if cfg.Client, _, err = o.observed(cfg.ID, cfg.Client); err != nil {
			return nil, err
		}
		idp, err := saml.New(cfg)
		if err != nil {
			return nil, err
		}
		s.saml[cfg.ID] = idp
		entries = slices.Insert(entries, p.Position, federation.Entry{Description: idp.Description(), Provider: idp})
	}
	return entries, nil
}

// samlMetadata is GET /saml/{provider}/metadata: what the operator of a SAML
// provider needs to know of us.
func (b *broker) samlMetadata(w http.ResponseWriter, r *http.Request) error {
	p, ok := b.current.Load().saml[protocol.ProviderID(r.PathValue("provider"))]
	if !ok {
		return web.Fail(web.NotFound, nil)
	}
	body, err := p.Metadata(r.Context())
	if err != nil {
		return web.Fail(web.Unavailable, err)
	}
	w.Header().Set("Content-Type", saml.MediaType)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body)
	return nil
}

// noSAML stands where a configuration is only checked.
type noSAML struct{}

var errNoSAML = errors.New("nothing is signed or remembered here")

func (noSAML) SAMLCertificates(context.Context) (keys.SAMLCertificates, error) {
	return keys.SAMLCertificates{}, errNoSAML
}
func (noSAML) SignSAMLQuery(context.Context, string) ([]byte, error) { return nil, errNoSAML }
func (noSAML) UnwrapSAMLKey(context.Context, []byte, keys.OAEP) ([]byte, error) {
	return nil, errNoSAML
}
func (noSAML) Consume(context.Context, string, string, time.Time, time.Time) (bool, error) {
	return false, errNoSAML
}
