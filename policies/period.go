package policies

import (
	"fmt"
	"strings"
	"time"
)

// IsZero reports whether p is no time at all.
func (p Period) IsZero() bool { return p == Period{} }

// String writes p as ISO 8601; the zero period is PT0S.
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
