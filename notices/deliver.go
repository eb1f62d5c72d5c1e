package notices

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/outbound"
)

// round is Run's own state: one goroutine owns it.
type round struct {
	*Queue
	kinds map[string]Kind
	busy  map[string]int      // calls under way, by client
	out   map[string]struct{} // notices under way
	done  chan Notice
	last  string // the client that was served last: the others come first
}

// Run delivers until ctx ends, and then returns nil; calls under way may finish. A
// notice of a kind that is not in kinds stays. Only one Run for one store.
func (q *Queue) Run(ctx context.Context, kinds map[string]Kind) error {
	x := &round{Queue: q, kinds: kinds, busy: map[string]int{}, out: map[string]struct{}{}, done: make(chan Notice)}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	// Who calls while we stop gets the time of one call and no more.
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	for {
		if err := x.look(ctx, calls); err != nil && ctx.Err() == nil {
			q.cfg.Log.LogAttrs(ctx, slog.LevelError, "notices could not be read", slog.String("err", err.Error()))
		}
		select {
		case <-ctx.Done():
			x.finish(cut)
			return nil
		case n := <-x.done:
			x.over(n)
		case <-q.wake:
		case <-tick.C:
		}
	}
}

// finish waits for the calls under way.
func (x *round) finish(cut func()) {
	late := time.AfterFunc(drain, cut)
	defer late.Stop()
	for len(x.out) > 0 {
		x.over(<-x.done)
	}
}

func (x *round) over(n Notice) {
	delete(x.out, n.ID)
	if x.busy[n.Client]--; x.busy[n.Client] == 0 {
		delete(x.busy, n.Client)
	}
}

// look begins the calls that are due, one service after the other, so that one
// with a long queue does not come before one with a short one.
func (x *round) look(ctx, calls context.Context) error {
	start, wrapped := x.last, false
	for at := start; len(x.out) < inAll; {
		client, err := x.cfg.Store.NextReceiver(ctx, at)
		if err != nil {
			return err
		}
		if client == "" || wrapped && client > start {
			if wrapped || start == "" {
				return nil
			}
			at, wrapped = "", true
			continue
		}
		at = client
		if err := x.serve(ctx, calls, client); err != nil {
			return err
		}
	}
	return nil
}

// serve begins what is due for one client and may begin.
func (x *round) serve(ctx, calls context.Context, client string) error {
	free := min(perService-x.busy[client], inAll-len(x.out))
	if free <= 0 {
		return nil
	}
	due, err := x.cfg.Store.DueNotices(ctx, client, x.cfg.Now(), perService)
	if err != nil {
		return err
	}
	for _, n := range due {
		kind, known := x.kinds[n.Kind]
		if _, under := x.out[n.ID]; under || !known || free == 0 {
			continue
		}
		free--
		x.last, x.busy[client], x.out[n.ID] = client, x.busy[client]+1, struct{}{}
		go func() {
			if !x.deliver(calls, kind, n) {
				wait(ctx, pauseOnOurWay) // else it would be called again at once, and again
			}
			x.done <- n
		}()
	}
	return nil
}

// deliver makes one try and keeps what came of it. It returns false when that could
// not be kept: the notice is then still due, at least once and not at most.
func (q *Queue) deliver(ctx context.Context, kind Kind, n Notice) bool {
	failpoint.Here("notices.before-call")
	outcome, again := q.try(ctx, kind, &n)
	failpoint.Here("notices.after-call")
	var err error
	switch {
	case again > 0:
		err = q.cfg.Store.PostponeNotice(ctx, n.ID, n.Tries, q.cfg.Now().Add(again))
	default:
		if err = kind.Over(ctx, n, outcome); err == nil {
			err = q.cfg.Store.RemoveNotice(ctx, n.ID)
		}
	}
	if err != nil {
		q.cfg.Log.LogAttrs(ctx, slog.LevelError, "the outcome of a notice could not be kept",
			slog.String("client", n.Client), slog.String("err", err.Error()))
	}
	return err == nil
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// try makes the call and counts it. again is when to try next, 0 for never.
func (q *Queue) try(ctx context.Context, kind Kind, n *Notice) (outcome string, again time.Duration) {
	if !q.cfg.Now().Before(n.Expires) {
		return OutOfDate, 0
	}
	ctx, done := context.WithTimeout(ctx, outbound.TotalTimeout)
	defer done()
	req, err := kind.Request(ctx, *n)
	if errors.Is(err, ErrUnwanted) {
		return NotWanted, 0
	}
	if err != nil {
		q.failed(ctx, n, err)
		return NoAnswer, jitter(pauseOnOurWay) // ours, so it does not count: the notice ends by its age
	}
	n.Tries++
	verdict, outcome := Again, BadAnswer
	status, err := call(q.cfg.Client(), req)
	if err != nil {
		outcome = NoAnswer
	} else {
		verdict = kind.Accepts(status)
	}
	switch {
	case verdict == Taken:
		return OK, 0
	case verdict == Refused:
		outcome = RefusedIt
	case n.Tries < unreachable || n.Expires.Sub(q.cfg.Now()) > life:
		again = pause(n.Tries)
	}
	q.failed(ctx, n, err, slog.Int("status", status), slog.Int("try", n.Tries))
	return outcome, again
}

// call returns the status. What a service writes beside it is nobody's business:
// if it is too long, the status counts all the same.
func call(c *http.Client, req *http.Request) (int, error) {
	resp, err := c.Do(req) //nolint:bodyclose // ReadBody closes it
	if err != nil {
		return 0, outbound.Bare(err)
	}
	_, _ = outbound.ReadBody(resp, maxAnswer)
	return resp.StatusCode, nil
}

func (q *Queue) failed(ctx context.Context, n *Notice, err error, more ...slog.Attr) {
	attrs := append([]slog.Attr{slog.String("kind", n.Kind), slog.String("client", n.Client)}, more...)
	if err != nil {
		attrs = append(attrs, slog.String("err", err.Error()))
	}
	q.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "a notice was not taken", attrs...)
}

// pause before the next try, never the same twice: services that went down
// together are not called together.
func pause(tries int) time.Duration {
	if tries == 1 {
		return jitter(firstPause)
	}
	return jitter(min(laterPause<<min(tries-2, 20), longestPause))
}

// jitter is between half of d and one and a half.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
