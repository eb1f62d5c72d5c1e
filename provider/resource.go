package provider

import (
	"encoding/json"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// errTarget is RFC 8707 section 2.
func errTarget(why string) *protocol.Error { return protocol.Fail(protocol.InvalidTarget, nil, why) }

// resources are the places where the service wants to use its access token (RFC
// 8707 section 2.1). It is the one parameter that may be repeated. Each must be
// registered for this client, byte for byte.
func (a params) resources() *protocol.Error {
	for _, r := range a.form["resource"] {
		if r == "" || slices.Contains(a.req.Resources, r) {
			continue
		}
		if !slices.Contains(a.client.Resources, r) {
			return errTarget("this client may not ask for one of the resources")
		}
		a.req.Resources = append(a.req.Resources, r)
	}
	return nil
}

// narrowed is the audience of an access token: what was granted, or the part of it
// that the token request names (RFC 8707 section 2.2), never more.
func narrowed(asked, granted []string) ([]string, error) {
	var out []string
	for _, r := range asked {
		if r == "" || slices.Contains(out, r) {
			continue
		}
		if !slices.Contains(granted, r) {
			return nil, errTarget("a resource was not granted")
		}
		out = append(out, r)
	}
	if out == nil {
		return granted, nil
	}
	return out, nil
}

// isFor reports whether a token may be used at a resource. One that was asked for
// without a resource is for /userinfo and for the data providers of its scopes; one
// that names resources is for these only: else an API that the service calls could
// take the token elsewhere and read what it was not to have (RFC 9700 section 2.3).
func (a access) isFor(resource string) bool { return a.isForOneOf([]string{resource}) }

func (a access) isForOneOf(resources []string) bool {
	return len(a.Audience) == 0 || slices.ContainsFunc(resources, func(r string) bool { return slices.Contains(a.Audience, r) })
}

// audiences is an aud claim: one name is a string (RFC 7519 section 4.1.3).
type audiences []string

// MarshalJSON writes a string or a list.
func (a audiences) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}
