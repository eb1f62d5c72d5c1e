package login

import (
	"net/url"
	"testing"

	"github.com/voussoir-id/voussoir/web"
)

// A pushed request may be opened twice (a reload, a second tab), and is answered
// once: the visit that ends second releases nothing and records nothing.
func TestVisit_ofTwoVisitsFromOnePushedRequestOneIsAnswered_RFC9126_7_3(t *testing.T) {
	for name, end := range map[string]func(b *browser) reply{
		"agreeing": func(b *browser) reply { return b.agree() },
		"refusing": func(b *browser) reply { return b.post(b.choice()+"/consent", url.Values{"answer": {"refuse"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pushed := request()
			pushed.Pushed = "00112233445566778899aabbccddeeff"
			first, second := w.browser(), w.browser()
			for _, b := range []*browser{first, second} {
				b.identify(pushed, "tax", "alice")
			}
			want(t, "the first is answered", first.agree().code(), "code-1")
			kept := len(w.stores.entries) + len(w.stores.receipts)
			want(t, "the second is over", end(second).Error.Code, web.AlreadyAnswered)
			want(t, "and says so from then on", w.later(second).Error.Code, web.AlreadyAnswered)
			want(t, "codes", len(w.issuer.codes()), 1)
			want(t, "records of the second", len(w.stores.entries)+len(w.stores.receipts)-kept, 0)
		})
	}
}

// later looks at a visit when nobody can be at work on it any more.
func (w *world) later(b *browser) reply {
	w.pass(busy)
	return b.get(b.choice())
}

func TestVisit_theGrantNamesTheResourcesOfTheRequest_RFC8707_2(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	req := request()
	req.Resources = []string{"https://api.test/", "https://tax.test/"}
	b.identify(req, "tax", "alice")
	want(t, "code", b.agree().code(), "code-1")
	want(t, "audience", w.issuer.codes()[0].Audience, req.Resources)
}
