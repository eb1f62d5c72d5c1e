package web

import (
	"slices"
	"strings"
)

// date words YYYY-MM-DD, where 00 stands for what is not known. Anything else is
// shown as it is.
func (w *words) date(v string) string {
	if len(v) != len("1980-03-12") || v[4] != '-' || v[7] != '-' || !digits(v[:4]) || !digits(v[5:7]) || !digits(v[8:]) {
		return v
	}
	year, month, day := v[:4], int(v[5]-'0')*10+int(v[6]-'0'), strings.TrimPrefix(v[8:], "0")
	switch {
	case month == 0 && day == "0":
		return w.say("date.year", "Year", year)
	case month < 1 || month > 12 || len(day) == 2 && day > "31":
		return v
	case day == "0":
		return w.say("date.month", "Month", w.months[month-1], "Year", year)
	case day == "1":
		day = w.text["date.first"]
	}
	return w.say("date.full", "Day", day, "Month", w.months[month-1], "Year", year)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// duration words an ISO 8601 duration such as P1Y6M or PT30M. none reports
// whether it is empty or no time at all. Anything else is shown as it is.
func (w *words) duration(v string) (text string, none bool) {
	if v == "" {
		return "", true
	}
	amounts, ok := parseDuration(v)
	if !ok {
		return clean(v), false
	}
	var parts []string
	for _, a := range amounts {
		if a.n > 0 {
			parts = append(parts, w.count(a.key, a.n))
		}
	}
	switch n := len(parts); n {
	case 0:
		return w.text["duration.none"], true
	case 1:
		return parts[0], false
	default:
		return w.say("duration.and", "First", strings.Join(parts[:n-1], ", "), "Last", parts[n-1]), false
	}
}

// amount is a number of one unit; key is the unit's message.
type amount struct {
	key string
	n   int
}

// unit is a designator of ISO 8601 and its message.
type unit struct {
	sign byte
	key  string
}

func parseDuration(v string) ([]amount, bool) {
	v, ok := strings.CutPrefix(v, "P")
	date, clock, timed := strings.Cut(v, "T")
	if !ok || v == "" || timed && clock == "" {
		return nil, false
	}
	days, ok1 := parseAmounts(date, []unit{{'Y', "duration.years"}, {'M', "duration.months"}, {'W', "duration.weeks"}, {'D', "duration.days"}})
	hours, ok2 := parseAmounts(clock, []unit{{'H', "duration.hours"}, {'M', "duration.minutes"}, {'S', "duration.seconds"}})
	return append(days, hours...), ok1 && ok2
}

// parseAmounts reads numbers of at most four digits, each with one of units, in
// their order.
func parseAmounts(v string, units []unit) ([]amount, bool) {
	var out []amount
	for v != "" {
		n, i := 0, 0
		for i < len(v) && i < 4 && v[i] >= '0' && v[i] <= '9' {
			n, i = n*10+int(v[i]-'0'), i+1
		}
		if i == 0 || i == len(v) {
			return nil, false
		}
		at := slices.IndexFunc(units, func(u unit) bool { return u.sign == v[i] })
		if at < 0 {
			return nil, false
		}
		out = append(out, amount{units[at].key, n})
		units, v = units[at+1:], v[i+1:]
	}
	return out, true
}
