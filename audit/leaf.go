package audit

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// saltSize is how many random bytes stand in front of the sealed part.
const saltSize = 32

// LeafHash is what the Merkle tree holds of an entry:
//
//	commitment = SHA-256(salt ‖ sealed)               that is SHA-256(Entry.Sealed)
//	record     = id ‖ len(public) ‖ public ‖ commitment
//	leaf       = SHA-256(0x00 ‖ record)
//
// id is 16 bytes, len four bytes big endian, commitment 32 bytes; so no two
// entries share a record. leaf is the leaf hash of RFC 6962 section 2.1 over
// record: any implementation of that tree takes record as it is, and the 0x00
// keeps leaves apart from nodes. The salt keeps the commitment from being an
// oracle for guesses at who is in the entry, whatever the sealing does.
func LeafHash(e Entry) [32]byte {
	commitment := sha256.Sum256(e.Sealed)
	leaf := make([]byte, 0, 1+len(e.ID)+4+len(e.Public)+len(commitment))
	leaf = append(leaf, 0x00)
	leaf = append(leaf, e.ID[:]...)
	leaf = binary.BigEndian.AppendUint32(leaf, uint32(len(e.Public)))
	leaf = append(leaf, e.Public...)
	leaf = append(leaf, commitment[:]...)
	return sha256.Sum256(leaf)
}

// VerifyLeaf reports whether the entry is the one that its leaf was made of. It
// needs no key, and holds after the person's key is destroyed.
func VerifyLeaf(e Entry) bool {
	want := LeafHash(e)
	return subtle.ConstantTimeCompare(e.Leaf[:], want[:]) == 1
}

// aad ties the sealed part to its entry and to the public part.
func (e Entry) aad() []byte {
	return append(append([]byte("audit entry/v1"), e.ID[:]...), e.Public...)
}
