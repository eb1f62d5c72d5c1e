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
	Civil             bool // false: an account without civil identity; Pivot may be empty
	PreferredUsername string
	Email             string
	EmailVerified     bool
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

// ErrAmbiguous: a digest leads to another person already. It is a matter for a
// human being, never for a merge.
var ErrAmbiguous = errors.New("the alias leads to another person")

// PersonStore finds persons by digest. It is durable.
type PersonStore interface {
	// Resolve returns the person that alias belongs to. If there is none it
	// stores candidate with this alias and returns candidate. Of concurrent calls
	// with one alias all return the same person.
	Resolve(ctx context.Context, alias [32]byte, candidate Person, now time.Time) (Person, error)
	// AddAlias makes alias lead to id as well. If alias already leads to another
	// person it returns ErrAmbiguous and changes nothing.
	AddAlias(ctx context.Context, alias [32]byte, id PersonID, now time.Time) error
}
