package policies

import (
	"time"

	"github.com/voussoir-id/voussoir/clients"
)

// Registry is what a policy wants of the civil registry.
type Registry string

// The three. The zero value does not ask.
const (
	RegistryOff     Registry = ""
	RegistryRequire Registry = "require" // nobody passes whom the registry has not confirmed at this sign-in
	RegistryPrefer  Registry = "prefer"  // while it does not answer, those pass whom it confirmed before, for a while
)

// Vouching is what the registry's word for a sign-in is worth at one service.
type Vouching uint8

// The kinds of vouching.
const (
	Unvouched Vouching = iota // the sign-in will not do
	Unasked                   // the service's policy does not want the registry's word
	Vouched                   // the registry has confirmed this sign-in
	Grace                     // it has confirmed the person before, recently enough for the policy
)

// Vouch says whether a sign-in passes at a service, and why. now is whether the
// registry has confirmed this very sign-in; before is when it last confirmed the
// person, zero for never. A client without a policy may not receive anything, and
// nothing of hers is asked about. Pure, and safe for concurrent use.
func (t *Table) Vouch(c *clients.Client, confirmed bool, before, now time.Time) Vouching {
	p, ok := t.Policy(c)
	switch {
	case !ok, p.Registry == RegistryOff:
		return Unasked
	case confirmed:
		return Vouched
	case p.Registry == RegistryPrefer && !before.IsZero() && now.Before(p.RegistryGrace.AddTo(before)):
		return Grace
	}
	return Unvouched
}
