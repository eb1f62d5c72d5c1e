package journeys

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/sandbox"
)

// truthWorld is a broker with one client for each way that the discovery document
// offers, whose policy allows every claim.
type truthWorld struct {
	broker string
	ring   *keys.Ring // of the clients
	doc    map[string]any

	certificates map[string]tls.Certificate // of clients, by their method
	told         chan string                // logout tokens
}

const allClaims = "given_name family_name preferred_username birthdate gender birthplace birthcountry email age_over_15 age_over_16 age_over_18 resident_of_region resident_of_departement resident_of_commune idp_given_name idp_family_name idp_birthdate idp_id amr"

func newTruthWorld(t *testing.T) *truthWorld {
	w := &truthWorld{}
	port, dir := ports(t), t.TempDir()
	w.broker = fmt.Sprintf("http://localhost:%d", port)
	const secret = "a-secret-of-the-broker-at-the-provider-01234567"
	issuer := provider(t, secret, []sandbox.Identity{{
		ID: "camille", GivenName: "Camille Jeanne", FamilyName: "Linteau", PreferredUsername: "Linteau-Claveau", Birthdate: "1984-06-21",
		Gender: "female", Birthplace: "69123", Birthcountry: "99100", Email: "camille@mail.example", EmailVerified: true, PostalCode: "69100", Locality: "Villeurbanne",
	}}, func() string { return w.broker + "/callback/upstream" })
	algs := []string{"ES256", "EdDSA", "PS256", "RS256"}
	ringSecret, err := keys.LoadOrCreateSecret(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	if w.ring, err = keys.Open(t.Context(), keys.Config{File: filepath.Join(dir, "keys"), Secret: ringSecret, Algs: algs, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.ring.Close)
	jwks, _ := w.ring.JWKS()
	var text strings.Builder
	fmt.Fprintf(&text, `
issuer: %s
listen: 127.0.0.1:%d
development: true
data: %s
providers:
  - id: upstream
    name: { en: "Post office" }
    issuer: %s
    client_id: voussoir
    client_secret_file: %s
    scopes: [openid, profile, birth, email, address]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas1, map: { eidas1: eidas1 } }
    civil_identity: true
policies:
  - id: all
    version: 1
    purpose: { en: "Try everything" }
    legal_basis: consent
    retention: P1Y
    claims:
`, w.broker, port, filepath.Join(dir, "data"), issuer, secretFile(t, secret))
	for c := range strings.FieldsSeq(allClaims) {
		fmt.Fprintf(&text, "      - { name: %s, required: false }\n", c)
	}
	text.WriteString("clients:\n")
	client := func(id, more string) {
		fmt.Fprintf(&text, "  - id: %s\n    name: { en: \"Client\" }\n    redirect_uris: [http://127.0.0.1:1/callback]\n    sector: %s.example\n    policy: all\n%s",
			id, strings.NewReplacer("_", "-").Replace(strings.ToLower(id)), more)
	}
	for _, alg := range algs { // one client signs with it, another wants ID tokens signed with it
		client("jwt-"+alg, "    token_endpoint_auth_method: private_key_jwt\n    token_endpoint_auth_signing_alg: "+alg+"\n    jwks: "+string(jwks)+"\n")
		client("id-"+alg, secretAuth("client_secret_basic")+"\n    id_token_signed_response_alg: "+alg+"\n")
	}
	client("client_secret_basic", secretAuth("client_secret_basic")+"\n")
	client("refreshes", secretAuth("client_secret_basic")+"\n    refresh_tokens: { max: P180D }\n")
	client("client_secret_post", secretAuth("client_secret_post")+"\n")
	client("none", "    token_endpoint_auth_method: none\n")
	w.leaver(t, client)
	requestClients(client, algs, string(jwks))
	client("bound", secretAuth("client_secret_basic")+"\n    dpop_bound_access_tokens: true\n")
	certificates := &strings.Builder{}
	w.certificateClients(t, certificates, client)
	tokenClients(t, &text, client, algs)
	text.WriteString(certificates.String())
	text.WriteString(registrationBlock("all", "      max_clients: 100\n"))
	file := filepath.Join(dir, "voussoir.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", file)
	w.doc = w.fetch(t, "/.well-known/openid-configuration")
	return w
}

func (w *truthWorld) fetch(t *testing.T, path string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(newCitizen(t).get(w.broker+path).Body), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func (w *truthWorld) list(t *testing.T, member string) []string {
	t.Helper()
	var out []string
	offered, _ := w.doc[member].([]any)
	for _, v := range offered {
		out = append(out, v.(string))
	}
	if len(out) == 0 {
		t.Errorf("%s is empty", member)
	}
	return out
}

// signIn signs in at a client by its method and returns the code, and what the
// answer came with.
func (w *truthWorld) signIn(t *testing.T, s *service, r request) url.Values {
	t.Helper()
	c := newCitizen(t)
	p := s.question(c, r, "upstream", "camille")
	if p.byID("consent-agree") != nil {
		boxes := url.Values{}
		for claim := range strings.FieldsSeq(allClaims) {
			if p.byID("claim-"+claim) != nil {
				boxes.Add("claim", claim)
			}
		}
		p = c.pressUntil(p, "consent-agree", boxes, s.back)
	}
	if s.back(p.URL) {
		return p.URL.Query()
	}
	if p.byID("answer") == nil {
		t.Fatalf("neither an answer nor a form that carries one: %s %d %q", p.URL.Path, p.Status, p.errorCode())
	}
	_, _, values := p.form(p.byID("continue"))
	return values
}

// token redeems a code with exactly these credentials.
func (w *truthWorld) token(t *testing.T, s *service, r request, code string, prove func(http.Header, url.Values)) tokens {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.redirect}, "code_verifier": {r.Verifier}}
	credentials := http.Header{}
	prove(credentials, form)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.broker+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = credentials
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var tk tokens
	if tk.Status, err = s.json(req, &tk); err != nil {
		t.Fatal(err)
	}
	sing("access token", tk.AccessToken)
	sing("refresh token", tk.RefreshToken)
	sing("ID token", tk.IDToken)
	return tk
}

// assertion is a private_key_jwt signed with alg (RFC 7523).
func (w *truthWorld) assertion(t *testing.T, id, alg string) string {
	t.Helper()
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": id, "sub": id, "aud": w.broker, "jti": random(), "iat": now, "exp": now + 60})
	if err != nil {
		t.Fatal(err)
	}
	compact, err := w.ring.Sign(t.Context(), alg, "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	sing("client assertion", compact)
	return compact
}

// part decodes the header (0) or the payload (1) of a JWT.
func part(t *testing.T, compact string, n int) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDiscovery_EveryOfferWorks_OIDCDiscovery_3 takes the document at its word,
// member by member; a member that this test does not know is an error too.
func TestDiscovery_EveryOfferWorks_OIDCDiscovery_3(t *testing.T) {
	whole(t)
	w := newTruthWorld(t)
	at := func(id string) *service { return newService(t, w.broker, id) }
	basic := func(s *service) func(http.Header, url.Values) {
		return func(h http.Header, _ url.Values) {
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.id+":"+s.secret)))
		}
	}
	starts := func(extra url.Values) bool { // it leads onward, not back with an error
		s := at("client_secret_basic")
		p := newCitizen(t).visit(http.MethodGet, s.start("openid", extra).URL, nil, "", s.back)
		return !s.back(p.URL) && p.Status == 200
	}
	each := func(member string, try func(string) string) {
		for _, v := range w.list(t, member) {
			if fault := try(v); fault != "" {
				t.Errorf("%s offers %s: %s", member, v, fault)
			}
		}
	}
	can := func(ok bool) string {
		if ok {
			return ""
		}
		return "it does not work"
	}

	each("scopes_supported", func(v string) string { return can(starts(url.Values{"scope": {"openid " + v}})) })
	each("response_types_supported", func(v string) string { return can(starts(url.Values{"response_type": {v}})) })
	each("code_challenge_methods_supported", func(v string) string { return can(starts(url.Values{"code_challenge_method": {v}})) })
	published, err := keys.NewStatic([]byte(newCitizen(t).get(w.doc["jwks_uri"].(string)).Body))
	if err != nil {
		t.Fatal(err)
	}
	each("response_modes_supported", func(v string) string {
		s := at("client_secret_basic")
		if strings.HasSuffix(v, "jwt") {
			s = at("response-ES256")
		}
		r := s.start("openid", url.Values{"response_mode": {v}})
		got := w.signIn(t, s, r)
		if s.id == "response-ES256" {
			return can(w.signedAnswer(t, s, r, got, "ES256", published))
		}
		return can(got.Get("code") != "" && got.Get("state") == r.State && got.Get("iss") == w.broker)
	})
	each("acr_values_supported", func(v string) string {
		s := at("client_secret_basic")
		r := s.start("openid", url.Values{"acr_values": {v}})
		tk := w.token(t, s, r, w.signIn(t, s, r).Get("code"), basic(s))
		return can(tk.Status == 200 && payload(t, tk.IDToken)["acr"] == v)
	})
	if starts(url.Values{"acr_values": {"eidas3"}}) {
		t.Error("a level that no provider reaches is not refused at once")
	}
	each("prompt_values_supported", func(v string) string {
		s := at("client_secret_basic")
		p := newCitizen(t).visit(http.MethodGet, s.start("openid", url.Values{"prompt": {v}}).URL, nil, "", s.back)
		if v == "none" {
			return can(p.URL.Query().Get("error") == "login_required")
		}
		return can(!s.back(p.URL) && p.Status == 200)
	})
	each("ui_locales_supported", func(v string) string {
		s, c := at("client_secret_basic"), newCitizen(t)
		c.lang = "de"
		p := s.question(c, s.start("openid", url.Values{"ui_locales": {v}}), "upstream", "camille")
		return can(strings.Contains(p.Body, `<html lang="`+v+`"`))
	})
	each("token_endpoint_auth_methods_supported", func(v string) string {
		if v == "private_key_jwt" {
			return "" // by the algorithms below
		}
		s := at(v)
		r := s.start("openid", nil)
		return can(w.token(t, s, r, w.signIn(t, s, r).Get("code"), map[string]func(http.Header, url.Values){
			"client_secret_basic": basic(s),
			"client_secret_post": func(_ http.Header, f url.Values) {
				f.Set("client_id", s.id)
				f.Set("client_secret", s.secret)
			},
			"none":                        func(_ http.Header, f url.Values) { f.Set("client_id", s.id) },
			"tls_client_auth":             w.byCertificate(v),
			"self_signed_tls_client_auth": w.byCertificate(v),
		}[v]).Status == 200)
	})
	each("token_endpoint_auth_signing_alg_values_supported", func(v string) string {
		s := at("jwt-" + v)
		r := s.start("openid", nil)
		return can(w.token(t, s, r, w.signIn(t, s, r).Get("code"), func(_ http.Header, f url.Values) {
			f.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			f.Set("client_assertion", w.assertion(t, s.id, v))
		}).Status == 200)
	})
	each("id_token_signing_alg_values_supported", func(v string) string {
		s := at("id-" + v)
		r := s.start("openid", nil)
		tk := w.token(t, s, r, w.signIn(t, s, r).Get("code"), basic(s))
		_, err := published.Verify(t.Context(), tk.IDToken, v)
		return can(tk.Status == 200 && err == nil && part(t, tk.IDToken, 0)["alg"] == v)
	})

	each("grant_types_supported", func(v string) string {
		s := at("client_secret_basic")
		r := s.start("openid", nil)
		if v == "refresh_token" {
			s = at("refreshes")
			r = s.start("openid offline_access", nil)
		}
		tk := w.token(t, s, r, w.signIn(t, s, r).Get("code"), basic(s))
		if v == "authorization_code" {
			return can(tk.Status == 200)
		}
		again, err := s.refresh(t.Context(), tk.RefreshToken)
		return can(err == nil && again.Status == 200 && payload(t, again.IDToken)["sub"] == payload(t, tk.IDToken)["sub"])
	})
	w.logout(t, basic)
	w.requests(t, each, can, published)
	w.tokens(t, each, can, published)
	w.proofs(t, each, can)
	w.certificateBound(t)

	// Every claim, by the claims parameter alone, and nothing beside them.
	s := at("client_secret_basic")
	wanted := map[string]map[string]any{"userinfo": {}, "id_token": {}}
	for claim := range strings.FieldsSeq(allClaims) {
		wanted["userinfo"][claim], wanted["id_token"][claim] = nil, nil
	}
	parameter, err := json.Marshal(wanted)
	if err != nil {
		t.Fatal(err)
	}
	r := s.start("openid", url.Values{"claims": {string(parameter)}})
	tk := w.token(t, s, r, w.signIn(t, s, r).Get("code"), basic(s))
	_, info, err := s.userinfo(t.Context(), tk.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	inToken := payload(t, tk.IDToken)
	offered := w.list(t, "claims_supported")
	for _, claim := range offered {
		_, here := info[claim]
		_, there := inToken[claim]
		if !here && !there {
			t.Errorf("claims_supported offers %s, which does not come", claim)
		}
	}
	for _, where := range []map[string]any{info, inToken} {
		for claim := range where {
			if !slices.Contains(offered, claim) {
				t.Errorf("%s comes, and claims_supported does not say so", claim)
			}
		}
	}

	for member, want := range map[string]any{
		"issuer": w.broker, "subject_types_supported": []any{"pairwise"},
		"claim_types_supported": []any{"normal"}, "claims_parameter_supported": true, "authorization_response_iss_parameter_supported": true,
		"request_parameter_supported": true, "request_uri_parameter_supported": false,
		"pushed_authorization_request_endpoint": w.broker + "/par", "require_pushed_authorization_requests": false,
		"authorization_details_types_supported": []any{}, "authorization_endpoint": w.broker + "/authorize", "token_endpoint": w.broker + "/token",
		"revocation_endpoint": w.broker + "/revoke", "introspection_endpoint": w.broker + "/introspect",
		"userinfo_endpoint": w.broker + "/userinfo", "jwks_uri": w.broker + "/jwks",
	} {
		if fmt.Sprint(w.doc[member]) != fmt.Sprint(want) {
			t.Errorf("%s = %v, want %v", member, w.doc[member], want)
		}
		delete(w.doc, member)
	}
	for _, p := range []string{"request", "request_uri", "registration"} {
		s := at("client_secret_basic")
		p, want := newCitizen(t).visit(http.MethodGet, s.start("openid", url.Values{p: {"x"}}).URL, nil, "", s.back), p+"_not_supported"
		if got := p.URL.Query().Get("error"); got != want {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	tried := []string{
		"scopes_supported", "grant_types_supported", "response_types_supported", "code_challenge_methods_supported", "response_modes_supported", "acr_values_supported",
		"prompt_values_supported", "ui_locales_supported", "token_endpoint_auth_methods_supported",
		"token_endpoint_auth_signing_alg_values_supported", "id_token_signing_alg_values_supported", "claims_supported",
	}
	tried = append(tried, triedLogout()...)
	tried = append(tried, triedRequests()...)
	tried = append(tried, triedTokens()...)
	tried = append(tried, "dpop_signing_alg_values_supported", w.registration(t))
	for member := range w.doc {
		if !slices.Contains(tried, member) {
			t.Errorf("the document says %s, and nobody has tried it", member)
		}
	}
	oauth, oidc := w.fetch(t, "/.well-known/oauth-authorization-server"), w.fetch(t, "/.well-known/openid-configuration")
	if fmt.Sprint(oauth) != fmt.Sprint(oidc) {
		t.Error("RFC 8414: the two documents differ")
	}
}
