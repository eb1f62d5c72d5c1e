package notices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Store.
type memory struct {
	mu   sync.Mutex
	kept []Notice
	fail string
}

func (m *memory) failing(call string) error {
	if m.fail == call {
		return errors.New("store is down")
	}
	return nil
}

func (m *memory) AddNotices(_ context.Context, ns ...Notice) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failing("add"); err != nil {
		return err
	}
	m.kept = append(m.kept, ns...)
	return nil
}

func (m *memory) NextReceiver(_ context.Context, after string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := ""
	for _, n := range m.kept {
		if n.Client > after && (next == "" || n.Client < next) {
			next = n.Client
		}
	}
	return next, nil
}

func (m *memory) DueNotices(_ context.Context, client string, now time.Time, limit int) (out []Notice, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.kept {
		if n.Client == client && !n.Due.After(now) && len(out) < limit {
			out = append(out, n)
		}
	}
	return out, nil
}

func (m *memory) PostponeNotice(_ context.Context, id string, tries int, due time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.kept {
		if m.kept[i].ID == id {
			m.kept[i].Tries, m.kept[i].Due = tries, due
		}
	}
	return nil
}

func (m *memory) RemoveNotice(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = slices.DeleteFunc(m.kept, func(n Notice) bool { return n.ID == id })
	return m.failing("remove")
}

func (m *memory) left() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.kept)
}

// world is a queue in a bubble where time is free, a kind of notice, and services
// that answer as answer says.
type world struct {
	ctx    context.Context //nolint:containedctx // that of the bubble
	store  *memory
	queue  *Queue
	start  time.Time
	answer func(r *http.Request) (int, error)

	mu    sync.Mutex
	calls []string // "service at seconds"
	over  []string // "service outcome"
	busy  map[string]int
	most  map[string]int // calls to one service at the same time
	lost  bool           // Over fails
	bad   error          // of Request
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Host
	w.mu.Lock()
	w.calls = append(w.calls, fmt.Sprintf("%s %s", host, time.Since(w.start).Truncate(time.Second)))
	w.busy[host]++
	w.most[host] = max(w.most[host], w.busy[host])
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.busy[host]--; w.mu.Unlock() }()
	status, err := w.answer(r)
	if err != nil {
		return nil, err
	}
	body := io.NopCloser(strings.NewReader(strings.Repeat("x", 100<<10)))
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"http://169.254.169.254/"}}, Body: body, Request: r}, nil
}

func (w *world) Request(ctx context.Context, n Notice) (*http.Request, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bad != nil {
		return nil, w.bad
	}
	return http.NewRequestWithContext(ctx, http.MethodPost, "https://"+n.Client+"/", strings.NewReader(n.ID))
}

func (*world) Accepts(status int) Verdict {
	return map[int]Verdict{200: Taken, 400: Refused}[status]
}

func (w *world) Over(_ context.Context, n Notice, outcome string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost {
		return errors.New("the audit log is down")
	}
	w.over = append(w.over, n.Client+" "+outcome)
	return nil
}

func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.over))
}

// inBubble runs f beside a queue that delivers; stop ends the queue and waits.
func inBubble(t *testing.T, answer func(*http.Request) (int, error), f func(w *world, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{ctx: t.Context(), store: &memory{}, answer: answer, start: time.Now(), busy: map[string]int{}, most: map[string]int{}}
		q, err := New(Config{Store: w.store, Now: time.Now, Client: func() *http.Client {
			return &http.Client{Transport: w, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		}})
		if err != nil {
			t.Fatal(err)
		}
		w.queue = q
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx, map[string]Kind{"logout": w}) }()
		stopped := false
		stop := func() {
			if cancel(); !stopped {
				stopped = true
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		defer stop()
		f(w, stop)
	})
}

func (w *world) put(t *testing.T, clients ...string) {
	t.Helper()
	for _, c := range clients {
		if err := w.queue.Put(w.ctx, Notice{ID: NewID(), Kind: "logout", Client: c}); err != nil {
			t.Fatal(err)
		}
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func answers(statuses ...int) func(*http.Request) (int, error) {
	var mu sync.Mutex
	return func(*http.Request) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		s := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		if s == 0 {
			return 0, errors.New("connection refused")
		}
		return s, nil
	}
}

func TestQueue_endsEachNoticeOnce_LO06(t *testing.T) {
	tests := []struct {
		name    string
		answers []int
		calls   int
		outcome string
	}{
		{"it is taken at once", []int{200}, 1, "a ok"},
		{"a long answer is an answer", []int{200}, 1, "a ok"},
		{"it is taken the second time", []int{503, 200}, 2, "a ok"},
		{"it is taken the third time", []int{0, 500, 200}, 3, "a ok"},
		{"there is no fourth time", []int{500, 500, 500, 200}, 3, "a bad answer"},
		{"nobody answers", []int{0}, 3, "a no answer"},
		{"a redirect is not followed", []int{302}, 3, "a bad answer"},
		{"a no is a no", []int{400}, 1, "a refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, answers(tt.answers...), func(w *world, _ func()) {
				w.put(t, "a")
				pass(time.Minute)
				want(t, "calls", len(w.calls), tt.calls)
				want(t, "outcome", w.heard(), []string{tt.outcome})
				want(t, "left", w.store.left(), 0)
			})
		})
	}
}

func TestQueue_waitsLongerFromTryToTryAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 5 {
		inBubble(t, answers(500), func(w *world, _ func()) {
			w.put(t, "a")
			pass(time.Minute)
			seen[strings.Join(w.calls, ", ")] = true
		})
	}
	if len(seen) < 2 {
		t.Errorf("always at %v", seen)
	}
	for range 1000 {
		if p := pause(1); p < firstPause/2 || p >= 2*firstPause {
			t.Fatalf("pause(1) = %s", p)
		}
		if p := pause(2); p < laterPause/2 || p >= 2*laterPause {
			t.Fatalf("pause(2) = %s", p)
		}
	}
}

// A service that hangs keeps two calls busy, and no other service waiting.
func TestQueue_oneThatHangsDoesNotHoldTheOthers_LO06(t *testing.T) {
	hang := func(r *http.Request) (int, error) {
		if r.URL.Host != "hangs" {
			return 200, nil
		}
		<-r.Context().Done()
		return 0, r.Context().Err()
	}
	inBubble(t, hang, func(w *world, _ func()) {
		for range 200 {
			w.put(t, "hangs")
		}
		w.put(t, "a", "z", "a")
		synctest.Wait()
		want(t, "at once", w.heard(), []string{"a ok", "a ok", "z ok"})
		pass(20 * time.Minute)
		want(t, "calls at the same time", w.most["hangs"], perService)
		want(t, "left", w.store.left(), 0)
		want(t, "each has ended", len(w.heard()), 203)
	})
}

func TestQueue_givesUpACallAfterFiveSeconds(t *testing.T) {
	inBubble(t, func(r *http.Request) (int, error) { <-r.Context().Done(); return 0, r.Context().Err() }, func(w *world, _ func()) {
		w.put(t, "a")
		pass(5 * time.Second)
		want(t, "calls under way", w.busy["a"], 0)
	})
}

func TestQueue_aNoticeThatIsTooOldIsNoNews(t *testing.T) {
	inBubble(t, answers(200), func(w *world, _ func()) {
		w.bad = errors.New("no key")
		w.put(t, "a")
		pass(life + time.Minute)
		want(t, "outcome", w.heard(), []string{"a too late"})
		want(t, "calls", len(w.calls), 0)
	})
}

func TestQueue_whatIsOursToBlameCostsNoTry(t *testing.T) {
	inBubble(t, answers(500, 500, 200), func(w *world, _ func()) {
		w.bad = errors.New("no key")
		w.put(t, "a")
		pass(2 * time.Minute)
		w.mu.Lock()
		w.bad = nil
		w.mu.Unlock()
		pass(2 * time.Minute)
		want(t, "outcome", w.heard(), []string{"a ok"})
	})
}

func TestQueue_aServiceThatIsGoneIsNotCalled(t *testing.T) {
	inBubble(t, answers(200), func(w *world, _ func()) {
		w.bad = fmt.Errorf("client a: %w", ErrUnwanted)
		w.put(t, "a")
		synctest.Wait()
		want(t, "outcome", w.heard(), []string{"a not wanted"})
	})
}

// At least once: what is not on record is told again.
func TestQueue_keepsANoticeWhoseEndIsNotOnRecord(t *testing.T) {
	inBubble(t, answers(200), func(w *world, _ func()) {
		w.lost = true
		w.put(t, "a")
		synctest.Wait()
		want(t, "left", w.store.left(), 1)
		w.mu.Lock()
		w.lost = false
		w.mu.Unlock()
		pass(10 * time.Second)
		want(t, "left", w.store.left(), 0)
		want(t, "calls", len(w.calls), 2)
		want(t, "outcome", w.heard(), []string{"a ok"})
	})
}

func TestQueue_deliversAfterARestartWhatWasLeft(t *testing.T) {
	inBubble(t, answers(200), func(w *world, stop func()) {
		stop()
		w.put(t, "a")
		ctx, cancel := context.WithCancel(w.ctx)
		defer cancel()
		again, err := New(w.queue.cfg)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = again.Run(ctx, map[string]Kind{"logout": w}) }()
		synctest.Wait()
		want(t, "outcome", w.heard(), []string{"a ok"})
	})
}

func TestQueue_letsACallUnderWayFinishWhenItStops(t *testing.T) {
	slow := func(*http.Request) (int, error) { time.Sleep(3 * time.Second); return 200, nil }
	inBubble(t, slow, func(w *world, stop func()) {
		w.put(t, "a")
		synctest.Wait()
		stop()
		want(t, "outcome", w.heard(), []string{"a ok"})
	})
}

func TestQueue_PutFailsWhenNothingWasKept(t *testing.T) {
	inBubble(t, answers(200), func(w *world, _ func()) {
		w.store.fail = "add"
		if err := w.queue.Put(w.ctx, Notice{ID: NewID(), Kind: "logout", Client: "a"}); err == nil {
			t.Error("Put: no error")
		}
	})
}

func TestNew_refusesAMissingCollaborator(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
}
