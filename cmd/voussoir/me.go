package main

import (
	"context"

	"github.com/voussoir-id/voussoir/citizen"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
)

// ownPolicy is the id of the policy of the citizen's space, which no file can name either.
const ownPolicy = "voussoir:me"

// ownClient is the broker itself as a service. It has no secret, and its requests would
// have to be pushed: nobody but the broker can begin a visit for it, or redeem a code.
func ownClient(issuer string) *clients.Client {
	return &clients.Client{
		ID: citizen.Client, Name: protocol.Text{"en": "Your own space", "fr": "Votre espace"},
		RedirectURIs: []string{issuer + citizen.PathReturn}, AuthMethod: clients.SecretBasic,
		Sector: string(citizen.Client), Policy: ownPolicy, RequirePAR: true, RequirePKCE: true, RequireNonce: true, RequireState: true,
		IDTokenSigningAlg: "ES256", NoSingleSignOn: true,
	}
}

// own is the policy of the citizen's space: no fact about her leaves. What she was told
// once need not be told each time.
func own() *policies.Policy {
	return &policies.Policy{
		ID: ownPolicy, Version: 1, Basis: policies.PublicTask, MinACR: protocol.EIDAS1, ConsentValidity: policies.Period{Years: 1},
		Purpose: protocol.Text{"en": "Show you what is on record about you", "fr": "Vous montrer ce qui est enregistré à votre sujet"},
	}
}

// ownCodes answers the visits of the broker itself, and leaves all others to Codes. space
// is set before anything is served.
type ownCodes struct {
	*provider.Codes
	space *citizen.Space
}

func (c *ownCodes) IssueCode(ctx context.Context, g login.Grant) (string, error) {
	if g.Client == citizen.Client {
		return c.space.Code(g)
	}
	return c.Codes.IssueCode(ctx, g)
}

func (b *broker) newSpace(cfg citizen.Config) (*citizen.Space, error) {
	cfg.Records, cfg.Sessions, cfg.Once, cfg.Sealer, cfg.Audit = b.records, b.flows, b.records, b.ring, b.log
	cfg.Of, cfg.Barred, cfg.Now = entriesOf(b.ring), b.barred, b.now
	cfg.Service = func(id protocol.ClientID) protocol.Text {
		if c, ok := b.current.Load().clients.Get(id); ok {
			return c.Name
		}
		return nil
	}
	cfg.Providers = func() []citizen.Named {
		var out []citizen.Named
		for _, k := range b.current.Load().known {
			out = append(out, citizen.Named{ID: k.ID, Name: k.Name})
		}
		return out
	}
	return citizen.New(cfg)
}
