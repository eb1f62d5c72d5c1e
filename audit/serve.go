package audit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The public paths (C2SP tlog-tiles). Tiles and bundles are below PathTile.
const (
	PathPrefix     = "/audit"
	PathCheckpoint = PathPrefix + "/checkpoint"
	PathTile       = PathPrefix + "/tile/"
)

// maxTilePath is longer than any path of a tile.
const maxTilePath = 80

// ServeCheckpoint answers GET /audit/checkpoint: 404 while the tree is empty. Where
// there are witnesses it is the published checkpoint, seconds behind the newest.
func (t *Tree) ServeCheckpoint(w http.ResponseWriter, r *http.Request) error {
	c, err := t.store.Published(r.Context())
	if err == nil && c.Size == 0 {
		c, err = t.store.LastCheckpoint(r.Context())
	}
	if err != nil {
		return err
	}
	if c.Size == 0 {
		return answerNone(w)
	}
	return answer(w, r, c.Note, "text/plain; charset=utf-8", "public, max-age=1")
}

// ServeTile answers GET /audit/tile/…: hash tiles and entry bundles, full and
// partial, of the published tree. They never change.
func (t *Tree) ServeTile(w http.ResponseWriter, r *http.Request) error {
	tile, ok := parseTilePath(r.URL.Path)
	if !ok {
		return answerNone(w)
	}
	c, err := t.store.LastCheckpoint(r.Context())
	if err != nil {
		return err
	}
	// What no checkpoint covers is not there yet.
	if level := max(tile.L, 0); level*tileHeight > 62 || tile.N > (c.Size>>(level*tileHeight)-int64(tile.W))/tileWidth ||
		tile.N*tileWidth+int64(tile.W) > c.Size>>(level*tileHeight) {
		return answerNone(w)
	}
	var body []byte
	if tile.L < 0 {
		body, err = t.bundle(r.Context(), tile.N, tile.W)
	} else if body, err = t.store.Tile(r.Context(), tile.L, tile.N); err == nil {
		if len(body) < tile.W*hashSize {
			return ErrDamaged
		}
		body = body[:tile.W*hashSize]
	}
	if err != nil {
		return err
	}
	return answer(w, r, body, "application/octet-stream", "public, max-age=31536000, immutable")
}

// bundle is the entry bundle of w entries: each with its length, two bytes big
// endian, in front.
func (t *Tree) bundle(ctx context.Context, n int64, w int) ([]byte, error) {
	out, next := make([]byte, 0, w*64), n*tileWidth
	err := t.store.Leaves(ctx, next, next+int64(w), func(l *Leaf) error {
		if l.Missing || l.Index != next {
			return ErrDamaged
		}
		next++
		record := l.Statement().Record()
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(record))), record...)
		return nil
	})
	if err == nil && next != n*tileWidth+int64(w) {
		err = ErrDamaged
	}
	return out, err
}

// parseTilePath reads a path below PathTile; L is -1 for an entry bundle. Only the
// one spelling that C2SP tlog-tiles gives a tile is taken.
func parseTilePath(path string) (tlog.Tile, bool) {
	rest, ok := strings.CutPrefix(path, PathTile)
	if !ok || len(rest) > maxTilePath {
		return tlog.Tile{}, false
	}
	if after, entries := strings.CutPrefix(rest, "entries/"); entries {
		rest = "data/" + after
	} else if strings.HasPrefix(rest, "data/") {
		return tlog.Tile{}, false
	}
	t, err := tlog.ParseTilePath("tile/8/" + rest) // the other way of writing the same
	return t, err == nil && t.N >= 0 && t.N < 1<<54
}

func answer(w http.ResponseWriter, r *http.Request, body []byte, mediaType, caching string) error {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", caching)
	h.Set("ETag", etag)
	h.Set("Access-Control-Allow-Origin", "*") // public data, without credentials
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, err := w.Write(body)
	return err
}

func answerNone(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store") // it may be there in a second
	h.Set("Access-Control-Allow-Origin", "*")
	w.WriteHeader(http.StatusNotFound)
	_, err := w.Write([]byte("there is no such part of the log, or not yet\n"))
	return err
}
