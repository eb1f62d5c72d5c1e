// Package journeys holds whole stories against the real binary: sign-ins with
// other people's services and identity providers, with a real browser, and with
// the broker killed in mid-step. It has tests only. They are skipped with -short;
// a counterpart that is not installed skips its test with a reason, and fails it
// when CI is set.
package journeys
