package login

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/registry"
	"github.com/voussoir-id/voussoir/web"
)

// Purposes of what is sealed here.
const (
	sealFlow    = "flow"
	sealSession = "session"
	sealPeer    = "session/participant"
)

const (
	// patience is how long one request may work on a visit after it has taken a
	// stage for itself, whatever the browser does meanwhile.
	patience = 12 * time.Second
	// busy is longer than patience: after it nobody can be at work any more, so
	// the one who was has crashed.
	busy = 15 * time.Second
)

// visit is a flow, unsealed. The unexported fields are what a store sees beside
// the seal; the seal is bound to them, so that a store (or who can write to it)
// cannot put one visit's inside into another, or an earlier one into a later.
type visit struct {
	id       FlowID
	stage    Stage
	revision uint32
	expires  time.Time
	standing [16]byte // receipt of the answer that Decision rests on, if any; read anew for each request

	// For the whole visit.
	Request  protocol.AuthRequest
	Browser  []byte // SHA-256 of the handle in the browser's cookie
	Fresh    bool   `json:",omitempty"` // only a sign-in of this visit counts, not the session
	Switched bool   `json:",omitempty"` // somebody else was signed in at this browser until she signed in
	// Suspicious: a trusted proxy warned of a request of this visit. The level that the
	// visit needs is then in Request.
	Suspicious bool                `json:",omitempty"`
	Another    bool                `json:",omitempty"` // she wants another account of Provider than the one that it signed in
	Provider   protocol.ProviderID `json:",omitempty"` // the last one that she was sent to
	State      []byte              `json:",omitempty"` // SHA-256 of the state that went there

	// For one stage; at drops them.
	Notice   *notice            `json:",omitempty"` // Choosing: what went wrong at Provider
	Pending  []byte             `json:",omitempty"` // AtProvider: for Finish
	SignIn   *signIn            `json:",omitempty"` // Asking
	Decision *policies.Decision `json:",omitempty"` // Asking: what the page asks
	Wording  []byte             `json:",omitempty"` // Asking: digest of what it says beside that
	Answer   *sealedAnswer      `json:",omitempty"` // Done
	Since    time.Time          `json:",omitzero"`  // Answered, Done: since when; AtProvider: since when its answer is being verified
}

// notice is a sentence above the choices.
type notice struct {
	Code   web.NoticeCode
	Claims []protocol.Claim `json:",omitempty"`
	Reason protocol.Text    `json:",omitempty"` // of the condition that denied
	Rule   string           `json:",omitempty"` // by which policy denied; see turnBack
	Flaws  []identity.Flaw  `json:",omitempty"` // NoticeBadIdentity: what was wrong, never a value
	Number string           `json:",omitempty"` // of the request in which it happened
}

// signIn is who signed in, where and how well.
type signIn struct {
	Person   identity.Person
	Identity identity.Identity
	Provider protocol.ProviderID
	ACR      protocol.ACR
	AuthTime time.Time // as the provider says; zero: nobody knows
	At       time.Time `json:",omitzero"`  // when we verified it
	Session  SessionID `json:",omitempty"` // that it began or came from; "" at eidas3

	Registry  registry.Outcome `json:",omitempty"` // what the civil registry said; "": it was not asked
	Confirmed time.Time        `json:",omitzero"`  // when it last confirmed her before, where it did not answer now
}

// sealedAnswer is an Answer without the cause of its error.
type sealedAnswer struct {
	Code        string             `json:",omitempty"`
	Err         protocol.ErrorCode `json:",omitempty"`
	Description string             `json:",omitempty"`
}

func keepAnswer(a Answer) *sealedAnswer {
	if a.Err != nil {
		return &sealedAnswer{Err: a.Err.Code, Description: a.Err.Description}
	}
	return &sealedAnswer{Code: a.Code}
}

