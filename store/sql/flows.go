package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
)

// Flows is the short-lived database (flow.db): it survives a restart and a kill,
// and may lose its last moments at a power cut. Nothing whose second use would
// be an attack is consumed here; see Records.Consume. Safe for concurrent use.
type Flows struct {
	db       *database
	cfg      Config
	flows    walk[int64]
	sessions walk[int64]
	joined   walk[int64]
	grants   walk[int64]
}

var (
	_ login.FlowStore     = (*Flows)(nil)
	_ login.SessionStore  = (*Flows)(nil)
	_ provider.GrantStore = (*Flows)(nil)
)

// OpenFlows opens flow.db in cfg.Dir, creating or migrating it. The caller
// closes it, and runs Run beside it to have expired rows removed.
func OpenFlows(ctx context.Context, cfg Config) (*Flows, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, cfg, flowKind())
	if err != nil {
		return nil, err
	}
	return &Flows{
		db: db, cfg: cfg,
		flows:    walk[int64]{scan: scanFlows, remove: removeFlows},
		sessions: walk[int64]{scan: scanSessions, remove: removeSessions},
		joined:   walk[int64]{scan: scanParticipants, remove: removeParticipants},
		grants:   walk[int64]{scan: scanGrants, remove: removeGrants},
	}, nil
}

// Close carries out the writes that are queued, refuses later ones with
// ErrClosed, waits, and closes the file. Calling it twice does no harm.
func (f *Flows) Close() error {
	if err := f.db.shutdown(); err != nil {
		return fmt.Errorf("close flows: %w", err)
	}
	return nil
}

// Ping makes a write and reads it back: nil means that a visit could begin now.
func (f *Flows) Ping(ctx context.Context) error {
	if err := f.db.ping(ctx, f.cfg.Now()); err != nil {
		return fmt.Errorf("ping flows: %w", err)
	}
	return nil
}

const (
	// insertFlow adds a flow; its id must be new.
	insertFlow = `INSERT INTO flows (id, stage, revision, expires, sealed) VALUES ($1, $2, $3, $4, $5)`
	// selectFlow reads a flow that has not expired.
	selectFlow = `SELECT stage, revision, expires, sealed FROM flows WHERE id = $1 AND expires > $2`
	// advanceFlow replaces a flow if it still stands where the caller saw it.
	advanceFlow = `UPDATE flows SET stage = $1, revision = $2, expires = $3, sealed = $4
	WHERE id = $5 AND stage = $6 AND revision = $7`
	// scanFlows walks over the flows for the sweeper.
	scanFlows = `SELECT seq, expires FROM flows WHERE seq > $1 ORDER BY seq LIMIT $2`
	// removeFlows forgets the expired flows of a stretch.
	removeFlows = `DELETE FROM flows WHERE seq > $1 AND seq <= $2 AND expires <= $3`
	// countFlows counts them all, the expired ones too.
	countFlows = `SELECT count(*) FROM flows`
)

// Create implements login.FlowStore. An id that is taken is an error.
func (f *Flows) Create(ctx context.Context, flow login.Flow) error {
	err := f.db.do(ctx, func(t *tx) error {
		_, err := t.exec(insertFlow, string(flow.ID), int64(flow.Stage), int64(flow.Revision),
			micros(flow.Expires), blob(flow.Sealed))
		return err
	})
	return wrap(err, "create a flow")
}

// Load implements login.FlowStore.
func (f *Flows) Load(ctx context.Context, id login.FlowID, now time.Time) (login.Flow, error) {
	var stage, revision, expires int64
	var sealed []byte
	err := f.db.one(ctx, selectFlow, string(id), micros(now)).Scan(&stage, &revision, &expires, &sealed)
	if err != nil {
		return login.Flow{}, missing(err, login.ErrNoFlow, "load a flow")
	}
	return login.Flow{
		ID: id, Stage: login.Stage(stage), Revision: uint32(revision), Sealed: sealed, Expires: fromMicros(expires),
	}, nil
}

// Advance implements login.FlowStore.
func (f *Flows) Advance(ctx context.Context, from login.Stage, next login.Flow) error {
	var changed int64
	err := f.db.do(ctx, func(t *tx) (err error) {
		changed, err = t.exec(advanceFlow, int64(next.Stage), int64(next.Revision), micros(next.Expires),
			blob(next.Sealed), string(next.ID), int64(from), int64(next.Revision)-1)
		return err
	})
	if err != nil {
		return fmt.Errorf("advance a flow: %w", err)
	}
	if changed == 0 {
		return login.ErrStale
	}
	return nil
}

// CountFlows tells how many flows are stored, expired ones that the sweeper has
// not reached yet among them.
func (f *Flows) CountFlows(ctx context.Context) (int64, error) {
	var n int64
	err := f.db.one(ctx, countFlows).Scan(&n)
	return n, wrap(err, "count flows")
}

// missing turns "no row" into the seam's word for it, and nothing else.
func missing(err, word error, doing string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return word
	}
	return fmt.Errorf("%s: %w", doing, err)
}
