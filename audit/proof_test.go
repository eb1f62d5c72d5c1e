package audit

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func TestStatement_ReadsBackWhatItWroteAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Statement{
			Version: rapid.SampledFrom([]Version{Open, Closed}).Draw(t, "version"),
			ID:      [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Public:  rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "public"),
		}
		b := s.Encode()
		back, err := ParseStatement(b)
		if err != nil || !bytes.Equal(back.Encode(), b) || back.LeafHash() != s.LeafHash() {
			t.Fatalf("%x reads back as %+v, %v", b, back, err)
		}
		other := s
		other.Version = Open + Closed - s.Version
		if other.LeafHash() == s.LeafHash() {
			t.Fatal("both versions of a statement have one leaf")
		}
		for cut := range b {
			if _, err := ParseStatement(b[:cut]); err == nil {
				t.Fatalf("%d of %d bytes are a statement", cut, len(b))
			}
		}
	})
}

// TestEdge_IsTheTreeOfRFC6962_2_1: our tiles give the roots that tlog computes.
func TestEdge_IsTheTreeOfRFC6962_2_1(t *testing.T) {
	var hashes []tlog.Hash
	all := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = hashes[at]
		}
		return out, nil
	})
	at := edge{}
	var tiles []Tile
	for n := int64(0); n < 66_000; {
		var leaves [][32]byte
		for range min(1+n%997, 66_000-n) {
			leaf := tlog.RecordHash([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
			more, err := tlog.StoredHashesForRecordHash(n, leaf, all)
			if err != nil {
				t.Fatal(err)
			}
			hashes, leaves, n = append(hashes, more...), append(leaves, leaf), n+1
		}
		var changed []Tile
		at, changed = at.extended(leaves)
		tiles = append(tiles, changed...)
		want, err := tlog.TreeHash(n, all)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := at.root(); err != nil || got != want || at.size != n {
			t.Fatalf("root at %d = %x, %v, want %x", n, got, err, want)
		}
	}
	stored := map[[2]int64][]byte{}
	for _, tile := range tiles {
		stored[[2]int64{int64(tile.Level), tile.N}] = tile.Hashes
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, at.size) {
		want, err := tlog.ReadTileData(tile, all)
		if got := stored[[2]int64{int64(tile.L), tile.N}]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("tile %d/%d has %d hashes, want %d (%v)", tile.L, tile.N, len(got)/32, len(want)/32, err)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	s := Statement{Version: Closed, Public: []byte(`{"kind":"x"}`)}
	f.Add(Proof{Statement: s, Index: 3, Path: [][32]byte{{1}, {2}}, Checkpoint: []byte("o\n4\nx\n\n— o AA==\n")}.Encode())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Errorf("%q reads as another text: %q", b, p.Encode())
		}
		if _, err := p.Verify("o", "o+00000000+AA=="); err == nil {
			t.Error("it verifies without a key")
		}
	})
}