func (a *sealedAnswer) answer() Answer {
	if a.Err != "" {
		return Answer{Err: protocol.Fail(a.Err, nil, a.Description)}
	}
	return Answer{Code: a.Code}
}

// at is the visit as it enters a stage: one revision on, and without whatever
// belonged to the stage that it leaves. So the identity is gone as soon as the
// person has answered, unless somebody wrote it back on purpose.
func (v *visit) at(to Stage) visit {
	return visit{
		id: v.id, stage: to, revision: v.revision + 1, expires: v.expires,
		Request: v.Request, Browser: v.Browser, Fresh: v.Fresh, Switched: v.Switched, Suspicious: v.Suspicious, Another: v.Another, Provider: v.Provider, State: v.State,
	}
}

// back is the visit at the choice again, with a notice or without. The session
// no longer counts: she wants, or has to find, another way to sign in.
func (v *visit) back(n *notice) visit {
	next := v.at(Choosing)
	next.Fresh, next.Notice = true, n
	return next
}

func (v *visit) aad() []byte {
	b := append([]byte(v.id), byte(v.stage))
	return binary.BigEndian.AppendUint32(b, v.revision)
}

// advance moves v on to next, or returns ErrStale when another request was
// first. v changes only when the store has it.
func (s *Service) advance(ctx context.Context, v *visit, next visit) error {
	f, err := s.sealVisit(&next)
	if err != nil {
		return err
	}
	if err := s.Flows.Advance(ctx, v.stage, f); err != nil {
		return fmt.Errorf("advance flow %s from stage %d to %d: %w", v.id, v.stage, next.stage, err)
	}
	*v = next
	return nil
}

func (s *Service) sealVisit(v *visit) (Flow, error) {
	sealed, err := s.seal(sealFlow, v.aad(), v)
	if err != nil {
		return Flow{}, fmt.Errorf("seal flow %s: %w", v.id, err)
	}
	return Flow{ID: v.id, Stage: v.stage, Revision: v.revision, Sealed: sealed, Expires: v.expires}, nil
}

// load returns the visit, whoever asks: the caller checks the browser. An unknown
// or expired one is a web.Problem.
func (s *Service) load(ctx context.Context, id FlowID) (*visit, error) {
	if !isID(string(id)) {
		return nil, web.Fail(web.FlowUnknown, nil)
	}
	f, err := s.Flows.Load(ctx, id, s.Now())
	if errors.Is(err, ErrNoFlow) || err == nil && f.Stage == Posted {
		return nil, web.Fail(web.FlowUnknown, err)
	}
	if err != nil {
		return nil, fmt.Errorf("load flow %s: %w", id, err)
	}
	v := &visit{id: f.ID, stage: f.Stage, revision: f.Revision, expires: f.Expires}
	if err := s.unseal(sealFlow, v.aad(), f.Sealed, v); err != nil {
		return nil, fmt.Errorf("open flow %s: %w", id, err)
	}
	return v, nil
}

// isBusy reports whether a request that took the stage for itself may still be
// at work.
func (s *Service) isBusy(v *visit) bool {
	return s.Now().Before(v.Since.Add(busy)) // never, while Since is zero
}

// finishing returns a context for work that must not stop half-way because the
// browser gave up: a double click aborts the first request, and it is that one
// which holds the stage. The work is bounded by patience instead.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), patience)
}

// seal never names what it holds in an error: encoding/json quotes values.
func (s *Service) seal(purpose string, aad []byte, v sealable) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, errors.New("encode")
	}
	return s.Sealer.Seal(purpose, aad, plain)
}

func (s *Service) unseal(purpose string, aad, sealed []byte, into sealable) error {
	plain, err := s.Sealer.Open(purpose, aad, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return errors.New("decode")
	}
	return nil
}

// sealable is what this room seals.
type sealable interface{ sealable() }

func (*visit) sealable()   {}
func (*session) sealable() {}
func (*peer) sealable()    {}
