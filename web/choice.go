package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// ChoosePage is what the choice page shows. Action posts provider=ID, and
// remember=yes when the box is ticked.
type ChoosePage struct {
	Client    protocol.Text
	Purpose   protocol.Text
	Self      string // the page's own path, for the search and the other pages
	Action    string
	Cancel    string // a form that posts here turns back to the service
	Forget    string // a form that posts here forgets the remembered provider; "": none is remembered
	Providers []ProviderChoice
	Notice    Notice
	Hidden    bool   // there are more, which the person who is signed in here has blocked
	ReturnURI string // the request's redirect URI; only needed when it is not https (see forms)

	Search      bool   // there is something to search in
	Query       string // what was searched for
	Found       int    // how many providers there are, on all pages
	Page, Pages int    // from 1; one page: no links
}

// ProviderChoice is one button. TooWeak: shown, not selectable, with the reason. Down:
// shown in grey with the reason, and selectable, because we may be wrong or late.
type ProviderChoice struct {
	ID         protocol.ProviderID
	Name       protocol.Text
	ACR        protocol.ACR // the level that it can reach, shown in plain words
	Logo       string       // a path of ours; "": none
	Beta       bool
	TooWeak    bool
	Down       bool
	Remembered bool
}

type chooseView struct {
	Switch                     bool
	Client, Purpose            string
	Self, Action, Cancel       string
	Forget, Notice             string
	NoticeCode                 NoticeCode
	Hidden                     bool
	Providers                  []choiceView
	Search, Remember           bool
	Query, Found               string
	Pages, Previous, Next, Now string
}

type choiceView struct {
	ID, Name, Level, Logo, Class    string
	TooWeak, Down, Beta, Remembered bool
}

// Choose shows the choice page.
func (s *Site) Choose(w http.ResponseWriter, r *http.Request, p ChoosePage) error {
	in, pages, again := s.in(r)
	v := chooseView{
		Switch: again, Client: clean(p.Client.In(in.lang)), Purpose: clean(p.Purpose.In(in.lang)), Self: p.Self,
		Action: p.Action, Cancel: p.Cancel, Forget: p.Forget, Notice: in.notice(p.Notice), NoticeCode: p.Notice.Code, Hidden: p.Hidden, Providers: make([]choiceView, 0, len(p.Providers)),
		Search: p.Search, Query: clean(p.Query), Found: strconv.Itoa(p.Found), Remember: p.Self != "",
	}
	if p.Pages > 1 {
		v.Pages, v.Now = strconv.Itoa(p.Pages), strconv.Itoa(p.Page)
		v.Previous, v.Next = p.link(p.Page-1), p.link(p.Page+1)
	}
	for _, c := range p.Providers {
		one := choiceView{
			ID: string(c.ID), Name: clean(c.Name.In(in.lang)), TooWeak: c.TooWeak, Down: c.Down && !c.TooWeak, Beta: c.Beta, Remembered: c.Remembered,
			Level: in.or("level.", string(c.ACR), "level.unknown"), Logo: c.Logo,
		}
		one.Class = strings.Join(classes(one), " ")
		v.Providers = append(v.Providers, one)
	}
	s.allowForms(w, p.ReturnURI, "")
	return s.render(w, http.StatusOK, pages.choose, v)
}

func classes(c choiceView) []string {
	var out []string
	if c.Down {
		out = append(out, "down")
	}
	if c.Logo != "" {
		out = append(out, "logo")
	}
	return out
}

// link is the address of another page of the choice, or "" when there is none.
func (p ChoosePage) link(page int) string {
	if page < 1 || page > p.Pages {
		return ""
	}
	q := url.Values{"page": {strconv.Itoa(page)}}
	if p.Query != "" {
		q.Set("q", p.Query)
	}
	return p.Self + "?" + q.Encode()
}

// LeavePage says what a person should know before she leaves for a provider. Action
// posts provider=ID and read=yes.
type LeavePage struct {
	ID        protocol.ProviderID
	Provider  protocol.Text
	Text      protocol.Text
	Action    string
	Back      string // the choice page
	ReturnURI string // as in ChoosePage
}

