package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// Released is a minimised identity: a pairwise subject and the claims that a
// decision allowed, nothing else. Its fields are unexported and only
// Identity.Release fills them, so that code which signs cannot hold more.
type Released struct {
	sub    Sub
	claims map[string]any // string, bool or []string
}

// emailVerified travels with email and is no choice of its own (OpenID Connect
// Core section 5.1).
const emailVerified = string(EmailVerified)

// Release keeps of the identity what is both allowed and known. The result
// shares nothing with the identity.
func (id Identity) Release(sub Sub, allowed []protocol.Claim) Released {
	r := Released{sub: sub, claims: make(map[string]any, len(allowed)+1)}
	for _, c := range allowed {
		v, ok := id.Value(c)
		if !ok {
			continue
		}
		r.claims[string(c)] = v
		if c == protocol.Email {
			r.claims[emailVerified] = id.EmailVerified
		}
	}
	return r
}

// Only returns the same subject with fewer claims, for the ID token.
func (r Released) Only(names []protocol.Claim) Released {
	out := Released{sub: r.sub, claims: make(map[string]any, len(names)+1)}
	for _, c := range names {
		if v, ok := r.claims[string(c)]; ok {
			out.claims[string(c)] = ownCopy(v)
		}
	}
	if verified, ok := r.claims[emailVerified]; ok && slices.Contains(names, protocol.Email) {
		out.claims[emailVerified] = verified
	}
	return out
}

// Sub is the pairwise subject.
func (r Released) Sub() Sub { return r.sub }

// Claims returns a copy of the claims by name, without sub.
func (r Released) Claims() map[string]any {
	out := make(map[string]any, len(r.claims))
	for k, v := range r.claims {
		out[k] = ownCopy(v)
	}
	return out
}

// Names lists the claims that are released, in the order of protocol.Claims.
func (r Released) Names() []protocol.Claim {
	var names []protocol.Claim
	for _, c := range protocol.Claims() {
		if _, ok := r.claims[string(c)]; ok {
			names = append(names, c)
		}
	}
	return names
}

// String and LogValue keep the values out of logs and errors.
func (r Released) String() string       { return redacted }
func (r Released) LogValue() slog.Value { return slog.StringValue(redacted) }

func ownCopy(v any) any {
	if list, ok := v.([]string); ok {
		return slices.Clone(list)
	}
	return v
}

// MarshalJSON writes the form that is kept in a sealed grant.
func (r Released) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Sub    Sub            `json:"sub"`
		Claims map[string]any `json:"claims"`
	}{r.sub, r.claims})
}

// UnmarshalJSON reads what MarshalJSON wrote, and nothing else: unknown members
// and claims, and values of the wrong type, are errors.
//
// This is a second way to fill a Released, and no hole: what it reads was sealed
// by us after Release, and sealing is authenticated, so whoever could forge it
// holds the sealing key. It is for grants that keys.Ring has opened, never for
// anything that a stranger sent.
func (r *Released) UnmarshalJSON(data []byte) error {
	var in struct {
		Sub    Sub                        `json:"sub"`
		Claims map[string]json.RawMessage `json:"claims"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return errors.New("released identity: malformed") // the cause could quote a value
	}
	if in.Sub == "" {
		return errors.New("released identity: no subject")
	}
	out := Released{sub: in.Sub, claims: make(map[string]any, len(in.Claims))}
	for name, raw := range in.Claims {
		v, ok := decodeClaim(name, raw)
		if !ok {
			return fmt.Errorf("released identity: claim %q is unknown or of the wrong type", name)
		}
		out.claims[name] = v
	}
	*r = out
	return nil
}

func decodeClaim(name string, raw json.RawMessage) (any, bool) {
	switch c := protocol.Claim(name); {
	case name == emailVerified, c == protocol.AgeOver15, c == protocol.AgeOver16, c == protocol.AgeOver18:
		return decodeAs[bool](raw)
	case c == protocol.AMR:
		return decodeAs[[]string](raw)
	case c.Known():
		return decodeAs[string](raw)
	}
	return nil, false
}

// decodeAs refuses null too, which encoding/json would take for a zero value.
func decodeAs[T bool | string | []string](raw json.RawMessage) (any, bool) {
	var v *T
	if err := json.Unmarshal(raw, &v); err != nil || v == nil {
		return nil, false
	}
	return *v, true
}
