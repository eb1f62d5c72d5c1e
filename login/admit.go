package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// turnedDown: we know who signed in, and she may not go on.
type turnedDown struct {
	in     signIn
	notice web.NoticeCode
	rule   string
}

func (e *turnedDown) Error() string { return "turned down: " + e.rule }

func isTurnedDown(err error) bool {
	var t *turnedDown
	return errors.As(err, &t)
}

// barred reports whether a sign-in counts no more because its person is out of service,
// or was since.
func (s *Service) barred(in signIn) bool { return s.Barred(in.Person.ID.String(), in.At) }

// admit says whether a sign-in may be used: a *turnedDown if the person is out of
// service, or if she has blocked the provider that it came through (whoever has taken
// over her account there is the one who came). Any other error means that we do not know.
func (s *Service) admit(ctx context.Context, in signIn) error {
	if s.barred(in) {
		return &turnedDown{in, web.NoticePersonBlocked, rulePersonBlocked}
	}
	said, err := s.Preferences.List(ctx, in.Person.ID)
	if err != nil {
		return fmt.Errorf("blocked providers: %w", err)
	}
	if said.Blocks(in.Provider) {
		return &turnedDown{in, web.NoticeProviderBlocked, ruleProviderBlocked}
	}
	return nil
}

// turnDown takes the visit back to the choice, or to the page that stands in its place,
// and puts on record why. The service hears of it, if at all, what it would hear of a
// person who turned back.
func (s *Service) turnDown(ctx context.Context, v *visit, t *turnedDown) error {
	denied := by(s.event(audit.LoginDenied, v, string(protocol.AccessDenied)), t.in)
	denied.Public.Rule = t.rule
	if err := s.record(ctx, denied); err != nil {
		return err
	}
	return s.advance(ctx, v, v.back(&notice{Code: t.notice}))
}
