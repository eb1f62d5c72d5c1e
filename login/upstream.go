package login

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// OnceStore remembers which messages were believed. It is durable: when Consume
// returns, the fact survives a crash.
type OnceStore interface {
	// Consume returns true for exactly one of all calls with the same kind and id,
	// until then. Any error means that the outcome is unknown.
	Consume(ctx context.Context, kind, id string, until, now time.Time) (first bool, err error)
}

const (
	// onceEnded is the kind of what is remembered.
	onceEnded = "provider-logout"
	// upstreamSkew is how far a provider's clock may be from ours.
	upstreamSkew = 10 * time.Second
	// upstreamPage is how many sessions are ended between two looks at the store.
	upstreamPage = 100
	// ruleProvider stands on record where the provider ended a session.
	ruleProvider = "provider"
)

// errEndedBefore: somebody sends a message a second time.
var errEndedBefore = errors.New("the message was believed before")

// origin is what a session keeps of the provider's side of its sign-in. The names
// are kept as keyed digests: whoever reads the store must not be able to try out
// the names that a provider gives.
func (s *Service) origin(ctx context.Context, provider protocol.ProviderID, in federation.Login) (origin, error) {
	from, err := s.upstream(ctx, provider, in.Names.Subject, in.Names.Session)
	return origin{Hint: in.LogoutHint, From: from}, err
}

func (s *Service) upstream(ctx context.Context, provider protocol.ProviderID, subject, session string) (u Upstream, err error) {
	if u.Subject, err = s.upstreamName(ctx, provider, "subject", subject); err != nil {
		return Upstream{}, err
	}
	if u.Session, err = s.upstreamName(ctx, provider, "session", session); err != nil {
		return Upstream{}, err
	}
	return u, nil
}

// upstreamName is the digest of one name, nil for none. Lengths stand before the
// parts, so that no provider can name what is another's.
func (s *Service) upstreamName(ctx context.Context, provider protocol.ProviderID, kind, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(provider))) //nolint:gosec // an id of the configuration is short
	b = append(b, provider...)
	mac, err := s.Deriver.Derive(ctx, "session/upstream/"+kind, append(b, name...))
	if err != nil {
		return nil, fmt.Errorf("name of a session at provider %s: %w", provider, err)
	}
	return mac[:], nil
}

// told is POST /callback/{provider}/logout (OpenID Connect Back-Channel Logout
// section 2.5 to 2.8): the provider says that a session there is over. Whether we
// knew of it is not told: 200 means that nothing is left of it.
func (s *Service) told(w http.ResponseWriter, r *http.Request) error {
	provider := protocol.ProviderID(r.PathValue("provider"))
	entry, ok := s.Directory().Get(provider)
	if !ok {
		return web.Fail(web.NotFound, nil)
	}
	teller, can := entry.Provider.(federation.Teller)
	if !can {
		e := protocol.Fail(protocol.InvalidRequest, nil, "this provider is not listened to here")
		e.Status = http.StatusNotImplemented
		return e
	}
	token, err := logoutToken(r)
	if err != nil {
		return err
	}
	// The provider may hang up as soon as it likes.
	ctx, done := finishing(r.Context())
	defer done()
	ended, err := teller.Told(ctx, token)
	if err == nil {
		err = s.endFrom(ctx, provider, ended)
	}
	var e *federation.Error
	switch {
	case errors.As(err, &e) && e.Kind == federation.Invalid, errors.Is(err, errEndedBefore):
		return protocol.Fail(protocol.InvalidRequest, err, "the logout token is not one that we believe")
	case err != nil:
		return web.Fail(web.Unavailable, err) // it asks again, and then with the same token
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// logoutToken reads the one field that counts. Others are ignored (section 2.5).
func logoutToken(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return "", protocol.Fail(protocol.InvalidRequest, nil, "a query is not read here")
	}
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", err
		}
		return "", protocol.Fail(protocol.InvalidRequest, nil, "malformed form") // the cause quotes the form
	}
	token, ok := only(r.PostForm, "logout_token")
	if !ok {
		return "", protocol.Fail(protocol.InvalidRequest, nil, "logout_token is missing or stands twice")
	}
	return token, nil
}

// endFrom ends the sessions that a provider says are over, and remembers its message
// last: if something fails before, the provider may say the same again. Until then a
// message that comes twice ends nothing new, since what began after it was sent is not
// meant by it.
func (s *Service) endFrom(ctx context.Context, provider protocol.ProviderID, e federation.Ended) error {
	sessions := e.Sessions
	if len(sessions) == 0 {
		sessions = []string{""}
	}
	for _, session := range sessions {
		u, err := s.upstream(ctx, provider, e.Subject, session)
		if err != nil {
			return err
		}
		if err := s.endAll(ctx, u, e.At.Add(upstreamSkew)); err != nil {
			return err
		}
	}
	first, err := s.Once.Consume(ctx, onceEnded, fmt.Sprintf("%d %s %s", len(provider), provider, e.ID), e.Until, s.Now())
	if err != nil {
		return fmt.Errorf("remember the message of provider %s: %w", provider, err)
	}
	if !first {
		return errEndedBefore
	}
	return nil
}

// endAll ends the sessions that a provider knows by u and that began before last.
func (s *Service) endAll(ctx context.Context, u Upstream, last time.Time) error {
	for {
		found, err := s.Sessions.SessionsFrom(ctx, u, upstreamPage, s.Now())
		if err != nil {
			return fmt.Errorf("sessions of a provider: %w", err)
		}
		ended := 0
		for _, stored := range found {
			x := &session{digest: stored.Digest}
			if s.unseal(sealSession, x.aad(), stored.Sealed, x) != nil {
				// Made under a key that is gone: nobody can use it any more.
				err, ended = s.Sessions.DeleteSession(ctx, stored.Digest), ended+1
			} else if !x.Started.After(last) {
				_, err = s.endSession(ctx, x, "", ruleProvider)
				ended++
			}
			if err != nil {
				return err
			}
		}
		if len(found) < upstreamPage || ended == 0 {
			return nil
		}
	}
}
