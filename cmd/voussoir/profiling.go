//go:build profiling

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// profile writes a CPU profile of the whole run to the file that
// VOUSSOIR_CPU_PROFILE names; its owner calls the returned function at the end.
// It is in no released binary: only "make profile" sets the build tag.
func profile() (finish func(), err error) {
	name := os.Getenv("VOUSSOIR_CPU_PROFILE")
	if name == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "voussoir: the profile is not whole:", err)
		}
	}, nil
}
