package login

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/voussoir-id/voussoir/web"
)

func choicePath(id FlowID) string  { return "/login/" + string(id) }
func consentPath(id FlowID) string { return "/login/" + string(id) + "/consent" }

// page makes a route of h for a visit that find proves to be this browser's. It
// is where every error of this room ends: when someone was first, the browser is
// sent to see what is true now; whatever is not a Problem means that we do not
// know, which is never a no; and a visit's own browser gets the way back.
func (s *Service) page(name string, find func(*http.Request) (*visit, error), h func(http.ResponseWriter, *http.Request, *visit) error) http.Handler {
	return s.Site.Page(name, func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodHead { // mux takes it for a GET, and a look must not move a visit on
			w.Header().Set("Allow", "GET")
			return web.Fail(web.MethodNotAllowed, nil)
		}
		v, err := find(r)
		if err == nil {
			s.Site.Lang(r, v.Request.UILocales) // from here on pages speak what the service asked for
			if err = s.watch(r.Context(), v, r.Header); err == nil {
				err = h(w, r, v)
			}
		}
		if errors.Is(err, ErrStale) {
			seeOther(w, choicePath(v.id))
			return nil
		}
		return s.problem(v, err)
	})
}

// byPath finds the visit that the path names.
func (s *Service) byPath(r *http.Request) (*visit, error) {
	return s.open(r, FlowID(r.PathValue("flow")))
}

// open loads a visit and proves that this browser started it: else an attacker
// could start one, have the victim finish it, and collect the code (RFC 9700
// section 4.7). The visit of another browser is not returned. An expired visit
// is told apart from a missing cookie, because both go after an hour's pause and
// the sentence about time is the one that helps.
func (s *Service) open(r *http.Request, id FlowID) (*visit, error) {
	v, err := s.load(r.Context(), id)
	if err != nil {
		return nil, err
	}
	s.Note(r, slog.String("flow", string(v.id)), slog.String("client", string(v.Request.ClientID)))
	if !v.startedBy(r.Header) {
		return nil, web.Fail(web.FlowNotYours, nil)
	}
	return v, nil
}

// problem makes a web.Problem of err, with the way back if the visit is known.
func (s *Service) problem(v *visit, err error) error {
	if err == nil {
		return nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = web.Fail(web.TooLarge, err)
	}
	var p *web.Problem
	if !errors.As(err, &p) {
		p = web.Fail(web.Unavailable, err)
	}
	if v != nil && p.Back == nil {
		p.Back = s.wayBack(v)
	}
	return p
}

// wayBack is the front page of the service: its redirect URI would take a visit
// without a code for a fault. A native app has none.
func (s *Service) wayBack(v *visit) *web.Back {
	client, ok := s.Clients().Get(v.Request.ClientID)
	u, err := url.Parse(v.Request.RedirectURI)
	if !ok || err != nil || u.Scheme != "https" && (u.Scheme != "http" || client.Native) || u.Host == "" {
		return nil // of an app's loopback address anybody chooses the port
	}
	return &web.Back{Client: client.Name, URL: u.Scheme + "://" + u.Host + "/"}
}

// seeOther answers 303: 307 and 308 would post a person's form again at the next
// address (RFC 9700 section 4.12).
func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// readForm returns the fields of a posted form, and refuses any that we did not
// send to the person. web has bounded the body.
func readForm(r *http.Request, fields ...string) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, err
		}
		return nil, web.Fail(web.RequestInvalid, errors.New("malformed form")) // the cause quotes the form
	}
	known := make(map[string]bool, len(fields))
	for _, f := range fields {
		known[f] = true
	}
	for name := range r.PostForm {
		if !known[name] {
			return nil, web.Fail(web.RequestInvalid, errors.New("unknown form field"))
		}
	}
	return r.PostForm, nil
}

// only returns the single value of a field, or false.
func only(form url.Values, field string) (string, bool) {
	if len(form[field]) != 1 {
		return "", false
	}
	return form[field][0], true
}
