package oidc_test

import (
	"context"
	"testing"
)

// BenchmarkSignIn is Start and Finish against a provider on loopback that does
// nothing but answer; the provider's own signature is made beforehand.
func BenchmarkSignIn(b *testing.B) {
	h := newHostile(b)
	p := newProvider(b, h.config())
	first, err := p.Start(context.Background(), request)
	if err != nil {
		b.Fatal(err)
	}
	answer := h.visit(b, first.URL)
	var token string
	sign := func(c members) string {
		if token == "" {
			token = signed(h.key, honestHeader, marshal(c))
		}
		return token
	}
	h.sign = sign
	b.Run("start", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Start(context.Background(), request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("finish", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Finish(context.Background(), request, first.Pending, answer); err != nil {
				b.Fatal(err)
			}
		}
	})
}
