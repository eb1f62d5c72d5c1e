package sql

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/provider"
)

// TestMigrate_ReceiptsOfAnOlderVersionStay opens records that were written before
// services could come back while a person is away.
func TestMigrate_ReceiptsOfAnOlderVersionStay(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "records.db"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations/records")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO audit_entries (id, time, public, sealed, leaf) VALUES (zeroblob(16), 1, x'7b7d', x'00', zeroblob(32));
		INSERT INTO receipts (id, time, act, person, client, policy_id, policy_version, basis, rule, shown, released, acr, provider, language, notice, until, grant_id, audit)
		VALUES (zeroblob(16), 1, 'given', zeroblob(16), 'city-library', 'library', 3, 'consent', 'first-time', 'email', 'email', 'eidas1', 'tax', 'fr', zeroblob(32), NULL, 'g', zeroblob(16))`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRecords(t.Context(), Config{Dir: dir, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Receipts(t.Context(), identity.PersonID{})
	if err != nil || len(got) != 1 || got[0].Client != "city-library" || !got[0].OfflineUntil.IsZero() {
		t.Errorf("Receipts = %+v, %v", got, err)
	}
	if err := r.PutFamily(t.Context(), provider.StoredFamily{Grant: "g", Client: "city-library", Expires: clock()}, clock()); err != nil {
		t.Errorf("PutFamily = %v", err)
	}
}
