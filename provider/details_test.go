package provider

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// parking is a type of authorization details as one could be: one member, read
// strictly, and a sentence.
func parking() DetailType {
	return DetailType{
		Name: "parking_permit",
		Read: func(object map[string]json.RawMessage) (json.RawMessage, error) {
			zone, ok := text(object["zone"])
			if !ok || len(zone) != 1 || len(object) != 2 {
				return nil, errors.New("want a zone of one letter and nothing else")
			}
			return json.RawMessage(`{"type":"parking_permit","zone":"` + zone + `"}`), nil
		},
		Show: func(object json.RawMessage) protocol.Text {
			m, _ := protocol.Object(object)
			zone, _ := text(m["zone"])
			if zone == "X" {
				return protocol.Text{} // there are no words for it
			}
			return protocol.Text{"en": "Issue a parking permit for zone " + zone}
		},
	}
}

// withParking registers the type and allows it to library and to tax-api.
func withParking(t *testing.T) *world {
	w := newWorld(t)
	w.p.DetailTypes = []DetailType{parking()}
	for _, id := range []protocol.ClientID{"library", "signer", "jwt-tokens", "tax-api"} {
		c, _ := w.set.Get(id)
		c.AuthorizationDetailTypes = []string{"parking_permit"}
	}
	return w.serve()
}

// refusedDetails are malformed whatever types there are.
func refusedDetails() map[string]string {
	return map[string]string{
		"an unknown type":            `[{"type":"payment_initiation"}]`,
		"without a type":             `[{}]`,
		"a type that is none":        `[{"type":1}]`,
		"an object":                  `{"type":"x"}`,
		"an empty list":              `[]`,
		"a list of something else":   `["x"]`,
		"null":                       `null`,
		"a list of null":             `[null]`,
		"not JSON":                   `x`,
		"that closes its wrapper":    `[]},"x":{`,
		"with a name that is double": `[{"type":"x","type":"y"}]`,
		"too long":                   `[{"type":"` + strings.Repeat("a", 8200) + `"}]`,
		"too deep":                   `[{"type":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]`,
		"too many":                   "[" + strings.Repeat(`{"type":"parking_permit","zone":"A"},`, 16) + `{"type":"parking_permit","zone":"A"}]`,
	}
}

func TestDetails_WithoutATypeEveryTypeIsUnknown_RFC9396_5(t *testing.T) {
	w := newWorld(t).serve()
	for name, raw := range refusedDetails() {
		t.Run(name, func(t *testing.T) {
			q := request("authorization_details", raw)
			wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_authorization_details")
			wantError(t, w.push(q), 400, "invalid_authorization_details")
		})
	}
	inside := objectOf(w, map[string]any{"authorization_details": []any{map[string]any{"type": "x"}}})
	wantError(t, w.push(signed(inside), "signer"), 400, "invalid_authorization_details")
	inside = objectOf(w, map[string]any{"authorization_details": `[{"type":"x"}]`})
	wantError(t, w.push(signed(inside), "signer"), 400, "invalid_request_object")
	// Sent without a value, it counts as not sent (RFC 6749 section 3.1).
	if got := w.do(get(PathAuthorize, request("authorization_details", ""))); got.header.Get("Location") != "/login/flow" {
		t.Errorf("empty: got %d", got.status)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(w.do(get(PathDiscovery, nil)).body), &doc); err != nil || !reflect.DeepEqual(doc["authorization_details_types_supported"], []any{}) {
		t.Errorf("metadata: %v, %v", doc["authorization_details_types_supported"], err)
	}
}

