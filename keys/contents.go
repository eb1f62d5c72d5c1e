package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/voussoir-id/voussoir/audit"
)

// State is where a signing key stands in its life.
type State string

// The states. All but revoked keys are published; a retired one until its
// retention has passed. Private parts of retired and revoked keys are destroyed.
const (
	Next    State = "next"    // published, so that services know it before it signs
	Active  State = "active"  // signs
	Retired State = "retired" // what it signed still verifies
	Revoked State = "revoked" // what it signed verifies no more
)

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
	State     State     `json:"state"`
	Public    []byte    `json:"public"`            // PKIX
	Private   []byte    `json:"private,omitempty"` // PKCS #8, while next or active
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

// complete generates what is missing for algs.
func (c *contents) complete(algs []string, now time.Time) error {
	if c.Derivation == nil {
		c.Derivation = newSecret()
		c.note(audit.KeyGenerated, "derivation")
	}
	if c.Sealing == nil {
		c.Sealing = [][]byte{newSecret()}
		c.note(audit.KeyGenerated, "sealing")
	}
	for _, alg := range algs {
		for _, s := range []State{Active, Next} {
			if c.find(alg, s) != nil {
				continue
			}
			k, err := generate(alg)
			if err != nil {
				return err
			}
			k.start(s, now)
			c.Signing = append(c.Signing, k)
			c.note(audit.KeyGenerated, k.KID)
		}
	}
	return nil
}

func (c *contents) rotate(alg string, now time.Time) error {
	active := c.find(alg, Active)
	if active == nil {
		return fmt.Errorf("rotate %s: %w", alg, ErrNoKey)
	}
	active.end(Retired, now)
	return c.promote(alg, now)
}

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
		switch was {
		case Active:
			return c.promote(k.Alg, now)
		case Next:
			return c.complete([]string{k.Alg}, now)
		}
		return nil
	}
	return fmt.Errorf("revoke: %w", ErrNoKey)
}

// promote makes the next key the active one and generates its successor.
func (c *contents) promote(alg string, now time.Time) error {
	if next := c.find(alg, Next); next != nil {
		next.start(Active, now)
		c.note(audit.KeyRotated, next.KID)
	}
	return c.complete([]string{alg}, now)
}

func (c *contents) find(alg string, s State) *signingKey {
	for i := range c.Signing {
		if k := &c.Signing[i]; k.Alg == alg && k.State == s {
			return k
		}
	}
	return nil
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
	k.State, k.Private, k.Ended = s, nil, now.UTC().Truncate(time.Second)
}

func newSecret() []byte {
	s := make([]byte, 32)
	rand.Read(s)
	return s
}
