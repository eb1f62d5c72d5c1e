package identity

import (
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// France is the country code of people born in France (INSEE COG).
const France = "99100"

// Normalise returns p in the form in which we use it; see Schema.Read. asOf is when
// somebody said so. All six facts must be there; anything else is an *InvalidError.
func (p Pivot) Normalise(asOf time.Time) (Pivot, error) {
	id, _, err := Schema{Civil: true, Optional: []protocol.Claim{}}.Read(Sent{Texts: p.texts()}, asOf)
	return id.Pivot, err
}

func (p Pivot) texts() map[protocol.Claim]string {
	return map[protocol.Claim]string{
		protocol.GivenName: p.GivenName, protocol.FamilyName: p.FamilyName, protocol.Birthdate: p.Birthdate,
		protocol.Gender: p.Gender, protocol.Birthplace: p.Birthplace, protocol.Birthcountry: p.Birthcountry,
	}
}

func (p Pivot) bornAbroad() bool { return p.Birthcountry != "" && p.Birthcountry != France }
