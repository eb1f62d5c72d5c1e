package policies

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxPeriodNumber keeps a period within what a calendar can hold.
const maxPeriodNumber = 9999

// ErrPeriod: not a duration of whole years, months, weeks and days.
var ErrPeriod = errors.New("want an ISO 8601 duration of years, months, weeks or days, such as P1Y, P6M or P30D (PT0S for none)")

// ParsePeriod reads an ISO 8601 duration of whole calendar units: P1Y6M, P30D,
// P2W (which becomes 14 days), and PT0S or P0D for none. Hours and smaller units
// are refused: how long an answer is remembered is a matter of days. Any error
// is ErrPeriod.
func ParsePeriod(s string) (Period, error) {
	var p Period
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return Period{}, ErrPeriod
	}
	if rest == "T0S" {
		return Period{}, nil
	}
	units := "YMWD" // each at most once, and in this order
	for rest != "" {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 {
			return Period{}, ErrPeriod
		}
		n, err := strconv.Atoi(rest[:end])
		at := strings.IndexByte(units, rest[end])
		if err != nil || n > maxPeriodNumber || at < 0 {
			return Period{}, ErrPeriod
		}
		switch units[at] {
		case 'Y':
			p.Years = n
		case 'M':
			p.Months = n
		case 'W':
			p.Days = 7 * n
		case 'D':
			p.Days += n
		}
		units, rest = units[at+1:], rest[end+1:]
	}
	return p, nil
}

// IsZero reports whether p is no time at all.
func (p Period) IsZero() bool { return p == Period{} }

// String writes p as ISO 8601; the zero period is PT0S. ParsePeriod reads it back.
func (p Period) String() string {
	if p.IsZero() {
		return "PT0S"
	}
	var b strings.Builder
	b.WriteByte('P')
	for _, u := range []struct {
		n    int
		unit byte
	}{{p.Years, 'Y'}, {p.Months, 'M'}, {p.Days, 'D'}} {
		if u.n != 0 {
			fmt.Fprintf(&b, "%d%c", u.n, u.unit)
		}
	}
	return b.String()
}

// AddTo returns the moment p after t, by the calendar in UTC: years and months
// first, then days. A day that the target month does not have becomes its last
// day (one month after 31 January is 28 or 29 February), where time.AddDate
// would run over into March.
func (p Period) AddTo(t time.Time) time.Time {
	t = t.UTC()
	first := time.Date(t.Year()+p.Years, t.Month()+time.Month(p.Months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1+p.Days)
}
