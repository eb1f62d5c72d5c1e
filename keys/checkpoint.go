package keys

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// NoteSigning is the algorithm of the keys for checkpoints (ForCheckpoints): Ed25519
// over a signed note (C2SP signed-note). They are keys of the file: never in a
// signer, which has no Ed25519, never in a JWKS, and they never sign a JWS. A note
// begins with the log's origin, a JWS with base64url of a brace, so that neither
// passes for the other.
const NoteSigning = "NOTE-Ed25519"

// notary signs notes.
type notary struct {
	kid     string
	private ed25519.PrivateKey
}

// notarise makes k the key that signs checkpoints.
func (h *holding) notarise(k signingKey) error {
	if h.notary != nil {
		return errors.New("a second active key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return errors.New("private key malformed")
	}
	if id, err := thumbprint(private.Public()); err != nil || id != k.KID {
		return errors.New("private and public key differ")
	}
	h.notary = &notary{kid: k.KID, private: private}
	return nil
}

// Notary is the ring as the audit log's tree needs it: it signs the checkpoints of
// one log. Safe for concurrent use.
type Notary struct {
	r    *Ring
	name string
}

// Notary returns the signer of the log whose checkpoints have this origin. Keys
// have the origin as their name (C2SP tlog-checkpoint).
func (r *Ring) Notary(origin string) *Notary { return &Notary{r: r, name: origin} }

// SignNote signs text, which ends in a newline, with the active key.
func (n *Notary) SignNote(ctx context.Context, text string) ([]byte, error) {
	h, err := n.r.holding(ctx)
	if err != nil {
		return nil, err
	}
	if h.notary == nil {
		return nil, fmt.Errorf("sign a checkpoint: %w", ErrNoKey)
	}
	signer, err := h.notary.signer(n.name)
	if err != nil {
		return nil, fmt.Errorf("keys: sign a checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("keys: sign a checkpoint: %w", err)
	}
	return signed, nil
}

// Refresh takes over what other processes have done to the keys. After it the key
// that signs is at least as new as any change that is on record.
func (n *Notary) Refresh(ctx context.Context) error { return n.r.Reload(ctx) }

// NoteKey is the public half of a key for checkpoints.
type NoteKey struct {
	Description
	Verifier string // in the encoding of C2SP signed-note: name, id and key
}

// Keys lists the keys that sign, signed or are to sign checkpoints, oldest first.
func (n *Notary) Keys() ([]NoteKey, error) {
	h, err := n.r.holding(context.Background())
	if err != nil {
		return nil, err
	}
	var list []NoteKey
	for _, k := range h.contents.Signing {
		if k.Use != ForCheckpoints {
			continue
		}
		parsed, err := x509.ParsePKIXPublicKey(k.Public)
		public, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("keys: key %s: public key malformed", k.KID)
		}
		v, err := note.NewEd25519VerifierKey(n.name, public)
		if err != nil {
			return nil, fmt.Errorf("keys: key %s: %w", k.KID, err)
		}
		list = append(list, NoteKey{k.describe(), v})
	}
	return list, nil
}

// signer is the key under the name of a log.
func (k *notary) signer(name string) (note.Signer, error) {
	public, ok := k.private.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return noteSigner{v, k.private}, nil
}

// noteSigner is a note.Signer over a key that never becomes a string.
type noteSigner struct {
	note.Verifier
	private ed25519.PrivateKey
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.private, msg), nil }
