package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Remote verifies a log by what it shows to everybody (C2SP tlog-tiles).
type Remote struct {
	// Fetch reads a path below the log's address, such as tile/0/000, at most 16 MiB.
	Fetch func(ctx context.Context, path string) ([]byte, error)
	// Origin, Keys, Remembered, Quorum and Progress are those of a Verifier.
	Origin     string
	Keys       []VerifierKey
	Remembered [][]byte
	Quorum     Quorum
	Progress   func(done, total int64)
}

// KeyOf reads a key in the encoding of C2SP signed-note, and computes the id by which
// the log names it (RFC 7638).
func KeyOf(verifier string) (VerifierKey, error) {
	parts := strings.SplitN(verifier, "+", 3)
	if len(parts) != 3 {
		return VerifierKey{}, errors.New("audit: a key is name+id+base64")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 33 || raw[0] != 1 {
		return VerifierKey{}, errors.New("audit: a key of the log is an Ed25519 key")
	}
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(raw[1:]) + `"}`))
	return VerifierKey{KID: base64.RawURLEncoding.EncodeToString(sum[:]), Verifier: verifier}, nil
}

// Run reads the whole log once. An error means that it could not be done.
func (v *Remote) Run(ctx context.Context) (*Report, error) {
	r := &verification{Verifier: &Verifier{Origin: v.Origin, Keys: v.Keys, Quorum: v.Quorum, Progress: v.Progress}}
	r.report.Origin, r.report.Findings = v.Origin, []Finding{}
	signed, err := v.Fetch(ctx, "checkpoint")
	if err != nil {
		return nil, err
	}
	head, by, err := OpenCheckpoint(signed, v.Origin, r.keyStrings()...)
	if err != nil {
		return nil, err
	}
	r.head, r.report.Size, r.report.Root = head, head.Size, fmt.Sprintf("%x", head.Root)
	marks := []mark{{Checkpoint: head, signers: by}}
	for i, b := range v.Remembered {
		c, _, err := OpenCheckpoint(b, v.Origin, r.keyStrings()...)
		if err != nil {
			return nil, fmt.Errorf("remembered checkpoint %d: %w", i+1, err)
		}
		marks = append(marks, mark{Checkpoint: c, remembered: true})
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a.Size, b.Size) })
	if err := v.walk(ctx, r, marks); err != nil {
		return nil, err
	}
	if head.Size > 0 && !r.counts(mark{Checkpoint: head, signers: by}, r.keyEnds()) {
		r.wrong(head.Size-1, "the newest checkpoint is signed with a key that had ended before")
	}
	r.checkQuorum()
	if r.report.OK() {
		r.report.Checkpoint = head.Note
	}
	return &r.report, nil
}

// walk reads bundle after bundle and compares the roots at the marks.
func (v *Remote) walk(ctx context.Context, r *verification, marks []mark) error {
	at, good := edge{}, int64(0)
	judge := func(m mark) error {
		root, err := at.root()
		if err != nil {
			return err
		}
		if root == m.Root {
			good = m.Size
		} else if !r.doubted(m.Size) {
			r.wrong(min(good, max(m.Size-1, 0)), "from here to %d the log is not the one of a checkpoint that was signed: it was forked or changed", m.Size-1)
		}
		return nil
	}
	for len(marks) > 0 && at.size < r.head.Size {
		leaves, err := v.bundle(ctx, r, at.size/tileWidth)
		if err != nil {
			return err
		}
		for ; len(marks) > 0 && marks[0].Size <= at.size+int64(len(leaves)); marks = marks[1:] {
			n := marks[0].Size - at.size
			at, _ = at.extended(leaves[:n])
			leaves = leaves[n:]
			if err := judge(marks[0]); err != nil {
				return err
			}
		}
		at, _ = at.extended(leaves)
		if v.Progress != nil {
			v.Progress(at.size, r.head.Size)
		}
	}
	for _, m := range marks {
		if m.Size > r.head.Size {
			r.wrong(r.head.Size, "the log ends here, and a remembered checkpoint has %d entries: it was cut, or an older copy was restored", m.Size)
		}
	}
	return nil
}

// bundle reads the leaves of a bundle and holds them against their tile.
func (v *Remote) bundle(ctx context.Context, r *verification, n int64) ([][32]byte, error) {
	width := int(min(tileWidth, r.head.Size-n*tileWidth))
	path := strings.TrimPrefix(tlog.Tile{H: tileHeight, L: 0, N: n, W: width}.Path(), "tile/8/0/")
	records, err := v.Fetch(ctx, "tile/entries/"+path)
	if err != nil {
		return nil, err
	}
	tile, err := v.Fetch(ctx, "tile/0/"+path)
	if err != nil {
		return nil, err
	}
	leaves := make([][32]byte, width)
	for i := range leaves {
		index := n*tileWidth + int64(i)
		var record []byte
		if len(records) >= 2 {
			length := int(binary.BigEndian.Uint16(records))
			record, records = records[2:min(2+length, len(records))], records[min(2+length, len(records)):]
		}
		leaves[i] = tlog.RecordHash(record)
		if end := (i + 1) * hashSize; len(tile) < end || !bytes.Equal(tile[end-hashSize:end], leaves[i][:]) {
			r.wrong(index, "the entry is not the one in the tree")
		}
		v.note(r, index, record)
	}
	return leaves, nil
}

// note keeps what an open record says about keys.
func (v *Remote) note(r *verification, index int64, record []byte) {
	s, err := ParseStatement(record)
	if err != nil || s.Version != Open {
		return
	}
	var p Public
	if json.Unmarshal(s.Public, &p) == nil {
		r.about = append(r.about, event{index, p.Kind, p.Object})
	}
}
