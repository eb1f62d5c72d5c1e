package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// session is a sign-in that later visits of the same browser may use. A consent
// page still shows wherever policy asks for one.
type session struct {
	digest  [32]byte
	SignIn  signIn
	Started time.Time
}

func (x *session) aad() []byte { return x.digest[:] }

// session returns the browser's session if it can take the place of a sign-in in
// this visit, and nil if not. An error means that we do not know.
func (s *Service) session(ctx context.Context, v *visit, offers []policies.Offer, h http.Header) (*session, error) {
	digest, ok := sessionDigest(h)
	if !ok || v.Fresh {
		return nil, nil
	}
	stored, err := s.Sessions.GetSession(ctx, digest, s.Now())
	if errors.Is(err, ErrNoSession) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	x := &session{digest: digest}
	if s.unseal(sealSession, x.aad(), stored.Sealed, x) != nil {
		return nil, nil //nolint:nilerr // made under a key that is gone: she signs in again
	}
	if !s.satisfies(x, v, offers) {
		return nil, nil
	}
	if other, err := s.isSomeoneElse(ctx, v, x.SignIn); other || err != nil {
		return nil, err
	}
	return x, nil
}

// satisfies reports whether a sign-in of an earlier visit meets what this one
// demands: a provider that may be used here, the level, the word of the civil
// registry, the age (OpenID Connect Core section 3.1.2.1, max_age) and the provider
// that the service named.
func (s *Service) satisfies(x *session, v *visit, offers []policies.Offer) bool {
	in, req := x.SignIn, v.Request
	client, ok := s.Clients().Get(req.ClientID)
	if !ok || !selectable(offers, in.Provider) || !in.ACR.Reaches(s.Policies().RequiredACR(client, req)) || s.vouching(client, in) == policies.Unvouched {
		return false
	}
	// Without a page the hint can lead nowhere, and the answer would tell the
	// service which provider she used: what a policy has to allow (idp_id).
	if !req.Prompt.None && req.IdPHint != "" && req.IdPHint != in.Provider && selectable(offers, req.IdPHint) {
		return false
	}
	if req.MaxAge == nil {
		return true
	}
	return !in.AuthTime.IsZero() && s.Now().Sub(in.AuthTime) <= *req.MaxAge
}

// wantsFresh reports whether the request rules the session out from the start.
// max_age=0 means the same as prompt=login.
func wantsFresh(req protocol.AuthRequest) bool {
	return req.Prompt.Login || req.Prompt.SelectAccount || (req.MaxAge != nil && *req.MaxAge <= 0)
}

// slide keeps a session of the lowest level alive because it was used; the others
// end when they end.
func (s *Service) slide(ctx context.Context, x *session) error {
	if x.SignIn.ACR != protocol.EIDAS1 {
		return nil
	}
	return s.putSession(ctx, x)
}

// renewSession ends the browser's session and begins one with the new sign-in
// under a new handle, so that a handle planted before is worth nothing (session
// fixation). eidas3 has none: there she shows herself each time.
func (s *Service) renewSession(ctx context.Context, w http.ResponseWriter, h http.Header, in signIn) error {
	if old, ok := sessionDigest(h); ok {
		if err := s.Sessions.DeleteSession(ctx, old); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
	}
	if in.ACR != protocol.EIDAS1 && in.ACR != protocol.EIDAS2 {
		http.SetCookie(w, cookie(sessionCookie, "", -1))
		return nil
	}
	handle, digest := newHandle()
	if err := s.putSession(ctx, &session{digest: [32]byte(digest), SignIn: in, Started: s.Now()}); err != nil {
		return err
	}
	http.SetCookie(w, cookie(sessionCookie, handle, 0))
	return nil
}

func (s *Service) putSession(ctx context.Context, x *session) error {
	sealed, err := s.seal(sealSession, x.aad(), x)
	if err != nil {
		return fmt.Errorf("seal session: %w", err)
	}
	if err := s.Sessions.PutSession(ctx, Session{Digest: x.digest, Sealed: sealed, Expires: s.sessionEnd(x)}); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// sessionEnd is when a session that is used now expires.
func (s *Service) sessionEnd(x *session) time.Time {
	if x.SignIn.ACR == protocol.EIDAS2 {
		return x.Started.Add(s.SessionMedium)
	}
	end, last := s.Now().Add(s.SessionLow), x.Started.Add(s.SessionLowMax)
	if end.After(last) {
		return last
	}
	return end
}
