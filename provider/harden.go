package provider

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// What a request may weigh. net/http's own limits are 1 MiB for the header and
// 10 MB for a form.
const (
	maxURL  = 16 << 10
	maxBody = 64 << 10
)

// rule is what a route accepts before its handler runs. Whatever the library
// would let pass stops here (see oplib_test.go).
type rule struct {
	methods []string
	page    bool // people see its errors, and it tells repeated parameters itself; else JSON
	query   bool // parameters in the URL are read or ignored; else refused
	json    bool // the body is JSON, read by the handler; else a form
	public  bool // metadata: cacheable and readable from any origin, without credentials
}

// guard is a handler that runs h only for requests that keep the rule, with the
// form parsed, and puts on each answer the headers that the protocol wants.
func (u rule) guard(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		u.headers(w.Header())
		// A compressed form is never sent in good faith (RFC 9110 section 15.5.16).
		if r.Method == http.MethodPost && r.Header.Get("Content-Encoding") != "" {
			w.Header().Set("Accept-Encoding", "identity")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnsupportedMediaType)
			_, err := w.Write([]byte(`{"error":"invalid_request","error_description":"Content-Encoding is not accepted"}`))
			return err
		}
		err := u.admit(w, r)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			explain(w.Header(), err)
		}
		return err
	}
}

// Values of headers that every answer carries, made once.
var noStore, noCache = []string{"no-store"}, []string{"no-cache"}

// headers are those of the protocol; web.Site has set the others.
func (u rule) headers(h http.Header) {
	if u.public {
		h.Set("Access-Control-Allow-Origin", "*")
		return
	}
	h["Cache-Control"] = noStore // RFC 6749 section 5.1
	if !u.page {
		h["Pragma"] = noCache
	}
}

func (u rule) admit(w http.ResponseWriter, r *http.Request) error {
	if !slices.Contains(u.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(u.methods, ", "))
		return web.Fail(web.MethodNotAllowed, nil)
	}
	if len(r.RequestURI) > maxURL || len(r.URL.RawQuery) > maxURL {
		return web.Fail(web.TooLarge, errors.New("url too long"))
	}
	// Secrets and tokens in an address end up in logs (RFC 6750 section 5.3).
	// A bare "?", which some clients send, holds none.
	if !u.query && r.URL.RawQuery != "" {
		return u.invalid("parameters in the URL are not accepted here")
	}
	if u.public {
		return nil
	}
	if u.json {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		return nil
	}
	if r.Method == http.MethodPost {
		if !isForm(r.Header) && !isEmpty(r) {
			return u.invalid("the body must be application/x-www-form-urlencoded")
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return web.Fail(web.TooLarge, errors.New("body too large"))
		}
		return u.invalid("the parameters cannot be parsed") // err would quote them
	}
	if !u.page && repeated(r.Form) {
		return u.invalid("a parameter is repeated") // RFC 6749 section 3.2
	}
	return nil
}

func (u rule) invalid(why string) error {
	if u.page {
		return web.Fail(web.RequestInvalid, errors.New(why))
	}
	return protocol.Fail(protocol.InvalidRequest, nil, why)
}

// isForm wants exactly one Content-Type, of a form. A charset parameter may be
// there, because common clients send it, and must be UTF-8.
func isForm(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) != 1 {
		return false
	}
	const form = "application/x-www-form-urlencoded"
	if types[0] == form {
		return true
	}
	t, params, err := mime.ParseMediaType(types[0])
	if err != nil || t != form || len(params) > 1 {
		return false
	}
	return len(params) == 0 || strings.EqualFold(params["charset"], "utf-8")
}

// isEmpty: a POST without a body has no Content-Type either (RFC 9110 section 8.3);
// an access token in the header needs no more (OpenID Connect Core section 5.3.1).
func isEmpty(r *http.Request) bool { return r.ContentLength == 0 && len(r.Header["Content-Type"]) == 0 }

// explain names the way to authenticate (RFC 6749 section 5.2).
func explain(h http.Header, err error) {
	var e *protocol.Error
	if errors.As(err, &e) && e.Code == protocol.InvalidClient {
		h.Set("WWW-Authenticate", `Basic realm="token", charset="UTF-8"`)
	}
}

// repeated reports whether a parameter occurs twice, in the query, in the body or
// in both: two readers would take different ones of them (RFC 6749 section 3.1).
// resource may be repeated (RFC 8707 section 2); nobody picks one of several.
func repeated(form url.Values) bool {
	for name, v := range form {
		if len(v) > 1 && name != "resource" {
			return true
		}
	}
	return false
}
