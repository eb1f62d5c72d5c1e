package stats

import (
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
}

// Number is how often.
type Number struct {
	Name string
	N    int64
}

// Publish makes of a day what everybody may know, for a threshold k of people, at least 2.
//
// What is left out is left out of the total: so whatever happened at a service that is
// not shown, nothing that is shown is different, and no subtraction gives a small number.
// There are no tables by level or outcome: whether one could be shown would already say
// that somebody, somewhere, was the only one.
func Publish(d Day, k int) Published {
	out := Published{Date: d.Date}
	for _, c := range d.Cells {
		if c.Whole && c.People >= k && c.N >= int64(k) {
			n := c.N / int64(k) * int64(k)
			out.Services, out.Total = append(out.Services, Number{c.Service, n}), out.Total+n
		}
	}
	slices.SortFunc(out.Services, func(a, b Number) int { return strings.Compare(a.Name, b.Name) })
	return out
}
