package sql_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/store/sql"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// deed is one of everything, done to a pair of stores, and what must be found of
// it later.
type deed struct {
	flow   login.Flow
	access provider.StoredGrant
	dead   provider.StoredGrant
	sess   login.Session
	alias  [32]byte
	person identity.Person
	family provider.StoredFamily
	ended  provider.StoredFamily
}

func do(t *testing.T, w world) deed {
	t.Helper()
	ctx := t.Context()
	d := deed{
		flow: benchFlow(), access: benchGrant(provider.AccessGrant), dead: benchGrant(provider.CodeGrant), alias: random32(),
		sess: login.Session{Digest: random32(), Sealed: []byte("s"), Expires: day().Add(time.Hour)},
	}
	must(t, w.flows.Create(ctx, d.flow))
	d.flow.Stage, d.flow.Revision = login.AtProvider, d.flow.Revision+1
	must(t, w.flows.Advance(ctx, login.Choosing, d.flow))
	must(t, w.flows.PutGrant(ctx, d.access))
	must(t, w.flows.PutGrant(ctx, d.dead))
	must(t, w.flows.RevokeGrant(ctx, d.dead.Grant, day().Add(time.Hour)))
	must(t, w.flows.PutSession(ctx, d.sess))
	var err error
	d.person, err = w.records.Resolve(ctx, d.alias, identity.Person{ID: random16(), SealKey: []byte("wrapped")}, day())
	must(t, err)
	r, s, e := benchRecord(d.person.ID)
	must(t, w.records.Record(ctx, r, &s, e))
	first, err := w.records.Consume(ctx, "code", "x", day().Add(time.Minute), day())
	if must(t, err); !first {
		t.Fatal("the code was not new")
	}
	d.family = provider.StoredFamily{
		Grant: "family", Person: d.person.ID, Client: "city-library", Family: random32(), Current: random32(), Sealed: []byte("s"), Expires: day().AddDate(0, 6, 0),
	}
	d.ended = d.family
	d.ended.Grant, d.ended.Family = "ended", random32()
	must(t, w.records.PutFamily(ctx, d.family, day()))
	must(t, w.records.PutFamily(ctx, d.ended, day()))
	must(t, w.records.EndFamily(ctx, d.ended.Grant, day().Add(time.Hour)))
	from := d.family.Current
	d.family.Current = random32()
	must(t, w.records.RotateFamily(ctx, from, d.family, day(), audit.Entry{ID: random16()}))
	must(t, w.records.PutKey(ctx, keys.Metadata{KID: "k1", Alg: "ES256", State: "active", Created: day()}))
	return d
}

func (d deed) check(t *testing.T, w world) {
	t.Helper()
	ctx := t.Context()
	flow, err := w.flows.Load(ctx, d.flow.ID, day())
	if must(t, err); flow.Revision != d.flow.Revision || flow.Stage != d.flow.Stage {
		t.Errorf("Load = stage %d revision %d, want %d and %d", flow.Stage, flow.Revision, d.flow.Stage, d.flow.Revision)
	}
	_, err = w.flows.GetGrant(ctx, d.access.Kind, d.access.Digest, day())
	must(t, err)
	if _, err := w.flows.GetGrant(ctx, d.dead.Kind, d.dead.Digest, day()); !errors.Is(err, provider.ErrNoGrant) {
		t.Errorf("GetGrant of the revoked = %v, want ErrNoGrant", err)
	}
	_, err = w.flows.GetSession(ctx, d.sess.Digest, day())
	must(t, err)
	family, err := w.records.GetFamily(ctx, d.family.Family, day())
	if must(t, err); family.Current != d.family.Current || family.Ended {
		t.Errorf("GetFamily = %x, ended %t, want %x", family.Current, family.Ended, d.family.Current)
	}
	ended, err := w.records.GetFamily(ctx, d.ended.Family, day())
	if must(t, err); !ended.Ended {
		t.Error("an ended family is alive again")
	}
	p, err := w.records.Resolve(ctx, d.alias, identity.Person{ID: random16()}, day())
	if must(t, err); p.ID != d.person.ID {
		t.Errorf("Resolve = %x, want %x", p.ID, d.person.ID)
	}
	if s, err := w.records.Standing(ctx, d.person.ID, "city-library", day()); err != nil || s == nil {
		t.Errorf("Standing = %v, %v, want an answer", s, err)
	}
	if rs, err := w.records.Receipts(ctx, d.person.ID); err != nil || len(rs) != 1 {
		t.Errorf("Receipts = %d, %v, want 1", len(rs), err)
	}
	if es, err := w.records.Entries(ctx, 0, 10); err != nil || len(es) != 2 {
		t.Errorf("Entries = %d, %v, want 2: the consent and the rotation", len(es), err)
	}
	if first, err := w.records.Consume(ctx, "code", "x", day().Add(time.Minute), day()); err != nil || first {
		t.Errorf("Consume = %t, %v, want false", first, err)
	}
	if ks, err := w.records.Keys(ctx); err != nil || len(ks) != 1 {
		t.Errorf("Keys = %v, %v, want one", ks, err)
	}
}

