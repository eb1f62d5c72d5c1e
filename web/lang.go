package web

import (
	"net/http"
	"slices"
	"strings"
)

const (
	// fallback is the language of someone whose languages we do not speak.
	fallback       = "fr"
	languageCookie = "__Host-voussoir-lang"
	languageAge    = 365 * 24 * 3600 // seconds
	maxAccept      = 1 << 10         // bytes of Accept-Language that we read
	maxLocales     = 16
)

// Lang decides the language of the answer to r: the link ?lang=, else the
// cookie that it left, else uiLocales (OpenID Connect Core section 3.1.2.1),
// else Accept-Language, else French. The page that is shown afterwards uses the
// same language, so a handler that knows uiLocales calls Lang before it shows
// one; later calls with nil give the same answer.
func (s *Site) Lang(r *http.Request, uiLocales []string) string {
	v := visitOf(r)
	if v.lang == "" || len(uiLocales) > 0 {
		v.lang = s.language(r, uiLocales)
	}
	return v.lang
}

func (s *Site) language(r *http.Request, uiLocales []string) string {
	if l := s.asked(r); l != "" {
		return l
	}
	if c, err := r.Cookie(languageCookie); err == nil && s.speaks(c.Value) {
		return c.Value
	}
	for _, l := range uiLocales[:min(len(uiLocales), maxLocales)] {
		if l = primary(l); s.speaks(l) {
			return l
		}
	}
	if l := s.accepted(r.Header.Get("Accept-Language")); l != "" {
		return l
	}
	return fallback
}

// asked is the language of the link ?lang=, or "".
func (s *Site) asked(r *http.Request) string {
	if !strings.Contains(r.URL.RawQuery, "lang=") {
		return ""
	}
	if l := r.URL.Query().Get("lang"); s.speaks(l) {
		return l
	}
	return ""
}

func (s *Site) speaks(lang string) bool { return slices.Contains(s.langs, lang) }

// rememberLanguage keeps the choice made by the link ?lang=.
func (s *Site) rememberLanguage(w http.ResponseWriter, r *http.Request) {
	if !readOnly(r) {
		return
	}
	if l := s.asked(r); l != "" {
		http.SetCookie(w, &http.Cookie{
			Name: languageCookie, Value: l, Path: "/", MaxAge: languageAge,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
}

func readOnly(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// accepted picks from Accept-Language (RFC 9110 section 12.5.4): the language of
// the highest weight that we speak, the first of equals. Only primary subtags
// count and the header is read to 1 KiB; what is malformed is passed over.
func (s *Site) accepted(header string) string {
	if len(header) > maxAccept {
		header = header[:maxAccept]
		// The last entry may be cut in two; what is left of it means nothing.
		header = header[:max(strings.LastIndexByte(header, ','), 0)]
	}
	best, bestWeight := "", 0
	for header != "" {
		var entry string
		entry, header, _ = strings.Cut(header, ",")
		tag, params, _ := strings.Cut(entry, ";")
		l := primary(strings.TrimSpace(tag))
		if !s.speaks(l) {
			continue
		}
		if w := weight(params); w > bestWeight {
			best, bestWeight = l, w
		}
	}
	return best
}

// weight reads q in thousandths (RFC 9110 section 12.4.2); 0 when malformed.
func weight(params string) int {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1000
	}
	q, ok := strings.CutPrefix(strings.ToLower(params), "q=")
	if !ok || len(q) == 0 || len(q) > 5 || (q[0] != '0' && q[0] != '1') || (len(q) > 1 && q[1] != '.') {
		return 0
	}
	w := int(q[0]-'0') * 1000
	for i, unit := 2, 100; i < len(q); i, unit = i+1, unit/10 {
		if q[i] < '0' || q[i] > '9' {
			return 0
		}
		w += int(q[i]-'0') * unit
	}
	if w > 1000 {
		return 0
	}
	return w
}

// primary is the primary subtag of a BCP 47 tag, lower case; "" when it cannot
// be one.
func primary(tag string) string {
	tag, _, _ = strings.Cut(tag, "-")
	if len(tag) < 2 || len(tag) > 8 {
		return ""
	}
	for i := range len(tag) {
		if c := tag[i] | 0x20; c < 'a' || c > 'z' {
			return ""
		}
	}
	return strings.ToLower(tag)
}
