package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// maxNote is how long a checkpoint may be with all its cosignatures, in bytes.
const maxNote = 64 << 10

// Origin names the log of a broker in its checkpoints and keys: the address of the
// log without its scheme (C2SP tlog-tiles, Parameters).
func Origin(issuer string) string {
	_, rest, ok := strings.Cut(issuer, "://")
	if !ok {
		rest = issuer
	}
	return rest + PathPrefix
}

// checkpointText is the body of a checkpoint (C2SP tlog-checkpoint, Note text).
func checkpointText(origin string, size int64, root [32]byte) string {
	return origin + "\n" + strconv.FormatInt(size, 10) + "\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"
}

// OpenCheckpoint reads a checkpoint of the log origin that at least one of the keys
// has signed, and says which did. Keys are in the encoding of C2SP signed-note.
func OpenCheckpoint(signed []byte, origin string, keys ...string) (c Checkpoint, by []string, err error) {
	if len(signed) > maxNote {
		return c, nil, errors.New("audit: the checkpoint is too long")
	}
	var verifiers []note.Verifier
	for _, key := range keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return c, nil, fmt.Errorf("audit: the key %q: %w", key, err)
		}
		verifiers = append(verifiers, v)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return c, nil, fmt.Errorf("audit: the checkpoint: %w", err)
	}
	for _, s := range n.Sigs {
		// One spelling of a signature: every bit of a checkpoint counts.
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return c, nil, errors.New("audit: the checkpoint has a signature that is not spelt as it should be")
		}
		for i, v := range verifiers {
			if v.Name() == s.Name && v.KeyHash() == s.Hash {
				by = append(by, keys[i])
			}
		}
	}
	if c, err = parseCheckpointText(n.Text, origin); err != nil {
		return c, nil, err
	}
	c.Note = signed
	return c, by, nil
}

func parseCheckpointText(text, origin string) (Checkpoint, error) {
	var c Checkpoint
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return c, errors.New("audit: the checkpoint has too few lines")
	}
	if lines[0] != origin {
		return c, fmt.Errorf("audit: the checkpoint is of the log %q, not %q", lines[0], origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return c, errors.New("audit: the checkpoint has no size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != hashSize {
		return c, errors.New("audit: the checkpoint has no root hash")
	}
	c.Size, c.Root = size, [32]byte(root)
	return c, nil
}
