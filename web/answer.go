package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// retryAfter is how long a client should wait after 503, in seconds.
const retryAfter = "10"

// Codes lists the codes of error pages.
func Codes() []Code {
	return []Code{
		FlowUnknown, FlowNotYours, AlreadyAnswered, ClientUnknown, RedirectInvalid, RequestInvalid,
		ProviderUnknown, CallbackInvalid, LogoutInvalid, LogoutRedirectInvalid, CivilStatus, PersonBlocked, CrossSite, NotFound, MethodNotAllowed, TooLarge, Unavailable, Internal,
	}
}

// Status is the HTTP status that a code answers; 500 for one that we do not know.
func (c Code) Status() int {
	switch c {
	case FlowUnknown, FlowNotYours, AlreadyAnswered, ClientUnknown, RedirectInvalid, RequestInvalid, ProviderUnknown, CallbackInvalid,
		LogoutInvalid, LogoutRedirectInvalid:
		return http.StatusBadRequest
	case CivilStatus, PersonBlocked, CrossSite:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// answer is the one place where an error becomes an answer. err itself goes to
// the log and never outside.
func (s *Site) answer(w *recorder, r *http.Request, a audience, v *visit, err error) {
	f := fault(err, a)
	v.err, v.code = err, string(f.code)
	if f.protocol != nil {
		v.code = string(f.protocol.Code)
	}
	if w.status != 0 {
		return // half of another answer is out already; the log line has to do
	}
	clearBody(w.Header())
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	if a == forMachines {
		answerJSON(w, f)
		return
	}
	s.baseHeaders(w.Header(), a, v) // a page may have loosened its policy
	if perr := s.errorPage(w, r, v, f); perr != nil {
		v.err = errors.Join(err, perr)
		http.Error(w, string(f.code), f.status)
	}
}

// clearBody drops what a handler said of the answer that it did not send. Its
// cookies stay: an error page may well end a flow's cookie.
func clearBody(h http.Header) {
	for _, k := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Location", "Refresh"} {
		h.Del(k)
	}
	h.Set("Cache-Control", "no-store")
}

// failure is an error in the words of an answer.
type failure struct {
	code     Code
	status   int
	back     *Back
	contact  protocol.Text
	turn     *TurnBack
	protocol *protocol.Error // nil: not an error of the protocol
}

// fault says what err means to the outside. What it does not know is internal.
func fault(err error, a audience) failure {
	var own *refusal
	var problem *Problem
	var answer *protocol.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return failure{code: own.problem.Code, status: own.status, back: own.problem.Back}
	case errors.As(err, &problem):
		return failure{code: problem.Code, status: problem.Code.Status(), back: problem.Back, contact: problem.Contact, turn: problem.TurnBack}
	case errors.As(err, &answer):
		f := failure{code: pageCode(answer.Code), status: cmp.Or(answer.Status, protocolStatus(answer.Code)), protocol: answer}
		if a == forPeople {
			f.status = f.code.Status()
		}
		return f
	case errors.As(err, &tooLarge):
		return failure{code: TooLarge, status: TooLarge.Status()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return failure{code: Unavailable, status: Unavailable.Status()}
	}
	return failure{code: Internal, status: Internal.Status()}
}

// pageCode is the page for an error of the protocol that has no service to go
// back to.
func pageCode(c protocol.ErrorCode) Code {
	switch c {
	case protocol.ServerError:
		return Internal
	case protocol.TemporarilyUnavailable:
		return Unavailable
	}
	return RequestInvalid
}

// protocolStatus follows RFC 6749 section 5.2 and RFC 6750 section 3.1. The
// WWW-Authenticate header that goes with 401 is the handler's: it knows the realm
// and what was tried.
func protocolStatus(c protocol.ErrorCode) int {
	switch c {
	case protocol.InvalidClient, protocol.InvalidToken:
		return http.StatusUnauthorized
	case protocol.AccessDenied: // RFC 7592 section 2; it never meets a page
		return http.StatusForbidden
	case protocol.ServerError:
		return http.StatusInternalServerError
	case protocol.TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// errorBody is the JSON of an error (RFC 6749 section 5.2).
type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func answerJSON(w http.ResponseWriter, f failure) {
	body := errorBody{Error: string(machineCode(f.code))}
	if f.protocol != nil {
		body = errorBody{Error: string(f.protocol.Code), Description: describable(f.protocol.Description)}
	}
	b, err := json.Marshal(body)
	if err != nil { // two strings always marshal
		b = []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(f.status)
	_, _ = w.Write(b)
}

// machineCode says a page's code in the words of the protocol, the only ones
// that a client library knows.
func machineCode(c Code) protocol.ErrorCode {
	switch c {
	case Internal:
		return protocol.ServerError
	case Unavailable:
		return protocol.TemporarilyUnavailable
	case ClientUnknown:
		return protocol.InvalidClient
	}
	return protocol.InvalidRequest
}

// describable keeps the signs that error_description may hold (RFC 6749 section 5.2).
func describable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), maxAttr)]
}

// NotFound is the handler for every path that is nobody's.
func (s *Site) NotFound(http.ResponseWriter, *http.Request) error { return Fail(NotFound, nil) }

// Fallback serves mux and gives its 404 and 405 our face: a page with the code,
// and the Allow header that mux computed.
func (s *Site) Fallback(mux *http.ServeMux) http.Handler {
	unmatched := s.PageFromAnySite("unmatched", func(w http.ResponseWriter, r *http.Request) error {
		probe := &discard{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if probe.status != http.StatusMethodNotAllowed {
			return Fail(NotFound, nil)
		}
		w.Header()["Allow"] = probe.header["Allow"]
		return Fail(MethodNotAllowed, nil)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// mux sends people from //login/x to /login/x by 307, which posts their form
		// again (RFC 9700 section 4.12) and bears none of our headers. Nothing of ours
		// links to such an address.
		if h, pattern := mux.Handler(r); pattern == "" || reflect.TypeOf(h) == muxRedirect {
			unmatched.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// muxRedirect is what mux answers a path with that it would write differently.
var muxRedirect = reflect.TypeOf(http.RedirectHandler("/", http.StatusSeeOther))

// discard takes mux's own answer to a request that matches no pattern.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
