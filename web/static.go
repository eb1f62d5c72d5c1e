package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file that pages load. Its path holds a hash of its content, so that
// browsers may keep it for ever.
type asset struct {
	path, mediaType string
	body, gzipped   []byte
}

// The names under which templates speak of assets.
const (
	styleAsset = "style"
	iconAsset  = "icon"
)

// loadAssets reads what pages load, once. Pico and our theme become one file:
// one request less on a slow line.
func loadAssets() (map[string]*asset, error) {
	specs := []struct{ name, ext, mediaType, files string }{
		{styleAsset, ".css", "text/css; charset=utf-8", "assets/pico/pico.classless.min.css assets/theme.css"},
		{iconAsset, ".svg", "image/svg+xml", "assets/icon.svg"},
	}
	out := map[string]*asset{}
	for _, spec := range specs {
		var body []byte
		for _, f := range strings.Fields(spec.files) {
			b, err := assetFiles.ReadFile(f)
			if err != nil {
				return nil, fmt.Errorf("asset %s: %w", f, err)
			}
			body = append(body, b...)
		}
		var z bytes.Buffer
		zw, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if err != nil {
			return nil, fmt.Errorf("asset %s: %w", spec.name, err)
		}
		_, werr := zw.Write(body)
		if err := zw.Close(); err != nil || werr != nil {
			return nil, fmt.Errorf("asset %s: cannot compress", spec.name)
		}
		sum := sha256.Sum256(body)
		path := "/static/" + spec.name + "-" + base64.RawURLEncoding.EncodeToString(sum[:9]) + spec.ext
		out[spec.name] = &asset{path: path, mediaType: spec.mediaType, body: body, gzipped: z.Bytes()}
	}
	return out, nil
}

// Static answers GET /static/…: only the exact paths that pages name, so there is
// no file system behind it to walk through.
func (s *Site) Static() http.Handler {
	byPath := make(map[string]*asset, len(s.assets))
	for _, a := range s.assets {
		byPath[a.path] = a
	}
	return s.PageFromAnySite("static", func(w http.ResponseWriter, r *http.Request) error {
		a := byPath[r.URL.Path]
		if a == nil || r.URL.RawPath != "" {
			return Fail(NotFound, nil)
		}
		if !readOnly(r) {
			w.Header().Set("Allow", "GET, HEAD")
			return Fail(MethodNotAllowed, nil)
		}
		h := w.Header()
		h.Set("Content-Type", a.mediaType)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Vary", "Accept-Encoding")
		body := a.body
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = a.gzipped
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		_, err := w.Write(body)
		return err
	})
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3) as far as we need it.
func takesGzip(header string) bool {
	for entry := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(entry, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return weight(params) > 0
		}
	}
	return false
}
