package sandbox

import (
	"net/http"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

// userinfo answers GET and POST /userinfo with the claims that the scopes of the
// access token ask for (OpenID Connect Core section 5.3). The token comes in the
// Authorization header and nowhere else (RFC 6750 section 2.1).
func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, access, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sandbox"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g, ok := p.tokens.get(access, p.Now())
	if !ok || g.revoked.Load() {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sandbox", error="invalid_token", error_description="unknown, expired or revoked"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": string(protocol.InvalidToken)})
		return
	}
	writeJSON(w, http.StatusOK, p.claims(g))
}

// address is a scope and a claim of its own (OpenID Connect Core sections 5.4 and
// 5.1.1), which no service of the broker gets.
const address = "address"

// claims is the identity as the scopes of g show it.
func (p *provider) claims(g *grant) map[string]any {
	out := map[string]any{"sub": p.subject(g.identity)}
	if g.fault == FaultWrongSub {
		out["sub"] = p.subject(g.identity) + "0"
	}
	for _, s := range g.scopes {
		if s == address && g.identity.PostalCode != "" {
			out[address] = map[string]string{"postal_code": g.identity.PostalCode, "locality": g.identity.Locality, "country": "FR"}
		}
		for _, c := range s.Claims() {
			g.identity.put(out, c)
		}
	}
	return out
}

// put adds one claim if the provider has it.
func (id *Identity) put(out map[string]any, c protocol.Claim) {
	value, always := id.value(c)
	if value == "" && !always {
		return
	}
	out[string(c)] = value
	if c == protocol.Email {
		out["email_verified"] = id.EmailVerified
	}
}

// value is the claim, and whether it is sent even when empty.
func (id *Identity) value(c protocol.Claim) (value string, always bool) {
	switch c {
	case protocol.GivenName:
		return id.GivenName, true
	case protocol.FamilyName:
		return id.FamilyName, true
	case protocol.Birthdate:
		return id.Birthdate, true
	case protocol.Gender:
		return id.Gender, true
	case protocol.Birthplace:
		return id.Birthplace, true // "" says: born abroad
	case protocol.Birthcountry:
		return id.Birthcountry, true
	case protocol.PreferredUsername:
		return id.PreferredUsername, false
	case protocol.Email:
		return id.Email, false
	}
	return "", false
}

// given are the claims that a sandbox provider can give.
func given() []protocol.Claim {
	return []protocol.Claim{
		protocol.GivenName, protocol.FamilyName, protocol.PreferredUsername, protocol.Birthdate,
		protocol.Gender, protocol.Birthplace, protocol.Birthcountry, protocol.Email,
	}
}

func claimNames() []string {
	var out []string
	for _, c := range given() {
		out = append(out, string(c))
	}
	return append(out, address)
}

// gives reports whether every claim of scope s can be given.
func (p *provider) gives(s protocol.Scope) bool {
	for _, c := range s.Claims() {
		found := false
		for _, g := range given() {
			found = found || g == c
		}
		if !found {
			return false
		}
	}
	return len(s.Claims()) > 0
}
