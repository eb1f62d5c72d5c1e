package login

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// tokensGone is when the last token of a session that ends now has expired: codes
// live 10 min at most, what they buy 1 h.
const tokensGone = 2 * time.Hour

// maxRelay bounds how long a person who logs out waits for the metadata of her
// provider.
const maxRelay = 2 * time.Second

// peer is what we keep of a sign-in at a service, to tell it of the end.
type peer struct {
	Client       protocol.ClientID
	Subject      string
	SID          string
	OfflineUntil time.Time `json:",omitzero"` // of its grant; see Grant
}

// sid is what a service knows a session by: the same for each of its sign-ins,
// different for each service, so that no two can find out by it that they have the
// same person before them.
func (s *Service) sid(ctx context.Context, id SessionID, client protocol.ClientID) (string, error) {
	if id == "" {
		return "", nil
	}
	// An id has a fixed length, so that the two parts cannot run into each other.
	mac, err := s.Deriver.Derive(ctx, "session/sid", []byte(string(id)+string(client)))
	if err != nil {
		return "", fmt.Errorf("sid for client %s: %w", client, err)
	}
	return base64.RawURLEncoding.EncodeToString(mac[:]), nil
}

// join remembers that a service takes part in the session that its grant rests on.
// ErrNoSession: it has been ended.
func (s *Service) join(ctx context.Context, g Grant, id SessionID) error {
	if id == "" {
		return nil
	}
	sealed, err := s.seal(sealPeer, peerAAD(id, g.ID), &peer{g.Client, string(g.Released.Sub()), g.SID, g.OfflineUntil})
	if err != nil {
		return fmt.Errorf("seal participant: %w", err)
	}
	err = s.Sessions.Join(ctx, Participant{
		Session: id, Peer: [32]byte(sum(g.SID)), Grant: g.ID, Keeps: !g.OfflineUntil.IsZero(), Sealed: sealed, Expires: s.Now().Add(s.SessionLowMax),
	})
	if err != nil {
		return fmt.Errorf("join session: %w", err)
	}
	return nil
}

func peerAAD(id SessionID, g GrantID) []byte { return []byte(string(id) + " " + string(g)) }

// signedOut is where a visit leads whose session was ended while it was open: to a
// new sign-in. Else the next one at this computer could finish it with a click.
func (s *Service) signedOut(ctx context.Context, v *visit) (Step, error) {
	if v.Request.Prompt.None {
		return s.end(ctx, v, rulePromptNone, protocol.Fail(protocol.LoginRequired, nil, "the person has logged out"))
	}
	if err := s.advance(ctx, v, v.back(&notice{Code: web.NoticeSignedOut})); err != nil {
		return nil, err
	}
	return Choose{}, nil
}

// SignedIn is the session of a browser, for one who may end it.
type SignedIn struct {
	ID       SessionID
	Provider protocol.ProviderID // where she signed in
	session  *session
}

// SignedIn returns the session of the browser that sent h, or nil. An error means
// that we do not know.
func (s *Service) SignedIn(ctx context.Context, h http.Header) (*SignedIn, error) {
	x, err := s.browserSession(ctx, h)
	if err != nil || x == nil {
		return nil, err
	}
	return &SignedIn{ID: x.SignIn.Session, Provider: x.SignIn.Provider, session: x}, nil
}

// SID is what a service knows the session by.
func (s *Service) SID(ctx context.Context, x *SignedIn, client protocol.ClientID) (string, error) {
	return s.sid(ctx, x.ID, client)
}

// EndSession ends a session: when it returns nil the session is dead everywhere,
// with every code and token that rests on it, and the services that take part will
// be told. asked is the service that wants it, "" for the person herself. h is the
// header of the request; the cookies end what this browser still has open, because
// the next one at this computer may be somebody else.
func (s *Service) EndSession(ctx context.Context, x *SignedIn, asked protocol.ClientID, h http.Header) ([]Departure, []*http.Cookie, error) {
	ctx, done := finishing(ctx)
	defer done()
	gone, err := s.endSession(ctx, x.session, asked, "")
	if err != nil {
		return nil, nil, err
	}
	return gone, s.Forget(h), nil
}

