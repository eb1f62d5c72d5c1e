package sql_test

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/store/sql"
	"github.com/voussoir-id/voussoir/store/storetest"
)

// day is when these tests take place.
func day() time.Time { return time.Date(2026, time.March, 29, 12, 0, 0, 0, time.UTC) }

func openRecords(t testing.TB, dir string) *sql.Records {
	t.Helper()
	r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func openFlows(t testing.TB, dir string) *sql.Flows {
	t.Helper()
	f, err := sql.OpenFlows(t.Context(), sql.Config{Dir: dir, Now: day})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestContracts(t *testing.T) {
	t.Run("flows", func(t *testing.T) {
		storetest.Flows(t, func(t *testing.T) login.FlowStore { return openFlows(t, t.TempDir()) })
	})
	t.Run("sessions", func(t *testing.T) {
		storetest.Sessions(t, func(t *testing.T) login.SessionStore { return openFlows(t, t.TempDir()) })
	})
	t.Run("endings", func(t *testing.T) {
		storetest.Endings(t, func(t *testing.T) storetest.SessionsAndGrants { return openFlows(t, t.TempDir()) })
	})
	t.Run("notices", func(t *testing.T) {
		storetest.Notices(t, func(t *testing.T) notices.Store { return openRecords(t, t.TempDir()) })
	})
	t.Run("grants", func(t *testing.T) {
		storetest.Grants(t, func(t *testing.T) provider.GrantStore { return openFlows(t, t.TempDir()) })
	})
	t.Run("once", func(t *testing.T) {
		storetest.Once(t, func(t *testing.T) provider.OnceStore { return openRecords(t, t.TempDir()) })
	})
	t.Run("people", func(t *testing.T) {
		storetest.People(t, func(t *testing.T) identity.PersonStore { return openRecords(t, t.TempDir()) })
	})
	t.Run("consent", func(t *testing.T) {
		storetest.Consent(t, func(t *testing.T) storetest.Ledger { return openRecords(t, t.TempDir()) })
	})
	t.Run("registrations", func(t *testing.T) {
		storetest.Registrations(t, func(t *testing.T) storetest.Registry { return openRecords(t, t.TempDir()) })
	})
	t.Run("refresh", func(t *testing.T) {
		storetest.Refresh(t, func(t *testing.T) storetest.Families { return openRecords(t, t.TempDir()) })
	})
	t.Run("preferences", func(t *testing.T) {
		storetest.Preferences(t, func(t *testing.T) storetest.Choices { return openRecords(t, t.TempDir()) })
	})
	t.Run("audit", func(t *testing.T) {
		storetest.Audit(t, func(t *testing.T) audit.Store { return openRecords(t, t.TempDir()) })
	})
}
