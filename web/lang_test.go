package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestLang_WhoDecides(t *testing.T) {
	tests := []struct {
		name, query, cookie string
		locales             []string
		accept              string
		want                string
	}{
		{"nobody says anything", "", "", nil, "", "fr"},
		{"the browser", "", "", nil, "en-GB,en;q=0.9,fr;q=0.8", "en"},
		{"the browser by weight, not by order", "", "", nil, "en;q=0.5, fr;q=0.7", "fr"},
		{"the first of equals", "", "", nil, "de, en, fr", "en"},
		{"a language that the browser refuses", "", "", nil, "en;q=0, de", "fr"},
		{"only languages that we lack", "", "", nil, "de-DE, *;q=0.1", "fr"},
		{"a malformed weight", "", "", nil, "en;q=x, fr;q=0.1", "fr"},
		{"a weight above one", "", "", nil, "en;q=1.5, fr;q=0.1", "fr"},
		{"three decimals", "", "", nil, "fr;q=0.998, en;q=0.999", "en"},
		{"capitals and spaces", "", "", nil, " EN-us ; q=0.9 ", "en"},
		{"the service before the browser", "", "", []string{"en-GB"}, "fr", "en"},
		{"the service's second choice", "", "", []string{"de", "", "../x", "en"}, "fr", "en"},
		{"a language that the service asks for and we lack", "", "", []string{"de"}, "en", "en"},
		{"the cookie before the service", "", "en", []string{"fr"}, "fr", "en"},
		{"a cookie that is not a language", "", "../../etc", []string{"en"}, "fr", "en"},
		{"the link before everything", "lang=en", "fr", []string{"fr"}, "fr", "en"},
		{"a link to a language that we lack", "lang=de", "en", nil, "fr", "en"},
		{"another parameter that ends in lang", "xlang=en", "", nil, "fr", "fr"},
	}
	s := newSite(t, io.Discard)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, issuer+"/login/f1?"+tt.query, nil)
			r.Header.Set("Accept-Language", tt.accept)
			if tt.cookie != "" {
				r.Header.Set("Cookie", languageCookie+"="+tt.cookie)
			}
			if got := s.Lang(r, tt.locales); got != tt.want {
				t.Errorf("Lang = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLang_ThePageFollowsWhatTheHandlerDecided(t *testing.T) {
	s := newSite(t, io.Discard)
	tests := []struct {
		name string
		h    Handler
	}{
		{"a page", func(w http.ResponseWriter, r *http.Request) error { s.Lang(r, []string{"en"}); return s.Home(w, r) }},
		{"an error page", func(_ http.ResponseWriter, r *http.Request) error {
			s.Lang(r, []string{"en"})
			return Fail(Internal, nil)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parse(t, get(s.Page("x", tt.h), "/", "fr").Body.String()).one(t, "html").attr("lang"); got != "en" {
				t.Errorf("lang %q", got)
			}
		})
	}
}

func TestLanguageSwitch_IsAPlainLinkThatTheBrowserRemembers_FB09(t *testing.T) {
	tests := []struct {
		name, method, target string
		link, cookie         string
	}{
		{"a page offers the others", "GET", "/login/f1", "?lang=en", ""},
		{"following the link sets the cookie", "GET", "/login/f1?lang=en", "?lang=fr", "__Host-voussoir-lang=en; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax"},
		{"a language that we lack sets nothing", "GET", "/login/f1?lang=xx", "?lang=en", ""},
		{"the answer to a form cannot be asked for again", "POST", "/login/f1", "", ""},
		{"nor can an address with a code", "GET", "/callback/tax?code=x&state=y", "", ""},
	}
	s := newSite(t, io.Discard)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.Page("x", samples(s)["choose"]).ServeHTTP(w, httptest.NewRequest(tt.method, issuer+tt.target, nil))
			var links []string
			for _, nav := range parse(t, w.Body.String()).all("nav") {
				for _, a := range nav.all("a") {
					links = append(links, a.attr("href"))
				}
			}
			if got := strings.Join(links, " "); got != tt.link || w.Header().Get("Set-Cookie") != tt.cookie {
				t.Errorf("links %q, cookie %q, want %q, %q", got, w.Header().Get("Set-Cookie"), tt.link, tt.cookie)
			}
		})
	}
}

func TestLang_AHugeHeaderIsReadToItsLimit(t *testing.T) {
	s := newSite(t, io.Discard)
	for name, tt := range map[string]struct{ header, want string }{
		"what matters comes first": {"en," + strings.Repeat("de,", 40_000), "en"},
		"what matters comes last":  {strings.Repeat("de,", 40_000) + "en", ""},
		"one endless entry":        {strings.Repeat("x", 100_000), ""},
		"cut in the middle":        {strings.Repeat("d", maxAccept-4) + ",en-GB", ""},
	} {
		if got := s.accepted(tt.header); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func FuzzAcceptLanguage(f *testing.F) {
	for _, seed := range []string{"", "fr", "en-GB,en;q=0.9", "*;q=0.1", "en;q=", ";;,,", "fr;q=0.1234", strings.Repeat("en,", 1000)} {
		f.Add(seed)
	}
	s := newSite(f, io.Discard)
	f.Fuzz(func(t *testing.T, header string) {
		if got := s.accepted(header); got != "" && (!slices.Contains(s.langs, got) || !strings.Contains(strings.ToLower(header), got)) {
			t.Errorf("accepted(%q) = %q", header, got)
		}
	})
}
