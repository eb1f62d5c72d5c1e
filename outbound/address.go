package outbound

import "net/netip"

// reach is who can answer at an address.
type reach uint8

const (
	never   reach = iota // multicast, link-local, unspecified, reserved: no provider lives there
	private              // loopback, private networks: only where the configuration allows
	public
)

// Ranges beyond those that netip names (IANA special-purpose registries,
// RFC 6890 and its updates).
var (
	privateRanges = prefixes(
		"100.64.0.0/10",  // shared address space, carrier-grade NAT (RFC 6598)
		"64:ff9b:1::/48", // local NAT64 (RFC 8215)
		"fec0::/10",      // site-local, deprecated but still routed somewhere
	)
	neverRanges = prefixes(
		"0.0.0.0/8",       // "this network": reaches the own machine on Linux
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"240.0.0.0/4",     // reserved, broadcast
		"::/96",           // IPv4-compatible, deprecated: hides an IPv4 address
		"100::/64",        // discard
		"2001::/23",       // protocol assignments; Teredo hides an IPv4 address
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4 hides an IPv4 address
	)
	nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last four bytes are IPv4
)

// judge looks through the forms in which an IPv6 address hides an IPv4 one.
func judge(a netip.Addr) reach {
	if a.Zone() != "" {
		return never // zones exist for link-local addresses only
	}
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case a.IsLoopback(), a.IsPrivate(), within(privateRanges, a):
		return private
	case !a.IsGlobalUnicast(), within(neverRanges, a):
		return never // includes multicast, link-local and unspecified
	}
	return public
}

func within(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}
