package audit

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// saltSize is how many random bytes stand in front of the sealed part.
const saltSize = 32

// Version says what the tree shows of an entry to everybody.
type Version byte

// The versions. They are the first byte of a record and are never given another
// meaning.
const (
	// Open records hold the public part: entries about the broker itself.
	Open Version = 1
	// Closed records hold a hash of it: entries about a visit. If these were open,
	// an identity provider could tell by the times which service somebody went to.
	Closed Version = 2
)

// maxPublic is how long a public part may be, in bytes: a record has to fit into
// an entry bundle.
const maxPublic = 32 << 10

// VersionOf is the version that entries of a kind get.
func VersionOf(k Kind) Version {
	switch k {
	case KeyGenerated, KeyRotated, KeyRevoked, ConfigLoaded, ClientRegistered, ClientUpdated, ClientDeleted,
		ClientKilled, ClientRestored, ProviderKilled, ProviderRestored, PersonalExpired:
		return Open
	}
	return Closed
}

// Statement is what an entry says once and for all: the salted hash (Commitment)
// stands for the personal part, so that it can go while the statement stays. The
// salt keeps the commitment from being an oracle for guesses at who is in the
// entry, and the commitment keeps the hash of a statement from being one for
// guesses at the public part.
type Statement struct {
	Version    Version
	ID         [16]byte
	Public     []byte
	Commitment [32]byte // SHA-256(Entry.Sealed)
}

// Statement returns what e says. The sealed part must be there.
func (e Entry) Statement() Statement {
	return Statement{Version: e.Version, ID: e.ID, Public: e.Public, Commitment: sha256.Sum256(e.Sealed)}
}

// body is id ‖ len(public) ‖ public ‖ commitment: 16 bytes, four bytes big endian,
// the bytes, 32 bytes. So no two statements of one version share a body.
func (s Statement) body(dst []byte) []byte {
	dst = append(dst, s.ID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s.Public)))
	dst = append(dst, s.Public...)
	return append(dst, s.Commitment[:]...)
}

// Record is what the Merkle tree is made of, and what an entry bundle holds:
//
//	open    0x01 ‖ body
//	closed  0x02 ‖ SHA-256(body)
func (s Statement) Record() []byte { return s.record(nil) }

func (s Statement) record(dst []byte) []byte {
	if s.Version == Open {
		return s.body(append(dst, byte(Open)))
	}
	sum := sha256.Sum256(s.body(make([]byte, 0, 52+len(s.Public))))
	return append(append(dst, byte(s.Version)), sum[:]...)
}

// LeafHash is the leaf hash of RFC 6962 section 2.1 over the record:
// SHA-256(0x00 ‖ record).
func (s Statement) LeafHash() [32]byte { return sha256.Sum256(s.record([]byte{0x00})) }

// Encode is version ‖ body, from which ParseStatement makes s again.
func (s Statement) Encode() []byte { return s.body([]byte{byte(s.Version)}) }

// ParseStatement reads what Encode wrote, and nothing else.
func ParseStatement(b []byte) (Statement, error) {
	const least = 1 + 16 + 4 + 32
	if len(b) < least || len(b) > least+maxPublic {
		return Statement{}, errors.New("audit: a statement has a wrong length")
	}
	s := Statement{Version: Version(b[0]), ID: [16]byte(b[1:17]), Public: b[21 : len(b)-32], Commitment: [32]byte(b[len(b)-32:])}
	if s.Version != Open && s.Version != Closed {
		return Statement{}, fmt.Errorf("audit: unknown version %d of a statement", s.Version)
	}
	if int64(binary.BigEndian.Uint32(b[17:21])) != int64(len(s.Public)) {
		return Statement{}, errors.New("audit: a statement has a wrong length")
	}
	return s, nil
}

// LeafHash is what the Merkle tree holds of an entry; see Statement.
func LeafHash(e Entry) [32]byte { return e.Statement().LeafHash() }

// VerifyLeaf reports whether the entry is the one that its leaf was made of. It
// needs no key, and holds after the person's key is destroyed.
func VerifyLeaf(e Entry) bool {
	want := LeafHash(e)
	return subtle.ConstantTimeCompare(e.Leaf[:], want[:]) == 1
}

// firstLeaf is the leaf hash of entries from before there was a tree. Their leaves
// are written anew when they come into it.
func firstLeaf(e Entry) [32]byte {
	s := e.Statement()
	return tlog.RecordHash(s.body(nil))
}

// aad ties the sealed part to its entry and to the public part.
func (e Entry) aad() []byte {
	return append(append([]byte("audit entry/v1"), e.ID[:]...), e.Public...)
}
