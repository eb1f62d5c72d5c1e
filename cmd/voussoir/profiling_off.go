//go:build !profiling

package main

// profile does nothing: this binary cannot be profiled (profiling.go).
func profile() (finish func(), err error) { return func() {}, nil }
