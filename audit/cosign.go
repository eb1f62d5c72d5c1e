package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// algCosignature is the signature type of an Ed25519 cosignature (C2SP
// tlog-cosignature, Format).
const algCosignature = 0x04

// maxWitnessName is how long the name of a witness may be, in bytes.
const maxWitnessName = 100

// WitnessKey is the name and key of a witness: somebody else, who signs a checkpoint
// after seeing that it goes on from the one they signed before (C2SP
// tlog-cosignature). It is a note.Verifier of its cosignatures, version 1.
type WitnessKey struct {
	text, name string
	hash       uint32
	key        ed25519.PublicKey
}

var _ note.Verifier = WitnessKey{}

// ParseWitnessKey reads a key in the encoding of C2SP signed-note, name+id+key, of
// the type of Ed25519 cosignatures.
func ParseWitnessKey(text string) (WitnessKey, error) {
	name, rest, _ := strings.Cut(text, "+")
	id, encoded, ok := strings.Cut(rest, "+")
	if !ok || name == "" || len(name) > maxWitnessName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsSpace) {
		return WitnessKey{}, errors.New("audit: a witness's key is written NAME+ID+KEY")
	}
	hash, err := strconv.ParseUint(id, 16, 32)
	b, bad := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil || len(id) != 8 || bad != nil || len(b) == 0:
		return WitnessKey{}, errors.New("audit: a witness's key is written NAME+ID+KEY")
	case b[0] == 0x01:
		return WitnessKey{}, errors.New("audit: this is the key of a log, not of a witness")
	case b[0] != algCosignature || len(b) != 1+ed25519.PublicKeySize:
		return WitnessKey{}, errors.New("audit: this is not a key for Ed25519 cosignatures (type 4)")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), b...))
	if binary.BigEndian.Uint32(sum[:]) != uint32(hash) {
		return WitnessKey{}, errors.New("audit: the id in a witness's key is not the one of its name and key")
	}
	return WitnessKey{text: text, name: name, hash: uint32(hash), key: b[1:]}, nil
}

// Name implements note.Verifier.
func (k WitnessKey) Name() string { return k.name }

// KeyHash implements note.Verifier.
func (k WitnessKey) KeyHash() uint32 { return k.hash }

// String is the text that ParseWitnessKey read.
func (k WitnessKey) String() string { return k.text }

// Same reports whether two are one witness: the name or the key is the same. A
// cosignature does not say whose name it was made under.
func (k WitnessKey) Same(other WitnessKey) bool {
	return k.name == other.name || k.key.Equal(other.key)
}

// Verify implements note.Verifier: sig is a time, eight bytes big endian, and the
// signature over a header, that time and msg.
func (k WitnessKey) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	if at == 0 || at > math.MaxInt64 {
		return false
	}
	return ed25519.Verify(k.key, cosigned(msg, at), sig[8:])
}

// cosigned is what a cosignature signs.
func cosigned(msg []byte, at uint64) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), msg...)
}

// Cosignature says that a witness saw, at Time by its own clock, that the
// checkpoint goes on from every one that it signed before.
type Cosignature struct {
	Witness string    `json:"witness"` // its name
	Time    time.Time `json:"time"`

	line string // in the note
}

// Cosignatures returns those of the witnesses that are on a checkpoint and hold, in
// the order of the keys. One that does not hold is as if it were not there; whether
// the log signed is not looked at.
func Cosignatures(signed []byte, keys []WitnessKey) []Cosignature {
	if len(signed) > maxNote {
		return nil
	}
	var out []Cosignature
	for _, k := range keys {
		n, err := note.Open(signed, note.VerifierList(k))
		if err != nil || len(n.Sigs) != 1 {
			continue
		}
		b, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
		if err != nil {
			continue
		}
		at := time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0).UTC() //nolint:gosec // Verify looked at its size
		out = append(out, Cosignature{Witness: k.name, Time: at, line: "— " + k.name + " " + n.Sigs[0].Base64 + "\n"})
	}
	return out
}

// Quorum is which witnesses count for whoever verifies, and how many of them must
// have signed.
type Quorum struct {
	Keys []WitnessKey
	Need int
}

// Met returns the cosignatures on a checkpoint, and an error when they are too few.
func (q Quorum) Met(signed []byte) ([]Cosignature, error) {
	found := Cosignatures(signed, q.Keys)
	if len(found) < q.Need {
		return found, fmt.Errorf("the checkpoint has %d cosignatures of the %d witnesses, and needs %d", len(found), len(q.Keys), q.Need)
	}
	return found, nil
}
