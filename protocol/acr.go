package protocol

// ACR is a level of assurance (eIDAS, Regulation (EU) 2015/1502), as carried in
// the acr claim (OpenID Connect Core section 2).
type ACR string

// The levels, weakest first: eidas1 < eidas2 < eidas3.
const (
	EIDAS1 ACR = "eidas1" // low
	EIDAS2 ACR = "eidas2" // substantial
	EIDAS3 ACR = "eidas3" // high
)

// ACRs lists the levels, weakest first.
func ACRs() []ACR { return []ACR{EIDAS1, EIDAS2, EIDAS3} }

// rank is 0 for anything that is not a level.
func (a ACR) rank() int {
	switch a {
	case EIDAS1:
		return 1
	case EIDAS2:
		return 2
	case EIDAS3:
		return 3
	}
	return 0
}

// Known reports whether a is one of the levels.
func (a ACR) Known() bool { return a.rank() > 0 }

// Reaches reports whether a is a known level at or above want. An unknown level
// reaches nothing, and nothing reaches an unknown level.
func (a ACR) Reaches(want ACR) bool { return want.Known() && a.rank() >= want.rank() }

// StrongerACR returns the higher of two levels; an unknown one counts as none.
func StrongerACR(a, b ACR) ACR {
	if a.rank() >= b.rank() {
		return a
	}
	return b
}

// WeakerACR returns the lower of two levels; an unknown one counts as none.
func WeakerACR(a, b ACR) ACR {
	if a.rank() <= b.rank() {
		return a
	}
	return b
}
