package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/web"
)

// pathAuditKeys is where the keys are that sign the audit log's checkpoints.
const pathAuditKeys = audit.PathPrefix + "/keys"

// expireEvery is how often the broker looks for personal parts whose time is over.
const expireEvery = time.Hour

// growTree makes what extends the audit log's tree and what shows it.
func (b *broker) growTree(ctx context.Context, c *config.Loaded) (err error) {
	origin := audit.Origin(c.Issuer)
	b.sequence, err = audit.NewSequencer(audit.SequencerConfig{
		Store: b.records, Notary: b.ring.Notary(origin), Origin: origin, Now: b.now, Log: b.events,
	})
	if err != nil {
		return err
	}
	if b.tree, err = audit.NewTree(b.records); err != nil {
		return err
	}
	return b.callWitnesses(ctx, c)
}

// treeRoutes serves the tree at the paths of C2SP tlog-tiles, and its keys.
func (b *broker) treeRoutes(site *web.Site, mux *http.ServeMux) {
	mux.Handle("GET "+audit.PathCheckpoint, site.API("audit.checkpoint", b.tree.ServeCheckpoint))
	mux.Handle("GET "+audit.PathTile, site.API("audit.tile", b.tree.ServeTile))
	mux.Handle("GET "+pathAuditKeys, site.API("audit.keys", b.serveAuditKeys))
}

// serveAuditKeys lists the keys, one a line: the key in the encoding of C2SP
// signed-note, its id in the log, its state.
func (b *broker) serveAuditKeys(w http.ResponseWriter, _ *http.Request) error {
	list, err := b.ring.Notary(audit.Origin(b.started.Issuer)).Keys()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*")
	_, err = w.Write([]byte(keyLines(list)))
	return err
}

func keyLines(list []keys.NoteKey) string {
	var out strings.Builder
	for _, k := range list {
		out.WriteString(k.Verifier + " " + k.KID + " " + string(k.State) + "\n")
	}
	return out.String()
}

// expirePersonal destroys the personal parts of entries whose time is over, until
// ctx ends.
func (b *broker) expirePersonal(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		err := b.expireNow(ctx)
		if err != nil && ctx.Err() == nil {
			b.events.LogAttrs(ctx, slog.LevelError, "personal parts of old audit entries were not removed", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (b *broker) expireNow(ctx context.Context) error {
	keep := b.started.AuditRetention
	before := b.now().AddDate(-keep.Years, -keep.Months, -keep.Days)
	upTo, err := b.records.Expirable(ctx, before)
	if err != nil || upTo == 0 {
		return err
	}
	receipt, err := b.log.Append(ctx, audit.Event{Public: audit.ExpiryOf(upTo)})
	if err != nil {
		return err
	}
	// The word that they go is in the tree before they do.
	if _, err := b.tree.Prove(ctx, receipt.ID); errors.Is(err, audit.ErrNotInTree) {
		if err := b.awaitIndex(ctx, receipt.ID); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	_, err = b.records.Expire(ctx, upTo)
	return err
}

// awaitIndex waits until an entry is in the tree.
func (b *broker) awaitIndex(ctx context.Context, id [16]byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if _, err := b.records.LeafOf(ctx, id); !errors.Is(err, audit.ErrNotInTree) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}
