package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/outbound"
)

// maxWitnessAnswer is how much of a witness's answer is read, in bytes.
const maxWitnessAnswer = 32 << 10

// callWitnesses makes what has the audit log's checkpoints cosigned. Without witnesses
// everybody is shown the newest checkpoint.
func (b *broker) callWitnesses(ctx context.Context, c *config.Loaded) (err error) {
	if len(c.Witnesses) == 0 {
		return b.records.Unpublish(ctx)
	}
	cfg := audit.WitnessesConfig{Store: b.records, Now: b.now, Log: b.events, Heard: b.metrics.Witnessed}
	for _, w := range c.Witnesses {
		// Each has a client of its own: a slow one takes no connection from another.
		cfg.Witnesses = append(cfg.Witnesses, audit.Witness{Key: w.Key, Post: postTo(outbound.New(calls(c)), w.URL)})
	}
	if b.witnesses, err = audit.NewWitnesses(cfg); err != nil {
		return err
	}
	b.metrics.Witnesses(witnessNames(c), audit.WitnessOutcomes())
	return b.witnesses.Begin(ctx)
}

func witnessNames(c *config.Loaded) []string {
	var out []string
	for _, w := range c.Witnesses {
		out = append(out, w.Key.Name())
	}
	return out
}

func sameWitness(x, y config.LoadedWitness) bool {
	return x.URL == y.URL && x.Key.String() == y.Key.String()
}

// postTo sends add-checkpoint requests to an address.
func postTo(client *http.Client, address string) func(context.Context, []byte) (audit.WitnessAnswer, error) {
	return func(ctx context.Context, body []byte) (audit.WitnessAnswer, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
		if err != nil {
			return audit.WitnessAnswer{}, errors.New("the address of the witness is not a URL")
		}
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
		a, err := outbound.Do(client, req, maxWitnessAnswer)
		return audit.WitnessAnswer{Status: a.Status, ContentType: a.ContentType, Body: a.Body}, err
	}
}

// cosign has checkpoints cosigned until ctx ends.
func (b *broker) cosign(ctx context.Context) error {
	if b.witnesses == nil {
		return nil
	}
	return b.witnesses.Run(ctx)
}
