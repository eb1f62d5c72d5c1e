// Package consent is the ledger of what each person agreed to share with whom.
// Receipts are added and superseded, never edited: a refusal or a withdrawal is
// a new receipt. Each act is recorded in one durable transaction with its audit
// entry. It does not decide whether to ask; see policies.
package consent

import (
	"context"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// Act is what the person did, or what happened without asking.
type Act string

// The acts.
const (
	Given    Act = "given"
	Refused  Act = "refused"
	Informed Act = "informed" // told, on another basis than consent
	Reused   Act = "reused"   // a standing answer covered it

	Withdrawn  Act = "withdrawn"  // she took an answer back
	Expired    Act = "expired"    // the time of a standing answer was over
	Superseded Act = "superseded" // a newer answer took the place of a standing one
)

// Receipt is one act, for ever (until its retention ends). It holds claim names,
// never values.
type Receipt struct {
	ID            [16]byte // random
	Time          time.Time
	Act           Act
	Person        identity.PersonID
	Client        protocol.ClientID
	PolicyID      string
	PolicyVersion int
	Basis         string
	Rule          string
	Shown         []protocol.Claim // what the page listed
	Released      []protocol.Claim // what left
	ACR           protocol.ACR
	Provider      protocol.ProviderID
	Language      string
	Notice        [32]byte  // SHA-256 of the notice shown (purpose, claims, basis, retention, language)
	Until         time.Time // zero: not remembered
	Grant         string    // id of the grant that it allowed; empty when refused
	Audit         [16]byte  // id of its audit entry
	OfflineUntil  time.Time // until when the client may come back while she is away; zero: not

	// About is the receipt of the answer that was reused, or that ended; zero: none.
	About [16]byte
}

// Standing is the newest answer of a person to a client that is still remembered.
type Standing struct {
	Person        identity.PersonID
	Client        protocol.ClientID
	PolicyID      string
	PolicyVersion int
	Basis         string // on which she was asked, or told
	Shown, Agreed []protocol.Claim
	Until         time.Time
	Receipt       [16]byte
}

// Store keeps receipts and standing answers.
type Store interface {
	// Record stores the receipt, its audit entry and, if s is not nil, replaces
	// the standing answer of (Person, Client) by s: durable when it returns nil,
	// all or nothing. With a Refused receipt s is nil and the standing stays.
	// ended are what s replaces. ErrMoved, and nothing is changed: the standing answer
	// is not the one that ended is about, or that a Reused receipt is.
	Record(ctx context.Context, r Receipt, s *Standing, e audit.Entry, ended ...Ended) error
	// Standing returns the remembered answer, or nil when there is none or it has
	// expired at now.
	Standing(ctx context.Context, p identity.PersonID, c protocol.ClientID, now time.Time) (*Standing, error)
}
