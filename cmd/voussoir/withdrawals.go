package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/provider"
)

const (
	// finishEvery is how often withdrawals that are on record are looked for that were not
	// carried out: by another process that died, or because a store failed.
	finishEvery = time.Second
	// endAnswersEvery is how often it is put on record that the time of answers is over.
	endAnswersEvery = time.Minute
)

func (b *broker) newWithdrawals(c *config.Loaded, currentClients func() *clients.Set) (*provider.Withdrawals, error) {
	return provider.NewWithdrawals(provider.WithdrawalsConfig{
		Issuer: c.Issuer, Clients: currentClients, Grants: b.flows, Sealer: b.ring, Keys: b.ring, Deriver: b.ring,
		Notices: b.notices, Audit: b.log, Now: b.now,
		SealKey: func(ctx context.Context, id identity.PersonID) ([]byte, error) {
			p, err := b.records.Person(ctx, id)
			return p.SealKey, err
		},
	})
}

// tendConsent carries out withdrawals that were left, and ends answers whose time is
// over, until ctx ends.
func (b *broker) tendConsent(ctx context.Context) error {
	finish, end := time.NewTicker(finishEvery), time.NewTicker(endAnswersEvery)
	defer finish.Stop()
	defer end.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-finish.C:
			err = b.ledger.Finish(ctx)
		case <-end.C:
			_, err = b.ledger.Expire(ctx)
		}
		if err != nil && ctx.Err() == nil {
			b.events.LogAttrs(ctx, slog.LevelError, "withdrawals or expired answers are left", slog.Bool("alarm", true), slog.String("error", err.Error()))
		}
	}
}

// newDocuments makes what writes receipts to take away.
func (b *broker) newDocuments(issuer string) (*consent.Documents, error) {
	return consent.NewDocuments(consent.DocumentsConfig{
		Issuer: issuer, Prover: b.tree, Signer: b.ring, Deriver: b.ring, Now: b.now, About: b.about,
	})
}

// about is what the configuration says today of a receipt's service. Purpose and retention
// are those of the version that she answered, or are not said.
func (b *broker) about(r consent.Receipt) (consent.About, bool) {
	now := b.current.Load()
	c, ok := now.clients.Get(r.Client)
	if !ok {
		return consent.About{}, false
	}
	out := consent.About{Name: c.Name, Sector: c.Sector}
	if p, ok := now.policies.Policy(c); ok && p.ID == r.PolicyID && p.Version == r.PolicyVersion {
		out.Purpose, out.Retention = p.Purpose, p.Retention
	}
	for _, k := range now.known {
		if k.ID == r.Provider {
			out.Provider = k.Name
		}
	}
	return out, true
}
