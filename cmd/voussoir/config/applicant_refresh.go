package config

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

const refreshGrant = "refresh_token"

// offline writes the refresh tokens of a service into its entry of the file, if it
// registered the grant and its token allows it. Otherwise it takes both the grant and
// the scope out of the metadata, so that the answer says what holds (RFC 7591 section
// 3.2.1).
func (t *InitialToken) offline(m map[string]json.RawMessage) map[string]any {
	var grants []string
	_ = json.Unmarshal(m["grant_types"], &grants) // its shape was checked
	if slices.Contains(grants, refreshGrant) && t.RefreshTokens.Max != "" {
		r := t.RefreshTokens
		if method, _ := free(m["token_endpoint_auth_method"]).(string); public(method) {
			r.Rotation, r.Reason = nil, "" // a public client has no exception from rotation
		}
		entry := map[string]any{"max": r.Max, "rotation": on(r.Rotation)}
		for name, text := range map[string]string{"idle": r.Idle, "reason": r.Reason} {
			if text != "" {
				entry[name] = text
			}
		}
		return entry
	}
	if grants != nil {
		m["grant_types"] = encoded(slices.DeleteFunc(grants, func(g string) bool { return g == refreshGrant }))
	}
	if scope, ok := free(m["scope"]).(string); ok {
		kept := slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return s == string(protocol.OfflineAccess) })
		m["scope"] = encoded(strings.Join(kept, " "))
	}
	return nil
}

func encoded[T string | []string](v T) json.RawMessage {
	b, _ := json.Marshal(v) // cannot fail for these types
	return b
}
