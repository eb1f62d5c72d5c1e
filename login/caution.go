package login

import (
	"context"
	"net/http"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// heed has a visit need more if a trusted proxy warns of one of its requests: another
// level, from then on for the whole visit, and a sign-in of its own, for a session may be
// what was stolen. It reports whether this is news. A level that is not one of ours stays
// what it is, which nobody reaches.
func (s *Service) heed(v *visit, h http.Header) bool {
	level := s.Caution(h)
	if level == "" || v.Suspicious {
		return false
	}
	v.Suspicious, v.Fresh = true, true
	if asked := v.Request.MinACR; asked == "" || asked.Known() {
		v.Request.MinACR = protocol.StrongerACR(asked, level)
	}
	return true
}

// watch heeds a warning that comes in the middle of a visit, and keeps it: whoever signed
// in too weakly is sent back to the choice by the dispatcher.
func (s *Service) watch(ctx context.Context, v *visit, h http.Header) error {
	next := *v
	if !v.stage.undecided() || s.isBusy(v) || !s.heed(&next, h) {
		return nil
	}
	client, err := s.client(v)
	if err != nil {
		return err
	}
	if err := s.record(ctx, s.warnings(&next, client)...); err != nil {
		return err
	}
	next.revision++
	return s.advance(ctx, v, next)
}

// warnings is what goes on record of a suspicious visit: that it is one, and the level
// that it needs. Where the request came from is not for us to keep.
func (s *Service) warnings(v *visit, client *clients.Client) []audit.Event {
	if !v.Suspicious {
		return nil
	}
	e := s.event(audit.ContextSuspicious, v, outcomeOK)
	e.Public.ACR = string(s.Policies().RequiredACR(client, v.Request))
	return []audit.Event{e}
}
