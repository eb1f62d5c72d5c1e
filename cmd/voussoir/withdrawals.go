package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
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
