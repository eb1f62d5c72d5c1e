package journeys

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// citizen is a browser without JavaScript: it keeps cookies by host (a Secure
// cookie goes to loopback http too, as in real browsers), follows redirects and
// submits the forms that it finds on a page.
type citizen struct {
	t    *testing.T
	jar  map[string]map[string]string
	http http.RoundTripper
	lang string
}

func newCitizen(t *testing.T) *citizen {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &citizen{t: t, jar: map[string]map[string]string{}, http: tr, lang: "en"}
}

// unreachable is what a step panics with when nobody answers; a test that kills
// the broker catches it (see attempt).
type unreachable struct {
	method, path string
	err          error
}

func (u unreachable) String() string { return u.method + " " + u.path + ": " + u.err.Error() }

// page is what the citizen looks at.
type page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	root   *html.Node
}

// do sends one request and keeps its cookies; it follows nothing.
func (c *citizen) do(method string, u *url.URL, form url.Values, origin string) (*http.Response, string) {
	c.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, u.String(), body)
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Accept-Language", c.lang)
	for k, v := range c.jar[u.Hostname()] {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		panic(unreachable{method, u.Path, err})
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(unreachable{method, u.Path, err})
	}
	for _, k := range resp.Cookies() {
		host := c.jar[u.Hostname()]
		if host == nil {
			host = map[string]string{}
			c.jar[u.Hostname()] = host
		}
		if k.MaxAge < 0 || k.Value == "" || !k.Expires.IsZero() && k.Expires.Before(time.Now()) {
			delete(host, k.Name)
		} else {
			host[k.Name] = k.Value
			if k.Name != "__Host-voussoir-lang" {
				sing("cookie", k.Value)
			}
		}
	}
	return resp, string(text)
}

// visit sends a request and follows redirects, at most 15, up to the page.
// Redirects to an address that stop accepts are not followed.
func (c *citizen) visit(method, address string, form url.Values, origin string, stop func(*url.URL) bool) *page {
	c.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		c.t.Fatal(err)
	}
	for range 15 {
		resp, text := c.do(method, u, form, origin)
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
			root, err := html.Parse(bytes.NewReader([]byte(text)))
			if err != nil {
				c.t.Fatal(err)
			}
			return &page{URL: u, Status: resp.StatusCode, Header: resp.Header, Body: text, root: root}
		}
		to, err := u.Parse(location)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, name := range []string{"code", "state", "nonce"} {
			sing(name, to.Query().Get(name))
		}
		if stop != nil && stop(to) {
			return &page{URL: to, Status: resp.StatusCode, Header: resp.Header}
		}
		u, method, form = to, http.MethodGet, nil
	}
	c.t.Fatalf("too many redirects, last to %s", u.Path)
	return nil
}

func (c *citizen) get(address string) *page { return c.visit(http.MethodGet, address, nil, "", nil) }

// press submits the form that holds the button with this id, with the values
// that its inputs have and those of extra.
func (c *citizen) press(p *page, id string, extra url.Values) *page {
	c.t.Helper()
	return c.pressUntil(p, id, extra, nil)
}

func (c *citizen) pressUntil(p *page, id string, extra url.Values, stop func(*url.URL) bool) *page {
	c.t.Helper()
	button := p.byID(id)
	if button == nil {
		c.t.Fatalf("no #%s on %s (status %d):\n%s", id, p.URL.Path, p.Status, tail(p.Body, 3000))
	}
	action, method, values := p.form(button)
	for k, vs := range extra {
		values[k] = vs
	}
	if name := attr(button, "name"); name != "" {
		values.Set(name, attr(button, "value"))
	}
	to, err := p.URL.Parse(action)
	if err != nil {
		c.t.Fatal(err)
	}
	if method == http.MethodGet {
		to.RawQuery = values.Encode()
		return c.visit(method, to.String(), nil, "", stop)
	}
	return c.visit(method, to.String(), values, p.URL.Scheme+"://"+p.URL.Host, stop)
}

// submit fills in the only form of a page.
func (c *citizen) submit(p *page, extra url.Values) *page {
	c.t.Helper()
	form := p.find(func(n *html.Node) bool { return n.Data == "form" })
	if form == nil {
		c.t.Fatalf("no form on %s (status %d):\n%s", p.URL.Path, p.Status, tail(p.Body, 3000))
	}
	action, method, values := p.form(form)
	for k, vs := range extra {
		values[k] = vs
	}
	to, err := p.URL.Parse(action)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.visit(method, to.String(), values, p.URL.Scheme+"://"+p.URL.Host, nil)
}

// form returns the action, the method and the hidden and preset values of the
// form around n.
func (p *page) form(n *html.Node) (action, method string, values url.Values) {
	for n != nil && n.Data != "form" {
		n = n.Parent
	}
	values = url.Values{}
	if n == nil {
		return "", http.MethodGet, values
	}
	walkHTML(n, func(i *html.Node) bool {
		if i.Data == "input" && attr(i, "name") != "" {
			switch attr(i, "type") {
			case "checkbox", "radio":
				if _, ticked := lookup(i, "checked"); ticked {
					values.Add(attr(i, "name"), attr(i, "value"))
				}
			case "submit":
			default:
				values.Add(attr(i, "name"), attr(i, "value"))
			}
		}
		return false
	})
	method = strings.ToUpper(attr(n, "method"))
	if method == "" {
		method = http.MethodGet
	}
	return attr(n, "action"), method, values
}

func (p *page) byID(id string) *html.Node {
	return p.find(func(n *html.Node) bool { return attr(n, "id") == id })
}

func (p *page) find(match func(*html.Node) bool) *html.Node {
	if p.root == nil {
		return nil
	}
	return walkHTML(p.root, match)
}

// errorCode is the stable code of an error page of the broker, or "".
func (p *page) errorCode() string {
	n := p.byID("error")
	if n == nil {
		return ""
	}
	return attr(n, "data-code")
}

func walkHTML(n *html.Node, match func(*html.Node) bool) *html.Node {
	if n.Type == html.ElementNode && match(n) {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if found := walkHTML(c, match); found != nil {
			return found
		}
	}
	return nil
}

func lookup(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func attr(n *html.Node, name string) string { v, _ := lookup(n, name); return v }
