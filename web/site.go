package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// maxBody is the most that we read of a request's body, in bytes.
const maxBody = 64 << 10

// Config is what New needs. All fields but Development and Answered are required.
type Config struct {
	Issuer      string // our own address, https unless Development
	Log         *slog.Logger
	Now         func() time.Time
	Development bool // loopback names count as our own host too, and http is fine
	// Answered hears of each request what its event line says first. It does not
	// block. nil: nobody is told.
	Answered func(route, method string, status int, took time.Duration)
}

// Site answers people and machines. It is immutable after New and safe for
// concurrent use.
type Site struct {
	issuer     *url.URL
	log        *slog.Logger
	now        func() time.Time
	answered   func(route, method string, status int, took time.Duration)
	dev        bool
	hosts      []string // Host headers that are ours, lower case
	langs      []string // the languages that we have words for
	words      map[string]*words
	pages      map[string]*pageSet
	assets     map[string]*asset // by path
	crossOrig  *http.CrossOriginProtection
	formAction string    // where forms may lead, see forms in headers.go
	buffers    sync.Pool // of *bytes.Buffer, between renderings
}

// New makes a Site. It fails when a word of a page is missing in a language, so
// that this shows at start and not in front of a person.
func New(c Config) (*Site, error) {
	if c.Log == nil || c.Now == nil {
		return nil, errors.New("web: a Log and a Now are needed")
	}
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || (issuer.Scheme != "https" && (issuer.Scheme != "http" || !c.Development)) {
		return nil, errors.New("web: the issuer is not an https address")
	}
	s := &Site{issuer: issuer, log: c.Log, now: c.Now, answered: c.Answered, dev: c.Development, crossOrig: http.NewCrossOriginProtection()}
	s.hosts = ownHosts(issuer, c.Development)
	s.formAction = formAction(issuer)
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.langs, s.words, err = loadWords(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.pages, err = parsePages(s.langs, s.words, s.assets); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return s, nil
}

// Page makes an http.Handler of h for people: security headers, a limit of
// 64 KiB on the body, one event line, errors and panics as a page. A POST from
// another site is refused before h runs. name is the route's name in the log.
func (s *Site) Page(name string, h Handler) http.Handler {
	return s.handler(name, forPeople, func(w http.ResponseWriter, r *http.Request) error {
		// Browsers say where a form comes from; SameSite=Lax cookies are the
		// second lock (RFC 9700 section 4.7).
		if err := s.crossOrig.Check(r); err != nil {
			return Fail(CrossSite, err)
		}
		return h(w, r)
	})
}

// PageFromAnySite is Page for the few routes where a POST from another site is
// part of the protocol: the authorization request (OpenID Connect Core section
// 3.1.2.1) and answers of providers by form. h must not act on a cookie there.
func (s *Site) PageFromAnySite(name string, h Handler) http.Handler {
	return s.handler(name, forPeople, h)
}

// FormFromAnySite is PageFromAnySite with a limit of its own on the body, in bytes:
// what a SAML provider posts may be longer than any form of ours.
func (s *Site) FormFromAnySite(name string, limit int64, h Handler) http.Handler {
	return s.bounded(name, forPeople, limit, h)
}

// API makes an http.Handler of h for machines: like PageFromAnySite, but errors
// are JSON (RFC 6749 section 5.2). Answers are no-store unless h says otherwise.
func (s *Site) API(name string, h Handler) http.Handler {
	return s.handler(name, forMachines, h)
}

// audience is who reads the answers of a route.
type audience uint8

const (
	forPeople audience = iota
	forMachines
)

func (s *Site) handler(name string, a audience, h Handler) http.Handler {
	return s.bounded(name, a, maxBody, h)
}

func (s *Site) bounded(name string, a audience, limit int64, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		v := &visit{number: newNumber()}
		rec := &recorder{ResponseWriter: w}
		r = withVisit(r, v)
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		s.baseHeaders(w.Header(), a, v)
		if a == forPeople {
			s.rememberLanguage(w, r)
		}
		if err := run(h, rec, r); err != nil {
			s.answer(rec, r, a, v, err)
		}
		s.event(r, name, rec.status, s.now().Sub(start), v)
	})
}

// errPanic is what a panic becomes.
var errPanic = errors.New("panic")

// run calls h and turns a panic into an error. The panic's own text may quote
// what it choked on, so only a runtime error's text is kept.
func run(h Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(p) // net/http's own way to drop a connection
		}
		what := fmt.Sprintf("%T", p)
		if e, ok := p.(runtime.Error); ok {
			what = e.Error()
		}
		Note(r, slog.String("stack", clip(string(debug.Stack()), 4096)))
		err = fmt.Errorf("%w: %s", errPanic, what)
	}()
	return h(w, r)
}

// recorder remembers the status and whether anything was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
