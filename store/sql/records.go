package sql

import (
	"context"
	"fmt"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/registration"
)

// Records is the durable database (records.db): a write that returned nil
// survives a power cut. Writes that arrive together share one flush. Safe for
// concurrent use.
type Records struct {
	db   *database
	cfg  Config
	once walk[[]byte]
}

var (
	_ identity.PersonStore  = (*Records)(nil)
	_ consent.Store         = (*Records)(nil)
	_ audit.Store           = (*Records)(nil)
	_ provider.OnceStore    = (*Records)(nil)
	_ provider.RefreshStore = (*Records)(nil)
	_ registration.Store    = (*Records)(nil)
	_ notices.Store         = (*Records)(nil)
)

// OpenRecords opens records.db in cfg.Dir, creating or migrating it. The caller
// closes it, and runs Run beside it to have expired rows removed.
func OpenRecords(ctx context.Context, cfg Config) (*Records, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, cfg, recordsKind())
	if err != nil {
		return nil, err
	}
	return &Records{db: db, cfg: cfg, once: walk[[]byte]{scan: scanOnce, remove: removeOnce, start: []byte{}}}, nil
}

// Close carries out the writes that are queued, refuses later ones with
// ErrClosed, waits, and closes the file. Calling it twice does no harm.
func (r *Records) Close() error {
	if err := r.db.shutdown(); err != nil {
		return fmt.Errorf("close records: %w", err)
	}
	return nil
}

// Ping makes a durable write and reads it back: nil means that a consent could
// be recorded now.
func (r *Records) Ping(ctx context.Context) error {
	if err := r.db.ping(ctx, r.cfg.Now()); err != nil {
		return fmt.Errorf("ping records: %w", err)
	}
	return nil
}
