// Package identity owns what Voussoir knows of a person: the pivot identity and
// its canonical form, the person that it leads to, the pairwise subject that a
// service sees, facts derived from the identity (age thresholds), and Released,
// the minimised identity, which is the only form that provider can sign.
// It never stores an identity value and never decides what may be released; see
// policies for that, and docs/decisions/0007-canonical-form.md for how a person is
// recognised.
package identity

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// Pivot is the civil identity: the facts that make one person recognisable in
// the civil registry. Values are normalised (see Normalise) and validated.
type Pivot struct {
	GivenName    string // all birth first names, space separated
	FamilyName   string // birth name
	Birthdate    string // YYYY-MM-DD; -00 for an unknown day, -00-00 for an unknown day and month
	Gender       string // male | female | unspecified
	Birthplace   string // INSEE COG code of the commune, empty when born abroad
	Birthcountry string // INSEE COG code of the country; France is 99100
}

// Identity is everything that an identity provider told us of a person, after
// verification and normalisation. It lives in a sealed flow or session only.
type Identity struct {
	Pivot             Pivot
	Original          *Pivot `json:",omitempty"` // what the provider said, where the civil registry corrected it; nil: Pivot
	Civil             bool   // false: an account without civil identity; Pivot may be empty
	PreferredUsername string
	Email             string
	EmailVerified     bool
	Residence         Residence `json:",omitempty"`
	Provider          protocol.ProviderID
	AMR               []string
	AsOf              time.Time // when it was verified: derived facts hold on this day (UTC)
}

// redacted is what logs and error texts get in place of a person's data. It
// guards against the honest mistake of printing a whole struct; %#v still shows
// everything, for failing tests.
const redacted = "[redacted]"

// String and LogValue keep the values out of logs and errors.
func (p Pivot) String() string       { return redacted }
func (p Pivot) LogValue() slog.Value { return slog.StringValue(redacted) }

// String and LogValue keep the values out of logs and errors.
func (id Identity) String() string       { return redacted }
func (id Identity) LogValue() slog.Value { return slog.StringValue(redacted) }

// PersonID is random and means nothing outside the records.
type PersonID [16]byte

// String is the id in hexadecimal, as the audit log's personal part has it.
func (id PersonID) String() string { return hex.EncodeToString(id[:]) }

// ParsePersonID reads what String wrote.
func ParsePersonID(s string) (PersonID, error) {
	var id PersonID
	if b, err := hex.DecodeString(s); err != nil || copy(id[:], b) != len(id) || len(b) != len(id) || id == (PersonID{}) {
		return PersonID{}, errors.New("not a person id")
	}
	return id, nil
}

// Person is a row of the records. SealKey is the person's own key for the
// personal part of audit entries, wrapped by keys; destroying it erases them.
type Person struct {
	ID      PersonID
	SealKey []byte
}

// Sub is a pairwise subject identifier (OpenID Connect Core section 8.1).
type Sub string

// Deriver computes HMAC-SHA-256 of msg under a secret of its own per label. The
// secret never leaves keys.
type Deriver interface {
	Derive(ctx context.Context, label string, msg []byte) ([32]byte, error)
}

// ErrAmbiguous: two digests that should lead to one person lead to two. It is a
// matter for a human being, never for a merge.
var ErrAmbiguous = errors.New("the aliases lead to two persons")

// PersonStore finds persons by digest. It is durable.
type PersonStore interface {
	// Resolve returns the person that alias belongs to. If there is none it
	// stores candidate with this alias and returns candidate. Of concurrent calls
	// with one alias all return the same person.
	Resolve(ctx context.Context, alias [32]byte, candidate Person, now time.Time) (Person, error)
	// JoinAliases makes both aliases lead to one person and returns her: the one to whom one
	// of them leads already, or else candidate. If they lead to two persons it returns
	// ErrAmbiguous and changes nothing.
	JoinAliases(ctx context.Context, a, b [32]byte, candidate Person, now time.Time) (Person, error)
	// Confirm remembers that the civil registry confirmed a person at this time, and
	// nothing else of it, for at most 366 days. An earlier time than the one
	// remembered changes nothing.
	Confirm(ctx context.Context, id PersonID, at time.Time) error
	// Confirmed returns that time for the person whom alias leads to; zero when there
	// is none, or nobody.
	Confirmed(ctx context.Context, alias [32]byte) (time.Time, error)
	// Unconfirm forgets it. No error when there is nothing to forget.
	Unconfirm(ctx context.Context, alias [32]byte) error
}
