package keys

import "time"

// refetches is how often strangers may still cause a fetch: some times in a row, so
// that an owner who changes keys twice within seconds is not unknown for a minute, and
// then once a minute, so that a flood of unknown key ids cannot make us flood somebody
// else. It is used by one at a time: outbound.Latest asks for it under its lock.
type refetches struct {
	used time.Duration // of refetchBurst pauses, at the time of last
	last time.Time
}

// refetchBurst are the fetches that may follow each other.
const refetchBurst = 3

// take reports whether there may be one now, and counts it. A clock that was set back
// gives nothing.
func (f *refetches) take(now time.Time) bool {
	f.used = max(0, f.used-max(0, now.Sub(f.last)))
	f.last = now
	if f.used+unknownPause > refetchBurst*unknownPause {
		return false
	}
	f.used += unknownPause
	return true
}
