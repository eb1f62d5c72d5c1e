package provider

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkDPoP is what a proof adds: a token request and userinfo without one, and
// with one by each algorithm. The store is in memory: what the durable insert of
// each proof costs comes on top.
func BenchmarkDPoP(b *testing.B) {
	run := func(b *testing.B, h *holder) {
		w := newBareWorld(b)
		serve := func(r *http.Request) reply {
			rec := httptest.NewRecorder()
			w.p.ServeHTTP(rec, r)
			if rec.Code != http.StatusOK {
				b.Fatalf("got %d %s", rec.Code, rec.Body)
			}
			return reply{rec.Code, rec.Header(), rec.Body.String()}
		}
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			r := post(PathToken, tokenForm(w.code()))
			basic(r, "library", secret)
			if h != nil {
				with(r, w.proof(*h, "POST", PathToken, ""))
			}
			b.StartTimer()
			got := serve(r)
			b.StopTimer()
			token := got.json(b)["access_token"].(string)
			r = readRequest("Bearer", token)
			if h != nil {
				r = with(readRequest("DPoP", token), w.proof(*h, "GET", PathUserInfo, token))
			}
			b.StartTimer()
			serve(r)
		}
	}
	b.Run("without", func(b *testing.B) { run(b, nil) })
	for _, h := range holders()[1:] {
		b.Run(h.alg, func(b *testing.B) { run(b, &h) })
	}
}
