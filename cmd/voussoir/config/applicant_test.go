package config

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
	"github.com/voussoir-id/voussoir/protocol"
)

const oneToken = `
registration:
  tokens:
    - id: onboarding
      name: { en: "City" }
      token_sha256: "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
      policy: library
`

// withTokens loads the example with a registration of one token and more lines for it.
func withTokens(t *testing.T, more string) *Loaded {
	t.Helper()
	got, err := Parse("/etc/voussoir/example.yaml", append(slices.Clone(deploy.Example), oneToken+more...), environment)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// applicant is a service with these members beside a redirect URI and a method.
func applicant(t *testing.T, members string) Applicant {
	t.Helper()
	m := map[string]json.RawMessage{}
	for _, text := range []string{`{"redirect_uris":["https://new.example/callback"],"token_endpoint_auth_method":"client_secret_basic"}`, members} {
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
	}
	a := Applicant{ID: "0123456789abcdef0123456789abcdef", Initial: "onboarding", Metadata: m}
	if method := string(m["token_endpoint_auth_method"]); strings.Contains(method, "secret") {
		a.Secret = make([]byte, 32)
	}
	return a
}

// What the file refuses an applicant is refused, by the same rule, with no value of
// the metadata in the answer.
func TestAdmit_IsAsStrictAsTheFile(t *testing.T) {
	l := withTokens(t, "      redirect_hosts: [new.example, localhost]\n")
	const uri = protocol.InvalidRedirectURI
	const metadata = protocol.InvalidClientMetadata
	for _, c := range []struct {
		name, members string
		code          protocol.ErrorCode
		member        string
	}{
		{"no redirect URI", `{"redirect_uris":[]}`, uri, "redirect_uris"},
		{"regfrag: a fragment", `{"redirect_uris":["https://new.example/cb#hunter2"]}`, uri, "redirect_uris"},
		{"RU-09 a script", `{"redirect_uris":["javascript:hunter2()"]}`, uri, "redirect_uris"},
		{"http", `{"redirect_uris":["http://new.example/hunter2"]}`, uri, "redirect_uris"},
		{"http on loopback outside development", `{"redirect_uris":["http://localhost/hunter2"]}`, uri, "redirect_uris"},
		{"a user name", `{"redirect_uris":["https://hunter2@new.example/"]}`, uri, "redirect_uris"},
		{"a wildcard", `{"redirect_uris":["https://new.example/hunter2*"]}`, uri, "redirect_uris"},
		{"RU-12 a parameter of our own answers", `{"redirect_uris":["https://new.example/?code=hunter2"]}`, uri, "redirect_uris"},
		{"the same URI twice", `{"redirect_uris":["https://new.example/","https://new.example/"]}`, uri, "redirect_uris"},
		{"a host that the token does not allow", `{"redirect_uris":["https://hunter2.example/"]}`, uri, "redirect_uris"},
		{"several hosts without a sector", `{"redirect_uris":["https://new.example/","https://hunter2.example/"]}`, metadata, "sector_identifier_uri"},
		{"LO-04 a script after logout", `{"post_logout_redirect_uris":["javascript:hunter2()"]}`, metadata, "post_logout_redirect_uris"},
		{"a method that does not exist", `{"token_endpoint_auth_method":"hunter2"}`, metadata, "token_endpoint_auth_method"},
		{"client_secret_jwt", `{"token_endpoint_auth_method":"client_secret_jwt"}`, metadata, "token_endpoint_auth_method"},
		{"a public client", `{"token_endpoint_auth_method":"none"}`, metadata, "token_endpoint_auth_method"},
		{"a native application with a secret", `{"application_type":"native"}`, metadata, "token_endpoint_auth_method"},
		{"an application of no kind", `{"application_type":"hunter2"}`, metadata, "application_type"},
		{"an unsigned ID token", `{"id_token_signed_response_alg":"none"}`, metadata, "id_token_signed_response_alg"},
		{"an ID token under its secret", `{"id_token_signed_response_alg":"HS256"}`, metadata, "id_token_signed_response_alg"},
		{"userinfo encrypted and not signed", `{"userinfo_encrypted_response_alg":"ECDH-ES","jwks_uri":"https://new.example/jwks"}`, metadata, "userinfo_encrypted_response_alg"},
		{"private_key_jwt without keys", `{"token_endpoint_auth_method":"private_key_jwt"}`, metadata, "jwks"},
		{"a private key", `{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC","d":"hunter2"}]}}`, metadata, "jwks"},
		{"keys in two places", `{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC"}]},"jwks_uri":"https://new.example/jwks"}`, metadata, "jwks_uri"},
		{"SF-03 keys at another scheme", `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"file:///hunter2"}`, metadata, "jwks_uri"},
		{"a name with control characters", `{"client_name":"hunter2\u202e"}`, metadata, "client_name"},
		{"a name longer than a line", `{"client_name":"` + strings.Repeat("hunter2", 20) + `"}`, metadata, "client_name"},
		{"the name of a service of the file", `{"client_name":" city LIBRARY"}`, metadata, "client_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := l.Admit(applicant(t, c.members))
			got, ok := errors.AsType[*protocol.Error](err)
			if !ok || got.Code != c.code || !strings.HasPrefix(got.Description, c.member+": ") {
				t.Fatalf("Admit = %v, want %s about %s", err, c.code, c.member)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the answer quotes a value: %v", err)
			}
		})
	}
}

