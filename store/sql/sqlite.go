package sql

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations
var migrations embed.FS

// What one transaction is made of. beginWrite takes the write lock at once: a
// transaction that read first and locked later could find that another process
// (a command of the operator's) was faster, and fail half way.
const (
	beginWrite    = "BEGIN IMMEDIATE"
	commitWrite   = "COMMIT"
	rollbackWrite = "ROLLBACK"
)

// kind is what sets one of our two databases apart.
type kind struct {
	name        string // of the file, the migrations and the failpoints
	synchronous string
	checkpoint  int           // pages in the write-ahead log before it is copied back
	pace        time.Duration // the shortest time between two commits
	readers     int           // connections that only read; 0: reads take turns with the writer
}

// records flush at each commit: what is acknowledged survives a power cut.
func recordsKind() kind {
	return kind{name: "records", synchronous: "FULL", checkpoint: 1000, pace: 2 * time.Millisecond, readers: 4}
}

// flow is flushed at checkpoints only: it survives a kill, and after a power cut
// people start again. Its pages are rewritten all the time, so a longer log saves
// copying (16 MiB). No commit waits for the disk, so reads take turns with the
// writer on the one connection, which then holds the file for itself: no locks to
// ask the kernel for, and no cache that another connection's write makes stale.
// That is most of what a point read costs.
func flowKind() kind {
	return kind{name: "flow", synchronous: "NORMAL", checkpoint: 4000, pace: time.Millisecond, readers: 0}
}

// database is one open file: a writer and a reader.
type database struct {
	*writer
	*reader
	writeDB *sql.DB
	readDB  *sql.DB // nil when reads take turns with the writer
	conn    *sql.Conn
	closing sync.Once
	closed  error // set by closing
}

// openDatabase opens the file of k in the folder of cfg, creates or migrates it, and starts
// its writer.
func openDatabase(ctx context.Context, cfg Config, k kind) (*database, error) {
	path, err := privateFile(cfg.Dir, k.name+".db")
	if err != nil {
		return nil, err
	}
	pragmas := []string{"busy_timeout(5000)"} // a command of the operator's may hold the lock for a moment
	if k.readers == 0 {
		pragmas = append(pragmas, "locking_mode(EXCLUSIVE)") // before the log is touched: then its index stays in our memory
	}
	writeDB, err := sqliteDB(path, url.Values{
		"_pragma": append(pragmas, "foreign_keys(1)", "journal_mode(WAL)", "synchronous("+k.synchronous+")",
			fmt.Sprintf("wal_autocheckpoint(%d)", k.checkpoint)),
		"_txlock": {"immediate"}, "_defensive": {"1"}, "_dqs": {"0"},
	}, 1)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", k.name, err)
	}
	d := &database{writeDB: writeDB}
	if err := migrate(ctx, writeDB, k.name); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", k.name, err), writeDB.Close())
	}
	if d.conn, err = writeDB.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", k.name, err), writeDB.Close())
	}
	d.writer = newWriter(k, d.conn, cfg)
	if k.readers == 0 {
		d.reader = newReader(d.conn, &d.writer.turn)
		go d.loop()
		return d, nil
	}
	d.readDB, err = sqliteDB(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(5000)", "query_only(1)"},
		"_dqs":    {"0"},
	}, k.readers)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", k.name, err), d.conn.Close(), writeDB.Close())
	}
	d.reader = newReader(d.readDB, noTurn{})
	go d.loop()
	return d, nil
}

// sqliteDB makes a pool of at most conns connections that are kept for ever.
func sqliteDB(path string, params url.Values, conns int) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	c, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// shutdown finishes the queued writes and closes the file; the last one out
// copies the log back, so the readers go first.
func (d *database) shutdown() error {
	d.closing.Do(func() {
		d.shut()
		d.closed = errors.Join(d.forget(), closeAll(d.writer.stmts))
		if d.readDB != nil {
			d.closed = errors.Join(d.closed, d.readDB.Close())
		}
		d.closed = errors.Join(d.closed, d.conn.Close(), d.writeDB.Close())
	})
	return d.closed
}

// privateFile makes sure that dir and the file exist and are closed to others.
// SQLite gives the log and the index beside it the mode of the file.
func privateFile(dir, name string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("database file: %w", err)
	}
	return path, errors.Join(f.Chmod(0o600), f.Close())
}

// migrate brings the schema up to date; it never goes back.
func migrate(ctx context.Context, db *sql.DB, name string) error {
	files, err := fs.Sub(migrations, "migrations/"+name)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// untrustworthy reports errors after which nothing more may be written: a flush
// that failed may have dropped pages which a second flush would report as safe,
// and a damaged file only gets worse.
func untrustworthy(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC:
		return true
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}
