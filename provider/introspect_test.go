package provider

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// introspect asks as a client: tax-api proves itself by post, the others by Basic.
func (w *world) introspect(client, token string, accept ...string) reply {
	w.t.Helper()
	f := url.Values{"token": {token}}
	if client == "tax-api" {
		f.Set("client_id", client)
		f.Set("client_secret", secret)
	}
	r := post(PathIntrospect, f)
	if client != "tax-api" {
		basic(r, client, secret)
	}
	r.Header["Accept"] = accept
	return w.do(r)
}

// subjectAt is who testPerson is in a sector.
func (w *world) subjectAt(sector string) string {
	w.t.Helper()
	person, err := identity.ParsePersonID(testPerson)
	if err != nil {
		w.t.Fatal(err)
	}
	sub, err := identity.PairwiseSub(w.t.Context(), w.keys, sector, person)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(sub)
}

const inactive = `{"active":false}`

func wantInactive(t testing.TB, got reply) {
	t.Helper()
	if got.status != 200 || got.body != inactive || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s, want %s", got.status, got.body, inactive)
	}
}

func TestIntrospect_ADataProviderGetsItsPartAndItsOwnSubject_RFC7662_2_2(t *testing.T) {
	w := newWorld(t).serve()
	access := w.accessToken()
	got := w.introspect("tax-api", access)
	now := float64(w.p.Now().Unix())
	want := map[string]any{
		"active": true, "iss": issuer, "client_id": "library", "sub": w.subjectAt("tax.example"), "scope": "email", "token_type": "Bearer",
		"iat": now, "exp": now + 60, "acr": "eidas2", "email": "elodie@example.org", "email_verified": true,
	}
	if m := got.json(t); got.status != 200 || !reflect.DeepEqual(m, want) || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v, want %v", got.status, m, want)
	}
	if _, err := protocol.Object([]byte(got.body)); err != nil {
		t.Error(err)
	}
	golden(t, "introspection_data_provider.json", indent(t, []byte(got.body)))
	entry := audit.Event{
		Public:   audit.Public{Kind: audit.IntrospectionServed, Client: "tax-api", Object: "library", Claims: []string{"email"}, ACR: "eidas2", Outcome: "ok"},
		Personal: audit.Personal{Person: testPerson, Grant: "00112233445566778899aabbccddeeff"}, SealKey: []byte("wrapped"),
	}
	if got := w.audit.events[len(w.audit.events)-1]; !reflect.DeepEqual(got, entry) {
		t.Errorf("on record: %+v, want %+v", got, entry)
	}
	t.Run("one without claims learns the subject only, and another one", func(t *testing.T) {
		m := w.introspect("post-api", access).json(t)
		delete(want, "email")
		delete(want, "email_verified")
		want["sub"], want["scope"] = w.subjectAt("post.example"), "given_name"
		if !reflect.DeepEqual(m, want) {
			t.Errorf("got %v, want %v", m, want)
		}
	})
	t.Run("a claim that was not released is not there, whatever it is registered for", func(t *testing.T) {
		access := w.accessToken(func(g *login.Grant) {
			g.Released = identity.Identity{Pivot: identity.Pivot{GivenName: canary}}.Release("pairwise-sub", []protocol.Claim{"given_name"})
		})
		if got := w.introspect("tax-api", access); got.json(t)["active"] != true || strings.Contains(got.body, canary) || got.json(t)["email"] != nil {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("nobody's answer holds the subject of the service", func(t *testing.T) {
		for _, client := range []string{"tax-api", "post-api", "other"} {
			if got := w.introspect(client, access); strings.Contains(got.body, "pairwise-sub") {
				t.Errorf("%s: %s", client, got.body)
			}
		}
	})
}

func TestIntrospect_ItsOwnTokenTellsAClientNothingNew(t *testing.T) {
	w := newWorld(t).serve()
	access := w.accessToken()
	before := len(w.audit.events)
	now := float64(w.p.Now().Unix())
	want := map[string]any{
		"active": true, "iss": issuer, "client_id": "library", "scope": "openid given_name email", "token_type": "Bearer", "iat": now, "exp": now + 60,
	}
	if m := w.introspect("library", access).json(t); !reflect.DeepEqual(m, want) {
		t.Errorf("got %v, want %v", m, want)
	}
	if len(w.audit.events) != before {
		t.Error("it is on record, although nothing was disclosed")
	}
}

func TestRS_01_IntrospectionWithoutAuthentication_RFC7662_4(t *testing.T) {
	w := newWorld(t).serve()
	access := w.accessToken()
	byToken := post(PathIntrospect, url.Values{"token": {access}})
	byToken.Header.Set("Authorization", "Bearer "+access)
	tests := []struct {
		name   string
		r      *http.Request
		status int
		code   string
	}{
		{"nobody", post(PathIntrospect, url.Values{"token": {access}}), 401, "invalid_client"},
		{"an access token in place of a client", byToken, 401, "invalid_client"},
		{"only a client_id", post(PathIntrospect, url.Values{"token": {access}, "client_id": {"tax-api"}}), 401, "invalid_client"},
		{"a wrong secret", post(PathIntrospect, url.Values{"token": {access}, "client_id": {"tax-api"}, "client_secret": {"x"}}), 401, "invalid_client"},
		{"another method than the registered one", post(PathIntrospect, url.Values{"token": {access}, "client_id": {"library"}, "client_secret": {secret}}), 401, "invalid_client"},
		{"no token", asLibrary(post(PathIntrospect, nil)), 400, "invalid_request"},
		{"in the URL", asLibrary(post(PathIntrospect+"?token="+access, nil)), 400, "invalid_request"},
		{"GET", asLibrary(get(PathIntrospect, url.Values{"token": {access}})), 405, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, w.do(tt.r), tt.status, tt.code) })
	}
	t.Run("a client that the token is not for", func(t *testing.T) { wantInactive(t, w.introspect("other", access)) })
}

