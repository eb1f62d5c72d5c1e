package conformance

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// suiteHost is where the suite's answers arrive. Nobody listens there: the browser
// stops at its addresses.
const suiteHost = "https://suite.example/test/a/voussoir/"

// The buttons that a person would press, by the ids that our pages promise to
// keep: a module names those that it wants to differ.
var (
	agree  = []string{"provider-upstream", "identity-" + person, "consent-agree"}
	refuse = []string{"idp-cancel", "cancel"}
)

// browser is one like the suite's: cookies, redirects and forms, but no scripts.
// A fresh one has never been here.
type browser struct {
	t       *testing.T
	at      string                       // the issuer; its answers are looked at more closely
	cookies map[string]map[string]string // by host
	plain   bool                         // sends no Origin, as browsers did until about 2020
	press   []string                     // the ids of the buttons, the first of them that is there
	http    http.RoundTripper
}

func (o *op) browser(t *testing.T) *browser {
	return &browser{t: t, at: o.issuer, cookies: map[string]map[string]string{}, press: agree, http: o.trusts.transport(t, tls.Certificate{})}
}

// outcome is where a visit ended: at the suite, with the parameters that arrived,
// or on a page.
type outcome struct {
	callback string     // the address that was called at the suite, without its query
	params   url.Values // nil: none arrived
	posted   bool       // they came in a form
	status   int
	page     string   // what the last page says in #error data-code
	lang     string   // of the last page
	pressed  []string // buttons, in their order
	ended    string   // what the last page says in #logged-out data-code
	frames   []string // what was loaded in frames on the way
	open     open     // the page on which nothing was left to press
}

// open is a page that waits for a button.
type open struct {
	at   *url.URL
	root *html.Node
}

// visit opens an address, or posts a form to it, and goes on until it ends.
func (b *browser) visit(address string, form url.Values) outcome {
	b.t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.walk(at, form, nil)
}

// carryOn presses on where an earlier visit stood still.
func (b *browser) carryOn(o outcome) outcome {
	b.t.Helper()
	id, button := b.button(o.open.root)
	if button == nil {
		b.t.Fatal("there is nothing to press")
	}
	form, to := b.submit(o.open.at, button)
	return b.walk(to, form, append(o.pressed, id))
}

func (b *browser) walk(at *url.URL, form url.Values, pressed []string) outcome {
	b.t.Helper()
	o := outcome{pressed: pressed}
	framed := func(n *html.Node) bool {
		if n.Data == "iframe" {
			o.frames = append(o.frames, attr(n, "src"))
		}
		return false
	}
	for range 30 {
		if arrived(at) {
			o.callback, o.params = bare(at), at.Query()
			return o
		}
		resp, root := b.load(at, form)
		o.status, form = resp.StatusCode, nil
		if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && to != "" {
			next, err := at.Parse(to)
			if err != nil {
				b.t.Fatal(err)
			}
			at = next
			continue
		}
		o.lang = attr(find(root, func(n *html.Node) bool { return n.Data == "html" }), "lang")
		if problem := byID(root, "error"); problem != nil {
			o.page = attr(problem, "data-code")
			return o
		}
		o.ended = attr(byID(root, "logged-out"), "data-code")
		find(root, framed)
		if _, to, ok := strings.Cut(resp.Header.Get("Refresh"), "; url="); ok {
			if link := attr(byID(root, "logout-continue"), "href"); link != to {
				b.t.Errorf("the page goes on to another address than its link, %q", link)
			}
			next, err := at.Parse(to)
			if err != nil {
				b.t.Fatal(err)
			}
			at = next
			continue
		}
		// OAuth 2.0 Form Post Response Mode: without scripts there is a button.
		if answer := byID(root, "answer"); answer != nil {
			fields, to := b.submit(at, byID(root, "continue"))
			if arrived(to) {
				o.callback, o.params, o.posted = bare(to), fields, true
				return o
			}
		}
		id, button := b.button(root)
		if button == nil {
			o.open = open{at, root}
			return o
		}
		o.pressed = append(o.pressed, id)
		form, at = b.submit(at, button)
	}
	b.t.Fatalf("no end in sight, last at %s", at.Path)
	return o
}

func arrived(u *url.URL) bool { return strings.HasPrefix(u.String(), suiteHost) }

func bare(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

func (b *browser) button(root *html.Node) (string, *html.Node) {
	for _, id := range b.press {
		if n := byID(root, id); n != nil {
			return id, n
		}
	}
	return "", nil
}

// load sends one request and keeps its cookies.
func (b *browser) load(at *url.URL, form url.Values) (*http.Response, *html.Node) {
	b.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, at.String(), body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept-Language", "en")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		switch {
		case b.plain:
		case at.Path == "/authorize": // the suite posts there from its own site
			req.Header.Set("Origin", "https://suite.example")
		default:
			req.Header.Set("Origin", at.Scheme+"://"+at.Host)
		}
	}
	for name, value := range b.cookies[at.Hostname()] {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := b.http.RoundTrip(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, at.Path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.HasPrefix(at.String(), b.at+"/") {
		wellAnswered(b.t, at.Path, resp, page)
	}
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		b.t.Fatal(err)
	}
	jar := b.cookies[at.Hostname()]
	if jar == nil {
		jar = map[string]string{}
		b.cookies[at.Hostname()] = jar
	}
	for _, c := range resp.Cookies() {
		if jar[c.Name] = c.Value; c.MaxAge < 0 || c.Value == "" {
			delete(jar, c.Name)
		}
	}
	return resp, root
}

// submit is what pressing a button sends, and where.
func (b *browser) submit(at *url.URL, button *html.Node) (url.Values, *url.URL) {
	b.t.Helper()
	form := button
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil || !strings.EqualFold(attr(form, "method"), "post") {
		b.t.Fatalf("#%s is in no form that posts", attr(button, "id"))
	}
	fields := url.Values{}
	find(form, func(n *html.Node) bool {
		if unticked := slices.Contains([]string{"checkbox", "radio", "submit"}, attr(n, "type")); n.Data == "input" && !unticked {
			fields.Add(attr(n, "name"), attr(n, "value"))
		}
		return false
	})
	if name := attr(button, "name"); name != "" {
		fields.Set(name, attr(button, "value"))
	}
	to, err := at.Parse(attr(form, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	return fields, to
}

func byID(root *html.Node, id string) *html.Node {
	return find(root, func(n *html.Node) bool { return attr(n, "id") == id })
}

func find(n *html.Node, match func(*html.Node) bool) *html.Node {
	if n == nil || n.Type == html.ElementNode && match(n) {
		return n
	}
	for c := range n.ChildNodes() {
		if found := find(c, match); found != nil {
			return found
		}
	}
	return nil
}

func attr(n *html.Node, name string) string {
	if n != nil {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
	}
	return ""
}
