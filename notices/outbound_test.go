package notices

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/outbound"
)

// A registered address is somebody else's word: it must not lead inside our network,
// neither by itself nor by a redirect.
func TestQueue_doesNotCallPrivateAddressesNorFollowRedirects_SF01(t *testing.T) {
	var called atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer inside.Close()
	redirects := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	for name, tt := range map[string]struct {
		url     string
		client  *http.Client
		outcome string
	}{
		"a private address":               {inside.URL, outbound.New(outbound.Config{AllowHTTP: true}), NoAnswer},
		"an address without TLS":          {inside.URL, outbound.New(outbound.Config{AllowPrivate: true}), NoAnswer},
		"a redirect to a private address": {redirects.URL, outbound.New(outbound.Config{AllowHTTP: true, AllowPrivate: true}), BadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := New(Config{Store: &memory{}, Client: func() *http.Client { return tt.client }, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			n := Notice{ID: NewID(), Kind: "logout", Client: "a", Tries: unreachable - 1, Expires: time.Now().Add(time.Minute)}
			outcome, again := q.try(t.Context(), fixed{tt.url}, &n)
			if outcome != tt.outcome || again != 0 || called.Load() != 0 {
				t.Errorf("%q, again in %s, %d calls", outcome, again, called.Load())
			}
		})
	}
}

// fixed is a kind of notice for one address.
type fixed struct{ url string }

func (f fixed) Request(ctx context.Context, _ Notice) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodPost, f.url, nil)
}
func (fixed) Accepts(status int) Verdict                 { return map[int]Verdict{200: Taken}[status] }
func (fixed) Over(context.Context, Notice, string) error { return nil }