func TestReopen_AfterClose(t *testing.T) {
	dir := t.TempDir()
	r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
	must(t, err)
	f, err := sql.OpenFlows(t.Context(), sql.Config{Dir: dir, Now: day})
	must(t, err)
	d := do(t, world{r, f})
	must(t, errors.Join(r.Close(), f.Close()))
	if logs, err := filepath.Glob(filepath.Join(dir, "*-wal")); err != nil || len(logs) > 0 {
		t.Errorf("the logs %v were not copied back (%v): a connection is still open", logs, err)
	}
	d.check(t, world{openRecords(t, dir), openFlows(t, dir)})
}

// TestReopen_AfterKill opens a copy of the files as they lie there while the
// stores are still open, which is what a killed process leaves behind. The index
// of the log (-shm) is memory and is not copied.
func TestReopen_AfterKill(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	w := world{openRecords(t, dir), openFlows(t, dir)}
	d := do(t, w)
	for _, name := range []string{"records.db", "records.db-wal", "flow.db", "flow.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(copied, name), b, 0o600))
	}
	d.check(t, world{openRecords(t, copied), openFlows(t, copied)})
	d.check(t, w)
}

func TestOpen_FilesAreClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, os.Mkdir(dir, 0o755))
	do(t, world{openRecords(t, dir), openFlows(t, dir)})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(files) < 5 {
		t.Errorf("found %v, want two databases, each with its log, and the index of one", files)
	}
	for _, name := range append(files, dir) {
		st, err := os.Stat(name)
		must(t, err)
		if st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want nothing for others", filepath.Base(name), st.Mode())
		}
	}
}

