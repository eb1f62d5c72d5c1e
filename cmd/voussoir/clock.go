//go:build !movableclock

package main

import "time"

// clock is the system's: this binary cannot be told another time (clock_movable.go).
func clock() func() time.Time { return time.Now }