// Forget is the cookies that end what the browser that sent h still has open: its
// visits, and the handle of a session that is over.
func (*Service) Forget(h http.Header) []*http.Cookie {
	set := []*http.Cookie{cookie(sessionCookie, "", -1)}
	for _, c := range cookies(h) {
		if strings.HasPrefix(c.Name, flowCookiePrefix) {
			set = append(set, cookie(c.Name, "", -1))
		}
	}
	return set
}

// endSession puts the end on record and the news in the queue before it ends
// anything: whoever crashes or fails in between has told a service too early, and
// the person, who was not told that she is logged out, tries again.
func (s *Service) endSession(ctx context.Context, x *session, asked protocol.ClientID, rule string) ([]Departure, error) {
	ended := by(audit.Event{Public: audit.Public{Kind: audit.SessionEnded, Client: string(asked), Rule: rule, Outcome: outcomeOK}}, x.SignIn)
	ended.Public.ACR = "" // with the time it would narrow down who
	if err := s.record(ctx, ended); err != nil {
		return nil, err
	}
	early, err := s.Sessions.Participants(ctx, x.SignIn.Session)
	if err != nil {
		return nil, fmt.Errorf("who takes part in a session: %w", err)
	}
	if err := s.tell(ctx, x, asked, early); err != nil {
		return nil, err
	}
	failpoint.Here("logout.after-queue")
	until := s.Now().Add(max(s.SessionLowMax+s.FlowTTL, tokensGone))
	all, err := s.Sessions.EndSession(ctx, x.digest, x.SignIn.Session, until)
	if err != nil {
		return nil, fmt.Errorf("end session: %w", err)
	}
	failpoint.Here("logout.after-end")
	late := slices.DeleteFunc(slices.Clone(all), func(p Participant) bool {
		return slices.ContainsFunc(early, func(e Participant) bool { return e.Grant == p.Grant })
	})
	if err := s.tell(ctx, x, asked, late); err != nil {
		return nil, err
	}
	return s.departures(x, all), nil
}

func (s *Service) tell(ctx context.Context, x *session, asked protocol.ClientID, ps []Participant) error {
	if len(ps) == 0 {
		return nil
	}
	if err := s.Issuer.Ended(ctx, asked, s.departures(x, ps)); err != nil {
		return fmt.Errorf("tell services of the end of a session: %w", err)
	}
	return nil
}

// departures opens what was kept, sorted by client. What does not open was made
// under a key that is gone; its grant is dead all the same.
func (s *Service) departures(x *session, ps []Participant) []Departure {
	out := make([]Departure, 0, len(ps))
	for _, p := range ps {
		var who peer
		if s.unseal(sealPeer, peerAAD(p.Session, p.Grant), p.Sealed, &who) != nil {
			continue
		}
		out = append(out, Departure{
			Client: who.Client, Subject: who.Subject, SID: who.SID, Grant: p.Grant, OfflineUntil: who.OfflineUntil,
			Person: x.SignIn.Person.ID.String(), SealKey: x.SignIn.Person.SealKey,
		})
	}
	slices.SortStableFunc(out, func(a, b Departure) int { return strings.Compare(string(a.Client), string(b.Client)) })
	return out
}

// ProviderName is what people know the provider of a session by.
func (s *Service) ProviderName(x *SignedIn) protocol.Text { return s.providerName(x.Provider) }

// Leave is where to send her to log out at her provider too, "" for nowhere. A
// provider that cannot be asked is left out: our own session is over.
func (s *Service) Leave(ctx context.Context, x *SignedIn, returnTo, state string) string {
	entry, ok := s.Directory().Get(x.Provider)
	leaver, can := entry.Provider.(federation.Leaver)
	if !ok || !can || x.session.Hint == "" {
		return ""
	}
	ctx, done := context.WithTimeout(ctx, maxRelay)
	defer done()
	to, err := leaver.Leave(ctx, x.session.Hint, returnTo, state)
	if err != nil {
		return ""
	}
	return to
}
