// Package registration lets services register themselves by API: OpenID Connect
// Dynamic Client Registration 1.0, RFC 7591, and RFC 7592 for what comes after.
// Nobody does so without an initial access token, and the token decides under
// which policy: open registration does not exist. It owns the tokens, secrets and
// metadata of registered services, and never judges a redirect URI or a key: that is
// for the one who checks the configuration, so that there is one set of rules.
//
// Read metadata.go for what a service may say, service.go for what happens then.
package registration

import (
	"context"
	"errors"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/protocol"
)

// Registration is a service that registered by API, as it rests in the store.
type Registration struct {
	ID       protocol.ClientID
	Initial  string    // id of the initial access token that it came with
	Issued   time.Time // to the microsecond, as is Changed
	Changed  time.Time
	Metadata []byte   // JSON object: what it registered, as it holds
	Secret   []byte   // SHA-256 of its secret, 32 bytes; nil: it has none
	Access   [32]byte // SHA-256 of its registration access token
}

// Token is an initial access token: whoever has it may register services.
type Token struct {
	ID      string
	SHA256  [32]byte
	Max     int       // how many of its services there may be at a time
	Expires time.Time // from then on nobody registers with it; zero: never
}

// What a Store answers besides errors of its own.
var (
	// ErrFull: there are as many services of this initial access token as may be.
	ErrFull = errors.New("registration: no more services with this token")
	// ErrUnknown: there is no such registration.
	ErrUnknown = errors.New("registration: unknown")
)

// Store keeps registrations, each change together with its audit entry, all or
// nothing, durable when it returns nil. Any error but ErrFull and ErrUnknown means
// that the outcome is not known. Safe for concurrent use.
type Store interface {
	// AddRegistration adds r, whose id must be new. Of concurrent calls no more than
	// limit services of one initial token come to be; the others get ErrFull.
	AddRegistration(ctx context.Context, r Registration, limit int, e audit.Entry) error
	// ReplaceRegistration replaces Changed, Metadata and Secret of the registration
	// with this id, or returns ErrUnknown.
	ReplaceRegistration(ctx context.Context, r Registration, e audit.Entry) error
	// RemoveRegistration forgets it, or returns ErrUnknown.
	RemoveRegistration(ctx context.Context, id protocol.ClientID, e audit.Entry) error
	// Registrations lists them all, oldest first.
	Registrations(ctx context.Context) ([]Registration, error)
}

// Book is the broker's list of services. Implemented by cmd/voussoir.
type Book interface {
	// Tokens are the initial access tokens of the current configuration. The caller
	// does not change them.
	Tokens() []Token
	// Find returns a registration that is in force: not one whose initial token is
	// no longer in the configuration.
	Find(id protocol.ClientID) (Registration, bool)
	// Check says whether r would do as a service of the configuration, and returns
	// its metadata without what would be of no effect. Its *protocol.Error is in the
	// words of RFC 7591 section 3.2.2 and holds no value of the metadata.
	Check(r Registration) (Metadata, error)
	// Put checks r again, calls write, and puts the service in force, at once for
	// requests that begin from then on. Nothing happens when write fails.
	Put(r Registration, write func() error) error
	// Drop calls write and takes the service out of force.
	Drop(id protocol.ClientID, write func() error) error
}

// Recorder makes audit entries. Implemented by audit.Log.
type Recorder interface {
	Prepare(e audit.Event) (audit.Entry, error)
}
