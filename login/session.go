package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// session is a sign-in that later visits of the same browser may use. A consent
// page still shows wherever policy asks for one.
type session struct {
	digest  [32]byte
	SignIn  signIn // its Session is the id
	Started time.Time
	Hint    string `json:",omitempty"` // for logging out at the provider; it is nowhere else
}

func (x *session) aad() []byte { return x.digest[:] }

// session returns the browser's session if it can take the place of a sign-in in
// this visit, and nil if not. An error means that we do not know.
func (s *Service) session(ctx context.Context, v *visit, offers []policies.Offer, h http.Header) (*session, error) {
	if v.Fresh {
		return nil, nil
	}
	x, err := s.liveSession(ctx, h)
	if err != nil || x == nil || !s.satisfies(x, v, offers) {
		return nil, err
	}
	if err := s.admit(ctx, x.SignIn); isTurnedDown(err) {
		return nil, nil // through a provider that she has blocked since
	} else if err != nil {
		return nil, err
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
	if !ok || client.NoSingleSignOn || !selectable(offers, in.Provider) || !in.ACR.Reaches(s.Policies().RequiredACR(client, req)) || s.vouching(client, in) == policies.Unvouched {
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

// browserSession is the session that the browser has, or nil.
func (s *Service) browserSession(ctx context.Context, h http.Header) (*session, error) {
	digest, ok := sessionDigest(h)
	if !ok {
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
	if s.unseal(sealSession, x.aad(), stored.Sealed, x) != nil || x.SignIn.Session != stored.ID || stored.ID == "" {
		return nil, nil //nolint:nilerr // made under a key that is gone, or by a version that gave no id: she signs in again
	}
	return x, nil
}

// liveSession is browserSession for one who wants to use it. The session of a person who
// was taken out of service ends here: for her it has ended already, and so the services
// in it are told.
func (s *Service) liveSession(ctx context.Context, h http.Header) (*session, error) {
	x, err := s.browserSession(ctx, h)
	if err != nil || x == nil || !s.barred(x.SignIn) {
		return x, err
	}
	if _, err := s.endSession(ctx, x, ""); err != nil {
		return nil, err
	}
	return nil, nil
}

// renewal is a sign-in that has just happened, and the session that it replaces.
type renewal struct {
	signIn
	old  *session // nil: the browser had none
	hint string
}

// replacesAnother reports whether somebody else was signed in here until now.
func (r *renewal) replacesAnother() bool {
	return r.old != nil && r.old.SignIn.Person.ID != r.Person.ID
}

// renewal prepares the session of a new sign-in. The same person's keeps its id, and
// with it the services that take part: they are told when she logs out, whichever
// of her sign-ins they came with. A service that wants no single sign-on begins no
// session either: its sign-ins are for it alone.
func (s *Service) renewal(ctx context.Context, h http.Header, client *clients.Client, in signIn, hint string) (*renewal, error) {
	old, err := s.liveSession(ctx, h)
	if err != nil {
		return nil, err
	}
	switch {
	case client.NoSingleSignOn:
	case in.ACR != protocol.EIDAS1 && in.ACR != protocol.EIDAS2: // there she shows herself each time
	case old != nil && old.SignIn.Person.ID == in.Person.ID:
		in.Session = old.SignIn.Session
	default:
		in.Session = SessionID(random(16))
	}
	return &renewal{in, old, hint}, nil
}

// renewSession puts the session of a new sign-in in the place of the browser's old
// one, under a new handle, so that a handle planted before is worth nothing (session
// fixation). Another person's session is ended, as if she had logged out herself. A
// sign-in that leaves no session leaves her older one as it was: the services in it
// would else never hear of her logout.
func (s *Service) renewSession(ctx context.Context, w http.ResponseWriter, h http.Header, r renewal) error {
	next := &session{SignIn: r.signIn, Started: s.Now(), Hint: r.hint}
	if r.replacesAnother() {
		if _, err := s.endSession(ctx, r.old, ""); err != nil {
			return err
		}
	} else if old, ok := sessionDigest(h); ok {
		if err := s.Sessions.DeleteSession(ctx, old); err != nil {
			return fmt.Errorf("drop session: %w", err)
		}
	}
	if r.Session == "" && r.old != nil && r.old.SignIn.Person.ID == r.Person.ID {
		next = r.old
	}
	if next.SignIn.Session == "" {
		http.SetCookie(w, cookie(sessionCookie, "", -1))
		return nil
	}
	handle, digest := newHandle()
	next.digest = [32]byte(digest)
	err := s.putSession(ctx, next)
	if errors.Is(err, ErrNoSession) { // she logged out while she was at the provider
		http.SetCookie(w, cookie(sessionCookie, "", -1))
		return nil
	}
	if err != nil {
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
	err = s.Sessions.PutSession(ctx, Session{Digest: x.digest, ID: x.SignIn.Session, Sealed: sealed, Expires: s.sessionEnd(x)})
	if err != nil {
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