func TestRS_02_OnlyAccessTokensAreActive(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	id := w.redeem(tokenForm(code)).json(t)["id_token"].(string)
	for name, token := range map[string]string{
		"an id token": id, "a used code": code, "an unused code": w.code(), "unknown": newHandle(), "truncated": newHandle()[:42], "long": strings.Repeat("a", 60000),
	} {
		for _, client := range []string{"library", "tax-api"} {
			t.Run(name+" for "+client, func(t *testing.T) { wantInactive(t, w.introspect(client, token)) })
		}
	}
}

func TestRS_03_ATokenThatIsNotMeantForIt_RFC9700_2_3(t *testing.T) {
	w := newWorld(t).serve()
	access := w.accessToken(func(g *login.Grant) { g.Scopes = []protocol.Scope{"openid", "gender"} })
	before := w.audit.kinds()
	for _, api := range []string{"tax-api", "post-api"} {
		wantInactive(t, w.introspect(api, access))
	}
	if w.audit.kinds() != before {
		t.Errorf("on record: %s", w.audit.kinds())
	}
	t.Run("a data provider has no way to a sign-in", func(t *testing.T) {
		if got := w.do(get(PathAuthorize, request("client_id", "tax-api"))); got.status != 400 || got.header.Get("Location") != "" {
			t.Errorf("got %d to %q", got.status, got.header.Get("Location"))
		}
	})
}

func TestIntrospect_EndsWithTheToken(t *testing.T) {
	t.Run("revoked", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		wantEmpty200(t, w.revoke("library", access))
		wantInactive(t, w.introspect("library", access))
		wantInactive(t, w.introspect("tax-api", access))
	})
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		w.advance(time.Minute)
		wantInactive(t, w.introspect("library", access))
		wantInactive(t, w.introspect("tax-api", access))
	})
	t.Run("the service is gone", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		api, _ := w.set.Get("tax-api")
		w.set = clients.NewSet(api)
		wantInactive(t, w.introspect("tax-api", access))
	})
}

func TestRS_07_IntrospectionNeverSaysInactiveWithoutKnowing(t *testing.T) {
	t.Run("store", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		w.store.fail = "get"
		for _, client := range []string{"library", "tax-api", "other"} {
			wantUnavailable(t, w.introspect(client, access))
			wantUnavailable(t, w.introspect(client, newHandle()))
		}
	})
	t.Run("audit log", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		w.audit.fail = audit.IntrospectionServed
		wantUnavailable(t, w.introspect("tax-api", access))
	})
	t.Run("keys", func(t *testing.T) {
		w := newWorld(t)
		access := w.accessToken()
		broken := *w.keys
		broken.fail = true
		w.p.Keys, w.p.Deriver = w.keys, &broken
		wantUnavailable(t, w.introspect("tax-api", access))
		w.p.Keys, w.p.Deriver = &broken, w.keys
		wantUnavailable(t, w.introspect("tax-api", access, "application/token-introspection+jwt"))
	})
}

