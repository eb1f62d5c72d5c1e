package login

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

const (
	// providerCookie holds the id of the provider that she chose last, if she asked for
	// it: nothing of who she is or where she went.
	providerCookie    = "__Host-voussoir-provider"
	providerCookieAge = 365 * 24 * 3600 // seconds

	perPage    = 50 // providers on one page: all the same at a glance, and a small page
	searchFrom = 8  // with fewer providers a search is only in the way
)

// listed is a provider that a visit may be offered, with all that a page says of it.
type listed struct {
	federation.Entry
	policies.Offer
	down bool
}

// rank is the order of a page with many providers: what can be chosen and works comes
// first.
func (l listed) rank() int {
	switch {
	case l.TooWeak:
		return 2
	case l.down:
		return 1
	}
	return 0
}

// list is what the choice page of a visit is made from: in the order of the
// configuration, or, when it is more than a page, what works first.
func (s *Service) list(offers []policies.Offer, query string) []listed {
	directory := s.Directory()
	matches := directory.Search(query)
	out := make([]listed, 0, len(offers))
	for _, o := range offers {
		if e, ok := directory.Get(o.ID); ok && matches(o.ID) {
			out = append(out, listed{e, o, s.Health(o.ID).Down})
		}
	}
	if len(out) > perPage {
		slices.SortStableFunc(out, func(a, b listed) int { return a.rank() - b.rank() })
	}
	return out
}

// fill puts the providers of one page on it. What cannot be read in the address, which
// a person may have changed, is the first page of everything.
func (s *Service) fill(page *web.ChoosePage, r *http.Request, offers []policies.Offer) {
	form := r.URL.Query()
	page.Search, page.Query = len(offers) >= searchFrom, form.Get("q")
	if len(page.Query) > 200 || !page.Search {
		page.Query = ""
	}
	all := s.list(offers, page.Query)
	last := rememberedProvider(r.Header)
	if i := slices.IndexFunc(all, func(l listed) bool { return l.ID == last && !l.TooWeak }); i >= 0 {
		one := all[i]
		all = slices.Insert(slices.Delete(all, i, i+1), 0, one)
	}
	page.Found, page.Pages, page.Page = len(all), max(1, (len(all)+perPage-1)/perPage), 1
	if n, err := strconv.Atoi(form.Get("page")); err == nil && n > 1 && n <= page.Pages {
		page.Page = n
	}
	first := (page.Page - 1) * perPage
	for _, l := range all[first:min(first+perPage, len(all))] {
		page.Providers = append(page.Providers, web.ProviderChoice{
			ID: l.ID, Name: l.Name, ACR: l.MaxACR, TooWeak: l.TooWeak, Down: l.down, Beta: l.Beta, Logo: l.Logo,
			Remembered: l.ID == last && !l.TooWeak,
		})
	}
	if last != "" {
		page.Forget = page.Self + "/forget"
	}
}

// rememberedProvider is the provider that the browser remembers, or "".
func rememberedProvider(h http.Header) protocol.ProviderID {
	for _, c := range named(h, providerCookie) {
		if len(c.Value) <= 32 {
			return protocol.ProviderID(c.Value)
		}
	}
	return ""
}

// forget is POST /login/{flow}/forget: the browser is to remember no provider.
func (s *Service) forget(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	http.SetCookie(w, cookie(providerCookie, "", -1))
	return s.carryOn(r.Context(), w, r, v)
}

// beforeYouGo is the query under which the choice page says what is to be known of a
// provider.
const beforeYouGo = "before"

// noticePath is where a visit reads what is to be known before it leaves for id, or ""
// when there is nothing.
func (s *Service) noticePath(v *visit, id protocol.ProviderID) string {
	if e, ok := s.Directory().Get(id); !ok || len(e.Notice) == 0 {
		return ""
	}
	return choicePath(v.id) + "?" + url.Values{beforeYouGo: {string(id)}}.Encode()
}

// showNotice shows what is to be known before she leaves for a provider. It reports
// false when there is nothing of the kind to show.
func (s *Service) showNotice(w http.ResponseWriter, r *http.Request, v *visit, offers []policies.Offer) (bool, error) {
	id := protocol.ProviderID(r.URL.Query().Get(beforeYouGo))
	e, ok := s.Directory().Get(id)
	if !ok || len(e.Notice) == 0 || !selectable(offers, id) {
		return false, nil
	}
	return true, s.Site.Leave(w, r, web.LeavePage{
		ID: id, Provider: e.Name, Text: e.Notice, Action: choicePath(v.id) + "/provider", Back: choicePath(v.id), ReturnURI: appURI(v.Request),
	})
}
