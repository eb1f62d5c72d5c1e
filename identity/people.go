package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Labels of derived values. Each is a secret function of its own; changing one
// changes every person or every subject.
const (
	personLabel   = "person"
	accountLabel  = "account"
	pairwiseLabel = "pairwise/v1"
)

// pairwiseVersion is the first byte of what a subject is derived from.
const pairwiseVersion = 1

// PeopleConfig is what NewPeople needs; all of it.
type PeopleConfig struct {
	Store      PersonStore
	Deriver    Deriver
	NewSealKey func() ([]byte, error) // a new wrapped key for a new person's audit entries
	Now        func() time.Time
}

// People finds the person behind an identity. Safe for concurrent use.
type People struct{ cfg PeopleConfig }

// NewPeople refuses a missing collaborator.
func NewPeople(cfg PeopleConfig) (*People, error) {
	if cfg.Store == nil || cfg.Deriver == nil || cfg.NewSealKey == nil || cfg.Now == nil {
		return nil, errors.New("identity: People needs a store, a deriver, seal keys and a clock")
	}
	return &People{cfg: cfg}, nil
}

// Resolve returns the person that a verified identity leads to, and makes one on
// first sight. A civil identity leads to the same person through every provider;
// it is checked here again, because an incomplete one would lead many people to
// one person. An account without civil identity is a person of its own, known by
// issuer and subject, and never linked to another by e-mail or name. An identity
// that the civil registry corrected leads to one person in both spellings, so that
// her subject stays what it was; ErrAmbiguous means that they led to two before. An
// *InvalidError means that the identity is no good; any other error means that
// we do not know, and that nobody is signed in.
func (p *People) Resolve(ctx context.Context, id Identity, issuer, subject string) (Person, error) {
	alias, err := p.alias(ctx, id, issuer, subject)
	if err != nil {
		return Person{}, fmt.Errorf("resolve person: %w", err)
	}
	candidate := Person{}
	rand.Read(candidate.ID[:])
	if candidate.SealKey, err = p.cfg.NewSealKey(); err != nil {
		return Person{}, fmt.Errorf("resolve person: %w", err)
	}
	var person Person
	if original, corrected := id.original(); corrected {
		var before [32]byte
		if before, err = p.alias(ctx, original, issuer, subject); err != nil {
			return Person{}, fmt.Errorf("resolve person: %w", err)
		}
		person, err = p.cfg.Store.JoinAliases(ctx, before, alias, candidate, p.cfg.Now())
	} else {
		person, err = p.cfg.Store.Resolve(ctx, alias, candidate, p.cfg.Now())
	}
	if err != nil {
		return Person{}, fmt.Errorf("resolve person: %w", err)
	}
	return person, nil
}

func (p *People) alias(ctx context.Context, id Identity, issuer, subject string) ([32]byte, error) {
	if !id.Civil {
		if issuer == "" || subject == "" {
			return [32]byte{}, errors.New("an account needs an issuer and a subject")
		}
		return p.cfg.Deriver.Derive(ctx, accountLabel, appendFields(nil, issuer, subject))
	}
	pivot, err := id.Pivot.Normalise(id.AsOf)
	if err != nil {
		return [32]byte{}, err
	}
	return p.cfg.Deriver.Derive(ctx, personLabel, pivot.Canonical())
}

// Confirm remembers that the civil registry has confirmed this person now.
func (p *People) Confirm(ctx context.Context, person PersonID) error {
	if err := p.cfg.Store.Confirm(ctx, person, p.cfg.Now()); err != nil {
		return fmt.Errorf("confirm person: %w", err)
	}
	return nil
}

// Confirmed is when the civil registry last confirmed the person of a civil
// identity; zero: never, or not for a year. It makes nobody. Like Confirm, it
// knows of persons and times only.
func (p *People) Confirmed(ctx context.Context, id Identity) (time.Time, error) {
	alias, err := p.alias(ctx, id, "", "")
	if err != nil {
		return time.Time{}, fmt.Errorf("look up confirmation: %w", err)
	}
	at, err := p.cfg.Store.Confirmed(ctx, alias)
	if err != nil {
		return time.Time{}, fmt.Errorf("look up confirmation: %w", err)
	}
	return at, nil
}

// Unconfirm forgets what Confirm remembered of the person of a civil identity: the
// registry now says otherwise.
func (p *People) Unconfirm(ctx context.Context, id Identity) error {
	alias, err := p.alias(ctx, id, "", "")
	if err == nil {
		err = p.cfg.Store.Unconfirm(ctx, alias)
	}
	if err != nil {
		return fmt.Errorf("forget confirmation: %w", err)
	}
	return nil
}

// PairwiseSub is what the services of one sector know the person by: the same in
// the sector, unlinkable across sectors, and not to be computed without the
// secret (OpenID Connect Core section 8.1). 43 characters of base64url.
func PairwiseSub(ctx context.Context, d Deriver, sector string, p PersonID) (Sub, error) {
	if sector == "" || p == (PersonID{}) {
		return "", errors.New("derive subject: it needs a sector and a person")
	}
	mac, err := d.Derive(ctx, pairwiseLabel, appendFields([]byte{pairwiseVersion}, sector, string(p[:])))
	if err != nil {
		return "", fmt.Errorf("derive subject: %w", err)
	}
	return Sub(base64.RawURLEncoding.EncodeToString(mac[:])), nil
}
