package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// State is where a signing key stands in its life.
type State string

// The states. All but revoked keys are published; a retired one until its
// retention has passed. Private parts of retired and revoked keys are destroyed,
// those of retired decryption keys a little later.
const (
	Next    State = "next"    // published, so that services know it before it signs
	Active  State = "active"  // signs
	Retired State = "retired" // what it signed still verifies
	Revoked State = "revoked" // what it signed verifies no more
)

// Use is what a key is for. A signature that was made for one use never passes for
// another: nobody who verifies knows the keys of both.
type Use string

// The uses.
const (
	ForServices  Use = ""          // tokens and answers for services, published at /jwks
	ForProviders Use = "providers" // our client assertions towards identity providers
	ForSAML      Use = "saml"      // see saml.go; never in a JWKS, never in a signer
	// ForDecryption keys sign nothing: identity providers encrypt to the active one,
	// which alone is published, beside the keys of ForProviders. Next and retired ones
	// decrypt too; see DecryptsFor.
	ForDecryption Use = "decryption"
)

// slot is where one key is active and one is next.
type slot struct {
	use Use
	alg string
}

// maker makes a key for an algorithm, not in any slot yet. c is asked which keys
// are known already.
type maker func(c *contents, alg string) (signingKey, error)

// contents is what the key file holds. The JSON names are part of its format.
type contents struct {
	// Derivation is never replaced: every person and every subject is derived
	// from it.
	Derivation []byte       `json:"derivation"`
	Sealing    [][]byte     `json:"sealing"` // newest first; it seals, all of them open
	Signing    []signingKey `json:"signing"`
	Unrecorded []happening  `json:"unrecorded,omitempty"` // see Ring.AuditTo
}

type signingKey struct {
	KID       string    `json:"kid"`
	Alg       string    `json:"alg"`
	Use       Use       `json:"use,omitempty"`
	State     State     `json:"state"`
	Public    []byte    `json:"public"`            // PKIX
	Private   []byte    `json:"private,omitempty"` // PKCS #8, while next or active (or it may still decrypt); none if InSigner
	InSigner  bool      `json:"signer,omitempty"`  // the private part lies in the signer; of an ended key: still
	Created   time.Time `json:"created"`
	Activated time.Time `json:"activated,omitzero"`
	Ended     time.Time `json:"ended,omitzero"` // retired or revoked
}

// happening is an audit entry to be.
type happening struct {
	Kind   audit.Kind `json:"kind"`
	Object string     `json:"object"` // key id, or which secret
}

// parseContents reads what encode wrote; nil is the beginning of a new file.
// Whether it makes sense is for newHolding to say.
func parseContents(plain []byte) (contents, error) {
	var c contents
	if plain == nil {
		return c, nil
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields() // of a later version, whose meaning we would drop
	if err := d.Decode(&c); err != nil {
		return contents{}, errors.New("contents malformed") // the cause could quote a key
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return contents{}, errors.New("contents malformed")
	}
	return c, nil
}

func (c contents) encode() ([]byte, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, errors.New("keys: contents cannot be written")
	}
	return plain, nil
}

// secrets generates those that are missing.
func (c *contents) secrets() {
	if c.Derivation == nil {
		c.Derivation = newSecret()
		c.note(audit.KeyGenerated, "derivation")
	}
	if c.Sealing == nil {
		c.Sealing = [][]byte{newSecret()}
		c.note(audit.KeyGenerated, "sealing")
	}
}

// complete makes the keys that are missing in slots. Where a signer is to hold
// the keys, a next key whose private part lies in the file makes room for one that
// the signer holds: it has never signed anything.
func (c *contents) complete(slots []slot, make maker, inSigner bool, now time.Time) error {
	for _, at := range slots {
		for _, s := range []State{Active, Next} {
			old := c.find(at, s)
			if old != nil && (s == Active || !inSigner || old.InSigner) {
				continue
			}
			k, err := make(c, at.alg)
			if err != nil {
				return err
			}
			if old != nil {
				old.end(Revoked, now)
				c.note(audit.KeyRevoked, old.KID)
			}
			k.Use = at.use
			k.start(s, now)
			c.Signing = append(c.Signing, k)
			c.note(audit.KeyGenerated, k.KID)
		}
	}
	return nil
}

// rotate retires the active key and makes the next one active. The slot then
// lacks a next key, which complete makes.
func (c *contents) rotate(at slot, now time.Time) error {
	active := c.find(at, Active)
	if active == nil {
		return fmt.Errorf("rotate %s: %w", at.alg, ErrNoKey)
	}
	if c.find(at, Next) == nil { // it could not be made yet; one of now would be known to nobody
		return fmt.Errorf("rotate %s: %w: there is no next key yet", at.alg, ErrUnavailable)
	}
	active.end(Retired, now)
	c.promote(at, now)
	return nil
}

// revoke ends a key; what its slot then lacks is for complete to make.
func (c *contents) revoke(kid string, now time.Time) error {
	for i := range c.Signing {
		k := &c.Signing[i]
		if k.KID != kid {
			continue
		}
		was := k.State
		if was == Revoked {
			return nil
		}
		k.end(Revoked, now)
		c.note(audit.KeyRevoked, kid)
		if was == Active {
			c.promote(slot{k.Use, k.Alg}, now)
		}
		return nil
	}
	return fmt.Errorf("revoke: %w", ErrNoKey)
}

// promote makes the next key, if there is one, the active one.
func (c *contents) promote(at slot, now time.Time) {
	if next := c.find(at, Next); next != nil {
		next.start(Active, now)
		c.note(audit.KeyRotated, next.KID)
	}
}

func (c *contents) find(at slot, s State) *signingKey {
	for i := range c.Signing {
		if k := &c.Signing[i]; k.Alg == at.alg && k.Use == at.use && k.State == s {
			return k
		}
	}
	return nil
}

func (c *contents) has(kid string) bool {
	return slices.ContainsFunc(c.Signing, func(k signingKey) bool { return k.KID == kid })
}

// slots are those that have an active or a next key.
func (c *contents) slots() []slot {
	var list []slot
	for _, k := range c.Signing {
		if at := (slot{k.Use, k.Alg}); (k.State == Active || k.State == Next) && !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

func (c *contents) note(kind audit.Kind, object string) {
	c.Unrecorded = append(c.Unrecorded, happening{Kind: kind, Object: object})
}

func (c *contents) events() []audit.Event {
	events := make([]audit.Event, len(c.Unrecorded))
	for i, h := range c.Unrecorded {
		events[i].Public = audit.Public{Kind: h.Kind, Object: h.Object, Outcome: "ok"}
	}
	return events
}

func (k *signingKey) start(s State, now time.Time) {
	k.State = s
	if k.Created.IsZero() {
		k.Created = now.UTC().Truncate(time.Second)
	}
	if s == Active {
		k.Activated = now.UTC().Truncate(time.Second)
	}
}

func (k *signingKey) end(s State, now time.Time) {
	if s != Retired || k.Use != ForDecryption { // what is on its way to us is encrypted to the old key
		k.Private = nil
	}
	k.State, k.Ended = s, now.UTC().Truncate(time.Second)
}

func newSecret() []byte {
	s := make([]byte, 32)
	rand.Read(s)
	return s
}
