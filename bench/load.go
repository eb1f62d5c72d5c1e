package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// load is a number of logins, made by a number of workers.
type load struct {
	target  target
	service *service
	client  *http.Client
	people  int // identities p0, p1, … at the provider
	from    int // the first of them to come
}

// outcome is what a load came to.
type outcome struct {
	Added  []time.Duration // per complete login, sorted
	People int             // different subjects among them
	Errors map[string]int  // by what went wrong
	Took   time.Duration
}

// logins makes n complete logins with workers at a time.
func (l load) logins(ctx context.Context, n, workers int) outcome {
	var subs sync.Map // so that a run can show that each login was a new person's
	out := l.each(ctx, n, workers, func(ctx context.Context, i int) (time.Duration, error) {
		one := newLogin(l.target, l.service, l.client)
		took, err := one.run(ctx, fmt.Sprintf("p%d", (l.from+i)%l.people))
		subs.Store(one.sub, true)
		return took, err
	})
	subs.Range(func(any, any) bool { out.People++; return true })
	return out
}

// open starts n logins and leaves them at the choice page.
func (l load) open(ctx context.Context, n, workers int) outcome {
	return l.each(ctx, n, workers, func(ctx context.Context, _ int) (time.Duration, error) {
		one := newLogin(l.target, l.service, l.client)
		_, err := one.open(ctx)
		return one.spent, err
	})
}

// each runs do for 0 to n-1 and waits for all of them. When ctx ends no new one
// is begun.
func (l load) each(ctx context.Context, n, workers int, do func(context.Context, int) (time.Duration, error)) outcome {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards next and out
		next int
		out  = outcome{Errors: map[string]int{}}
	)
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n || ctx.Err() != nil {
					return
				}
				took, err := do(ctx, i)
				mu.Lock()
				if err != nil {
					out.Errors[err.Error()]++
				} else {
					out.Added = append(out.Added, took)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	out.Took = time.Since(start)
	slices.SortFunc(out.Added, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	return out
}

// percentile is the smallest value that at least p percent of sorted do not
// exceed (nearest rank); 0 of nothing.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}
