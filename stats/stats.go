// Package stats counts what happened in a day, from the audit log, and says of it in
// public only what cannot be about anybody in particular. It reads entries behind the
// sign-ins, never in one, and each day once.
//
// What is published, and why it cannot be undone: docs/statistics.md.
package stats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// Outcome is how a visit ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"  // facts, or at least a pseudonym, went to the service
	Refused Outcome = "refused" // she refused
	Denied  Outcome = "denied"  // policy denied, or it ended without a question
	Failed  Outcome = "failed"  // the provider failed
)

// Cell is how often something happened on a day. Level is empty where nobody had signed
// in yet, and so is the cell of a whole service, whose outcome is Passed and which holds all levels.
type Cell struct {
	Service string
	Level   string
	Outcome Outcome
	Whole   bool // of the service, all levels together
	N       int64
	People  int // different people, as far as maxPeople
}

// Day is what is kept of a day. Date is its day in UTC, YYYY-MM-DD.
type Day struct {
	Date  string
	Cells []Cell
}

// Entry is an audit entry as it is counted.
type Entry struct {
	Seq    int64
	Time   time.Time
	Public []byte
	Of     [32]byte // whose it is, as a keyed digest; zero: nobody's
}

// Store keeps days. Safe for concurrent use.
type Store interface {
	// LastDay returns the last day that was counted and up to which place of the log
	// it was; zero: none was.
	LastDay(ctx context.Context) (date string, upTo int64, err error)
	// LogEntries returns up to limit entries after a place, in the order of their places.
	LogEntries(ctx context.Context, after int64, limit int) ([]Entry, error)
	// PutDay keeps a day and the place, together, unless it is kept already: then
	// nothing changes, for another process was first. Durable when it returns nil.
	PutDay(ctx context.Context, d Day, upTo int64) error
	// Days returns the days from one on, in their order.
	Days(ctx context.Context, from string) ([]Day, error)
}

const (
	// maxPeople is how many different people are counted in a cell: beyond any threshold.
	maxPeople = 1000
	// settled is how long after its end a day is counted: an entry is in the log at once,
	// but the clocks of several brokers may differ.
	settled = 10 * time.Minute
	// stretch is how many entries are read at a time.
	stretch = 2000
)

// Counter counts days. Safe for concurrent use.
type Counter struct {
	store Store
	now   func() time.Time
}

// New refuses a missing collaborator.
func New(store Store, now func() time.Time) (*Counter, error) {
	if store == nil || now == nil {
		return nil, errors.New("stats: a counter needs a store and a clock")
	}
	return &Counter{store, now}, nil
}

// Count counts the next day that is over, and reports whether there was one.
func (c *Counter) Count(ctx context.Context) (bool, error) {
	last, after, err := c.store.LastDay(ctx)
	if err != nil {
		return false, fmt.Errorf("count a day: %w", err)
	}
	start, ok, err := c.next(ctx, last, after)
	if err != nil || !ok {
		return false, err
	}
	end := start.AddDate(0, 0, 1)
	if c.now().Before(end.Add(settled)) {
		return false, nil
	}
	t := tally{}
	upTo, err := c.read(ctx, after, start, end, t)
	if err != nil {
		return false, err
	}
	if err := c.store.PutDay(ctx, Day{start.Format(time.DateOnly), t.cells()}, upTo); err != nil {
		return false, fmt.Errorf("count a day: %w", err)
	}
	return true, nil
}

// next is when the day begins that is to be counted.
func (c *Counter) next(ctx context.Context, last string, after int64) (time.Time, bool, error) {
	if last != "" {
		day, err := time.Parse(time.DateOnly, last)
		return day.AddDate(0, 0, 1), err == nil, err
	}
	first, err := c.store.LogEntries(ctx, after, 1)
	if err != nil || len(first) == 0 {
		return time.Time{}, false, err
	}
	return first[0].Time.UTC().Truncate(24 * time.Hour), true, nil
}

// read counts the entries of a day and returns the place after which those of the next
// one are. It reads on for a while behind midnight: entries are in the order in which
// they were written, not in that of their times.
func (c *Counter) read(ctx context.Context, after int64, start, end time.Time, t tally) (int64, error) {
	next := int64(-1) // the place of the first entry behind midnight
	for {
		entries, err := c.store.LogEntries(ctx, after, stretch)
		if err != nil {
			return 0, fmt.Errorf("count a day: %w", err)
		}
		for _, e := range entries {
			if next < 0 && !e.Time.Before(end) {
				next = e.Seq
			}
			if !e.Time.Before(end.Add(settled)) {
				return next - 1, nil
			}
			if !e.Time.Before(start) && e.Time.Before(end) {
				if err := t.add(e); err != nil {
					return 0, fmt.Errorf("count entry %d: %w", e.Seq, err)
				}
			}
			after = e.Seq
		}
		if len(entries) == stretch {
			continue
		}
		if next >= 0 {
			return next - 1, nil
		}
		return after, nil
	}
}

// tally counts cells; keys are cells without their numbers.
type tally map[Cell]*count

type count struct {
	n      int64
	people map[[32]byte]struct{}
}

var outcomes = map[audit.Kind]Outcome{
	audit.ConsentGiven: Passed, audit.Informed: Passed, audit.ConsentStanding: Passed,
	audit.ConsentRefused: Refused, audit.LoginDenied: Denied, audit.ProviderFailed: Failed,
}

func (t tally) add(e Entry) error {
	var p audit.Public
	if err := json.Unmarshal(e.Public, &p); err != nil {
		return errors.New("the public part cannot be read")
	}
	outcome, ok := outcomes[p.Kind]
	if !ok || p.Client == "" {
		return nil
	}
	t.one(Cell{Service: p.Client, Level: p.ACR, Outcome: outcome}, e.Of)
	if outcome == Passed {
		t.one(Cell{Service: p.Client, Outcome: Passed, Whole: true}, e.Of)
	}
	return nil
}

func (t tally) one(key Cell, of [32]byte) {
	c := t[key]
	if c == nil {
		c = &count{people: map[[32]byte]struct{}{}}
		t[key] = c
	}
	c.n++
	if of != ([32]byte{}) && len(c.people) < maxPeople {
		c.people[of] = struct{}{}
	}
}

func (t tally) cells() []Cell {
	var out []Cell
	for key, c := range t {
		key.N, key.People = c.n, len(c.people)
		out = append(out, key)
	}
	slices.SortFunc(out, func(a, b Cell) int {
		return strings.Compare(fmt.Sprint(a.Service, "\x00", a.Whole, a.Outcome, a.Level), fmt.Sprint(b.Service, "\x00", b.Whole, b.Outcome, b.Level))
	})
	return out
}
