//go:build !failpoints

// Package failpoint lets a test kill the broker at a named place, as a power cut
// would. In a normal build every call is empty and is inlined away; only a
// binary built with the tag "failpoints" reads VOUSSOIR_FAILPOINT. It never
// changes what the code around it does.
package failpoint

// Here does nothing in this build.
func Here(string) {}
