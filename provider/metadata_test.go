package provider

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestMetadata_Golden_OIDCDiscovery_3_RFC8414(t *testing.T) {
	w := newWorld(t).serve()
	a, b := w.do(get(PathDiscovery, nil)), w.do(get(PathOAuthMetadata, nil))
	golden(t, "metadata.json", indent(t, []byte(a.body)))
	if a.body != b.body {
		t.Error("the two documents differ")
	}
}

// TestMetadata_TellsTheTruth tries what the document offers.
func TestMetadata_TellsTheTruth(t *testing.T) {
	w := newWorld(t).serve()
	doc := w.do(get(PathDiscovery, nil)).json(t)
	each := func(member string, try func(value string) bool) {
		t.Helper()
		list, _ := doc[member].([]any)
		if len(list) == 0 {
			t.Errorf("%s is empty", member)
		}
		for _, v := range list {
			if !try(v.(string)) {
				t.Errorf("%s offers %v, which does not work", member, v)
			}
		}
	}
	starts := func(changes ...string) bool {
		return w.do(get(PathAuthorize, request(changes...))).header.Get("Location") == "/login/flow"
	}
	each("scopes_supported", func(s string) bool { return starts("scope", "openid "+s) })
	each("response_types_supported", func(s string) bool { return starts("response_type", s) })
	each("response_modes_supported", func(s string) bool { return starts("client_id", "rich", "response_mode", s) })
	each("prompt_values_supported", func(s string) bool { return starts("prompt", s) })
	each("acr_values_supported", func(s string) bool { return starts("acr_values", s) })
	each("ui_locales_supported", func(s string) bool { return starts("ui_locales", s) })
	each("code_challenge_methods_supported", func(s string) bool { return starts("code_challenge_method", s) })
	each("id_token_signing_alg_values_supported", func(s string) bool {
		_, err := w.keys.Sign(t.Context(), s, "JWT", nil)
		return err == nil
	})
	each("authorization_signing_alg_values_supported", func(s string) bool {
		_, err := w.keys.Sign(t.Context(), s, "JWT", nil)
		return err == nil
	})
	each("request_object_signing_alg_values_supported", func(s string) bool { return slices.Contains(signingAlgs(), s) })
	each("userinfo_signing_alg_values_supported", func(s string) bool {
		_, err := w.p.signUserInfo(t.Context(), &clients.Client{UserInfoSigningAlg: s}, []byte(`{"sub":"x"}`))
		return err == nil
	})
	each("introspection_signing_alg_values_supported", func(s string) bool {
		_, err := w.p.signIntrospection(t.Context(), &clients.Client{IntrospectionSigningAlg: s}, []byte(`{"active":false}`))
		return err == nil
	})
	sealed, _ := w.set.Get("sealed")
	for _, what := range []string{"id_token", "userinfo", "introspection"} {
		each(what+"_encryption_alg_values_supported", func(s string) bool {
			_, err := w.p.nest(t.Context(), sealed, clients.Encryption{Alg: s, Enc: "A256GCM"}, "x")
			return err == nil
		})
		each(what+"_encryption_enc_values_supported", func(s string) bool {
			_, err := w.p.nest(t.Context(), sealed, clients.Encryption{Alg: "ECDH-ES", Enc: s}, "x")
			return err == nil
		})
	}
	for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint", "pushed_authorization_request_endpoint"} {
		path, ok := strings.CutPrefix(doc[endpoint].(string), issuer)
		if got := w.do(get(path, nil)); !ok || got.status == 404 {
			t.Errorf("%s = %v is not served", endpoint, doc[endpoint])
		}
	}
}

// TestMetadata_FollowsTheProviders: after a reload that switches the only provider
// of a level off, the document no longer offers it.
func TestMetadata_FollowsTheProviders(t *testing.T) {
	w := newWorld(t).serve()
	for _, acrs := range [][]protocol.ACR{{protocol.EIDAS1, protocol.EIDAS2}, {protocol.EIDAS1}} {
		w.mu.Lock()
		w.acrs = acrs
		w.mu.Unlock()
		got, _ := w.do(get(PathDiscovery, nil)).json(t)["acr_values_supported"].([]any)
		if len(got) != len(acrs) {
			t.Errorf("acr_values_supported = %v, want %v", got, acrs)
		}
	}
}

func TestDocuments_CachedAndOpenToReaders_Z14(t *testing.T) {
	w := newWorld(t).serve()
	for _, path := range []string{PathDiscovery, PathOAuthMetadata, PathJWKS} {
		r := get(path, nil)
		r.Header.Set("Origin", "https://evil.example")
		got := w.do(r)
		if got.status != 200 || got.header.Get("Cache-Control") != "public, max-age=300" || got.header.Get("ETag") == "" {
			t.Errorf("%s: got %d %v", path, got.status, got.header)
		}
		if got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: CORS %v", path, got.header)
		}
		r = get(path, nil)
		r.Header.Set("If-None-Match", got.header.Get("ETag"))
		if again := w.do(r); again.status != 304 || again.body != "" {
			t.Errorf("%s with its ETag: got %d", path, again.status)
		}
		if head := w.do(httptest.NewRequest("HEAD", path, nil)); head.status != 200 || head.body != "" {
			t.Errorf("HEAD %s: got %d", path, head.status)
		}
		if p := w.do(post(path, nil)); p.status != 405 || p.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: got %d", path, p.status)
		}
	}
	if body := w.do(get(PathJWKS, nil)).body; body != string(w.keys.jwks) || strings.Contains(body, `"d"`) {
		t.Errorf("JWKS is not the ring's: %s", body)
	}
}

func TestServeHTTP_OnlyItsPaths(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "//token", "/token/", "/TOKEN", "/authorize/callback", "/keys", "/healthz", "/ready", "/revoke/", "/x/../token"} {
		if got := w.do(post(path, tokenForm("x"))); got.status != 404 || got.header.Get("Location") != "" {
			t.Errorf("%s: got %d to %q", path, got.status, got.header.Get("Location"))
		}
	}
	for _, path := range Paths() {
		if got := w.do(get(path, nil)); got.status == 404 {
			t.Errorf("%s is not served", path)
		}
	}
}

func TestNew_RefusesAMissingCollaborator(t *testing.T) {
	good := newWorld(t).p.Config
	for name, spoil := range map[string]func(*Config){
		"Clients": func(c *Config) { c.Clients = nil }, "Start": func(c *Config) { c.Start = nil }, "Codes": func(c *Config) { c.Codes = nil },
		"Once": func(c *Config) { c.Once = nil }, "Keys": func(c *Config) { c.Keys = nil }, "ClientKeys": func(c *Config) { c.ClientKeys = nil },
		"Audit": func(c *Config) { c.Audit = nil }, "Deriver": func(c *Config) { c.Deriver = nil }, "Site": func(c *Config) { c.Site = nil }, "Note": func(c *Config) { c.Note = nil },
		"Log": func(c *Config) { c.Log = nil }, "ACRs": func(c *Config) { c.ACRs = nil }, "Now": func(c *Config) { c.Now = nil },
		"Issuer": func(c *Config) { c.Issuer = issuer + "/" }, "IDTokenTTL": func(c *Config) { c.IDTokenTTL = 1 << 50 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("New without a good %s = nil error", name)
		}
	}
	if _, err := NewCodes(CodesConfig{Issuer: issuer, Clients: func() *clients.Set { return nil }}); err == nil {
		t.Error("NewCodes without a store = nil error")
	}
}
