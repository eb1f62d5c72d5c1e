// Package keys is the only room that sees private keys and derivation secrets.
// It signs, derives, seals, rotates and publishes; it also reads the public keys
// of others (Remote). No key or secret ever leaves it, and none appears in an
// error or a log line. Start with Ring; vault.go is how a ring rests on disk, and
// external.go how its private keys lie in a signer (room signer) instead.
package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/failpoint"
)

// Errors that a caller may want to tell apart. ErrClosed: the ring was closed.
// ErrNoKey: no key of that algorithm or with that id. ErrSealed: what was to be
// opened is not ours, was altered, or was sealed for another purpose.
var (
	ErrClosed = errors.New("keys: the ring is closed")
	ErrNoKey  = errors.New("keys: no such key")
	ErrSealed = errors.New("keys: cannot be opened")
)

// Config is what Open needs.
type Config struct {
	// File is the key file. Its directory must exist and be writable: beside it
	// lies File.lock, which processes hold while they change the file.
	File string
	// Secret encrypts the file; at least 32 random bytes, see LoadOrCreateSecret.
	Secret []byte
	// MustExist refuses to begin with a new file. Set it when the records hold
	// persons: with new secrets each of them would get a new subject everywhere.
	MustExist bool
	// Algs are the signature algorithms to have keys for: ES256, EdDSA, PS256,
	// RS256. One that the file lacks is added; others in the file stay published.
	Algs []string
	// ProviderAlgs are the algorithms of our client assertions towards identity
	// providers, which have keys of their own. Default: none.
	ProviderAlgs []string
	// SAML is whether to have the keys for SAML providers, SAMLSigning and
	// SAMLDecryption. These keys are always in the file.
	SAML bool
	// DecryptionAlgs are the algorithms that identity providers encrypt to us with:
	// ECDH-ES, RSA-OAEP-256. These keys are always in the file. Default: none.
	DecryptionAlgs []string
	// Signer, if not nil, holds the private parts of all other keys that are made
	// from now on; it has no EdDSA. The secrets for deriving and sealing stay in the
	// file. It need not be reachable: what it does not answer fails with
	// ErrUnavailable, and keys that are missing are made by a later Reload.
	Signer Signer
	// Retention is how long a retired key stays in the JWKS; at least as long as
	// the longest life of what it signed. Default 30 days.
	Retention time.Duration
	Now       func() time.Time
}

// String and LogValue keep the secret out of logs and errors.
func (c Config) String() string       { return "keys for " + c.File }
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Recorder takes the audit entries of the ring. Implemented by audit.Log.
type Recorder interface {
	Append(ctx context.Context, e ...audit.Event) (audit.Receipt, error)
}

// slots are those that the ring must fill.
func (c Config) slots() []slot {
	var saml []string
	if c.SAML {
		saml = samlAlgorithms()
	}
	var list []slot
	for _, of := range []struct {
		use  Use
		algs []string
	}{{ForServices, c.Algs}, {ForProviders, c.ProviderAlgs}, {ForDecryption, c.DecryptionAlgs}, {ForSAML, saml}} {
		for _, alg := range of.algs {
			list = append(list, slot{of.use, alg})
		}
	}
	return list
}

// Ring is the set of keys and secrets. It is safe for concurrent use, and
// several processes may share one file: each change is made to the file as it is
// then, under its lock. A process learns of the others' changes by Reload.
type Ring struct {
	cfg   Config
	vault vault
	held  atomic.Pointer[holding] // nil once closed
	down  atomic.Bool             // the signer failed when it was last asked for a signature

	change sync.Mutex // held while the file is being changed; guards what follows
	log    Recorder   // nil until AuditTo
	closed bool
}

// String and LogValue keep everything that the ring holds out of logs and errors.
func (r *Ring) String() string       { return r.cfg.String() }
func (r *Ring) LogValue() slog.Value { return r.cfg.LogValue() }

// Open reads the key file, or begins one, and adds what it lacks. It never
// overwrites a file that it cannot read in full.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	if cfg.File == "" || len(cfg.Secret) < minSecret || len(cfg.Algs) == 0 || cfg.Now == nil || cfg.Retention < 0 {
		return nil, errors.New("keys: a ring needs a file, a secret of 32 bytes, algorithms and a clock")
	}
	for _, at := range cfg.slots() {
		if !usable(at.use, at.alg) {
			return nil, fmt.Errorf("keys: unknown algorithm %q", at.alg)
		}
		if cfg.Signer != nil && !at.use.inFile() && !inSigners(at.alg) {
			return nil, fmt.Errorf("keys: a signer does not sign with %s", at.alg)
		}
	}
	if cfg.Retention == 0 {
		cfg.Retention = 30 * 24 * time.Hour
	}
	r := &Ring{cfg: cfg, vault: vault{file: cfg.File, secret: slices.Clone(cfg.Secret), mustExist: cfg.MustExist}}
	r.cfg.Secret = nil // the vault has its own
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	r.change.Lock()
	r.vault.mustExist = true
	r.change.Unlock()
	return r, nil
}

// Reload takes over what another process has changed in the file, and makes up
// for what the signer could not do when it was not there.
func (r *Ring) Reload(ctx context.Context) error {
	return r.edit(ctx, func(c *contents) error {
		c.secrets()
		c.forget(r.cfg.Now())
		return r.fill(ctx, c, r.cfg.slots())
	})
}

