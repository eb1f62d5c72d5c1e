package provider

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/login"
)

const api, tax = "https://api.example/v1", "https://tax.example/"

// to adds resource parameters.
func to(form url.Values, resources ...string) url.Values {
	form["resource"] = resources
	return form
}

func TestResource_GoesWithTheRequest_RFC8707_2_1(t *testing.T) {
	w := newWorld(t).serve()
	asked := func() url.Values { return to(request("client_id", "caller"), api, tax, api, "") }
	object := objectOf(w, map[string]any{"iss": "caller", "client_id": "caller", "resource": []string{api, tax}})
	w.do(get(PathAuthorize, asked()))
	w.do(post(PathAuthorize, asked()))
	w.do(visit(w.pushedURI(asked(), "caller"), "caller"))
	w.do(get(PathAuthorize, url.Values{"client_id": {"caller"}, "request": {object}}))
	if len(w.started) != 4 {
		t.Fatalf("%d visits started", len(w.started))
	}
	for _, got := range w.started {
		if !slices.Equal(got.Resources, []string{api, tax}) {
			t.Errorf("resources %v", got.Resources)
		}
	}
	for _, r := range []string{"https://other.example/", api + "/", "https://API.example/v1", "x", api + "#f"} {
		if q := w.do(get(PathAuthorize, to(request("client_id", "caller"), api, r))).location(t, redirect); q.Get("error") != "invalid_target" {
			t.Errorf("%s: got %v", r, q)
		}
		wantError(t, w.push(to(request("client_id", "caller"), r), "caller"), 400, "invalid_target")
	}
	number := objectOf(w, map[string]any{"iss": "caller", "client_id": "caller", "resource": 1})
	wantError(t, w.push(url.Values{"request": {number}}, "caller"), 400, "invalid_request_object")
}

func TestResource_ATokenIsForWhatWasGranted_RFC8707_2_2(t *testing.T) {
	userinfo := issuer + PathUserInfo
	tests := []struct {
		name           string
		granted, asked []string
		refused        bool
		reads          bool // userinfo with the token
	}{
		{"none asked for is userinfo", nil, nil, false, true},
		{"an API is not userinfo", []string{api}, nil, false, false},
		{"userinfo beside an API", []string{api, userinfo}, nil, false, true},
		{"narrowed to the API", []string{api, userinfo}, []string{api}, false, false},
		{"narrowed to userinfo", []string{api, userinfo}, []string{userinfo, ""}, false, true},
		{"more than was granted", []string{api}, []string{api, tax}, true, false},
		{"something when nothing was granted", nil, []string{api}, true, false},
		{"userinfo when an API was granted", []string{api}, []string{userinfo}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t).serve()
			code := w.code(func(g *login.Grant) { g.Client, g.Audience = "caller", tt.granted })
			got := w.redeem(to(tokenForm(code), tt.asked...), "caller")
			if tt.refused {
				wantError(t, got, 400, "invalid_target")
				return
			}
			if got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			read := w.userinfo(got.json(t)["access_token"].(string))
			if tt.reads && read.status != 200 {
				t.Errorf("userinfo: got %d", read.status)
			}
			if !tt.reads {
				wantError(t, read, 401, "invalid_token")
			}
		})
	}
}

// Whatever is asked for, nothing is added to what was granted.
func TestNarrowed_NeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", ""}))
		granted, asked := list.Draw(t, "granted"), list.Draw(t, "asked")
		out, err := narrowed(asked, granted)
		for _, r := range out {
			if !slices.Contains(granted, r) {
				t.Errorf("narrowed(%q, %q) = %q", asked, granted, out)
			}
		}
		if err == nil && len(granted) > 0 && len(out) == 0 {
			t.Errorf("narrowed(%q, %q) names nobody, which is userinfo", asked, granted)
		}
		if all, err := narrowed(nil, granted); err != nil || !reflect.DeepEqual(all, granted) {
			t.Errorf("narrowed(nil, %q) = %q, %v", granted, all, err)
		}
	})
}

// TestResource_OnlyTheAPIsThatAreNamedSeeTheToken_RFC9700_2_3: scopes alone do not
// bring a token with an audience to a data provider, and a JWT says its audience.
func TestResource_OnlyTheAPIsThatAreNamedSeeTheToken_RFC9700_2_3(t *testing.T) {
	w := newWorld(t).serve()
	for _, tt := range []struct {
		audience []string
		active   bool
	}{
		{nil, true}, {[]string{"https://api.tax.example/"}, true}, {[]string{api, "https://api.tax.example/"}, true},
		{[]string{api}, false}, {[]string{issuer + PathUserInfo}, false},
	} {
		token := w.accessToken(func(g *login.Grant) { g.Audience = tt.audience })
		if got := w.introspect("tax-api", token).json(t)["active"]; got != tt.active {
			t.Errorf("audience %q: active = %v", tt.audience, got)
		}
	}
}

func TestAudiences_OneIsAString_RFC7519_4_1_3(t *testing.T) {
	for want, a := range map[string]audiences{`"a"`: {"a"}, `["a","b"]`: {"a", "b"}} {
		if got, err := json.Marshal(a); err != nil || string(got) != want {
			t.Errorf("%q is %s, %v", a, got, err)
		}
	}
}
