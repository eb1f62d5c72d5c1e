package login

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Names of our cookies. __Host- makes the browser refuse them from a subdomain,
// from a path or without TLS, so nobody can plant one (RFC 6265bis section
// 4.1.3.2). Each flow has a cookie of its own: visits in several tabs do not
// disturb each other.
const (
	flowCookiePrefix = "__Host-voussoir-flow-"
	sessionCookie    = "__Host-voussoir-session"
)

// maxFlowCookies is how many visits one browser can have open. Older ones are
// dropped: else a page that starts visits in hidden frames fills the jar.
const maxFlowCookies = 10

const (
	idLen     = 22 // 128 bits in base64url
	handleLen = 43 // 256 bits in base64url
)

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

// newHandle returns what a cookie holds and what we keep of it.
func newHandle() (value string, digest []byte) {
	value = random(32)
	return value, sum(value)
}

// sum is taken of the text as it was sent: base64 has several spellings of one
// value, and only the one that we gave out counts.
func sum(text string) []byte {
	d := sha256.Sum256([]byte(text))
	return d[:]
}

func isID(s string) bool { return len(s) == idLen && isBase64URL(s) }

func isBase64URL(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// startedBy reports whether h comes from the browser that started v.
func (v *visit) startedBy(h http.Header) bool {
	for _, c := range named(h, flowCookiePrefix+string(v.id)) {
		if subtle.ConstantTimeCompare(sum(c.Value), v.Browser) == 1 {
			return true
		}
	}
	return false
}

// gaveOut reports whether state is the newest that v sent to a provider.
func (v *visit) gaveOut(state string) bool {
	return subtle.ConstantTimeCompare(sum(state), v.State) == 1
}

// flowCookies are the cookies of a new visit: its own, and the end of those that
// are too many. Browsers send older cookies first (RFC 6265 section 5.4).
func flowCookies(h http.Header, id FlowID, handle string, ttl time.Duration) []*http.Cookie {
	set := []*http.Cookie{cookie(flowCookiePrefix+string(id), handle, int(ttl/time.Second))}
	var others []string
	for _, c := range cookies(h) {
		if strings.HasPrefix(c.Name, flowCookiePrefix) && !slices.Contains(others, c.Name) {
			others = append(others, c.Name)
		}
	}
	for len(others) >= maxFlowCookies {
		set = append(set, cookie(others[0], "", -1))
		others = others[1:]
	}
	return set
}

// sessionDigest is what the store knows the browser's session by. A cookie that
// we cannot have made counts as none.
func sessionDigest(h http.Header) ([32]byte, bool) {
	for _, c := range named(h, sessionCookie) {
		if len(c.Value) == handleLen && isBase64URL(c.Value) {
			return [32]byte(sum(c.Value)), true
		}
	}
	return [32]byte{}, false
}

// cookie makes one of ours. Lax, because the way back from a provider is a link
// from another site. maxAge is in seconds; 0: until the browser closes, below 0:
// gone.
func cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func cookies(h http.Header) []*http.Cookie { return (&http.Request{Header: h}).Cookies() }

func named(h http.Header, name string) []*http.Cookie {
	return (&http.Request{Header: h}).CookiesNamed(name)
}
