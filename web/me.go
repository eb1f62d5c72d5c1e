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
	Answers       []MeAnswer
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
	Receipt  string // the id of its receipt; "": it has none
}

// MeAnswer is an answer that she can take back. Until is zero when it is not remembered.
type MeAnswer struct {
	ID           protocol.ClientID
	Policy       string
	Client       protocol.Text
	Basis        string
	Claims       []protocol.Claim
	Given, Until time.Time
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
	Entries, Answers                       []meLine
	Providers                              []meProvider
	Before                                 int64
}

type meLine struct {
	Stamp, When, What, Client, Provider, Claims, Basis string
	ID, Policy, Given, Receipt                         string
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
	case "blocked", "unblocked", "last", "withdrawn", "withdrawing":
		v.Notice = in.text["me.said."+p.Notice]
	}
	for _, e := range p.Entries {
		v.Entries = append(v.Entries, meLine{
			Stamp: e.Time.UTC().Format(time.RFC3339), When: in.moment(e.Time), What: in.or("me.kind.", strings.ReplaceAll(e.Kind, ".", "_"), "me.kind.unlisted"),
			Client: clean(e.Client.In(in.lang)), Provider: clean(e.Provider.In(in.lang)), Claims: in.labels(e.Claims),
			Basis: in.basis(e.Basis), Here: e.Here, Failed: e.Outcome != "ok", Receipt: e.Receipt,
		})
	}
	v.Answers = in.answers(p.Answers)
	for _, x := range p.Providers {
		v.Providers = append(v.Providers, meProvider{string(x.ID), clean(x.Name.In(in.lang)), x.Blocked})
	}
	s.allowForms(w, "", "")
	return s.render(w, http.StatusOK, pages.me, v)
}

func (w *words) answers(all []MeAnswer) []meLine {
	var out []meLine
	for _, x := range all {
		line := meLine{
			ID: string(x.ID), Policy: x.Policy, Given: w.moment(x.Given), Client: clean(x.Client.In(w.lang)), Claims: w.labels(x.Claims), Basis: w.basis(x.Basis),
		}
		if !x.Until.IsZero() {
			line.When = w.date(x.Until.UTC().Format(time.DateOnly))
		}
		out = append(out, line)
	}
	return out
}

// MeWithdrawPage asks whether these answers are to be taken back.
type MeWithdrawPage struct {
	Answers []MeAnswer
	Service protocol.ClientID // "": of all
	Policy  string            // "": all
}

type meWithdrawView struct {
	Switch          bool
	Answers         []meLine
	Service, Policy string
}

// MeWithdraw says what taking answers back means, and asks.
func (s *Site) MeWithdraw(w http.ResponseWriter, r *http.Request, p MeWithdrawPage) error {
	in, pages, again := s.in(r)
	s.allowForms(w, "", "")
	return s.render(w, http.StatusOK, pages.meWithdraw, meWithdrawView{again, in.answers(p.Answers), string(p.Service), p.Policy})
}

// MeReceiptPage is a receipt in plain words.
type MeReceiptPage struct {
	ID, Act, Basis, Retention, Policy, Entry, Proof string
	Time, Until, OfflineUntil                       time.Time
	Client, Purpose, Provider                       protocol.Text // Provider nil: none took part
	Shown, Claims                                   []protocol.Claim
	ACR                                             protocol.ACR
	Index                                           int64
}

type meReceiptView struct {
	Switch                                                    bool
	ID, What, When, Client, Purpose, Basis, Shown, Claims     string
	Retention, Until, Offline, Provider, Level, Policy, Entry string
	Proof                                                     string
	Index                                                     int64
}

// MeReceipt shows a receipt.
func (s *Site) MeReceipt(w http.ResponseWriter, r *http.Request, p MeReceiptPage) error {
	in, pages, again := s.in(r)
	v := meReceiptView{
		Switch: again, ID: p.ID, What: in.or("me.act.", p.Act, "me.kind.unlisted"), When: in.moment(p.Time), Client: clean(p.Client.In(in.lang)),
		Purpose: clean(p.Purpose.In(in.lang)), Basis: in.basis(p.Basis), Shown: in.labels(p.Shown), Claims: in.labels(p.Claims),
		Until: in.day(p.Until), Offline: in.day(p.OfflineUntil), Provider: clean(p.Provider.In(in.lang)), Policy: p.Policy, Entry: p.Entry, Proof: p.Proof, Index: p.Index,
	}
	if p.Retention != "" {
		v.Retention, _ = in.duration(p.Retention)
	}
	if p.ACR != "" {
		v.Level = in.or("level.", string(p.ACR), "level.unknown")
	}
	return s.render(w, http.StatusOK, pages.meReceipt, v)
}

// day words the day of an instant, in UTC; "" for none.
func (w *words) day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return w.date(t.UTC().Format(time.DateOnly))
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
