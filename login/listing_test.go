package login

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// townhalls is a directory of n providers, one for each of as many towns.
func townhalls(w *world, n int) *federation.Directory {
	var all []federation.Entry
	for i := range n {
		e := (&idp{id: protocol.ProviderID(fmt.Sprintf("town-%d", i)), w: w}).entry(protocol.EIDAS1)
		e.Name = protocol.Text{"fr": fmt.Sprintf("Mairie %d", i)}
		if i == n-1 {
			e.Name, e.Keywords = protocol.Text{"fr": "Métropole"}, []string{"Saint-Étienne", "Firminy"}
		}
		all = append(all, e)
	}
	return federation.NewDirectory(all...)
}

func ids(p *web.ChoosePage) []protocol.ProviderID {
	var out []protocol.ProviderID
	for _, c := range p.Providers {
		out = append(out, c.ID)
	}
	return out
}

func TestChoice_AThousandProvidersAreAllReachableAndFound(t *testing.T) {
	w := newWorld(t)
	w.reload(nil, townhalls(w, 1000))
	b := w.browser()
	to := b.mustStart(request())
	seen := map[protocol.ProviderID]bool{}
	page := b.get(to).Choose
	want(t, "pages, providers", []int{page.Pages, page.Found, len(page.Providers)}, []int{20, 1000, 50})
	for n := range page.Pages {
		for _, id := range ids(b.get(fmt.Sprintf("%s?page=%d", to, n+1)).Choose) {
			seen[id] = true
		}
	}
	want(t, "reachable", len(seen), 1000)
	for _, q := range []string{"saint etienne", "SAINT-ÉTIENNE", "métro", "firm"} {
		want(t, q, ids(b.get(to+"?"+url.Values{"q": {q}}.Encode()).Choose), []protocol.ProviderID{"town-999"})
	}
	want(t, "nothing found", len(b.get(to+"?q=atlantis").Choose.Providers), 0)
	want(t, "an address that was changed by hand", ids(b.get(to + "?page=-3&q=").Choose)[0], protocol.ProviderID("town-0"))
	want(t, "chosen from page 20", b.post(page.Action, url.Values{"provider": {"town-999"}}).Status, 303)
}

func TestChoice_WhatWorksComesFirstWhenThereAreMany(t *testing.T) {
	w := newWorld(t)
	w.service.Health = func(id protocol.ProviderID) federation.State { return federation.State{Down: id == "town-0"} }
	w.reload(nil, townhalls(w, 60))
	b := w.browser()
	to := b.mustStart(request())
	last := b.get(to + "?page=2").Choose.Providers
	want(t, "the last one", last[len(last)-1], web.ProviderChoice{ID: "town-0", Name: protocol.Text{"fr": "Mairie 0"}, ACR: protocol.EIDAS1, Down: true})
	w.reload(nil, townhalls(w, 20))
	want(t, "with few, the order of the configuration holds", b.get(to).Choose.Providers[0].ID, protocol.ProviderID("town-0"))
	want(t, "she may try one that is said to be down", b.post(to+"/provider", url.Values{"provider": {"town-0"}}).To[:20], "https://town-0.test/")
}

func TestChoice_TheLastOneIsRememberedOnlyIfSheAsksForIt(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	to := b.mustStart(request())
	b.pick("post")
	want(t, "without the box", b.cookie(providerCookie), "")
	b.post(to+"/provider", url.Values{"provider": {"post"}, "remember": {"yes"}})
	want(t, "the cookie holds the id and nothing else", b.cookie(providerCookie), "post")

	page := b.get(b.mustStart(request())).Choose
	want(t, "shown first", page.Providers[0], web.ProviderChoice{ID: "post", Name: protocol.Text{"en": "POST"}, ACR: protocol.EIDAS1, Remembered: true})
	want(t, "each once", len(page.Providers), 2)
	b.post(page.Forget, nil)
	want(t, "forgotten", b.cookie(providerCookie), "")
	want(t, "the old order", ids(b.get(b.choice()).Choose), []protocol.ProviderID{"tax", "post"})
}

func TestChoice_ANoticeIsReadBeforeSheLeaves(t *testing.T) {
	w := newWorld(t)
	tax := w.tax.entry(protocol.EIDAS2)
	tax.Notice = protocol.Text{"en": "Have your card at hand."}
	w.reload(nil, federation.NewDirectory(tax, w.post.entry(protocol.EIDAS1)))
	b := w.browser()
	to := b.mustStart(request())
	r := b.post(to+"/provider", url.Values{"provider": {"tax"}})
	want(t, "first the notice", r.To, to+"?before=tax")
	want(t, "the notice", *b.get(r.To).Leave, web.LeavePage{
		ID: "tax", Provider: protocol.Text{"en": "TAX"}, Text: protocol.Text{"en": "Have your card at hand."}, Action: to + "/provider", Back: to,
	})
	r = b.post(to+"/provider", url.Values{"provider": {"tax"}, "read": {"yes"}})
	want(t, "then the provider", r.To[:17], "https://tax.test/")
	want(t, "nothing is said of a provider without notice", b.get(to+"?before=post").Leave, (*web.LeavePage)(nil))
	want(t, "nor of a stranger", b.get(to+"?before=nobody").Leave, (*web.LeavePage)(nil))

	hinted := request()
	hinted.IdPHint = "tax"
	want(t, "a hint does not skip it", b.mustStart(hinted), b.choice()+"?before=tax")
}

func TestChoice_ATooWeakProviderIsNeverFirstBecauseItWasRemembered(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.mustStart(request())
	b.post(b.choice()+"/provider", url.Values{"provider": {"post"}, "remember": {"yes"}})
	strong := request()
	strong.MinACR, strong.Prompt.SelectAccount = protocol.EIDAS2, true
	want(t, "order", ids(b.get(b.mustStart(strong)).Choose), []protocol.ProviderID{"tax", "post"})
}

// The choice of 1,000 providers: under 10 ms of CPU (docs/performance.md).
func BenchmarkChoice_AThousandProviders(b *testing.B) {
	w := newWorld(b)
	w.reload(nil, townhalls(w, 1000))
	visitor := w.browser()
	to := visitor.mustStart(request())
	for _, path := range []string{"", "?q=mairie", "?q=firminy"} {
		b.Run("path"+path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				visitor.get(to + path)
			}
		})
	}
}
