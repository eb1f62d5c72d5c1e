package saml

import (
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestDelivered_MappedAttributesAndThoseThatCame(t *testing.T) {
	var heard []federation.Delivery
	w := newWorld(t, func(c *Config) {
		c.Attributes["urn:oid:nobody"] = "birthplace"
		c.Delivered = func(d federation.Delivery) { heard = append(heard, d) }
	})
	saved, request := w.begin(federation.Request{})
	w.wantAlice(saved, encode(w.response(request, sign(w.assertion(request), idpKey()))))
	if len(heard) != 1 {
		t.Fatalf("told %d times, want once", len(heard))
	}
	d := heard[0]
	if !slices.Contains(d.Promised, protocol.Birthplace) || slices.Contains(d.Sent, protocol.Birthplace) {
		t.Errorf("promised %q, sent %q: want a birthplace that was promised and not sent", d.Promised, d.Sent)
	}
	if !slices.Contains(d.Promised, protocol.GivenName) || !slices.Contains(d.Sent, protocol.GivenName) {
		t.Errorf("promised %q, sent %q: want a given name in both", d.Promised, d.Sent)
	}
}
