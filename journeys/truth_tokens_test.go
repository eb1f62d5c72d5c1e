package journeys

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/keys"
)

// encryptionAlgs are those that a recipient can have a key for.
func encryptionAlgs() []string { return []string{"ECDH-ES", "RSA-OAEP-256"} }

// tokenClients adds a client and a data provider for each form that tokens and
// answers about them can have.
func tokenClients(t *testing.T, text *strings.Builder, client func(id, more string), algs []string) {
	t.Helper()
	jwks := "    jwks: " + encryptionKeys(t) + "\n"
	for _, alg := range algs {
		client("info-"+alg, secretAuth("client_secret_basic")+"\n    userinfo_signed_response_alg: "+alg+"\n")
	}
	for _, alg := range encryptionAlgs() {
		client("enc-"+alg, secretAuth("client_secret_basic")+"\n"+jwks+"    userinfo_signed_response_alg: ES256\n"+
			"    id_token_encrypted_response_alg: "+alg+"\n    userinfo_encrypted_response_alg: "+alg+"\n")
	}
	text.WriteString("data_providers:\n")
	api := func(id, more string) {
		fmt.Fprintf(text, "  - id: %s\n    name: { en: \"API\" }\n    sector: api.example\n    scopes: [email]\n%s\n%s", id, secretAuth("client_secret_basic"), more)
	}
	for _, alg := range algs {
		api("api-"+alg, "    introspection_signed_response_alg: "+alg+"\n")
	}
	for _, alg := range encryptionAlgs() {
		api("api-enc-"+alg, jwks+"    introspection_encrypted_response_alg: "+alg+"\n")
	}
}

// encryptionKeys is the public half of an EC and of an RSA key.
func encryptionKeys(t *testing.T) string {
	t.Helper()
	_, ec := encryptionKey(t, `{"keys":[]}`)
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	public, err := json.Marshal(map[string]string{
		"kty": "RSA", "use": "enc", "kid": "rsa", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(ec, `{"keys":[,`, `{"keys":[`+string(public)+`,`, 1)
}

// ask posts a form, or without one gets, and returns the answer as it came.
func (w *truthWorld) ask(t *testing.T, path string, form url.Values, prove func(http.Header)) (status int, mediaType, body string) {
	t.Helper()
	method, content := http.MethodGet, ""
	if form != nil {
		method, content = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, w.broker+path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	prove(req.Header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(raw)
}

func asBasic(id string) func(http.Header) {
	return func(h http.Header) {
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+serviceSecret)))
	}
}

// nested reads the header of a JWE, which nobody here can open; that somebody can is
// for TestInterop_OpenIDClient to show.
func nested(t *testing.T, compact string) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 5 {
		t.Fatalf("not a JWE: %d parts", len(parts))
	}
	return part(t, strings.Join(parts[:3], "."), 0)
}

// triedTokens are the members of the discovery document that tokens tries.
func triedTokens() []string {
	out := []string{"userinfo_signing_alg_values_supported", "introspection_signing_alg_values_supported"}
	for _, endpoint := range []string{"revocation", "introspection"} {
		out = append(out, endpoint+"_endpoint_auth_methods_supported", endpoint+"_endpoint_auth_signing_alg_values_supported")
	}
	for _, what := range []string{"id_token", "userinfo", "introspection"} {
		out = append(out, what+"_encryption_alg_values_supported", what+"_encryption_enc_values_supported")
	}
	return out
}

// tokens tries what the document says of /userinfo, /introspect and /revoke.
func (w *truthWorld) tokens(t *testing.T, each func(string, func(string) string), can func(bool) string, published *keys.Static) {
	t.Helper()
	issue := func(id string) tokens {
		s := newService(t, w.broker, id)
		r := s.start("openid email", nil)
		return w.token(t, s, r, w.signIn(t, s, r).Get("code"), func(h http.Header, _ url.Values) { asBasic(id)(h) })
	}
	info := func(accessToken string) (int, string, string) {
		return w.ask(t, "/userinfo", nil, func(h http.Header) { h.Set("Authorization", "Bearer "+accessToken) })
	}
	each("userinfo_signing_alg_values_supported", func(v string) string {
		status, mediaType, body := info(issue("info-" + v).AccessToken)
		_, err := published.Verify(t.Context(), body, v)
		return can(status == 200 && mediaType == "application/jwt" && err == nil)
	})
	plain := issue("client_secret_basic").AccessToken
	each("introspection_signing_alg_values_supported", func(v string) string {
		status, _, body := w.ask(t, "/introspect", url.Values{"token": {plain}}, func(h http.Header) {
			asBasic("api-" + v)(h)
			h.Set("Accept", "application/token-introspection+jwt")
		})
		raw, err := published.Verify(t.Context(), body, v)
		return can(status == 200 && err == nil && strings.Contains(string(raw), `"active":true`))
	})
	for path, endpoint := range map[string]string{"/revoke": "revocation_endpoint", "/introspect": "introspection_endpoint"} {
		each(endpoint+"_auth_methods_supported", func(v string) string {
			form := url.Values{"token": {random()}}
			prove := func(http.Header) {}
			switch v {
			case "client_secret_basic":
				prove = asBasic(v)
			case "client_secret_post":
				form.Set("client_id", v)
				form.Set("client_secret", serviceSecret)
			case "none":
				form.Set("client_id", v)
			case "private_key_jwt":
				return "" // by the algorithms below
			default:
				prove = func(h http.Header) { w.byCertificate(v)(h, form) }
				form.Set("client_id", v)
			}
			status, _, _ := w.ask(t, path, form, prove)
			return can(status == 200)
		})
		each(endpoint+"_auth_signing_alg_values_supported", func(v string) string {
			form := url.Values{
				"token": {random()}, "client_assertion": {w.assertion(t, "jwt-"+v, v)},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}
			status, _, _ := w.ask(t, path, form, func(http.Header) {})
			return can(status == 200)
		})
	}
	// The header of what each of the three answers holds, by algorithm of the key.
	sealed := map[string]map[string]map[string]any{"id_token": {}, "userinfo": {}, "introspection": {}}
	for _, alg := range encryptionAlgs() {
		tk := issue("enc-" + alg)
		sealed["id_token"][alg] = nested(t, tk.IDToken)
		_, _, body := info(tk.AccessToken)
		sealed["userinfo"][alg] = nested(t, body)
		_, _, body = w.ask(t, "/introspect", url.Values{"token": {plain}}, asBasic("api-enc-"+alg))
		sealed["introspection"][alg] = nested(t, body)
	}
	for what, by := range sealed {
		each(what+"_encryption_alg_values_supported", func(v string) string { return can(by[v]["alg"] == v && by[v]["cty"] == "JWT") })
		each(what+"_encryption_enc_values_supported", func(v string) string { return can(by["ECDH-ES"]["enc"] == v && by["RSA-OAEP-256"]["enc"] == v) })
	}
	if status, _, _ := w.ask(t, "/revoke", url.Values{"token": {plain}}, asBasic("client_secret_basic")); status != 200 {
		t.Errorf("revoke: %d", status)
	}
	if status, _, _ := info(plain); status != 401 {
		t.Errorf("userinfo after the revocation: %d", status)
	}
}
