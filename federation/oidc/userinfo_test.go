package oidc_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/identity"
)

func ed25519Key() (ed25519.PublicKey, ed25519.PrivateKey, error) {
	return ed25519.GenerateKey(rand.Reader)
}

func TestUI_01_UserinfoIsAboutTheSameSubject_OIDCCore_5_3_2(t *testing.T) {
	for name, change := range map[string]func(members){
		"another": func(c members) { c["sub"] = "subject-2" }, "missing": func(c members) { delete(c, "sub") }, "null": func(c members) { c["sub"] = nil },
		"another case": func(c members) { c["sub"] = "SUBJECT-1" }, "longer": func(c members) { c["sub"] = "subject-11" }, "a list": func(c members) { c["sub"] = []string{"subject-1"} },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.userinfo = change
			_, err := h.attempt(t)
			wantKind(t, err, federation.Invalid)
		})
	}
}

func TestUserinfoAnswersThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		status      int
		contentType string
		body        string
		want        federation.Kind
	}{
		"401":               {401, "application/json", "{}", federation.Refused},
		"500":               {500, "text/html", "", federation.Unavailable},
		"redirect":          {302, "text/html", "", federation.Refused},
		"HTML":              {200, "text/html", "<html>", federation.Invalid},
		"empty":             {200, "application/json", "", federation.Invalid},
		"null":              {200, "application/json", "null", federation.Invalid},
		"sub twice":         {200, "application/json", `{"sub":"subject-1","sub":"subject-1"}`, federation.Invalid},
		"a signed one":      {200, "application/jwt", "a.b.c", federation.Invalid},
		"50 MB":             {200, "application/json", `{"sub":"subject-1","x":"` + strings.Repeat("x", 50<<20) + `"}`, federation.Invalid},
		"JSON called text":  {200, "text/plain", `{"sub":"subject-1","given_name":"A","family_name":"B","birthdate":"1962-08-24","gender":"female","birthcountry":"99100","birthplace":"75107"}`, federation.Invalid},
		"right, but 201":    {201, "application/json", `{"sub":"subject-1","given_name":"A","family_name":"B","birthdate":"1962-08-24","gender":"female","birthcountry":"99100","birthplace":"75107"}`, federation.Refused},
		"a byte order mark": {200, "application/json", "\ufeff" + `{"sub":"subject-1"}`, federation.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.info = func(w http.ResponseWriter) bool {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
				return true
			}
			_, err := h.attempt(t)
			wantKind(t, err, tt.want)
		})
	}
}

