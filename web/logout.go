package web

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// LogoutPage asks whether to log out. Action takes form=Form and
// answer=logout|stay.
type LogoutPage struct {
	Client   protocol.Text // who asks; nil: nobody, she came by herself
	Provider protocol.Text // where she signed in
	Action   string
	Form     string
	After    string // where the form leads in the end; only needed when it is not https (see forms)
}

// LoggedOutPage says what is over, and what is not.
type LoggedOutPage struct {
	Nothing  bool          // there was no session
	Client   protocol.Text // nil: none asked
	Provider protocol.Text // where she had signed in; nil: nobody knows
	Next     string        // where she can go on, a web address; "": nowhere
	Relay    bool          // Next leads to the provider, to log out there too
	Relayed  bool          // she comes from there
	Frames   []string      // loaded to tell services by the browser, web addresses
}

// frameTime is how long the browser gets to load frames before it goes on.
const frameTime = "5"

type logoutView struct {
	Switch           bool
	Client, Provider string
	Action, Form     string
}

// Logout shows the page that asks.
func (s *Site) Logout(w http.ResponseWriter, r *http.Request, p LogoutPage) error {
	in, pages, again := s.in(r)
	s.allowForms(w, p.After, "")
	return s.render(w, http.StatusOK, pages.logout, logoutView{
		Switch: again, Client: clean(p.Client.In(in.lang)), Provider: clean(p.Provider.In(in.lang)), Action: p.Action, Form: p.Form,
	})
}

type loggedOutView struct {
	Switch                  bool
	Nothing, Relay, Relayed bool
	Client, Provider        string
	Next                    template.URL
	Frames                  []template.URL
}

// LoggedOut shows what is over. The one page of ours that loads something from
// elsewhere: the addresses that services registered, in frames that nobody sees, and
// only these. Then it goes on by itself, without script.
func (s *Site) LoggedOut(w http.ResponseWriter, r *http.Request, p LoggedOutPage) error {
	in, pages, again := s.in(r)
	v := loggedOutView{
		Switch: again, Nothing: p.Nothing, Relay: p.Relay, Relayed: p.Relayed,
		Client: clean(p.Client.In(in.lang)), Provider: clean(p.Provider.In(in.lang)), Next: backURL(p.Next),
	}
	var origins []string
	for _, f := range p.Frames {
		u, err := url.Parse(f)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || !plainHost(u.Host) {
			return errors.New("logged-out page: a frame is not a web address")
		}
		if o := u.Scheme + "://" + u.Host; !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
		v.Frames = append(v.Frames, template.URL(f)) //nolint:gosec // scheme checked above; still escaped as an attribute
	}
	if len(origins) > 0 {
		w.Header().Set("Content-Security-Policy", policyBase+"'none'; frame-src "+strings.Join(origins, " "))
		if v.Next != "" {
			w.Header().Set("Refresh", frameTime+"; url="+string(v.Next))
		}
	}
	return s.render(w, http.StatusOK, pages.loggedOut, v)
}
