// Package login owns one visit: the flow from a valid authorization request to
// the answer that goes back to the service, its stages, the dispatcher that says
// what comes next, its browser endpoints (choose, callback, consent, answer) and
// the single sign-on session. Every change of a flow is a compare-and-swap and
// every step ends by asking the dispatcher again; steps never call each other.
// It never signs, never parses a protocol message and never decides what may be
// released.
//
// Read docs/life-of-a-login.md first, then in the order of a visit: start.go,
// dispatch.go, choose.go, callback.go, consent.go, answer.go; visit.go is what
// they all change, session.go and cookies.go what the browser keeps.
package login

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// FlowID is 128 random bits, base64url. It is no secret: a flow is bound to its
// browser by a cookie of its own.
type FlowID string

// Stage is where a flow stands.
type Stage uint8

// The stages. A flow goes back and forth between the first three until the
// person has answered; from then on only forward.
const (
	Choosing   Stage = iota + 1 // she has not chosen a provider, or it did not work out
	AtProvider                  // she was sent to one, or its answer is being verified
	Asking                      // we know who she is; the identity is in the seal
	Answered                    // she has answered; the identity is gone, the records are being written
	Done                        // holds the answer for the service, so that a double click gets the same one and not a second code
)

// undecided reports whether the visit can still go another way.
func (s Stage) undecided() bool { return s == Choosing || s == AtProvider || s == Asking }

// Flow is a visit as a store sees it: everything but the stage is sealed.
type Flow struct {
	ID       FlowID
	Stage    Stage
	Revision uint32 // grows by one with each Advance; guards against A-B-A
	Sealed   []byte
	Expires  time.Time
}

// ErrNoFlow: the flow is unknown or has expired. ErrStale: someone was first.
var (
	ErrNoFlow = errors.New("no such flow")
	ErrStale  = errors.New("the flow has moved on")
)

// FlowStore keeps flows until they expire. Any error but ErrNoFlow and ErrStale
// means that the outcome is unknown. Safe for concurrent use.
type FlowStore interface {
	Create(ctx context.Context, f Flow) error
	// Load returns ErrNoFlow when the flow is unknown or expired at now.
	Load(ctx context.Context, id FlowID, now time.Time) (Flow, error)
	// Advance replaces the flow by next if it is at stage from with revision
	// next.Revision-1, and otherwise returns ErrStale and changes nothing. Of
	// concurrent calls from one revision exactly one succeeds. It returns ErrStale
	// for an unknown flow too.
	Advance(ctx context.Context, from Stage, next Flow) error
}

// SessionID is 128 random bits, base64url. It stays when the handle in the cookie
// changes, and no service ever sees it: each gets a sid of its own.
type SessionID string

// Session is a single sign-on session as a store sees it.
type Session struct {
	Digest  [32]byte // SHA-256 of the cookie's handle
	ID      SessionID
	Sealed  []byte
	Expires time.Time
	From    Upstream
}

// Upstream is how the provider that a session came from will name it when it is
// over there: keyed digests of 32 bytes, which mean nothing to whoever reads the
// store. Nil: it has no such name.
type Upstream struct {
	Subject []byte `json:",omitempty"` // the person, at this provider
	Session []byte `json:",omitempty"` // her session there
}

// Participant is a sign-in at a service that rests on a session, as a store sees it.
type Participant struct {
	Session SessionID
	Peer    [32]byte // SHA-256 of the sid: the same for each sign-in at this service
	Grant   GrantID
	Keeps   bool // the grant is for the time when she is away too, and outlives the session
	Sealed  []byte
	Expires time.Time
}

// MaxPerService is how many sign-ins at one service a session remembers; older
// ones are forgotten first. So a session holds at most this many for each service
// that is registered.
const MaxPerService = 32

// ErrNoSession: unknown, expired or ended.
var ErrNoSession = errors.New("no such session")

