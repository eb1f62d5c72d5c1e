package identity

import "github.com/voussoir-id/voussoir/protocol"

// Released is a minimised identity: a pairwise subject and the claims that a
// decision allowed, nothing else. Its fields are unexported and only
// Identity.Release fills them, so that code which signs cannot hold more.
type Released struct {
	sub    Sub
	claims map[string]any
}

// Sub is the pairwise subject.
func (r Released) Sub() Sub { return r.sub }

// Claims returns a copy of the claims by name, without sub.
func (r Released) Claims() map[string]any {
	out := make(map[string]any, len(r.claims))
	for k, v := range r.claims {
		out[k] = v
	}
	return out
}

var _ = protocol.GivenName
