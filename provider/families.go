package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// refreshGrant is the kind of a refresh token, for the records. It is in no GrantStore.
const refreshGrant GrantKind = "refresh"

// StoredFamily is a family of refresh tokens as a store sees it: one token after the
// other, all from one sign-in, of which one is good. Every token of a family begins
// with the same handle, so that a used one is recognised for as long as the family is
// known, and a family takes the same room however often it was used.
type StoredFamily struct {
	Grant   login.GrantID
	Person  identity.PersonID
	Client  protocol.ClientID
	Family  Digest // of the handle that its tokens have in common
	Current Digest // of the token that is good
	Sealed  []byte
	Expires time.Time
	Ended   bool // set by EndFamily and EndFamilies only
}

// ErrNoFamily: there is none, or it has expired. ErrFamilyEnded: nothing of this
// grant may begin or go on. ErrFamilyMoved: the token was not the good one any more,
// or the family has ended or expired.
var (
	ErrNoFamily    = errors.New("no such family")
	ErrFamilyEnded = errors.New("the family has ended")
	ErrFamilyMoved = errors.New("the family has moved on")
)

// RefreshStore keeps families until they expire. It is durable: what returned nil
// survives a crash. Any error but the three above means that the outcome is unknown.
// Safe for concurrent use.
type RefreshStore interface {
	// PutFamily adds a family; granted is when the person answered. ErrFamilyEnded:
	// EndFamily of its grant came first, or EndFamilies at granted or later.
	PutFamily(ctx context.Context, f StoredFamily, granted time.Time) error
	// GetFamily finds a family by the digest of its handle, ended or not.
	GetFamily(ctx context.Context, family Digest, now time.Time) (StoredFamily, error)
	// RotateFamily replaces Current, Sealed and Expires by those of next and records
	// e, both or neither, if from is still its current digest at now, and otherwise
	// returns ErrFamilyMoved and changes nothing. Of concurrent calls from one digest
	// to others exactly one succeeds.
	RotateFamily(ctx context.Context, from Digest, next StoredFamily, now time.Time, e audit.Entry) error
	// EndFamily ends the family of a grant, also one that is put later; until is when
	// that may be forgotten if there is none now.
	EndFamily(ctx context.Context, grant login.GrantID, until time.Time) error
	// EndFamilies ends all that a person has with a client now, or would have by an
	// answer that she gave until now, and returns the grants of all that have ended,
	// these and earlier ones.
	EndFamilies(ctx context.Context, person identity.PersonID, client protocol.ClientID, now time.Time) ([]login.GrantID, error)
}

// family is what a refresh token stands for. There is nothing of the identity in it
// but the subject: values are never durable (docs/refresh-tokens.md).
type family struct {
	Grant    login.GrantID
	Client   protocol.ClientID
	Subject  identity.Sub
	SID      string // of the session that she signed in with
	Scopes   []protocol.Scope
	Audience []string
	Details  []protocol.Detail // RFC 9396; what she agreed to
	ACR      protocol.ACR
	AuthTime time.Time
	Person   string // for the audit log and for the subjects of data providers
	SealKey  []byte // for the audit log
	Public   bool   `json:",omitempty"` // the client needed no credentials when it began
	Confirm  confirmation
	Started  time.Time
	Until    time.Time // what she was told: the family ends then, however it is used
}

// refreshToken is two handles in one: of the family, and its own.
type refreshToken string

func newRefreshToken() refreshToken { return refreshToken(newHandle() + newHandle()) }

// next is another token of the same family.
func (t refreshToken) next() refreshToken { return t[:handleLength] + refreshToken(newHandle()) }

// isRefreshToken saves the store from what cannot be one.
func isRefreshToken(s string) bool { return len(s) == 2*handleLength && isBase64URL(s) }

// end is when a family is over whatever happens: on the day that she was told, or
// sooner if the client may now do it for less long.
func (f family) end(c *clients.Client) time.Time {
	if sooner := f.Started.Add(c.RefreshMax); sooner.Before(f.Until) {
		return sooner
	}
	return f.Until
}

// allowed is the part of f that the client may still have: what an operator takes from
// its registration ends for families that are older too.
func (f family) allowed(c *clients.Client) family {
	f.Scopes = slices.DeleteFunc(slices.Clone(f.Scopes), func(s protocol.Scope) bool {
		return s != protocol.OpenID && s != protocol.OfflineAccess && len(c.Scopes) > 0 && !slices.Contains(c.Scopes, s)
	})
	f.Audience = slices.DeleteFunc(slices.Clone(f.Audience), func(r string) bool { return !slices.Contains(c.Resources, r) })
	f.Details = slices.DeleteFunc(slices.Clone(f.Details), func(d protocol.Detail) bool { return !slices.Contains(c.AuthorizationDetailTypes, d.Type) })
	return f
}

