package stats

import (
	"maps"
	"slices"
	"strings"
)

// Published is what everybody may know of a day. Numbers are rounded down to a multiple
// of the threshold.
type Published struct {
	Date string
	// Services are those that at least as many different people as the threshold signed
	// in to. The others are in no number here.
	Services []Number
	Total    int64 // of Services as they are shown
	// Levels and Outcomes are of those services; nil where one number would be small,
	// since it would follow from the others.
	Levels, Outcomes []Number
}

// Number is how often.
type Number struct {
	Name string
	N    int64
}

// Publish makes of a day what everybody may know, for a threshold k of people, at least 2.
//
// What is left out is left out of every sum: so whatever happened at a service that is
// not shown, nothing that is shown is different. Beyond that no table is published of
// which one number is small, so that no subtraction gives it.
func Publish(d Day, k int) Published {
	out := Published{Date: d.Date}
	shown := map[string]bool{}
	for _, c := range d.Cells {
		if c.Whole && c.People >= k && c.N >= int64(k) {
			shown[c.Service] = true
			n := down(c.N, k)
			out.Services, out.Total = append(out.Services, Number{c.Service, n}), out.Total+n
		}
	}
	slices.SortFunc(out.Services, func(a, b Number) int { return strings.Compare(a.Name, b.Name) })
	out.Levels = table(d, k, shown, func(c Cell) (string, bool) { return c.Level, c.Outcome == Passed })
	out.Outcomes = table(d, k, shown, func(c Cell) (string, bool) { return string(c.Outcome), true })
	return out
}

// table sums the cells of the services that are shown, or returns nil when one sum is
// small, or may be about few people.
func table(d Day, k int, shown map[string]bool, name func(Cell) (string, bool)) []Number {
	sums, people := map[string]int64{}, map[string]int{}
	for _, c := range d.Cells {
		key, counts := name(c)
		if c.Whole || !counts || !shown[c.Service] {
			continue
		}
		sums[key] += c.N
		known := c.People
		if c.Outcome == Failed || c.Outcome == Denied {
			known = int(min(c.N, int64(maxPeople))) // nobody is known yet, or not always: a visit each
		}
		people[key] = max(people[key], known) // the same people may be in two cells
	}
	var out []Number
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		if sums[key] < int64(k) || people[key] < k {
			return nil
		}
		out = append(out, Number{key, down(sums[key], k)})
	}
	return out
}

func down(n int64, k int) int64 { return n / int64(k) * int64(k) }
