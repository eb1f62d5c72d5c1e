// Package registry asks the civil registry whether an identity that a provider
// gave is that of a living person, and how the registry writes it. It says what the
// registry said (Outcome) and nothing more: what follows from it is policy. An
// identity is sent in the body of a POST over TLS, never in a URL, and no value of
// it is ever in an error or a log. It keeps nothing.
//
// Start with Registry; http.go is the adapter for a registry behind HTTP.
package registry

import (
	"context"
	"log/slog"

	"github.com/voussoir-id/voussoir/identity"
)

// Outcome is what the registry said. The zero value is none.
type Outcome string

// The outcomes.
const (
	Exact       Outcome = "exact"       // this person, written like this
	Corrected   Outcome = "corrected"   // this person, written otherwise: see Result.Identity
	Several     Outcome = "several"     // more than one person could be meant
	None        Outcome = "none"        // nobody is known
	Refused     Outcome = "refused"     // the registry will not say
	Deceased    Outcome = "deceased"    // this person is dead
	Unavailable Outcome = "unavailable" // the registry did not answer, or not as agreed: nobody knows
)

// Result is an answer of the registry.
type Result struct {
	Outcome  Outcome
	Identity identity.Pivot // normalised; what the registry has, when Outcome is Exact or Corrected
}

// String and LogValue keep the identity out of logs and errors.
func (r Result) String() string       { return string(r.Outcome) }
func (r Result) LogValue() slog.Value { return slog.StringValue(string(r.Outcome)) }

// Registry asks. Implementations are safe for concurrent use and bound the time
// that they take.
type Registry interface {
	// Check never fails: that nobody could be asked is the outcome Unavailable. err
	// then says why, for the operator, and names no value; otherwise it is nil.
	Check(ctx context.Context, p identity.Pivot) (r Result, err error)
}
