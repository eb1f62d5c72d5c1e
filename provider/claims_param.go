package provider

import (
	"bytes"
	"encoding/json"
	"errors"

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
	a.req.Claims = wanted.request
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
		case name == "acr" && idToken:
			out.acr = w
		case name == "sub" && len(w.values) > 1:
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
		if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &s) == nil {
			w.values = append(w.values, s)
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
