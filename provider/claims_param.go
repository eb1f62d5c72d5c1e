package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// claims is the claims parameter (OpenID Connect Core section 5.5). Claims that
// we do not know are ignored (5.5.1); of values only those of acr and sub mean
// something here.
func (a params) claims() *protocol.Error {
	raw := a.get("claims")
	if raw == "" {
		return nil
	}
	if len(raw) > maxClaims {
		return invalid("claims is too long")
	}
	wanted, err := parseClaims([]byte(raw))
	if err != nil {
		return invalid("claims is not a valid claims request")
	}
	a.req.Claims = protocol.ClaimsRequest{UserInfo: a.within(wanted.request.UserInfo), IDToken: a.within(wanted.request.IDToken)}
	for _, sub := range wanted.subjects {
		if err := a.expect(sub); err != nil {
			return err
		}
	}
	if len(wanted.acr.values) > 0 {
		// A voluntary acr that we do not know may go unmet (5.5.1.1); an essential
		// one may not.
		if err := a.level(wanted.acr.values); err != nil && wanted.acr.essential {
			return err
		}
	}
	return nil
}

// within drops the claims that no scope of the client covers: the parameter is
// another way to ask, not a way around what the client may ask for. Claims that do
// not come are no error (5.5.1).
func (a params) within(asked map[protocol.Claim]protocol.ClaimRequest) map[protocol.Claim]protocol.ClaimRequest {
	for c := range asked {
		covers := func(s protocol.Scope) bool { return slices.Contains(s.Claims(), c) }
		if len(a.client.Scopes) > 0 && !slices.ContainsFunc(a.client.Scopes, covers) {
			delete(asked, c)
		}
	}
	return asked
}

// wantedClaims is what a claims parameter says.
type wantedClaims struct {
	request  protocol.ClaimsRequest
	acr      wantedClaim // of id_token
	subjects []string    // values of sub
}

// wantedClaim is one member: how much, and which values.
type wantedClaim struct {
	essential bool
	values    []string // strings only
	strange   bool     // one of the values is no string, or an empty one
}

var errClaims = errors.New("not a claims request")

func parseClaims(raw []byte) (wantedClaims, error) {
	var out wantedClaims
	top, err := protocol.Object(raw)
	if err != nil {
		return wantedClaims{}, errClaims
	}
	if out.request.UserInfo, err = out.member(top["userinfo"], false); err != nil {
		return wantedClaims{}, err
	}
	if out.request.IDToken, err = out.member(top["id_token"], true); err != nil {
		return wantedClaims{}, err
	}
	return out, nil
}

// member reads the userinfo or id_token member; absent is nil.
func (out *wantedClaims) member(raw json.RawMessage, idToken bool) (map[protocol.Claim]protocol.ClaimRequest, error) {
	if raw == nil {
		return nil, nil
	}
	members, err := protocol.Object(raw)
	if err != nil {
		return nil, errClaims
	}
	asked := map[protocol.Claim]protocol.ClaimRequest{}
	for name, raw := range members {
		w, err := parseWanted(raw)
		if err != nil {
			return nil, err
		}
		switch c := protocol.Claim(name); {
		case c.Known():
			asked[c] = protocol.ClaimRequest{Essential: w.essential}
		case name == "acr" && idToken && !w.strange:
			out.acr = w
		case name == "acr" && idToken, name == "sub" && (w.strange || len(w.values) > 1):
			// To pass over a value here would be to pass over a demand: any level, or
			// anybody at all, would do.
			return nil, errClaims
		case name == "sub":
			out.subjects = append(out.subjects, w.values...)
		}
	}
	return asked, nil
}

// parseWanted reads null, or an object with essential, value, values.
func parseWanted(raw json.RawMessage) (wantedClaim, error) {
	var w wantedClaim
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return w, nil
	}
	m, err := protocol.Object(raw)
	if err != nil {
		return w, errClaims
	}
	if e, ok := m["essential"]; ok {
		if w.essential, ok = parseBool(e); !ok {
			return w, errClaims
		}
	}
	var values []json.RawMessage
	if vs, ok := m["values"]; ok && (json.Unmarshal(vs, &values) != nil || values == nil) {
		return w, errClaims
	}
	if v, ok := m["value"]; ok {
		values = append(values, v)
	}
	for _, v := range values {
		var s string
		if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &s) == nil && s != "" {
			w.values = append(w.values, s)
		} else {
			w.strange = true
		}
	}
	return w, nil
}

func parseBool(raw json.RawMessage) (value, ok bool) {
	switch string(bytes.TrimSpace(raw)) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}