func TestDetails_ATypeIsReadStrictlyAndPerClient_RFC9396_5(t *testing.T) {
	w := withParking(t)
	refused := refusedDetails()
	for name, raw := range map[string]string{
		"a member that the type does not know": `[{"type":"parking_permit","zone":"A","x":1}]`,
		"a member that is missing":             `[{"type":"parking_permit"}]`,
		"one good object and a bad one":        `[{"type":"parking_permit","zone":"A"},{"type":"parking_permit"}]`,
		"what the person could not read":       `[{"type":"parking_permit","zone":"X"}]`,
		"what its type reads into no JSON":     `[{"type":"parking_permit","zone":"\""}]`,
	} {
		refused[name] = raw
	}
	for name, raw := range refused {
		t.Run(name, func(t *testing.T) {
			q := request("authorization_details", raw)
			wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_authorization_details")
		})
	}
	const good = `[{"type":"parking_permit","zone":"A"}]`
	q := request("authorization_details", good, "client_id", "other")
	wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_authorization_details")

	want := []protocol.Detail{{Type: "parking_permit", Object: json.RawMessage(good[1 : len(good)-1]), Shown: protocol.Text{"en": "Issue a parking permit for zone A"}}}
	inside := objectOf(w, map[string]any{"authorization_details": json.RawMessage(good)})
	for name, send := range map[string]func() reply{
		"plain":  func() reply { return w.do(get(PathAuthorize, request("authorization_details", good))) },
		"pushed": func() reply { return w.do(visit(w.pushedURI(request("authorization_details", good)))) },
		"signed": func() reply { return w.do(get(PathAuthorize, signed(inside))) },
	} {
		if got := send(); got.header.Get("Location") != "/login/flow" {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
		req := w.started[len(w.started)-1]
		if !reflect.DeepEqual(req.Details, want) || !req.Prompt.Consent {
			t.Errorf("%s: details %+v, consent page %v", name, req.Details, req.Prompt.Consent)
		}
	}
}

func TestDetails_WhatIsGrantedIsSaid_RFC9396_7_9(t *testing.T) {
	w := withParking(t)
	permit := json.RawMessage(`{"type":"parking_permit","zone":"A"}`)
	granted := func(id protocol.ClientID) string {
		return w.code(func(g *login.Grant) {
			g.Client = id
			g.Details = []protocol.Detail{{Type: "parking_permit", Object: permit, Shown: protocol.Text{"en": "never leaves"}}, {Type: "other", Object: json.RawMessage(`{"type":"other"}`)}}
		})
	}
	all, own := []any{map[string]any{"type": "parking_permit", "zone": "A"}, map[string]any{"type": "other"}}, []any{map[string]any{"type": "parking_permit", "zone": "A"}}

	answer := w.redeem(tokenForm(granted("library"))).json(t)
	if !reflect.DeepEqual(answer["authorization_details"], all) {
		t.Errorf("token response: %v", answer["authorization_details"])
	}
	token := answer["access_token"].(string)
	ask := func(id, token string) any {
		f := map[string][]string{"token": {token}}
		if id == "tax-api" {
			f["client_id"], f["client_secret"] = []string{id}, []string{secret}
		}
		r := post(PathIntrospect, f)
		if id != "tax-api" {
			basic(r, id, secret)
		}
		return w.do(r).json(t)["authorization_details"]
	}
	if got := ask("library", token); !reflect.DeepEqual(got, all) {
		t.Errorf("introspection by the service: %v", got)
	}
	if got := ask("tax-api", token); !reflect.DeepEqual(got, own) {
		t.Errorf("introspection by a data provider: %v, want its own type only", got)
	}
	c, _ := w.set.Get("tax-api")
	c.AuthorizationDetailTypes = nil
	if got := ask("tax-api", token); got != nil {
		t.Errorf("introspection by a data provider without types: %v", got)
	}
	jwt := w.redeem(tokenForm(granted("jwt-tokens")), "jwt-tokens").json(t)["access_token"].(string)
	var claims map[string]any
	if err := json.Unmarshal(claimsOf(t, jwt), &claims); err != nil || !reflect.DeepEqual(claims["authorization_details"], all) {
		t.Errorf("JWT access token: %v, %v", claims["authorization_details"], err)
	}
	plain := w.redeem(tokenForm(w.code())).json(t)
	if _, there := plain["authorization_details"]; there {
		t.Error("a grant without details says that it has some")
	}
	code := w.code()
	wantError(t, w.redeem(tokenForm(code, "authorization_details", "["+string(permit)+"]")), 400, "invalid_authorization_details")
	if got := w.redeem(tokenForm(code)); got.status != 200 {
		t.Errorf("that has burnt the code: %d", got.status)
	}
}

func TestDetails_ThatWouldNotFitIntoAToken(t *testing.T) {
	w := withParking(t)
	long := parking()
	long.Read = func(map[string]json.RawMessage) (json.RawMessage, error) {
		return json.RawMessage(`{"type":"parking_permit","zone":"A","x":"` + strings.Repeat("x", maxDetailsInJWT) + `"}`), nil
	}
	w.p.DetailTypes = []DetailType{long}
	q := request("authorization_details", `[{"type":"parking_permit"}]`, "client_id", "jwt-tokens")
	wantErrorFields(t, w.do(get(PathAuthorize, q)).location(t, redirect), q, "invalid_authorization_details")
	q.Set("client_id", "library")
	if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "/login/flow" {
		t.Errorf("opaque tokens: %d", got.status)
	}
}

func TestNew_RefusesDetailsThatNobodyCouldSee(t *testing.T) {
	w := newWorld(t)
	change := func(f func(*DetailType)) []DetailType {
		d := parking()
		f(&d)
		return []DetailType{d}
	}
	for name, types := range map[string][]DetailType{
		"without words": change(func(d *DetailType) { d.Show = nil }),
		"unreadable":    change(func(d *DetailType) { d.Read = nil }),
		"without name":  change(func(d *DetailType) { d.Name = "" }),
		"twice":         {parking(), parking()},
	} {
		cfg := w.p.Config
		cfg.DetailTypes = types
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New starts", name)
		}
	}
	cfg := w.p.Config
	cfg.DetailTypes = []DetailType{parking()}
	if _, err := New(cfg); err != nil {
		t.Errorf("New = %v", err)
	}
}

// FuzzDetails: whatever is sent, what passes has been read by its type, can be shown
// and is asked for on a page.
func FuzzDetails(f *testing.F) {
	for _, raw := range refusedDetails() {
		f.Add(raw)
	}
	f.Add(`[{"type":"parking_permit","zone":"A"}]`)
	f.Add(`[{"zone":"A","type":"parking_permit"},{"type":"parking_permit","zone":"B"}]`)
	w := newWorld(f)
	w.p.DetailTypes = []DetailType{parking()}
	client, _ := w.set.Get("library")
	client.AuthorizationDetailTypes = []string{"parking_permit"}
	f.Fuzz(func(t *testing.T, raw string) {
		req := protocol.AuthRequest{RedirectURI: redirect}
		a := params{p: w.p, client: client, form: request("authorization_details", raw), req: &req}
		if err := a.details(); err != nil {
			if err.Code != protocol.InvalidAuthorizationDetails {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if raw != "" && raw != "-" && (len(req.Details) == 0 || !req.Prompt.Consent) {
			t.Errorf("%q passes, and nobody sees it", raw)
		}
		for _, d := range req.Details {
			m, err := protocol.Object(d.Object)
			if zone, _ := text(m["zone"]); err != nil || len(m) != 2 || len(zone) != 1 || d.Type != "parking_permit" || d.Shown["en"] == "" {
				t.Errorf("%q passes as %+v", raw, d)
			}
		}
	})
}