func TestSignedUserinfo(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(h *hostile, c members) string // returns the answer
		want   federation.Kind
	}{
		"honest": {func(h *hostile, c members) string { return signed(h.key, honestHeader, marshal(c)) }, 0},
		"without iss and aud, which are optional": {func(h *hostile, c members) string {
			delete(c, "iss")
			delete(c, "aud")
			return signed(h.key, honestHeader, marshal(c))
		}, 0},
		"a stranger's key": {func(h *hostile, c members) string { return signed(h.stranger, honestHeader, marshal(c)) }, federation.Invalid},
		"unsigned":         {func(_ *hostile, c members) string { return marshal(c) }, federation.Invalid},
		"another issuer": {func(h *hostile, c members) string {
			c["iss"] = "https://other.test"
			return signed(h.key, honestHeader, marshal(c))
		}, federation.Invalid},
		"another audience": {func(h *hostile, c members) string {
			c["aud"] = []string{"voussoir", "other"}
			return signed(h.key, honestHeader, marshal(c))
		}, federation.Invalid},
		"expired": {func(h *hostile, c members) string {
			c["exp"] = now.Unix() - 60
			return signed(h.key, honestHeader, marshal(c))
		}, federation.Invalid},
		"another subject": {func(h *hostile, c members) string {
			c["sub"] = "subject-2"
			return signed(h.key, honestHeader, marshal(c))
		}, federation.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.info = func(w http.ResponseWriter) bool {
				c := members{"iss": h.URL, "aud": "voussoir"}
				for k, v := range h.person {
					c[k] = v
				}
				w.Header().Set("Content-Type", "application/jwt")
				_, _ = w.Write([]byte(tt.change(h, c)))
				return true
			}
			c := h.config()
			c.UserInfo.SigningAlg = "ES256"
			_, err := h.signIn(t, newProvider(t, c), request)
			if tt.want != 0 {
				wantKind(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("plain JSON where a signature is demanded", func(t *testing.T) {
		h := newHostile(t)
		c := h.config()
		c.UserInfo.SigningAlg = "ES256"
		_, err := h.signIn(t, newProvider(t, c), request)
		wantKind(t, err, federation.Invalid)
	})
}

func TestWithoutUserinfoTheIDTokenHasTheClaims(t *testing.T) {
	h := newHostile(t)
	h.idToken = func(c members) {
		for k, v := range h.person {
			c[k] = v
		}
	}
	c := h.config()
	c.UserInfo.Fetch = false
	got, err := h.signIn(t, newProvider(t, c), request)
	want := wantLogin()
	want.Issuer = h.URL
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Login = %+v, %v", got, err)
	}
	if h.count("/userinfo") != 0 {
		t.Error("userinfo was asked")
	}
}

func TestAClaimInBothPlacesMustBeTheSame(t *testing.T) {
	h := newHostile(t)
	h.sign = func(c members) string { // "é" spelt in two ways is one name
		c["family_name"] = "\u0001"
		return signed(h.key, honestHeader, strings.Replace(marshal(c), `\u0001`, `DUPR\u00e9`, 1))
	}
	h.person["family_name"] = "DUPRé"
	if _, err := h.attempt(t); err != nil {
		t.Errorf("two spellings of one name: %v", err)
	}
	for name, value := range map[string]any{"family_name": "DURAND", "email_verified": false, "birthdate": 1962} {
		h := newHostile(t)
		h.idToken = func(c members) { c[name] = value }
		_, err := h.attempt(t)
		wantKind(t, err, federation.Invalid)
	}
}

func TestUI_03_IdentitiesThatDoNotHold(t *testing.T) {
	for name, change := range map[string]func(members){
		"no family name":         func(c members) { delete(c, "family_name") },
		"family name null":       func(c members) { c["family_name"] = nil },
		"family name empty":      func(c members) { c["family_name"] = "" },
		"family name a list":     func(c members) { c["family_name"] = []string{"DUBOIS"} },
		"given names as a list":  func(c members) { delete(c, "given_name"); c["given_name_array"] = []string{"Angela"} },
		"birthdate a number":     func(c members) { c["birthdate"] = 19620824 },
		"birthdate impossible":   func(c members) { c["birthdate"] = "0000-13-45" },
		"name of 50 KB":          func(c members) { c["given_name"] = strings.Repeat("A", 50<<10) },
		"HTML":                   func(c members) { c["given_name"] = "<script>alert(1)</script>" },
		"a right-to-left switch": func(c members) { c["given_name"] = "Angela\u202eDUBOIS" },
		"a NUL":                  func(c members) { c["given_name"] = "Angela\x00" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.userinfo = change
			_, err := h.attempt(t)
			wantKind(t, err, federation.BadIdentity)
		})
	}
}

func TestUI_03_MalformedExtrasAreLeftOut(t *testing.T) {
	for name, tt := range map[string]struct {
		claim string
		value any
		want  func(*identity.Identity)
	}{
		"e-mail without @":    {"email", "angela", func(id *identity.Identity) { id.Email, id.EmailVerified = "", false }},
		"e-mail a list":       {"email", []string{"angela@example.test"}, func(id *identity.Identity) { id.Email, id.EmailVerified = "", false }},
		"e-mail with HTML":    {"email", "<b>@example.test", func(id *identity.Identity) { id.Email, id.EmailVerified = "", false }},
		"e-mail of 40 KB":     {"email", strings.Repeat("a", 40<<10) + "@example.test", func(id *identity.Identity) { id.Email, id.EmailVerified = "", false }},
		"usage name HTML":     {"preferred_username", "<b>", func(id *identity.Identity) { id.PreferredUsername = "" }},
		"usage name a number": {"preferred_username", 7, func(id *identity.Identity) { id.PreferredUsername = "" }},
		"usage name null":     {"preferred_username", nil, func(id *identity.Identity) { id.PreferredUsername = "" }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.userinfo = func(c members) { c[tt.claim] = tt.value }
			want := wantLogin().Identity
			tt.want(&want)
			got, err := h.attempt(t)
			if err != nil || !reflect.DeepEqual(got.Identity, want) {
				t.Errorf("Identity has %+v, %v", got.Identity, err)
			}
		})
	}
	for name, value := range map[string]any{"text": "pwd", "numbers": []int{1}, "null": nil, "a NUL": []string{"pwd\x00"}, "null inside": []any{nil}} {
		t.Run("amr "+name, func(t *testing.T) {
			h := newHostile(t)
			h.idToken = func(c members) { c["amr"] = value }
			if got, err := h.attempt(t); err != nil || got.Identity.AMR != nil {
				t.Errorf("AMR = %q, %v; want none", got.Identity.AMR, err)
			}
		})
	}
}

