package saml

import (
	"slices"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// delivered tells of the claims of a verified assertion, before its identity is
// judged. What the configuration maps is what the provider has promised: there is no
// other way to ask for it.
func (p *Provider) delivered(given attributes) {
	if p.cfg.Delivered == nil {
		return
	}
	var d federation.Delivery
	for _, field := range fields() {
		source := p.sources[field]
		switch field {
		case locality, country:
			continue
		case postalCode: // stands for the address
			field = string(identity.AddressClaim)
		}
		if source == "" {
			continue
		}
		d.Promised = append(d.Promised, protocol.Claim(field))
		if slices.ContainsFunc(given[source], func(value string) bool { return value != "" }) {
			d.Sent = append(d.Sent, protocol.Claim(field))
		}
	}
	p.cfg.Delivered(d)
}
