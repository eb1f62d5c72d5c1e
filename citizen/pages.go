package citizen

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// pageSize is how many entries a page shows.
const pageSize = 25

// show answers GET /me: the space, or the way into it.
func (s *Space) show(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil {
		return s.Site.Me(w, r, web.MePage{})
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	page := web.MePage{SignedIn: true, Notice: r.URL.Query().Get("said"), First: before <= 0}
	if page.Entries, page.Before, err = s.history(r, v, max(before, 0)); err != nil {
		return err
	}
	if page.Answers, err = s.answers(r, v); err != nil {
		return err
	}
	if page.Providers, page.FutureBlocked, err = s.providers(r, v); err != nil {
		return err
	}
	return s.Site.Me(w, r, page)
}

// history is a page of her entries, and the place before which the next begins; 0: there
// is none. Her own visits here are among them: they too are sign-ins.
func (s *Space) history(r *http.Request, v *visitor, before int64) ([]web.MeEntry, int64, error) {
	digest, err := s.Of(v.Person.ID.String())
	if err != nil {
		return nil, 0, fmt.Errorf("the digest of a person: %w", err)
	}
	entries, err := s.Records.EntriesOf(r.Context(), digest, before, pageSize+1)
	if err != nil {
		return nil, 0, err
	}
	next := int64(0)
	if len(entries) > pageSize {
		entries = entries[:pageSize]
		next = entries[pageSize-1].Seq
	}
	receipts, err := s.receipts(r, v)
	if err != nil {
		return nil, 0, err
	}
	out := make([]web.MeEntry, 0, len(entries))
	for _, e := range entries {
		line, err := s.entry(e, v)
		if err != nil {
			return nil, 0, err
		}
		line.Receipt = receipts[e.ID]
		out = append(out, line)
	}
	return out, next, nil
}

func (s *Space) entry(e audit.Placed, v *visitor) (web.MeEntry, error) {
	var public audit.Public
	if err := json.Unmarshal(e.Public, &public); err != nil {
		return web.MeEntry{}, errors.New("an entry cannot be read")
	}
	line := web.MeEntry{Time: public.Time, Kind: string(public.Kind), Outcome: public.Outcome, Basis: public.Basis}
	if releases(public.Kind) {
		for _, c := range public.Claims {
			line.Claims = append(line.Claims, protocol.Claim(c))
		}
	}
	if public.Client == string(Client) {
		line.Here = true
	} else if public.Client != "" {
		line.Client = s.service(protocol.ClientID(public.Client))
	}
	if len(e.Sealed) == 0 { // past its time: what is public stays
		return line, nil
	}
	personal, err := s.Audit.Open(e.Entry, v.Person.SealKey)
	if err != nil {
		return line, fmt.Errorf("open an entry: %w", err)
	}
	if personal.Provider != "" {
		line.Provider = s.provider(protocol.ProviderID(personal.Provider))
	}
	return line, nil
}

// releases reports whether the claims of an entry left. Those of others were only asked
// for, or could be had.
func releases(k audit.Kind) bool {
	switch k {
	case audit.ConsentGiven, audit.Informed, audit.ConsentStanding, audit.UserInfoServed, audit.IntrospectionServed:
		return true
	}
	return false
}

// service is its name, or its id when it is gone from the configuration.
func (s *Space) service(id protocol.ClientID) protocol.Text {
	if name := s.Service(id); len(name) > 0 {
		return name
	}
	return protocol.Text{"en": string(id), "fr": string(id)}
}

func (s *Space) provider(id protocol.ProviderID) protocol.Text {
	for _, p := range s.Providers() {
		if p.ID == id {
			return p.Name
		}
	}
	if id == preferences.Future {
		return nil
	}
	return protocol.Text{"en": string(id), "fr": string(id)}
}

func (s *Space) providers(r *http.Request, v *visitor) ([]web.MeProvider, bool, error) {
	said, err := s.Preferences.List(r.Context(), v.Person.ID)
	if err != nil {
		return nil, false, err
	}
	var out []web.MeProvider
	for _, p := range s.Providers() {
		out = append(out, web.MeProvider{ID: p.ID, Name: p.Name, Blocked: said.Blocks(p.ID)})
	}
	future, _ := said.Of(preferences.Future)
	return out, future.Blocked, nil
}

// block has a provider, or every future one, not be used in her name any more.
func (s *Space) block(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil {
		return again(w)
	}
	err = s.Preferences.Block(r.Context(), v.Person, protocol.ProviderID(r.PostFormValue("provider")))
	return said(w, err, "blocked")
}

// unblock opens a door again, so it wants a sign-in of now: a browser left open must not
// do for whoever sits down at it.
func (s *Space) unblock(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil || !s.recently(v) {
		return again(w)
	}
	id := protocol.ProviderID(r.PostFormValue("provider"))
	if s.provider(id) == nil && id != preferences.Future || len(id) > 100 {
		return web.Fail(web.ProviderUnknown, nil)
	}
	return said(w, s.Preferences.Unblock(r.Context(), v.Person, id), "unblocked")
}

func said(w http.ResponseWriter, err error, word string) error {
	switch {
	case errors.Is(err, preferences.ErrUnknown):
		return web.Fail(web.ProviderUnknown, err)
	case errors.Is(err, preferences.ErrLast):
		word = "last"
	case err != nil:
		return err
	}
	seeOther(w, PathMe+"?said="+word)
	return nil
}

// again sends her to sign in again.
func again(w http.ResponseWriter) error {
	http.SetCookie(w, cookie(sessionCookie, "", -1))
	seeOther(w, PathMe)
	return nil
}

// askClose explains what closing her record means.
func (s *Space) askClose(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil || !s.recently(v) {
		return again(w)
	}
	return s.Site.MeClose(w, r, false)
}

// close destroys all that is kept of her. The entry of it does not say who: her key goes
// with it.
func (s *Space) close(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil {
		return err
	}
	if v == nil || !s.recently(v) || r.PostFormValue("answer") != "close" {
		return again(w)
	}
	digest, err := s.Of(v.Person.ID.String())
	if err != nil {
		return fmt.Errorf("the digest of a person: %w", err)
	}
	e, err := s.Audit.Prepare(audit.Event{Public: audit.Public{Kind: audit.RecordClosed, Outcome: "ok"}})
	if err != nil {
		return err
	}
	if err := s.Records.ClosePerson(r.Context(), v.Person.ID, digest, e); err != nil {
		return err
	}
	if _, err := s.Sessions.EndSession(r.Context(), v.digest, v.id, s.Now().Add(sessionTTL)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	http.SetCookie(w, cookie(sessionCookie, "", -1))
	return s.Site.MeClose(w, r, true)
}
