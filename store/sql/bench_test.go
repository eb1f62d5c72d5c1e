package sql_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/provider"
	"github.com/voussoir-id/voussoir/store/sql"
)

// BenchmarkLogin does to the stores what one whole login does: six writes and
// six reads of short-lived state, three durable writes, two durable reads. The
// figure that counts is cpu-µs/login: user and system time of the process.
func BenchmarkLogin(b *testing.B) {
	for _, visits := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%d at once", visits), func(b *testing.B) {
			dir := b.TempDir()
			w := world{openRecords(b, dir), openFlows(b, dir)}
			parallel(b, visits, func() error { return w.login(b.Context()) })
		})
	}
}

// BenchmarkWrites is one write of each kind, by itself and by many at once.
func BenchmarkWrites(b *testing.B) {
	writes := []struct {
		name string
		do   func(context.Context, world) error
	}{
		{"flow", func(ctx context.Context, w world) error { return w.flows.Create(ctx, benchFlow()) }},
		{"once", func(ctx context.Context, w world) error {
			_, err := w.records.Consume(ctx, "code", handle(), day().Add(time.Minute), day())
			return err
		}},
		{"record", func(ctx context.Context, w world) error {
			r, s, e := benchRecord(random16())
			return w.records.Record(ctx, r, &s, e)
		}},
	}
	for _, write := range writes {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d at once", write.name, n), func(b *testing.B) {
				dir := b.TempDir()
				w := world{openRecords(b, dir), openFlows(b, dir)}
				parallel(b, n, func() error { return write.do(b.Context(), w) })
			})
		}
	}
}

// BenchmarkLoad reads one flow out of ten thousand, while nobody writes.
func BenchmarkLoad(b *testing.B) {
	f := openFlows(b, b.TempDir())
	ids := make([]login.FlowID, 10_000)
	for i := range ids {
		flow := benchFlow()
		ids[i] = flow.ID
		if err := f.Create(b.Context(), flow); err != nil {
			b.Fatal(err)
		}
	}
	var i atomic.Int64
	parallel(b, 1, func() error {
		_, err := f.Load(b.Context(), ids[int(i.Add(1))%len(ids)], day())
		return err
	})
}

// parallel runs one about b.N times on n goroutines and reports CPU time.
func parallel(b *testing.B, n int, one func() error) {
	b.Helper()
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	errs := make(chan error, n)
	before := cpu()
	b.ResetTimer()
	for range n {
		go func() {
			for left.Add(-1) >= 0 {
				if err := one(); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpu is the user and system time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// world is both stores.
type world struct {
	records *sql.Records
	flows   *sql.Flows
}

// login goes through one visit of a new person.
func (w world) login(ctx context.Context) error {
	flow := benchFlow()
	if err := w.flows.Create(ctx, flow); err != nil {
		return err
	}
	step := func(to login.Stage) error {
		got, err := w.flows.Load(ctx, flow.ID, day())
		if err != nil {
			return err
		}
		from := got.Stage
		got.Stage, got.Revision = to, got.Revision+1
		return w.flows.Advance(ctx, from, got)
	}
	if err := errors.Join(step(login.AtProvider), step(login.Asking)); err != nil {
		return err
	}
	p, err := w.records.Resolve(ctx, random32(), identity.Person{ID: random16(), SealKey: make([]byte, 60)}, day())
	if err != nil {
		return err
	}
	r, s, e := benchRecord(p.ID)
	if _, err := w.records.Standing(ctx, p.ID, r.Client, day()); err != nil {
		return err
	}
	if err := errors.Join(step(login.Answered), w.records.Record(ctx, r, &s, e)); err != nil {
		return err
	}
	code := benchGrant(provider.CodeGrant)
	if err := w.flows.PutGrant(ctx, code); err != nil {
		return err
	}
	if _, err := w.flows.GetGrant(ctx, code.Kind, code.Digest, day()); err != nil {
		return err
	}
	if _, err := w.records.Consume(ctx, "code", handle(), code.Expires, day()); err != nil {
		return err
	}
	access := benchGrant(provider.AccessGrant)
	if err := w.flows.PutGrant(ctx, access); err != nil {
		return err
	}
	_, err = w.flows.GetGrant(ctx, access.Kind, access.Digest, day())
	return err
}

func random16() (b [16]byte) { _, _ = rand.Read(b[:]); return b }
func random32() (b [32]byte) { _, _ = rand.Read(b[:]); return b }

func handle() string { b := random16(); return base64.RawURLEncoding.EncodeToString(b[:]) }

func benchFlow() login.Flow {
	return login.Flow{
		ID: login.FlowID(handle()), Stage: login.Choosing, Revision: 1,
		Sealed: make([]byte, 1200), Expires: day().Add(30 * time.Minute),
	}
}

func benchGrant(k provider.GrantKind) provider.StoredGrant {
	id := random16()
	return provider.StoredGrant{
		Kind: k, Digest: random32(), Grant: login.GrantID(hex.EncodeToString(id[:])),
		Sealed: make([]byte, 600), Expires: day().Add(time.Minute),
	}
}

func benchRecord(p identity.PersonID) (consent.Receipt, consent.Standing, audit.Entry) {
	e := audit.Entry{ID: random16(), Time: day(), Public: make([]byte, 250), Sealed: make([]byte, 180), Leaf: random32()}
	r := consent.Receipt{
		ID: random16(), Time: day(), Act: consent.Given, Person: p, Client: "city-library",
		PolicyID: "library", PolicyVersion: 3, Basis: "consent", Rule: "ask",
		Shown:    []protocol.Claim{protocol.GivenName, protocol.AgeOver16, protocol.Email},
		Released: []protocol.Claim{protocol.GivenName, protocol.AgeOver16},
		ACR:      protocol.EIDAS1, Provider: "tax", Language: "fr", Until: day().AddDate(1, 0, 0), Audit: e.ID,
	}
	return r, consent.Standing{
		Person: p, Client: r.Client, PolicyID: r.PolicyID, PolicyVersion: r.PolicyVersion,
		Shown: r.Shown, Agreed: r.Released, Until: r.Until, Receipt: r.ID,
	}, e
}
