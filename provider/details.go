package provider

import (
	"encoding/json"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

const (
	maxDetails     = 8 << 10 // bytes
	maxDetailItems = 16
)

// detailTypes are the types of authorization details that we understand (RFC 9396
// section 2). There is none yet. A type is registered here together with what
// reads it into protocol.AuthRequest and what shows it to the person: nobody may
// agree to what she cannot see.
func detailTypes() []string { return []string{} }

func errDetails(why string) *protocol.Error {
	return protocol.Fail(protocol.InvalidAuthorizationDetails, nil, why)
}

// details is the authorization_details parameter. Ignoring one would let a service
// believe that it was granted (RFC 9396 section 5).
func (a params) details() *protocol.Error {
	raw := a.get("authorization_details")
	if raw == "" {
		return nil
	}
	// protocol.Object is what refuses double names and excessive depth.
	if wrapped, err := protocol.Object([]byte(`{"details":` + raw + `}`)); len(raw) > maxDetails || err != nil || len(wrapped) != 1 {
		return errDetails("authorization_details is malformed or too long")
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal([]byte(raw), &list) != nil || len(list) == 0 || len(list) > maxDetailItems {
		return errDetails("authorization_details is no list of objects")
	}
	for _, d := range list {
		name, ok := text(d["type"])
		if !ok || !slices.Contains(detailTypes(), name) {
			return errDetails("authorization_details holds a type that is missing or unknown")
		}
	}
	return nil
}
