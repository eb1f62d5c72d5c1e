package main

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// visitor is a browser without JavaScript. Its cookies are kept by host and port
// and, as browsers do on localhost, sent over http although they are Secure.
type visitor struct {
	t       *testing.T
	cookies map[string]map[string]string
	at      *url.URL
	page    string
}

func newVisitor(t *testing.T) *visitor {
	return &visitor{t: t, cookies: map[string]map[string]string{}}
}

func (v *visitor) send(method, target string, form url.Values) {
	v.t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.at != nil {
		to = v.at.ResolveReference(to)
	}
	for range 10 {
		r, err := http.NewRequestWithContext(v.t.Context(), method, to.String(), strings.NewReader(form.Encode()))
		if err != nil {
			v.t.Fatal(err)
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		for name, value := range v.cookies[to.Host] {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			v.t.Fatal(err)
		}
		for _, c := range answer.Cookies() {
			if v.cookies[to.Host] == nil {
				v.cookies[to.Host] = map[string]string{}
			}
			v.cookies[to.Host][c.Name] = c.Value
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			v.t.Fatal(err)
		}
		v.at, v.page = to, string(body)
		next := answer.Header.Get("Location")
		if answer.StatusCode != http.StatusSeeOther && answer.StatusCode != http.StatusFound {
			if answer.StatusCode != http.StatusOK {
				v.t.Fatalf("%s answers %d: %.500s", to.Path, answer.StatusCode, body)
			}
			return
		}
		method, form = http.MethodGet, nil
		if to, err = to.Parse(next); err != nil {
			v.t.Fatal(err)
		}
	}
	v.t.Fatal("too many redirects")
}

var (
	forms  = regexp.MustCompile(`(?s)<form.*?</form>`)
	action = regexp.MustCompile(`<form[^>]*action="([^"]*)"`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// press presses the button with this name and value.
func (v *visitor) press(name, value string) {
	v.t.Helper()
	button := regexp.MustCompile(`<button[^>]*name="` + name + `"[^>]*value="` + value + `"`)
	for _, f := range forms.FindAllString(v.page, -1) {
		if !button.MatchString(f) {
			continue
		}
		form := url.Values{name: {value}}
		for _, h := range hidden.FindAllStringSubmatch(f, -1) {
			form.Set(h[1], html.UnescapeString(h[2]))
		}
		to := v.at.Path
		if a := action.FindStringSubmatch(f); a != nil {
			to = html.UnescapeString(a[1])
		}
		v.send(http.MethodPost, to, form)
		return
	}
	v.t.Fatalf("no button %s=%s at %s: %.800s", name, value, v.at.Path, v.page)
}

func TestDemo_SignsSomebodyIn(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "kept"), freePort(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, errs journal
	p := &program{out: &out, err: &errs, getenv: os.Getenv, now: time.Now}
	ready, ended := make(chan struct{}), make(chan error, 1)
	p.out = io.MultiWriter(&out, once(func() { close(ready) }))
	go func() { ended <- p.runDemo(ctx, port, dir) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "data", "records.db")); err != nil {
			t.Errorf("--data was not kept: %v", err)
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the demo did not start: %v\n%s", err, errs.String())
	}
	d := &demonstration{port: port}
	for _, offset := range []int{0, taxPort, postPort, servicePort} {
		if !strings.Contains(out.String(), d.at(offset)+"/") {
			t.Errorf("the welcome lacks %s", d.at(offset))
		}
	}

	v := newVisitor(t)
	v.send(http.MethodGet, d.at(servicePort)+"/sign-in?client=city-library", nil)
	v.press("provider", "tax")
	v.press("identity", "camille")
	v.press("answer", "agree")
	for _, want := range []string{"given_name", "Camille", "age_over_16", "eidas1"} {
		if !strings.Contains(v.page, want) {
			t.Errorf("the service did not receive %s", want)
		}
	}
	for _, never := range []string{"Linteau", "1984", "camille.linteau"} {
		if strings.Contains(v.page, never) {
			t.Errorf("the service received %s, which was not allowed or not agreed to", never)
		}
	}
	if strings.Contains(strings.ToLower(errs.String()), "camille") || strings.Contains(errs.String(), "secret-of") {
		t.Error("a name or a secret is in the log")
	}
}

// onceWriter calls do with the first write.
type onceWriter struct{ do func() }

func once(do func()) *onceWriter { return &onceWriter{do} }

func (o *onceWriter) Write(p []byte) (int, error) {
	if o.do != nil {
		o.do()
		o.do = nil
	}
	return len(p), nil
}

func TestDemo_ExplainsATakenPort(t *testing.T) {
	port := freePort(t)
	l, err := listen(t.Context(), "127.0.0.1:"+strconv.Itoa(port+postPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, _, errs := say(t, "demo", "--port", strconv.Itoa(port))
	if code != exitFailure || !strings.Contains(errs, "another program listens on 127.0.0.1:"+strconv.Itoa(port+postPort)) || !strings.Contains(errs, "--port") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
