// Package storetest holds the contract suites that every store passes, one
// function per interface. A suite opens a store of its own for each case, uses
// nothing but the interface, and never sleeps: the stores are told the time.
// What a backend promises beyond the interfaces (files, locks, fail-over) is
// tested beside the backend.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// base is when the suites take place: to the microsecond, which is what stores
// keep.
var base = time.Date(2026, time.March, 29, 1, 30, 0, 123456000, time.UTC)

// bytes16, bytes32 and flowID are random, so that cases may share a store.
func bytes16(t *testing.T) (b [16]byte) { t.Helper(); random(t, b[:]); return b }
func bytes32(t *testing.T) (b [32]byte) { t.Helper(); random(t, b[:]); return b }

func flowID(t *testing.T) login.FlowID {
	t.Helper()
	b := bytes16(t)
	return login.FlowID(base64.RawURLEncoding.EncodeToString(b[:]))
}

func random(t *testing.T, b []byte) {
	t.Helper()
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
}

// together calls f n times at once and returns what each call returned.
func together[T any](n int, f func(i int) T) []T {
	out := make([]T, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			out[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return out
}

// must stops the test when something that has to work did not.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	return ctx
}

// wantUnknown checks that err is an error and none of the words for "no": a
// store that could not answer must never be read as one that said no.
func wantUnknown(t *testing.T, doing string, err error, words ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one", doing)
	}
	for _, w := range words {
		if errors.Is(err, w) {
			t.Errorf("%s: %v, want an error that is not %q", doing, err, w)
		}
	}
}

// same compares by what %+v prints, with instants compared as instants by the
// caller's having set them in UTC.
func same[T any](t *testing.T, doing string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", doing, g, w)
	}
}
