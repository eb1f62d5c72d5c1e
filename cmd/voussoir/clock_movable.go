//go:build movableclock

package main

import (
	"os"
	"strings"
	"time"
)

// clock is the system's, moved on by the duration in the file that VOUSSOIR_CLOCK
// names, which is read each time. It is in no released binary: only the tests in
// conformance set the build tag, where a code must be 60 s old.
func clock() func() time.Time {
	name := os.Getenv("VOUSSOIR_CLOCK")
	return func() time.Time {
		text, err := os.ReadFile(name)
		if err != nil {
			panic("VOUSSOIR_CLOCK: " + err.Error())
		}
		offset, err := time.ParseDuration(strings.TrimSpace(string(text)))
		if err != nil {
			panic("VOUSSOIR_CLOCK: " + err.Error())
		}
		return time.Now().Add(offset)
	}
}
