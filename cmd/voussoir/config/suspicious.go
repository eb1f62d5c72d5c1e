package config

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// SuspiciousContext says how a proxy in front (a web application firewall, a bot
// detector) warns of a request, and what a person then needs to sign in.
type SuspiciousContext struct {
	// TrustedProxies are the addresses or networks of the proxies whose header is
	// believed. From anybody else it is as if there were none. Required.
	TrustedProxies []string `yaml:"trusted_proxies" jsonschema:"required" eg:"[10.0.0.7/32]"`
	// Header is the one by which they warn: any value but 0 is a warning. The proxy must
	// set it, or take it away, in every request. Default X-Suspicious.
	Header string `yaml:"header" eg:"X-Suspicious"`
	// MinACR is the level that a visit needs once there was a warning, where its service
	// does not ask for more. An earlier sign-in does not count then. Default eidas2.
	MinACR string `yaml:"min_acr" jsonschema:"enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas2"`
}

// Suspicious is SuspiciousContext, loaded.
type Suspicious struct {
	Proxies []netip.Prefix
	Header  string // canonical
	ACR     protocol.ACR
}

// ownHeaders have a meaning already.
func ownHeaders() []string {
	return []string{
		"authorization", "cookie", "host", "origin", "content-type", "content-length", "dpop", "accept", "accept-language", "user-agent", "forwarded",
	}
}

func (c *checker) suspicious() {
	const at = "suspicious_context"
	k := &c.f.SuspiciousContext
	if !c.has(at) || !c.ok(at) {
		return
	}
	if len(k.TrustedProxies) == 0 && c.ok(at+".trusted_proxies") {
		c.add(at, "a warning is believed from trusted proxies only, and there are none", "trusted_proxies: [10.0.0.7/32] in it, or remove it")
	}
	for i, p := range k.TrustedProxies {
		c.trustedProxy(index(at+".trusted_proxies", i), p)
	}
	if h := at + ".header"; c.has(h) && c.ok(h) {
		switch {
		case !headerName.MatchString(k.Header) || slices.Contains(ownHeaders(), strings.ToLower(k.Header)):
			c.add(h, quote(k.Header)+" is not the name of a header of its own", "header: X-Suspicious")
		case strings.EqualFold(k.Header, c.certificateHeader()):
			c.add(h, "by this header come the certificates of services", "header: X-Suspicious")
		}
	}
	c.raised(at + ".min_acr")
}

// certificateHeader is "" when certificates come by no header.
func (c *checker) certificateHeader() string {
	header := c.f.ClientCertificates.Header
	if len(c.f.ClientCertificates.TrustedProxies) == 0 {
		return ""
	}
	fill(&header, "Client-Cert")
	return header
}

// raised: a level that nobody reaches would shut everybody out of whom a proxy warns.
func (c *checker) raised(at string) {
	needs := protocol.ACR(c.f.SuspiciousContext.MinACR)
	if needs == "" {
		needs = protocol.EIDAS2
	}
	if !c.ok(at) || !needs.Known() || len(c.f.Providers) == 0 {
		return
	}
	for _, p := range c.f.Providers {
		if most := protocol.ACR(p.ACR.Max); !most.Known() || most.Reaches(needs) {
			return
		}
	}
	c.warn("suspicious_context", "no provider reaches "+string(needs)+": whoever a proxy warns of cannot sign in at all", "a provider that reaches it, or a lower min_acr")
}

func (c *checker) loadSuspicious() *Suspicious {
	if !c.has("suspicious_context") {
		return nil
	}
	k := &c.f.SuspiciousContext
	out := &Suspicious{ACR: protocol.ACR(k.MinACR), Header: k.Header}
	fill(&out.Header, "X-Suspicious")
	out.Header = http.CanonicalHeaderKey(out.Header)
	if out.ACR == "" {
		out.ACR = protocol.EIDAS2
	}
	for _, text := range k.TrustedProxies {
		p, _ := parseNetwork(text) // a mistake is reported by the check
		out.Proxies = append(out.Proxies, p)
	}
	return out
}