func TestOpen_RefusesWhatCannotWork(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	noise := t.TempDir()
	must(t, os.WriteFile(filepath.Join(noise, "records.db"), []byte("this has never been a database, but it is long enough"), 0o600))
	for name, cfg := range map[string]sql.Config{
		"no directory":              {Now: day},
		"no clock":                  {Dir: t.TempDir()},
		"a file where a dir was":    {Dir: file, Now: day},
		"a file that is no records": {Dir: noise, Now: day},
	} {
		if r, err := sql.OpenRecords(t.Context(), cfg); err == nil {
			r.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

// TestClosed_IsAnErrorAndNeverNotFound: unknown is not no.
func TestClosed_IsAnErrorAndNeverNotFound(t *testing.T) {
	dir := t.TempDir()
	w := world{openRecords(t, dir), openFlows(t, dir)}
	d := do(t, w)
	must(t, errors.Join(w.records.Close(), w.flows.Close()))
	must(t, errors.Join(w.records.Close(), w.flows.Close())) // twice does no harm
	for name, err := range everything(t.Context(), w, d) {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		for _, word := range []error{login.ErrNoFlow, login.ErrStale, login.ErrNoSession, provider.ErrNoGrant, identity.ErrAmbiguous, provider.ErrNoFamily, provider.ErrFamilyEnded, provider.ErrFamilyMoved} {
			if errors.Is(err, word) {
				t.Errorf("%s = %v, want an error that is not a word for no", name, err)
			}
		}
	}
}

// everything calls each method once and returns what each said.
func everything(ctx context.Context, w world, d deed) map[string]error {
	out := map[string]error{}
	next := d.flow
	next.Revision++
	out["Create"] = w.flows.Create(ctx, benchFlow())
	_, out["Load"] = w.flows.Load(ctx, d.flow.ID, day())
	out["Advance"] = w.flows.Advance(ctx, d.flow.Stage, next)
	out["PutSession"] = w.flows.PutSession(ctx, d.sess)
	_, out["GetSession"] = w.flows.GetSession(ctx, d.sess.Digest, day())
	out["DeleteSession"] = w.flows.DeleteSession(ctx, d.sess.Digest)
	out["PutGrant"] = w.flows.PutGrant(ctx, benchGrant(provider.CodeGrant))
	_, out["GetGrant"] = w.flows.GetGrant(ctx, d.access.Kind, d.access.Digest, day())
	out["RevokeGrant"] = w.flows.RevokeGrant(ctx, d.access.Grant, day())
	_, out["Sweep flows"] = w.flows.Sweep(ctx, day())
	out["Ping flows"] = w.flows.Ping(ctx)
	_, out["Resolve"] = w.records.Resolve(ctx, d.alias, d.person, day())
	_, out["Resolve new"] = w.records.Resolve(ctx, random32(), identity.Person{ID: random16()}, day())
	_, out["JoinAliases"] = w.records.JoinAliases(ctx, d.alias, random32(), identity.Person{ID: random16()}, day())
	out["Confirm"] = w.records.Confirm(ctx, d.person.ID, day())
	_, out["Confirmed"] = w.records.Confirmed(ctx, d.alias)
	out["Unconfirm"] = w.records.Unconfirm(ctx, d.alias)
	r, s, e := benchRecord(d.person.ID)
	out["Record"] = w.records.Record(ctx, r, &s, e)
	_, out["Standing"] = w.records.Standing(ctx, d.person.ID, "city-library", day())
	_, out["Receipts"] = w.records.Receipts(ctx, d.person.ID)
	_, out["Entries"] = w.records.Entries(ctx, 0, 1)
	_, out["CountEntries"] = w.records.CountEntries(ctx)
	_, out["CountReceipts"] = w.records.CountReceipts(ctx)
	out["AppendEntries"] = w.records.AppendEntries(ctx, e)
	_, out["Consume"] = w.records.Consume(ctx, "code", "y", day().Add(time.Minute), day())
	out["PutFamily"] = w.records.PutFamily(ctx, provider.StoredFamily{Grant: "new", Family: random32(), Current: random32()}, day())
	_, out["GetFamily"] = w.records.GetFamily(ctx, d.family.Family, day())
	out["RotateFamily"] = w.records.RotateFamily(ctx, d.family.Current, d.family, day(), audit.Entry{ID: random16()})
	out["EndFamily"] = w.records.EndFamily(ctx, d.family.Grant, day())
	_, out["EndFamilies"] = w.records.EndFamilies(ctx, d.person.ID, "city-library", day())
	out["PutKey"] = w.records.PutKey(ctx, keys.Metadata{KID: "k2"})
	_, out["Keys"] = w.records.Keys(ctx)
	_, out["Sweep records"] = w.records.Sweep(ctx, day())
	out["Ping records"] = w.records.Ping(ctx)
	return out
}

func TestClose_CarriesOutWhatIsQueuedAndLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	r, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
	must(t, err)
	const n = 100
	type answer struct {
		id  [16]byte
		err error
	}
	answers := make(chan answer, n)
	for range n {
		go func() {
			_, _, e := benchRecord(random16())
			answers <- answer{e.ID, r.AppendEntries(context.Background(), e)}
		}()
	}
	first := <-answers
	must(t, r.Close())
	acknowledged := map[[16]byte]bool{first.id: first.err == nil}
	for range n - 1 {
		a := <-answers
		if a.err != nil && !errors.Is(a.err, sql.ErrClosed) {
			t.Errorf("AppendEntries = %v, want nil or ErrClosed", a.err)
		}
		acknowledged[a.id] = a.err == nil
	}
	again, err := sql.OpenRecords(t.Context(), sql.Config{Dir: dir, Now: day})
	must(t, err)
	entries, err := again.Entries(t.Context(), 0, 2*n)
	must(t, err)
	stored := map[[16]byte]bool{}
	for _, e := range entries {
		stored[e.ID] = true
	}
	for id, ok := range acknowledged {
		if stored[id] != ok {
			t.Errorf("entry %x: acknowledged %t, stored %t", id, ok, stored[id])
		}
	}
	must(t, again.Close())
}

func TestEntries_InTheOrderInWhichTheyBecameDurable(t *testing.T) {
	r := openRecords(t, t.TempDir())
	var want [][16]byte
	for range 7 {
		_, _, e := benchRecord(random16())
		must(t, r.AppendEntries(t.Context(), e))
		want = append(want, e.ID)
	}
	var got [][16]byte
	after := int64(0)
	for {
		page, err := r.Entries(t.Context(), after, 3)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got, after = append(got, e.ID), e.Seq
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d is %x, want %x", i, got[i], want[i])
		}
	}
	if n, err := r.CountEntries(t.Context()); err != nil || n != 7 {
		t.Errorf("CountEntries = %d, %v, want 7", n, err)
	}
}

func TestKeys_MoveOnButNeverChangeTheirNature(t *testing.T) {
	r := openRecords(t, t.TempDir())
	k := keys.Metadata{KID: "k1", Alg: "ES256", State: "next", Created: day()}
	must(t, r.PutKey(t.Context(), k))
	k.State, k.Activated = "active", day().Add(time.Hour)
	must(t, r.PutKey(t.Context(), k))
	other := k
	other.Alg = "RS256"
	if err := r.PutKey(t.Context(), other); err == nil {
		t.Error("PutKey with another algorithm: no error")
	}
	got, err := r.Keys(t.Context())
	must(t, err)
	if len(got) != 1 || got[0] != k {
		t.Errorf("Keys = %+v, want %+v", got, k)
	}
}

func TestSweep_RemovesWhatHasExpiredAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	w := world{openRecords(t, dir), openFlows(t, dir)}
	ctx := t.Context()
	const expired, alive = 1300, 40 // more than two stretches
	var kept []login.Flow
	for i := range expired + alive {
		f := benchFlow()
		f.Sealed = []byte("s")
		if i%((expired+alive)/alive) == 0 && len(kept) < alive {
			f.Expires = day().Add(time.Hour)
			kept = append(kept, f)
		} else {
			f.Expires = day()
		}
		must(t, w.flows.Create(ctx, f))
		if i%100 == 0 {
			_, err := w.records.Consume(ctx, "code", string(f.ID), day().Add(time.Minute), day())
			must(t, err)
			must(t, w.flows.PutSession(ctx, login.Session{Digest: random32(), Expires: f.Expires}))
			must(t, w.flows.RevokeGrant(ctx, login.GrantID(f.ID), f.Expires))
		}
	}
	d := do(t, w)
	removed, err := w.flows.Sweep(ctx, day())
	must(t, err)
	if left, err := w.flows.CountFlows(ctx); err != nil || left != int64(len(kept)+1) {
		t.Errorf("after the sweep (%d removed) %d flows are left, %v, want %d", removed, left, err, len(kept)+1)
	}
	if again, err := w.flows.Sweep(ctx, day()); err != nil || again != 0 {
		t.Errorf("a second sweep removed %d, %v, want 0", again, err)
	}
	for _, f := range kept {
		if _, err := w.flows.Load(ctx, f.ID, day()); err != nil {
			t.Errorf("Load of a live flow = %v", err)
		}
	}
	if n, err := w.records.Sweep(ctx, day()); err != nil || n != 0 {
		t.Errorf("a sweep of the records in time removed %d, %v, want 0", n, err)
	}
	d.check(t, w)
	if n, err := w.records.Sweep(ctx, day().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("a sweep within the hour that a clock may be wrong removed %d, %v, want 0", n, err)
	}
	n, err := w.records.Sweep(ctx, day().Add(time.Hour+time.Minute))
	if must(t, err); n != 15 { // fourteen, and the one of d
		t.Errorf("a sweep of the records removed %d once-keys, want 15", n)
	}
	_, err = w.records.EndFamilies(ctx, identity.PersonID{1}, "city-library", day())
	must(t, err)
	if n, err := w.records.Sweep(ctx, day().Add(23*time.Hour)); err != nil || n != 0 {
		t.Errorf("a sweep while codes may be on their way removed %d, %v, want 0", n, err)
	}
	if n, err := w.records.Sweep(ctx, day().Add(25*time.Hour)); err != nil || n != 1 {
		t.Errorf("a sweep the day after removed %d, %v, want the memory of an end", n, err)
	}
	if n, err := w.records.Sweep(ctx, day().AddDate(1, 0, 0)); err != nil || n != 2 {
		t.Errorf("a sweep a year later removed %d, %v, want two families, and no answer whose end is on no record", n, err)
	}
}

func TestRun_EndsWithItsContext(t *testing.T) {
	f := openFlows(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	stop()
	must(t, <-done)
}

func TestPing_IsARealWrite(t *testing.T) {
	dir := t.TempDir()
	r := openRecords(t, dir)
	must(t, r.Ping(t.Context()))
	raw := rawDB(t, dir, "records")
	var at int64
	must(t, raw.QueryRowContext(t.Context(), "SELECT at FROM canary").Scan(&at))
	if at != day().UnixMicro() {
		t.Errorf("canary = %d, want %d", at, day().UnixMicro())
	}
}