// AuditTo records in log every generation, rotation and revocation of a key that
// is not yet on record, and from then on each one when it happens.
//
// The log needs the ring to seal its entries, so the first keys are older than
// any log. Therefore what happened lies in the key file, written together with
// the change that it tells of, until the log has it: nothing is lost in a crash,
// though an entry can be there twice after one.
func (r *Ring) AuditTo(ctx context.Context, log Recorder) error {
	r.change.Lock()
	r.log = log
	r.change.Unlock()
	return r.Reload(ctx)
}

// Rotate makes the next key of use and alg the active one, retires the active
// one, whose private part is destroyed (one that decrypts: after DecryptsFor), and
// publishes a new next key. Services
// must have had time to see the next key: leave twice the JWKS's cache time
// between two rotations. Nothing changes while the signer that is to make the new
// key cannot be reached.
func (r *Ring) Rotate(ctx context.Context, use Use, alg string) error {
	return r.edit(ctx, func(c *contents) error {
		at := slot{use, alg}
		if err := c.rotate(at, r.cfg.Now()); err != nil {
			return err
		}
		sign, file := apart([]slot{at})
		if err := c.complete(file, generate, false, r.cfg.Now()); err != nil {
			return err
		}
		return c.complete(sign, r.maker(ctx), r.cfg.Signer != nil, r.cfg.Now())
	})
}

// PublishedFor is how long a key is published before it should sign, so that
// whoever keeps our keys for a day has it.
const PublishedFor = 24 * time.Hour

// KnownFrom is when everybody knows the next key of use and alg, so that Rotate
// makes no verification fail; zero when there is none, and for keys that decrypt:
// the old one still does.
func (r *Ring) KnownFrom(use Use, alg string) (at time.Time) {
	if use == ForDecryption {
		return time.Time{}
	}
	for _, k := range r.Keys() {
		if k.Alg == alg && k.Use == use && k.State == Next {
			at = k.Created.Add(PublishedFor)
		}
	}
	return at
}

// Revoke withdraws a key from the JWKS at once and destroys its private part.
// The next key takes the place of an active one. Revoking a key again changes
// nothing. It is in force even if the signer cannot be reached: what is missing
// then, a new next key and the end of the private part, is made up for by Reload.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	return r.edit(ctx, func(c *contents) error {
		slots := c.slots()
		if err := c.revoke(kid, r.cfg.Now()); err != nil {
			return err
		}
		return r.fill(ctx, c, slots)
	})
}

// fill makes what is missing in slots, as far as the signer can be reached: first
// those of the file, which need none.
func (r *Ring) fill(ctx context.Context, c *contents, slots []slot) error {
	sign, file := apart(slots)
	if err := c.complete(file, generate, false, r.cfg.Now()); err != nil {
		return err
	}
	if r.cfg.Signer != nil {
		sign = slices.DeleteFunc(sign, func(at slot) bool { return !inSigners(at.alg) })
	}
	err := c.complete(sign, r.maker(ctx), r.cfg.Signer != nil, r.cfg.Now())
	if r.cfg.Signer != nil && errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		return nil // Ready says so, and the next Reload tries again
	}
	return err
}

// OnRecord reports whether the log of AuditTo has everything that happened to
// the keys: false on a first start until then, and never again false for long.
func (r *Ring) OnRecord() bool {
	h := r.held.Load()
	return h != nil && len(h.contents.Unrecorded) == 0
}

// Close forgets the keys. Calls that are under way may still succeed.
func (r *Ring) Close() {
	r.change.Lock()
	defer r.change.Unlock()
	r.closed = true
	r.held.Store(nil)
}

// edit makes one change to the file and to what the ring holds. A change that is
// in the file but could not be recorded is in force all the same, and an error:
// the next edit records it.
func (r *Ring) edit(ctx context.Context, do func(*contents) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	r.change.Lock()
	defer r.change.Unlock()
	if r.closed {
		return ErrClosed
	}
	return withLock(r.vault.file, func() error {
		plain, err := r.vault.read()
		if err != nil {
			return err
		}
		c, err := parseContents(plain)
		if err != nil {
			return fmt.Errorf("key file %s: %w", r.vault.file, err)
		}
		if h := r.held.Load(); h != nil && !bytes.Equal(h.contents.Derivation, c.Derivation) {
			// From one moment to the next everybody would have another subject.
			return fmt.Errorf("key file %s: another key file has taken its place", r.vault.file)
		}
		if err := do(&c); err != nil {
			return err
		}
		if plain, err = r.keep(c, plain); err != nil {
			return err
		}
		failpoint.Here("keys.after-keep")
		return r.follow(ctx, c, plain)
	})
}

// follow does what comes after a change that is in the file: its audit entries,
// and the end of private parts in the signer. What fails is left to the next edit.
func (r *Ring) follow(ctx context.Context, c contents, plain []byte) error {
	record := r.log != nil && len(c.Unrecorded) > 0
	if record {
		if _, err := r.log.Append(ctx, c.events()...); err != nil {
			return fmt.Errorf("keys: record what happened: %w", err)
		}
		c.Unrecorded = nil
	}
	if destroyed := r.destroyEnded(ctx, &c); !record && !destroyed {
		return nil
	}
	_, err := r.keep(c, plain)
	return err
}

// keep writes c, unless that is what the file says already, and then holds it.
func (r *Ring) keep(c contents, was []byte) ([]byte, error) {
	h, err := r.newHolding(c, r.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", r.vault.file, err)
	}
	plain, err := c.encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(plain, was) {
		if err := r.vault.write(plain); err != nil {
			return nil, err
		}
	}
	r.held.Store(h)
	return plain, nil
}
