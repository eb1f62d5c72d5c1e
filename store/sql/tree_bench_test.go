package sql

import (
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// treeSize is how many entries the benchmarks of the tree are about;
// VOUSSOIR_TREE_ENTRIES sets another number, such as 1000000.
func treeSize(b *testing.B) int {
	if n, err := strconv.Atoi(os.Getenv("VOUSSOIR_TREE_ENTRIES")); err == nil && n > 0 {
		return n
	}
	return 50_000
}

// grown is a log of n entries of usual length.
func grown(b *testing.B, n int) (*treeWorld, [][16]byte) {
	b.Helper()
	w := newTreeWorld(b, b.TempDir())
	var ids [][16]byte
	for len(ids) < n {
		entries := make([]audit.Entry, 1000)
		for i := range entries {
			e := &entries[i]
			e.Version, e.Time, e.Sealed = audit.Closed, w.now, make([]byte, 180)
			rand.Read(e.ID[:])
			rand.Read(e.Sealed)
			e.Public = []byte(`{"time":"2026-03-29T12:00:00Z","kind":"consent.given","client":"city-library","policy":"library","policy_version":3,"rule":"ask","claims":["given_name","age_over_16","email"],"acr":"eidas1","outcome":"ok","basis":"consent"}`)
			e.Leaf = audit.LeafHash(*e)
			ids = append(ids, e.ID)
		}
		if err := w.records.AppendEntries(b.Context(), entries...); err != nil {
			b.Fatal(err)
		}
	}
	w.sequence(b)
	return w, ids
}

// BenchmarkTree measures growing, proving and verifying on one log.
func BenchmarkTree(b *testing.B) {
	n := treeSize(b)
	start := time.Now()
	w, ids := grown(b, n)
	b.Logf("%d entries appended and sequenced in %s", n, time.Since(start))
	tree, err := audit.NewTree(w.records)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("prove", func(b *testing.B) {
		for i := range b.N {
			if _, err := tree.Prove(b.Context(), ids[i*7919%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("verify/%d workers", workers), func(b *testing.B) {
			all, _ := w.keys(b)
			before := processTime()
			for range b.N {
				r, err := (&audit.Verifier{Store: w.records, Origin: treeOrigin, Keys: all, Workers: workers}).Run(b.Context())
				if err != nil || !r.OK() {
					b.Fatal(err, r)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(processTime()-before)/float64(time.Microsecond)/float64(n)/float64(b.N), "cpu-µs/entry")
		})
	}
}

// BenchmarkAppendBesideSequencer is 1,200 entries a second (200 logins) on a log
// that is being sequenced, and on one that is not: how long an append takes.
func BenchmarkAppendBesideSequencer(b *testing.B) {
	for _, sequenced := range []bool{false, true} {
		b.Run(fmt.Sprintf("sequenced=%t", sequenced), func(b *testing.B) {
			w := newTreeWorld(b, b.TempDir())
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for sequenced {
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Millisecond):
						_ = w.seq.Sequence(b.Context())
					}
				}
			}()
			var mu sync.Mutex
			var took []time.Duration
			var group sync.WaitGroup
			tick := time.NewTicker(time.Second / 1200)
			defer tick.Stop()
			for range max(b.N, 3000) {
				<-tick.C
				group.Go(func() {
					begin := time.Now()
					if _, err := w.log.Append(b.Context(), audit.Event{Public: audit.Public{Kind: audit.LoginStarted, Client: "city-library", Outcome: "ok"}}); err != nil {
						b.Error(err)
					}
					mu.Lock()
					took = append(took, time.Since(begin))
					mu.Unlock()
				})
			}
			group.Wait()
			close(stop)
			<-done
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// processTime is the user and system time of this process so far.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
