package conformance

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// The browser of these tests parses like a modern one, which makes sense of anything.
// The suite's does not, and neither do the tools of people who cannot see: so each page
// is read a second time by a reader that knows no exceptions.

// void are the elements without an end (HTML section 13.1.2).
var void = []string{"meta", "link", "input", "br", "wbr", "hr", "img"}

// readPlainly fails the test unless a page says what it means without any repair: each
// element ends where it must, no id comes twice, and whatever a person presses stands
// in a form that says where it leads, and has a name to be told apart by.
func readPlainly(t *testing.T, path string, page []byte) {
	t.Helper()
	var within []string
	seen := map[string]bool{}
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		token := z.Token()
		switch kind {
		case html.StartTagToken:
			names := map[string]bool{}
			for _, a := range token.Attr {
				if a.Key == "id" && (a.Val == "" || seen[a.Val]) {
					t.Errorf("%s: <%s> has an id that is empty or taken: %q", path, token.Data, a.Val)
				}
				names[a.Key] = true
				seen[a.Val] = seen[a.Val] || a.Key == "id"
			}
			if token.Data == "button" && (!slices.Contains(within, "form") || !names["id"]) {
				t.Errorf("%s: a button stands in no form, or has no id: %s", path, token)
			}
			if token.Data == "form" && (!names["action"] || !names["method"] || slices.Contains(within, "form")) {
				t.Errorf("%s: a form in a form, or one that does not say where it leads: %s", path, token)
			}
			if !slices.Contains(void, token.Data) {
				within = append(within, token.Data)
			}
		case html.EndTagToken:
			if len(within) == 0 || within[len(within)-1] != token.Data {
				t.Errorf("%s: </%s> within %v", path, token.Data, within)
				return
			}
			within = within[:len(within)-1]
		}
	}
	if len(within) > 0 {
		t.Errorf("%s: %v never end", path, within)
	}
}

// wellAnswered is what every answer of the broker to a browser has: a redirect is a 303
// (a 307 would send a form on, FAPI 2.0 section 5.3.2.2), a page says that it is HTML in
// UTF-8, nothing is kept, and cookies stay with the broker.
func wellAnswered(t *testing.T, path string, r *http.Response, page []byte) {
	t.Helper()
	if !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%s: Cache-Control is %q", path, r.Header.Get("Cache-Control"))
	}
	for _, c := range r.Cookies() {
		if !c.HttpOnly || !c.Secure || c.Domain != "" {
			t.Errorf("%s: cookie %s is for scripts, for http or for other hosts", path, c.Name)
		}
	}
	switch {
	case r.StatusCode/100 == 3 && r.StatusCode != http.StatusSeeOther:
		t.Errorf("%s: redirected by %d", path, r.StatusCode)
	case r.StatusCode/100 == 3:
	case r.Header.Get("Content-Type") != "text/html; charset=utf-8":
		t.Errorf("%s: the page is %q", path, r.Header.Get("Content-Type"))
	default:
		readPlainly(t, path, page)
	}
}

// spoken are the characters that an error_description may have (RFC 6749 section 5.2).
func spoken(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' })
}

// wellReturned is what every answer to the suite's redirect URI has, an error too (RFC
// 6749 section 4.1.2): nothing twice, and only parameters that it must expect.
func wellReturned(t *testing.T, params url.Values) {
	t.Helper()
	if !spoken(params.Get("error")) || !spoken(params.Get("error_description")) || params.Has("error") == params.Has("code") {
		t.Errorf("the answer is %v", params)
	}
	for name, values := range params {
		if len(values) != 1 || strings.HasSuffix(name, "token") {
			t.Errorf("the answer has %s %d times", name, len(values))
		}
	}
}

// wellSaid is what every answer of these endpoints to a client has (RFC 6749 sections
// 5.1 and 5.2, RFC 9126 section 2.3, RFC 6750 section 3).
func wellSaid(t *testing.T, path string, r reply) {
	t.Helper()
	code, failed := r.body["error"].(string)
	if failed && (!spoken(code) || !spoken(r.str("error_description"))) {
		t.Errorf("%s: the error is %v", path, r.body)
	}
	switch path {
	case "/token", "/par", "/introspect", "/register":
		kind := r.header.Get("Content-Type")
		if !strings.HasPrefix(kind, "application/json") && r.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, Content-Type %q", path, r.status, kind)
		}
		if failed == (r.status/100 == 2) {
			t.Errorf("%s: %d with error %q", path, r.status, code)
		}
	case "/userinfo":
		if r.status == http.StatusUnauthorized && r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d without WWW-Authenticate", path, r.status)
		}
	default:
		return
	}
	if !strings.Contains(r.header.Get("Cache-Control"), "no-store") {
		t.Errorf("%s: Cache-Control is %q", path, r.header.Get("Cache-Control"))
	}
	if path == "/token" && r.header.Get("Pragma") != "no-cache" {
		t.Errorf("%s: Pragma is %q", path, r.header.Get("Pragma"))
	}
}

func TestReadPlainly_SeesWhatAModernParserRepairs(t *testing.T) {
	for name, page := range map[string]string{
		"an element that does not end": `<main><p>one<p>two</main>`,
		"elements that cross":          `<p><b>one</p></b>`,
		"an id twice":                  `<p id="a">one</p><p id="a">two</p>`,
		"a button outside a form":      `<button id="a">one</button>`,
		"a button without an id":       `<form method="post" action="/x"><button>one</button></form>`,
		"a form that leads nowhere":    `<form method="post"><button id="a">one</button></form>`,
	} {
		inner := new(testing.T)
		readPlainly(inner, "/page", []byte(page))
		if !inner.Failed() {
			t.Errorf("%s passes", name)
		}
	}
	readPlainly(t, "/page", []byte(`<!doctype html><html lang="en"><head><meta charset="utf-8"></head><body><form method="post" action="/x"><button id="a">one</button></form></body></html>`))
}