func TestIntrospect_SignedOnDemand_RFC9701_5(t *testing.T) {
	const jwt = "application/token-introspection+jwt"
	tests := []struct {
		name, client string
		accept       []string
		alg          jose.SignatureAlgorithm // "": JSON
	}{
		{"by default with ES256", "tax-api", []string{jwt}, jose.ES256},
		{"with the registered algorithm", "post-api", []string{jwt}, jose.EdDSA},
		{"its own token too", "library", []string{jwt}, jose.ES256},
		{"among others", "tax-api", []string{"application/json;q=0.5, " + jwt + " ;q=0.9"}, jose.ES256},
		{"in a second header line", "tax-api", []string{"text/html", jwt}, jose.ES256},
		{"not when it is named as unacceptable", "tax-api", []string{jwt + ";q=0.0, */*"}, ""},
		{"not for anything", "tax-api", []string{"*/*"}, ""},
		{"not for any JWT", "tax-api", []string{"application/jwt"}, ""},
		{"not without Accept", "tax-api", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t).serve()
			access := w.accessToken()
			got := w.introspect(tt.client, access, tt.accept...)
			if tt.alg == "" {
				if got.header.Get("Content-Type") != "application/json" || got.json(t)["active"] != true {
					t.Errorf("got %v %s", got.header, got.body)
				}
				return
			}
			if got.status != 200 || got.header.Get("Content-Type") != jwt {
				t.Fatalf("got %d %v", got.status, got.header)
			}
			payload, err := verifyOwn(w.keys, got.body, tt.alg)
			if err != nil {
				t.Fatal(err)
			}
			jws, err := jose.ParseSignedCompact(got.body, []jose.SignatureAlgorithm{tt.alg})
			if err != nil || jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType] != "token-introspection+jwt" {
				t.Errorf("typ = %v, %v", jws.Signatures[0].Protected.ExtraHeaders, err)
			}
			var m struct {
				Iss, Aud, Sub string
				Iat, Exp      float64
				Inner         json.RawMessage `json:"token_introspection"`
			}
			if err := json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			if m.Iss != issuer || m.Aud != tt.client || m.Iat != float64(w.p.Now().Unix()) || m.Sub != "" || m.Exp != 0 {
				t.Errorf("got %s", payload)
			}
			if plain := w.introspect(tt.client, access); string(m.Inner) != plain.body {
				t.Errorf("inside: %s, want %s", m.Inner, plain.body)
			}
			wantError(t, w.userinfo(got.body), 401, "invalid_token")
		})
	}
	t.Run("inactive is signed as well", func(t *testing.T) {
		w := newWorld(t)
		payload, err := verifyOwn(w.keys, w.introspect("tax-api", newHandle(), jwt).body, jose.ES256)
		if err != nil || !strings.HasSuffix(string(payload), `"token_introspection":{"active":false}}`) {
			t.Errorf("got %s, %v", payload, err)
		}
	})
}

// Whatever is released and registered: a data provider gets a part of what the
// service got, and no subject but its own.
func TestIntrospect_NeverMoreThanWasReleased(t *testing.T) {
	w := newWorld(t)
	whole := identity.Identity{
		Pivot: identity.Pivot{GivenName: canary, FamilyName: "D", Birthdate: "1980-01-02", Gender: "female", Birthplace: "75056", Birthcountry: "99100"},
		Civil: true, Email: "e@example.org", PreferredUsername: "u", Provider: "tax", AMR: []string{"pwd"}, AsOf: w.p.Now(),
	}
	some := rapid.SliceOfDistinct(rapid.SampledFrom(protocol.Claims()), rapid.ID[protocol.Claim])
	rapid.Check(t, func(rt *rapid.T) {
		released, registered := whole.Release("pairwise-sub", some.Draw(rt, "released")), some.Draw(rt, "registered")
		body, err := userInfoOf(released)
		if err != nil {
			rt.Fatal(err)
		}
		part, err := access{UserInfo: body}.only(registered)
		if err != nil {
			rt.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(part, &got); err != nil {
			rt.Fatal(err)
		}
		want := released.Only(registered).Claims()
		wanted, err := json.Marshal(want)
		if err != nil {
			rt.Fatal(err)
		}
		again, err := json.Marshal(got)
		if err != nil || string(again) != string(wanted) {
			rt.Fatalf("got %s, want %s", again, wanted)
		}
	})
}