func TestAL_02_OnlyTrueIsVerified(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  bool
	}{{true, true}, {false, false}, {"true", false}, {1, false}, {nil, false}, {[]bool{true}, false}} {
		t.Run(fmt.Sprintf("%T %v", tt.value, tt.value), func(t *testing.T) {
			h := newHostile(t)
			h.userinfo = func(c members) { c["email_verified"] = tt.value }
			if got, err := h.attempt(t); err != nil || got.Identity.EmailVerified != tt.want || got.Identity.Email == "" {
				t.Errorf("EmailVerified = %t, %v; want %t", got.Identity.EmailVerified, err, tt.want)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		h := newHostile(t)
		h.userinfo = func(c members) { delete(c, "email_verified") }
		if got, err := h.attempt(t); err != nil || got.Identity.EmailVerified {
			t.Errorf("EmailVerified = %t, %v", got.Identity.EmailVerified, err)
		}
	})
	t.Run("of no address", func(t *testing.T) {
		h := newHostile(t)
		h.userinfo = func(c members) { delete(c, "email") }
		if got, err := h.attempt(t); err != nil || got.Identity.EmailVerified {
			t.Errorf("EmailVerified = %t, %v", got.Identity.EmailVerified, err)
		}
	})
}

func TestUI_04_ClaimsThatAreNotMappedAreDropped(t *testing.T) {
	h := newHostile(t)
	h.userinfo = func(c members) {
		c["acr"], c["amr"], c["roles"], c["given_name_array"] = "urn:x:high", []string{"mfa"}, []string{"admin"}, []string{"Eve"}
		c["Given_Name"], c["auth_time"], c["iss"] = "Eve", 1, "https://other.test"
	}
	got, err := h.attempt(t)
	want := wantLogin()
	want.Issuer = h.URL
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Login = %+v, %v\nwant %+v", got, err, want)
	}
}

func TestClaimsAreMappedByTheOperator(t *testing.T) {
	h := newHostile(t)
	h.userinfo = func(c members) {
		c["nom_usage"], c["birth_family_name"] = "MARTIN", "DUBOIS"
		c["preferred_username"], c["family_name"] = "login-name", "MARTIN"
	}
	c := h.config()
	c.Claims = map[string]string{"nom_usage": "preferred_username", "birth_family_name": "family_name"}
	got, err := h.signIn(t, newProvider(t, c), request)
	if err != nil || !reflect.DeepEqual(got.Identity, wantLogin().Identity) {
		t.Errorf("Identity has %+v, %v", got.Identity, err)
	}
}

func TestAnAccountWithoutCivilIdentityMayKnowLittle(t *testing.T) {
	h := newHostile(t)
	h.person = members{"sub": "subject-1", "email": "angela@example.test"}
	c := h.config()
	c.Schema.Civil = false
	got, err := h.signIn(t, newProvider(t, c), request)
	want := identity.Identity{Email: "angela@example.test", Provider: "tax", AMR: []string{"pwd"}, AsOf: now}
	if err != nil || !reflect.DeepEqual(got.Identity, want) {
		t.Errorf("Identity = %+v, %v; want %+v", got.Identity, err, want)
	}
	_, err = h.attempt(t) // the same with civil identity promised
	wantKind(t, err, federation.BadIdentity)
}

var _ federation.Provider = (*oidc.Provider)(nil)