// SessionStore keeps sessions until they expire. Any error but ErrNoSession means
// that the outcome is unknown. Safe for concurrent use.
type SessionStore interface {
	// PutSession replaces one with the same digest. It returns ErrNoSession when the
	// session has been ended: what was read before must not bring it back. Nobody who
	// takes part in it is forgotten before it expires.
	PutSession(ctx context.Context, s Session) error
	// GetSession returns ErrNoSession after EndSession, under any handle.
	GetSession(ctx context.Context, d [32]byte, now time.Time) (Session, error)
	// SessionsFrom returns the sessions that have all the names of u that are not nil,
	// limit of them at most, oldest first; those that have expired or been ended are
	// not among them. A u without any name is an error.
	SessionsFrom(ctx context.Context, u Upstream, limit int, now time.Time) ([]Session, error)
	DeleteSession(ctx context.Context, d [32]byte) error // forgets a handle, no error when there is none; the session is not ended
	// Join adds a participant, or returns ErrNoSession when the session has been
	// ended. A session that has merely expired may still be joined.
	Join(ctx context.Context, p Participant) error
	// Participants are those that EndSession would return now, oldest first.
	Participants(ctx context.Context, id SessionID) ([]Participant, error)
	// EndSession, in one step, removes the session with its handle, returns and
	// forgets its participants, and kills the grant of each, but those that it Keeps, as RevokeGrant
	// of provider does. Whoever joins afterwards is refused. Until is when the last
	// visit or token that rests on it will have expired.
	EndSession(ctx context.Context, d [32]byte, id SessionID, until time.Time) ([]Participant, error)
}

// GrantID is 128 random bits, hex. It ties a code and all its tokens together,
// and appears in the audit log.
type GrantID string

// Grant is what the person's answer allows a client to receive. It is minimised:
// Released is all of her identity that it holds.
type Grant struct {
	ID            GrantID
	Client        protocol.ClientID
	RedirectURI   string
	Scopes        []protocol.Scope
	Nonce         string
	CodeChallenge string
	Audience      []string          // resources that access tokens are for (RFC 8707); empty: /userinfo
	Details       []protocol.Detail // authorization details that she was shown (RFC 9396)
	DPoPKey       string            // from the request; see protocol.AuthRequest
	SID           string            // of the session at this client, "" for none; it means nothing to any other
	ACR           protocol.ACR
	AuthTime      time.Time
	Released      identity.Released
	InIDToken     []protocol.Claim // those of Released that also go into the ID token
	Person        string           // hex PersonID, for the audit log and for the subjects of data providers; never given out
	SealKey       []byte           // the person's wrapped key, for the audit log only
	OfflineUntil  time.Time        `json:",omitzero"` // until when the client may come back while she is away; zero: not
	IssuedAt      time.Time        // when the code was issued; set by the Issuer
}

// Answer is what goes back to the service: a code, or an error.
type Answer struct {
	Code string
	Err  *protocol.Error
}

// Issuer is what login needs of provider. Answer writes the authorization
// response in the request's response mode, with state and iss (RFC 9207); it
// answers 303, or a page that posts a form.
type Issuer interface {
	// Complete uses up what may be answered only once, before anything is recorded
	// or leaves. Any error means that this visit gets no answer.
	Complete(ctx context.Context, req protocol.AuthRequest) error
	IssueCode(ctx context.Context, g Grant) (code string, err error)
	Answer(w http.ResponseWriter, r *http.Request, req protocol.AuthRequest, a Answer) error
	// Ended has every service that wants it told of the end of a session, and kills
	// what the one that asked for it has of hers ("": nobody asked). When it returns
	// nil that will happen, whatever crashes. It does not wait for them.
	Ended(ctx context.Context, asked protocol.ClientID, ds []Departure) error
}

// Departure is a sign-in at a service that ends with its session.
type Departure struct {
	Client  protocol.ClientID
	Subject string // hers at the service
	SID     string
	Grant   GrantID
	// OfflineUntil is that of the grant, zero when the service may not come back while
	// she is away.
	OfflineUntil time.Time
	Person       string // hex PersonID, for the audit log
	SealKey      []byte // likewise
}

// Step is what the dispatcher says comes next.
type Step interface{ step() }

// Choose shows the choice page, Ask the consent page, Wait a page that looks
// again: another request of the same visit is at work. GoTo sends the browser to
// a provider, Reply back to the service. There is no other step.
type (
	Choose struct{}
	Ask    struct{}
	Wait   struct{}
	GoTo   struct{ URL string }
	Reply  struct{ Answer Answer }
)

func (Choose) step() {}
func (Ask) step()    {}
func (Wait) step()   {}
func (GoTo) step()   {}
func (Reply) step()  {}

// Sealer seals what a store keeps. Open fails for anything that was not sealed
// with the same purpose and aad. Implemented by keys.Ring.
type Sealer interface {
	Seal(purpose string, aad, plaintext []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}
