package config

import (
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

const (
	// maxOffline is the longest time that a service may come back while a person is
	// away: after a year she should be asked again.
	maxOffline = 366 * 24 * time.Hour
	// usualIdle is how long a refresh token may lie unused unless said otherwise.
	usualIdle = 30 * 24 * time.Hour
)

func (c *checker) refreshTokens(k *Client, path string) {
	at, r := path+".refresh_tokens", k.RefreshTokens
	if !c.has(at) || !c.ok(at) {
		if i := slices.Index(k.Scopes, string(protocol.OfflineAccess)); i >= 0 && !c.has(at) {
			c.add(index(path+".scopes", i), "it may not come back while the person is away", "refresh_tokens: { max: P180D } beside it, or remove this scope")
		}
		return
	}
	whole, okMax := c.offline(at+".max", r.Max, "max: P180D")
	idle, okIdle := time.Duration(0), true
	if c.has(at + ".idle") {
		idle, okIdle = c.offline(at+".idle", r.Idle, "idle: P30D")
	}
	if okMax && okIdle && idle > whole {
		c.add(at+".idle", "a token that may lie unused for longer than it lives", "at most max, "+r.Max)
	}
	if on(r.Rotation) {
		if r.Reason != "" {
			c.warn(at+".reason", "there is a reason but no exception", "nothing: remove it")
		}
		return
	}
	switch {
	case k.TokenEndpointAuthMethod == string(clients.Public):
		c.add(at+".rotation", "a service that cannot prove itself gets a new refresh token with each use: a stolen one would never be noticed", "rotation: true")
	case strings.TrimSpace(r.Reason) == "" && c.ok(at+".reason"):
		c.add(at+".rotation", "a protection is switched off without a reason", "rotation: true, or a reason beside it")
	}
}

// offline checks a duration in days and hours; months differ, and she is told a day.
func (c *checker) offline(at, value, instead string) (time.Duration, bool) {
	if !c.ok(at) {
		return 0, false
	}
	period, clock, err := parseDuration(value)
	d := time.Duration(period.Days)*24*time.Hour + clock
	switch {
	case value == "":
		c.add(at, "it is not said for how long", instead)
	case err != nil:
		c.add(at, quote(value)+" "+err.Error(), instead)
	case period.Years+period.Months > 0:
		c.add(at, "years and months are not all of one length, and the person is told a day", instead)
	case d < time.Second || d > maxOffline:
		c.add(at, "a refresh token lives between one second and P366D", instead)
	default:
		return d, true
	}
	return 0, false
}

// durations is what a client without mistakes may do; zero: nothing.
func (r RefreshTokens) durations() (idle, whole time.Duration, keep bool) {
	read := func(s string) time.Duration {
		period, clock, _ := parseDuration(s) // a mistake is reported by the check
		return time.Duration(period.Days)*24*time.Hour + clock
	}
	if whole = read(r.Max); whole <= 0 {
		return 0, 0, false
	}
	if idle = read(r.Idle); idle <= 0 {
		idle = min(usualIdle, whole)
	}
	return idle, whole, !on(r.Rotation)
}
