package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// MePage is a person's own space. Without SignedIn it is the way into it.
type MePage struct {
	SignedIn      bool
	Notice        string // what she has just done: blocked | unblocked | last; "" or anything else: nothing
	First         bool   // the newest entries are shown
	Entries       []MeEntry
	Before        int64 // where the next page begins; 0: there is none
	Standings     []MeStanding
	Providers     []MeProvider
	FutureBlocked bool
}

// MeEntry is one event, the newest first.
type MeEntry struct {
	Time     time.Time
	Kind     string        // of the audit entry
	Here     bool          // it was at her own space
	Client   protocol.Text // nil: no service took part
	Provider protocol.Text // nil: none
	Claims   []protocol.Claim
	Basis    string
	Outcome  string
}

// MeStanding is an answer that is remembered.
type MeStanding struct {
	Client protocol.Text
	Basis  string
	Claims []protocol.Claim
	Until  time.Time
}

// MeProvider is a provider, and whether she has blocked it.
type MeProvider struct {
	ID      protocol.ProviderID
	Name    protocol.Text
	Blocked bool
}

type meView struct {
	Switch, SignedIn, First, FutureBlocked bool
	Notice                                 string
	Entries, Standings                     []meLine
	Providers                              []meProvider
	Before                                 int64
}

type meLine struct {
	Stamp, When, What, Client, Provider, Claims, Basis string
	Here, Failed                                       bool
}

type meProvider struct {
	ID, Name string
	Blocked  bool
}

// Me shows a person's own space.
func (s *Site) Me(w http.ResponseWriter, r *http.Request, p MePage) error {
	in, pages, again := s.in(r)
	v := meView{Switch: again, SignedIn: p.SignedIn, First: p.First, FutureBlocked: p.FutureBlocked, Before: p.Before}
	switch p.Notice {
	case "blocked", "unblocked", "last":
		v.Notice = in.text["me.said."+p.Notice]
	}
	for _, e := range p.Entries {
		v.Entries = append(v.Entries, meLine{
			Stamp: e.Time.UTC().Format(time.RFC3339), When: in.moment(e.Time), What: in.or("me.kind.", strings.ReplaceAll(e.Kind, ".", "_"), "me.kind.unlisted"),
			Client: clean(e.Client.In(in.lang)), Provider: clean(e.Provider.In(in.lang)), Claims: in.labels(e.Claims),
			Basis: in.basis(e.Basis), Here: e.Here, Failed: e.Outcome != "ok",
		})
	}
	for _, x := range p.Standings {
		v.Standings = append(v.Standings, meLine{
			When: in.date(x.Until.UTC().Format(time.DateOnly)), Client: clean(x.Client.In(in.lang)), Claims: in.labels(x.Claims), Basis: in.basis(x.Basis),
		})
	}
	for _, x := range p.Providers {
		v.Providers = append(v.Providers, meProvider{string(x.ID), clean(x.Name.In(in.lang)), x.Blocked})
	}
	s.allowForms(w, "", "")
	return s.render(w, http.StatusOK, pages.me, v)
}

type meCloseView struct{ Switch, Closed bool }

// MeClose explains what closing a record means, or says that it is closed.
func (s *Site) MeClose(w http.ResponseWriter, r *http.Request, closed bool) error {
	_, pages, again := s.in(r)
	s.allowForms(w, "", "")
	return s.render(w, http.StatusOK, pages.meClose, meCloseView{again, closed})
}

// moment words an instant, in UTC.
func (w *words) moment(t time.Time) string {
	t = t.UTC()
	return w.say("me.moment", "Day", w.date(t.Format(time.DateOnly)), "Clock", t.Format("15:04"))
}

func (w *words) labels(cs []protocol.Claim) string {
	labels := make([]string, len(cs))
	for i, c := range cs {
		labels[i] = w.label(c)
	}
	return strings.Join(labels, ", ")
}

func (w *words) basis(b string) string {
	if b == "" {
		return ""
	}
	return w.text["me.basis."+b]
}

