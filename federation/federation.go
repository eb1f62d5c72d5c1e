// Package federation is our relying-party side: the directory of identity
// providers and what a verified sign-in at one of them is. The protocols live in
// its sub-rooms (federation/oidc); all of them end in one verified Login. It
// never shows a page, never stores anything, and no provider learns which
// service the person came from.
package federation

import (
	"context"
	"net/url"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// Login is a sign-in that was verified in full: signature, issuer, audience,
// nonce, times, level, and an identity that passed validation.
type Login struct {
	Provider protocol.ProviderID
	Issuer   string // with Subject: the account, for providers without civil identity
	Subject  string
	Identity identity.Identity
	ACR      protocol.ACR // mapped, at most the provider's maximum, never raised
	AuthTime time.Time    // zero when the provider did not say and nobody asked
	// Dropped are the claims that were left out of Identity because they broke a rule.
	Dropped []identity.Flaw

	// LogoutHint is what Leave needs to end this sign-in at the provider; "" when
	// nobody will be sent there. It names the person: the caller keeps it sealed.
	LogoutHint string
}

// Request is what the flow wants of a provider.
type Request struct {
	MinACR        protocol.ACR
	ForceLogin    bool           // prompt=login: the person must authenticate anew
	SelectAccount bool           // prompt=select_account
	MaxAge        *time.Duration // nil: any age will do
	LoginHint     string
	UILocales     []string
	State         string // ours, opaque to the provider
}

// Started is where to send the browser, and what Finish will need. Pending holds
// the nonce and PKCE verifier; the caller keeps it sealed.
type Started struct {
	URL     string
	Pending []byte
}

// Provider is one identity provider. Implementations are safe for concurrent use.
type Provider interface {
	// Start begins a sign-in. It fails with an *Error of kind Unavailable when the
	// provider's metadata cannot be had.
	Start(ctx context.Context, r Request) (Started, error)
	// Finish verifies the answer that the browser brought back. The caller has
	// already matched state. Errors are *Error.
	Finish(ctx context.Context, r Request, pending []byte, answer url.Values) (Login, error)
}

// Leaver is a Provider where a person can be sent to end her session there too.
type Leaver interface {
	// Leave returns the address to send her to; "": the provider offers none, or it
	// is not wanted. She comes back to returnTo with state in the query. Errors are
	// *Error, of kind Unavailable.
	Leave(ctx context.Context, hint, returnTo, state string) (string, error)
}

// Description is what pages and policies need to know of a provider.
type Description struct {
	ID     protocol.ProviderID
	Name   protocol.Text
	MaxACR protocol.ACR
	Listing
}

// Listing is how a provider stands on the choice page beside its name and level.
type Listing struct {
	Keywords []string      // towns and other words that it is found by, not shown
	Beta     bool          // on trial
	Notice   protocol.Text // shown before the person leaves for it; nil: none
	Logo     string        // the path of its picture on our site; "": none
}

// State says whether a provider works. Its zero value is one that nobody has looked at
// yet: it is taken to work.
type State struct {
	Down  bool
	Since time.Time
}

// Kind sorts what can go wrong at a provider by what the person can do about it.
type Kind uint8

// The kinds of error.
const (
	Cancelled   Kind = iota + 1 // the person turned back there (access_denied)
	Refused                     // the provider answered with another error
	Unavailable                 // it cannot be reached, or answers too slowly
	Invalid                     // its answer does not verify: never believe any of it
	TooWeak                     // it signed her in below the level that was asked
	TooOld                      // its sign-in is older than max_age, or not the fresh one that was asked for
	BadIdentity                 // the identity is not what the provider owes: Err is an *identity.InvalidError
)

// Error is a failed sign-in at a provider. Its text names no claim value.
type Error struct {
	Provider protocol.ProviderID
	Kind     Kind
	Err      error
}

func (e *Error) Error() string { return "provider " + string(e.Provider) + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Entry is a provider in the directory.
type Entry struct {
	Description
	Provider
}

// Directory is the immutable list of providers, in the order of the configuration.
type Directory struct {
	order []Entry
	byID  map[protocol.ProviderID]Entry
	words map[protocol.ProviderID]string // what search looks in, folded
}

// NewDirectory makes a directory; ids are unique.
func NewDirectory(es ...Entry) *Directory {
	d := &Directory{order: es, byID: make(map[protocol.ProviderID]Entry, len(es)), words: make(map[protocol.ProviderID]string, len(es))}
	for _, e := range es {
		d.byID[e.ID], d.words[e.ID] = e, searchText(e.Description)
	}
	return d
}

// All returns the providers in order. The caller does not change the slice.
func (d *Directory) All() []Entry { return d.order }

// Get returns one provider, or false.
func (d *Directory) Get(id protocol.ProviderID) (Entry, bool) { e, ok := d.byID[id]; return e, ok }