// expires is when a token that is given out now can no longer be used.
func (f family) expires(c *clients.Client, now time.Time) time.Time {
	if idle := now.Add(c.RefreshIdle); idle.Before(f.end(c)) {
		return idle
	}
	return f.end(c)
}

// stored seals f under a token. The seal is bound to that very token: whoever can
// write to the store cannot make one of his own the good one.
func (c *Codes) stored(f family, token refreshToken, expires time.Time) (StoredFamily, error) {
	s := StoredFamily{
		Grant: f.Grant, Client: f.Client, Expires: expires,
		Family: c.digest(string(token[:handleLength])), Current: c.digest(string(token)),
	}
	var err error
	if s.Person, err = identity.ParsePersonID(f.Person); err != nil {
		return StoredFamily{}, fmt.Errorf("family of client %s: %w", f.Client, err)
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return StoredFamily{}, errors.New("encode a family")
	}
	if s.Sealed, err = c.cfg.Sealer.Seal("grant/"+string(refreshGrant), s.aad(), plain); err != nil {
		return StoredFamily{}, fmt.Errorf("seal a family: %w", err)
	}
	return s, nil
}

func (s StoredFamily) aad() []byte { return append(s.Family[:], s.Current[:]...) }

// putFamily begins a family and returns its first token.
func (c *Codes) putFamily(ctx context.Context, f family, expires, granted time.Time) (refreshToken, error) {
	token := newRefreshToken()
	s, err := c.stored(f, token, expires)
	if err == nil {
		err = c.cfg.Refresh.PutFamily(ctx, s, granted)
	}
	if err != nil {
		return "", fmt.Errorf("begin a family for client %s: %w", f.Client, err)
	}
	return token, nil
}

// loadFamily finds the family of a token, which need not be the good one, and may
// have ended. ErrNoFamily: there is none; any other error: nobody can tell.
func (c *Codes) loadFamily(ctx context.Context, token string) (family, StoredFamily, error) {
	if !isRefreshToken(token) {
		return family{}, StoredFamily{}, ErrNoFamily
	}
	s, err := c.cfg.Refresh.GetFamily(ctx, c.digest(token[:handleLength]), c.cfg.Now())
	if err != nil {
		return family{}, StoredFamily{}, fmt.Errorf("get a family: %w", err)
	}
	plain, err := c.cfg.Sealer.Open("grant/"+string(refreshGrant), s.aad(), s.Sealed)
	if err != nil {
		return family{}, StoredFamily{}, fmt.Errorf("open a family: %w", err)
	}
	var f family
	if err := json.Unmarshal(plain, &f); err != nil {
		return family{}, StoredFamily{}, errors.New("read a family")
	}
	return f, s, nil
}

// lastAccess is how long an access token may outlive the end of its family at most,
// if nobody revoked it: its life, and the time that a request may take to issue it.
const lastAccess = time.Hour + 10*time.Minute

// endGrant ends everything of a grant: its family, so that nothing more is issued,
// then the tokens that are out, and those that are just being issued. offlineUntil is
// that of the grant; without one there is no family. If it fails half way, whoever
// asks again comes through here again.
func (c *Codes) endGrant(ctx context.Context, id login.GrantID, offlineUntil, until time.Time) error {
	if !offlineUntil.IsZero() {
		if err := c.cfg.Refresh.EndFamily(ctx, id, offlineUntil); err != nil {
			return fmt.Errorf("end a family: %w", err)
		}
		until = c.cfg.Now().Add(lastAccess)
	}
	failpoint.Here("refresh.after-end")
	return c.cfg.Grants.RevokeGrant(ctx, id, until)
}

// EndFamilies ends what a client may still do while this person is away, at once and
// durably: because she has withdrawn, or because somebody who may has decided so. A code
// that is out and not yet redeemed begins nothing any more either. The
// caller has put that on record. If it fails, calling it again completes it.
func (c *Codes) EndFamilies(ctx context.Context, person identity.PersonID, client protocol.ClientID) error {
	ended, err := c.cfg.Refresh.EndFamilies(ctx, person, client, c.cfg.Now())
	if err != nil {
		return fmt.Errorf("end the families of client %s: %w", client, err)
	}
	for _, id := range ended {
		if err := c.cfg.Grants.RevokeGrant(ctx, id, c.cfg.Now().Add(lastAccess)); err != nil {
			return fmt.Errorf("end the families of client %s: %w", client, err)
		}
	}
	return nil
}
