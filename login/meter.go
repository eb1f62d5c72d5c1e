package login

import (
	"errors"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registry"
	"github.com/voussoir-id/voussoir/web"
)

// Meter counts sign-ins at providers, for the operator. It learns neither who signs in
// nor at which service: with a small service that would already say who. It does not
// block. Safe for concurrent use.
type Meter interface {
	// Begun: a person leaves for the provider, or would have.
	Begun(provider protocol.ProviderID)
	// Ended: how it ended here, in one word: one of Endings.
	Ended(provider protocol.ProviderID, outcome string)
}

// What a sign-in comes to beside the notices of what went wrong at the provider, or at
// the civil registry.
const (
	endVerified = "verified" // she is known; what may be released is another question
	endUnknown  = "unknown"  // we could not find out: a fault of ours
)

// Endings lists what Meter may hear.
func Endings() []string {
	out := []string{endVerified, endUnknown}
	for k := federation.Cancelled; k <= federation.BadIdentity; k++ {
		out = append(out, string(noticeOf(k)))
	}
	for _, o := range []registry.Outcome{registry.Several, registry.None, registry.Refused, registry.Deceased, registry.Unavailable} {
		out = append(out, string(noticeOfRegistry(o)))
	}
	return append(out, string(web.NoticeRegistryAmbiguous), string(web.NoticeRegistryNotCivil))
}

// ended tells the meter what came of a sign-in.
func (s *Service) ended(provider protocol.ProviderID, err error) {
	outcome := endUnknown
	var u *unvouched
	var e *federation.Error
	switch {
	case err == nil:
		outcome = endVerified
	case errors.As(err, &u):
		outcome = string(u.notice)
	case errors.As(err, &e):
		outcome = string(noticeOf(e.Kind))
	}
	s.Meter.Ended(provider, outcome)
}