type leaveView struct {
	Switch                           bool
	ID, Provider, Text, Action, Back string
}

// Leave shows what a person should know before she leaves for a provider.
func (s *Site) Leave(w http.ResponseWriter, r *http.Request, p LeavePage) error {
	in, pages, again := s.in(r)
	s.allowForms(w, p.ReturnURI, "")
	return s.render(w, http.StatusOK, pages.leave, leaveView{
		Switch: again, ID: string(p.ID), Provider: clean(p.Provider.In(in.lang)), Text: clean(p.Text.In(in.lang)), Action: p.Action, Back: p.Back,
	})
}

// StatusPage is what everybody may know: which providers work, and how many people sign
// in.
type StatusPage struct {
	Providers  []ProviderStatus
	Statistics *Statistics // nil: there are none
}

// ProviderStatus is one provider's. State is works, unavailable or switched_off; Since is
// zero when nobody knows since when.
type ProviderStatus struct {
	ID    protocol.ProviderID
	Name  protocol.Text
	State string
	Since time.Time
}

type statusView struct {
	Switch, AllWork bool
	Providers       []statusLine
	Statistics      *statisticsView
}

type statusLine struct{ ID, Name, State, Since, SinceText string }

// statusAge is how long an answer about the status may be shown again, in seconds.
const statusAge = "5"

// Status answers GET /status: a page, or JSON for a program that asks for it.
func (s *Site) Status(w http.ResponseWriter, r *http.Request, p StatusPage) error {
	w.Header().Set("Vary", "Accept, Accept-Language, Cookie")
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		return statusJSON(w, p)
	}
	in, pages, again := s.in(r)
	v := statusView{Switch: again, AllWork: true, Statistics: in.statistics(p.Statistics)}
	for _, one := range p.Providers {
		line := statusLine{ID: string(one.ID), Name: clean(one.Name.In(in.lang)), State: one.State}
		if !one.Since.IsZero() {
			line.Since = one.Since.UTC().Format(time.RFC3339)
			line.SinceText = in.date(one.Since.UTC().Format(time.DateOnly)) + one.Since.UTC().Format(", 15:04 UTC")
		}
		v.AllWork = v.AllWork && one.State == "works"
		v.Providers = append(v.Providers, line)
	}
	w.Header().Set("Cache-Control", "private, max-age="+statusAge) // the page may set the language's cookie
	return s.render(w, http.StatusOK, pages.status, v)
}

type statusDocument struct {
	Providers []statusProvider `json:"providers"`
}

type statusProvider struct {
	ID    protocol.ProviderID `json:"id"`
	Name  protocol.Text       `json:"name"`
	State string              `json:"state"`
	Since string              `json:"since,omitempty"`
}

func statusJSON(w http.ResponseWriter, p StatusPage) error {
	out := statusDocument{Providers: []statusProvider{}}
	for _, one := range p.Providers {
		line := statusProvider{ID: one.ID, Name: one.Name, State: one.State}
		if !one.Since.IsZero() {
			line.Since = one.Since.UTC().Format(time.RFC3339)
		}
		out.Providers = append(out.Providers, line)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age="+statusAge)
	_, err = w.Write(b)
	return err
}

// Picture is a logo. Its path holds a hash of its content.
type Picture struct {
	MediaType string
	Body      []byte
}

// Pictures answers GET /static/logo/…: exactly the paths that find knows. Browsers may keep
// them for ever, because a picture that changes has another path.
func (s *Site) Pictures(find func(path string) (Picture, bool)) http.Handler {
	return s.PageFromAnySite("logo", func(w http.ResponseWriter, r *http.Request) error {
		p, ok := find(r.URL.Path)
		if !ok || r.URL.RawPath != "" {
			return Fail(NotFound, nil)
		}
		w.Header().Set("Content-Type", p.MediaType)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("Content-Length", strconv.Itoa(len(p.Body)))
		_, err := w.Write(p.Body)
		return err
	})
}
