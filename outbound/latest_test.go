package outbound

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("down")

// source is what a Latest fetches from. Times in these tests are those of
// synctest: nothing waits.
type source struct {
	calls atomic.Int32
	takes time.Duration
	err   atomic.Pointer[error]
}

func (s *source) fetch(ctx context.Context) (int, error) {
	n := s.calls.Add(1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if e := s.err.Load(); e != nil {
		return 0, *e
	}
	return int(n), nil
}

func (s *source) fail(err error) {
	if err == nil {
		s.err.Store(nil)
		return
	}
	s.err.Store(&err)
}

func latest(t *testing.T, s *source) *Latest[int] {
	t.Helper()
	l, err := NewLatest(LatestConfig[int]{Fetch: s.fetch, TTL: time.Minute, Keep: time.Hour, Retry: 10 * time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func expect(t *testing.T, l *Latest[int], want int, wantErr error) {
	t.Helper()
	got, err := l.Get(context.Background())
	if got != want || !errors.Is(err, wantErr) {
		t.Errorf("Get = %d, %v; want %d, %v", got, err, want, wantErr)
	}
}

func TestLatest_ManyCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		l := latest(t, s)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { expect(t, l, 1, nil) })
		}
		wg.Wait()
		if n := s.calls.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestLatest_ACallerWhoGivesUpDoesNotMakeTheOthersFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		l := latest(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Get(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who gave up got %v", err)
			}
		})
		synctest.Wait() // the fetch belongs to the first caller
		wg.Go(func() { expect(t, l, 1, nil) })
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestLatest_AFetchEndsByItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: time.Hour}
		before := time.Now()
		expect(t, latest(t, s), 0, context.DeadlineExceeded)
		if took := time.Since(before); took != TotalTimeout {
			t.Errorf("took %s, want %s", took, TotalTimeout)
		}
	})
}

func TestLatest_AValueIsUsedForItsTTLAndThenFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l := latest(t, s)
		expect(t, l, 1, nil)
		time.Sleep(time.Minute - 1)
		expect(t, l, 1, nil)
		time.Sleep(time.Nanosecond)
		expect(t, l, 2, nil)
	})
}

func TestLatest_TheLastGoodValueIsKeptWhileTheSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l := latest(t, s)
		expect(t, l, 1, nil)
		s.fail(errDown)
		time.Sleep(time.Minute)
		expect(t, l, 1, nil) // one failed fetch
		for range 9 {
			time.Sleep(time.Second)
			expect(t, l, 1, nil) // not again within Retry
		}
		if n := s.calls.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
		time.Sleep(time.Hour)
		expect(t, l, 0, errDown) // the first call after Keep waits for a fetch, which fails
		s.fail(nil)
		time.Sleep(10 * time.Second)
		expect(t, l, 4, nil)
	})
}

func TestLatest_NobodyWaitsForASourceThatIsKnownToFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l := latest(t, s)
		expect(t, l, 1, nil)
		s.fail(errDown)
		time.Sleep(time.Minute)
		expect(t, l, 1, nil)
		s.takes = TotalTimeout
		time.Sleep(10 * time.Second)
		before := time.Now()
		expect(t, l, 1, nil)
		if took := time.Since(before); took != 0 {
			t.Errorf("waited %s for a value that was at hand", took)
		}
		time.Sleep(2 * TotalTimeout) // the fetch in the background ends
	})
}

func TestLatest_ADisownedValueIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l := latest(t, s)
		expect(t, l, 1, nil)
		s.fail(ErrDisowned)
		time.Sleep(time.Minute)
		expect(t, l, 0, ErrDisowned)
	})
}

func TestLatest_RenewFetchesWhenItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l := latest(t, s)
		expect(t, l, 1, nil)
		if v, err := l.Renew(context.Background(), func() bool { return false }); v != 1 || err != nil {
			t.Fatalf("Renew that may not = %d, %v", v, err)
		}
		if v, err := l.Renew(context.Background(), func() bool { return true }); v != 2 || err != nil {
			t.Errorf("Renew that may = %d, %v", v, err)
		}
		s.fail(errDown)
		if v, err := l.Renew(context.Background(), func() bool { return true }); v != 2 || !errors.Is(err, errDown) {
			t.Errorf("Renew of a source that is down = %d, %v; want what is held and the error", v, err)
		}
	})
}

func TestLatest_APanicIsAFailedFetch(t *testing.T) {
	l, err := NewLatest(LatestConfig[int]{
		Fetch: func(context.Context) (int, error) { panic("parser") },
		TTL:   time.Minute, Keep: time.Hour, Retry: time.Second, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get(context.Background()); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("err = %v", err)
	}
}

func TestLatest_NobodyWaitsForAValueThatIsFetchedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l, err := NewLatest(LatestConfig[int]{
			Fetch: s.fetch, TTL: time.Minute, Keep: time.Hour, Retry: 10 * time.Second, Now: time.Now, Ahead: 20 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, l, 1, nil)
		s.takes = 3 * time.Second
		time.Sleep(40*time.Second - 1)
		expect(t, l, 1, nil)
		if n := s.calls.Load(); n != 1 {
			t.Errorf("%d fetches before the time, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		before := time.Now()
		expect(t, l, 1, nil)
		expect(t, l, 1, nil)
		if waited := time.Since(before); waited != 0 {
			t.Errorf("somebody waited %s for a refresh", waited)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait() // the refresh ends at this very moment
		expect(t, l, 2, nil)
		if n := s.calls.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
		// A source that fails is asked once in a while, and the old value serves.
		s.fail(errors.New("down"))
		time.Sleep(45 * time.Second)
		expect(t, l, 2, nil)
		time.Sleep(5 * time.Second)
		expect(t, l, 2, nil)
		if n := s.calls.Load(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
	})
}
