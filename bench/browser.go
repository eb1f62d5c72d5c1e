package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// newClient makes the connections of all browsers of a run: they are kept open,
// as a reverse proxy in front of the broker would keep them.
func newClient(workers int) *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: workers + 2, MaxIdleConns: 4 * (workers + 2), DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// browser is one person's browser as far as a login needs one. It sends the
// broker's cookies back, Secure ones over http too, as real browsers do on
// localhost and net/http/cookiejar does not. It is used by one goroutine.
type browser struct {
	client  *http.Client
	broker  string // origin
	cookies map[string]string
	spent   time.Duration // what the broker took for its answers, bodies included
}

func newBrowser(client *http.Client, broker string) *browser {
	return &browser{client: client, broker: broker, cookies: map[string]string{}}
}

// answer is an HTTP answer read to its end. Next is its absolute Location.
type answer struct {
	Status int
	URL    *url.URL
	Next   string
	Header http.Header
	Body   []byte
}

// get follows a link.
func (b *browser) get(ctx context.Context, address string) (answer, error) {
	return b.send(ctx, http.MethodGet, address, nil, nil)
}

// post submits a form.
func (b *browser) post(ctx context.Context, address string, form url.Values) (answer, error) {
	return b.send(ctx, http.MethodPost, address, form, nil)
}

// send makes one request. Errors name the step by its path alone: a query may
// hold a code.
func (b *browser) send(ctx context.Context, method, address string, form url.Values, header http.Header) (answer, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return answer{}, fmt.Errorf("%s: an address that cannot be read", method)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	atBroker := origin(req.URL) == b.broker
	if atBroker {
		for name, value := range b.cookies {
			req.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	start := time.Now()
	resp, err := b.client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: no answer", method, req.URL.Path)
	}
	defer resp.Body.Close()
	got := answer{Status: resp.StatusCode, URL: req.URL, Header: resp.Header}
	if got.Body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20)); err != nil {
		return answer{}, fmt.Errorf("%s %s: half an answer", method, req.URL.Path)
	}
	if atBroker {
		b.spent += time.Since(start)
		b.keep(resp.Cookies())
	}
	if next, err := resp.Location(); err == nil {
		got.Next = next.String()
	}
	return got, nil
}

// keep stores and deletes cookies.
func (b *browser) keep(cs []*http.Cookie) {
	for _, c := range cs {
		if c.MaxAge < 0 || c.Value == "" {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
	}
}

// follow gets address and the broker's redirects to itself, until there is a
// page or the way leads elsewhere.
func (b *browser) follow(ctx context.Context, address string) (answer, error) {
	for range 5 {
		got, err := b.get(ctx, address)
		if err != nil || got.Next == "" || !strings.HasPrefix(got.Next, b.broker+"/") {
			return got, err
		}
		address = got.Next
	}
	return answer{}, fmt.Errorf("more redirects than a login has")
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
