package main

import (
	"context"

	"github.com/voussoir-id/voussoir/keys"
)

// entriesOf is the digest by which the audit entries of a person are found: keyed with a
// secret of its own, so that the records alone do not say whose they are.
func entriesOf(ring *keys.Ring) func(person string) ([32]byte, error) {
	return func(person string) ([32]byte, error) {
		return ring.Derive(context.Background(), "audit/person", []byte(person))
	}
}
