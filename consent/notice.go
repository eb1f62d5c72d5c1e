package consent

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/voussoir-id/voussoir/protocol"
)

// The versions of Hash: the second is that of a notice which says that the service
// may come back while the person is away.
const (
	noticeVersion        = 1
	noticeVersionOffline = 2
)

// Notice is what a person was told before her answer, in the words that she
// read. Only its hash is kept: with the policies of the time it proves years
// later what she agreed to. It holds no value of hers; a hash of those could be
// undone by guessing.
type Notice struct {
	PolicyID      string
	PolicyVersion int
	Language      string
	Purpose       string
	Basis         string
	Retention     string // ISO 8601 duration
	Claims        []protocol.Claim
	OfflineUntil  string // the day that the page named, YYYY-MM-DD; "" when the service does not come back while she is away
}

// Hash is SHA-256 over a version byte, the policy version (eight bytes, big
// endian), and each text with its length in front (four bytes, big endian), the
// claims last and in the order shown; in the second version the day stands before
// them. Different notices have different hashes.
func (n Notice) Hash() [32]byte {
	b := binary.BigEndian.AppendUint64([]byte{noticeVersion}, uint64(n.PolicyVersion))
	texts := []string{n.PolicyID, n.Language, n.Purpose, n.Basis, n.Retention}
	if n.OfflineUntil != "" {
		b[0], texts = noticeVersionOffline, append(texts, n.OfflineUntil)
	}
	for _, c := range n.Claims {
		texts = append(texts, string(c))
	}
	for _, t := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(t)))
		b = append(b, t...)
	}
	return sha256.Sum256(b)
}