func TestAdmit_MakesAClient(t *testing.T) {
	l := withTokens(t, `
      require_pkce: false
      exception_reason: "the certification suite sends no PKCE"
`)
	a := applicant(t, `{"client_name":"New service","client_name#fr":"Nouveau service","redirect_uris":["https://a.new.example/cb?tenant=1","https://b.new.example/cb"],
		"sector_identifier_uri":"https://new.example/sector.json","id_token_signed_response_alg":"RS256","scope":"openid email",
		"post_logout_redirect_uris":["https://a.new.example/"],"require_pushed_authorization_requests":true,"contacts":["me@new.example"],
		"jwks":{"keys":[{"kty":"EC","crv":"P-256"}]},"token_endpoint_auth_signing_alg":"ES256","frobnicate":true,
		"policy":"appointments","sector":"library.example","require_nonce":false}`) // the last three: only the file may say so
	a.Secret = []byte("0123456789abcdef0123456789abcdef")
	c, kept, err := l.Admit(a)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != a.ID || c.Policy != "library" || c.Sector != "new.example" || c.RequirePKCE || !c.RequireNonce || !c.RequireState || !c.RequirePAR ||
		c.AuthMethod != clients.SecretBasic || len(c.SecretSHA256) != 1 || c.SecretSHA256[0] != [32]byte(a.Secret) || c.IDTokenSigningAlg != "RS256" ||
		!slices.Equal(c.RedirectURIs, []string{"https://a.new.example/cb?tenant=1", "https://b.new.example/cb"}) ||
		!slices.Equal(c.Scopes, []protocol.Scope{"openid", "email"}) || c.Name["fr"] != "Nouveau service" || c.Name["en"] != "New service" {
		t.Errorf("client = %+v", c)
	}
	for member, want := range map[string]bool{
		"contacts": true, "client_name#fr": true, "redirect_uris": true, "require_pushed_authorization_requests": true,
		"jwks": false, "token_endpoint_auth_signing_alg": false, "frobnicate": false, "policy": false, "sector": false, // of no effect
	} {
		if _, got := kept[member]; got != want {
			t.Errorf("%s kept: %v, want %v", member, got, want)
		}
	}
	if _, still := a.Metadata["jwks"]; !still {
		t.Error("the applicant's own metadata was changed")
	}
}

func TestAdmit_NamelessServicesHaveTheNameOfTheOrganisation(t *testing.T) {
	c, _, err := withTokens(t, "").Admit(applicant(t, `{}`))
	if err != nil || c.Name.In("fr") != "City" {
		t.Errorf("Admit = %+v, %v", c, err)
	}
}

func TestAdmit_WithoutItsTokenOrWithATakenID(t *testing.T) {
	l := withTokens(t, "")
	gone := applicant(t, `{}`)
	gone.Initial = "another"
	if _, _, err := l.Admit(gone); !errors.Is(err, ErrNoInitial) {
		t.Errorf("Admit = %v, want ErrNoInitial", err)
	}
	taken := applicant(t, `{}`)
	taken.ID = "city-library"
	if _, _, err := l.Admit(taken); !errors.Is(err, ErrTaken) {
		t.Errorf("Admit = %v, want ErrTaken", err)
	}
}

func TestLoad_InitialTokens(t *testing.T) {
	got := withTokens(t, "      expires: \"2027-06-30\"\n").Initial
	if len(got) != 1 || got[0].ID != "onboarding" || got[0].Max != 10 || got[0].SHA256[0] != 0x0f || got[0].Expires.Format("2006-01-02 15:04") != "2027-07-01 00:00" {
		t.Errorf("tokens = %+v", got)
	}
	if got := withTokens(t, "      max_clients: 3\n").Initial; got[0].Max != 3 || !got[0].Expires.IsZero() {
		t.Errorf("tokens = %+v", got)
	}
}

// What is for the operator to decide is not in anybody's metadata: it is ignored, and
// not in the answer.
func TestAdmit_WhatIsForTheOperatorHasNoEffect(t *testing.T) {
	l := withTokens(t, "")
	plain, _, err := l.Admit(applicant(t, `{}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"id": `"city-library"`, "policy": `"other"`, "sector": `"library.example"`, "profile": `"franceconnect"`, "idp_hints": `["tax"]`,
		"id_token_claims": `["given_name"]`, "resources": `["https://api.example/"]`, "access_token_lifetime": `"PT1H"`,
		"access_token_format": `"jwt"`, "require_pkce": `false`, "require_nonce": `false`, "exception_reason": `"I want to"`,
		"allowed_origins": `["https://new.example"]`, "authorization_details_types": `["payment"]`,
		"client_secret_sha256": `"0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"`,
	} {
		t.Run(name, func(t *testing.T) {
			got, answer, err := l.Admit(applicant(t, `{"`+name+`":`+value+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, there := answer[name]; there || !reflect.DeepEqual(got, plain) {
				t.Errorf("it has an effect: %+v", got)
			}
		})
	}
}
