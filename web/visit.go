package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// maxAttr is the longest text of a stranger that goes into a log line, in bytes.
const maxAttr = 256

// visit is what we know of one request while it is answered. Only the goroutine
// that runs the handler touches it.
type visit struct {
	number string // the correlation id
	lang   string // "" until it is decided
	attrs  []slog.Attr
	code   string // the code of the error that was answered
	err    error  // what went wrong, for the log
}

type visitKey struct{}

func withVisit(r *http.Request, v *visit) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
}

// visitOf never returns nil: outside our handlers it is a visit of its own.
func visitOf(r *http.Request) *visit {
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok {
		return v
	}
	return &visit{number: newNumber()}
}

// Note adds attributes, such as flow and client, to the request's event line.
// Texts are cut at 256 bytes. Never note a claim value, code, token or cookie.
// Only the goroutine that runs the handler may call it.
func Note(r *http.Request, attrs ...slog.Attr) {
	v, ok := r.Context().Value(visitKey{}).(*visit)
	if !ok {
		return
	}
	for _, a := range attrs {
		if a.Value.Kind() == slog.KindString && a.Key != "stack" {
			a.Value = slog.StringValue(clip(a.Value.String(), maxAttr))
		}
		v.attrs = append(v.attrs, a)
	}
}

// Number is the correlation id of the request: on its error page, in its header
// X-Correlation-Id and on its event line.
func Number(r *http.Request) string { return visitOf(r).number }

// numbers spells correlation ids so that they survive being read out.
var numbers = base32.NewEncoding("abcdefghjkmnpqrstuvwxyz023456789").WithPadding(base32.NoPadding)

// newNumber is 80 random bits in groups of four letters.
func newNumber() string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // never fails, see crypto/rand
	var flat [16]byte
	numbers.Encode(flat[:], raw[:])
	b := make([]byte, 0, 19)
	for i := 0; i < len(flat); i += 4 {
		if i > 0 {
			b = append(b, '-')
		}
		b = append(b, flat[i:i+4]...)
	}
	return string(b)
}

// event writes the one line of a request. The path and the query stay out: they
// hold flows, codes and states.
func (s *Site) event(r *http.Request, name string, status int, took time.Duration, v *visit) {
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	if s.answered != nil {
		s.answered(name, method(r), status, took)
	}
	attrs := make([]slog.Attr, 0, 8+len(v.attrs))
	attrs = append(attrs,
		slog.String("route", name),
		slog.String("method", method(r)),
		slog.Int("status", status),
		slog.Duration("took", took),
		slog.String("id", v.number),
	)
	attrs = append(attrs, v.attrs...)
	level := slog.LevelInfo
	if v.code != "" {
		attrs = append(attrs, slog.String("code", v.code))
	}
	if v.err != nil {
		attrs = append(attrs, slog.String("err", errorText(v.err)))
		if status >= 500 && r.Context().Err() == nil {
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// method bounds what a stranger can write into a log line.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return r.Method
	}
	return "other"
}

// errorText is err for the log. Errors of net/http's client quote the whole URL,
// and with it a code or a state: of every address only the origin is kept.
func errorText(err error) string {
	rest, out := err.Error(), strings.Builder{}
	for {
		i := strings.Index(rest, "://")
		if i < 0 {
			out.WriteString(rest)
			return clip(out.String(), 4*maxAttr)
		}
		host := i + len("://")
		end := host + len(rest[host:])
		if n := strings.IndexAny(rest[host:], " \t\r\n\"'<>"); n >= 0 {
			end = host + n
		}
		origin := end
		if n := strings.IndexAny(rest[host:end], "/?#\\"); n >= 0 {
			origin = host + n
		}
		if n := strings.LastIndexByte(rest[host:origin], '@'); n >= 0 { // user:password@
			out.WriteString(rest[:host] + rest[host+n+1:origin])
		} else {
			out.WriteString(rest[:origin])
		}
		if origin < end && strings.HasSuffix(rest[:end], ":") {
			end--
		}
		rest = rest[end:]
	}
}

// clip cuts text to at most limit bytes, at a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
