package main

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/protocol"
)

// trusts looks at the connection itself, never at a header that names an address.
func trusts(proxies []netip.Prefix, remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(proxies, func(n netip.Prefix) bool { return n.Contains(at.Addr().Unmap().WithZone("")) })
}

// warned takes the header by which a proxy warns of a request out of every request that
// does not come from one: from there on, a header that is there is the proxy's.
func (b *broker) warned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := b.current.Load().loaded.Suspicious
		if s != nil && r.Header[s.Header] != nil && !trusts(s.Proxies, r.RemoteAddr) {
			r = r.Clone(r.Context()) // a copy, which is ours to change
			delete(r.Header, s.Header)
		}
		next.ServeHTTP(w, r)
	})
}

// caution is the level that a request needs because of its header; see warned.
func (b *broker) caution(h http.Header) protocol.ACR {
	return cautionOf(b.current.Load().loaded.Suspicious, h)
}

// cautionOf: a proxy that has nothing to say sends 0, or nothing. With anything else it
// warns, also with what it may have added to the words of a client.
func cautionOf(s *config.Suspicious, h http.Header) protocol.ACR {
	if s == nil {
		return ""
	}
	for _, v := range h[s.Header] {
		if v != "" && v != "0" {
			return s.ACR
		}
	}
	return ""
}
