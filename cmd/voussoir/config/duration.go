package config

import (
	"errors"
	"regexp"
	"strconv"
	"time"

	"github.com/voussoir-id/voussoir/policies"
)

// isoDuration is ISO 8601: years, months, weeks and days, then a time part.
var isoDuration = regexp.MustCompile(`^P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?$`)

var errDuration = errors.New("is not an ISO 8601 duration")

// parseDuration reads an ISO 8601 duration in whole numbers, such as P1Y or
// PT60S: the calendar part, and the time part as a time.Duration.
func parseDuration(s string) (policies.Period, time.Duration, error) {
	m := isoDuration.FindStringSubmatch(s)
	if m == nil || s == "P" || m[5] == "T" {
		return policies.Period{}, 0, errDuration
	}
	n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v } // bounded digits, or empty: 0
	p := policies.Period{Years: n(1), Months: n(2), Days: 7*n(3) + n(4)}
	clock := time.Duration(n(6))*time.Hour + time.Duration(n(7))*time.Minute + time.Duration(n(8))*time.Second
	return p, clock, nil
}
