package oidc

import (
	"errors"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

func fuzzed(f *testing.F) *Provider {
	f.Helper()
	p, err := New(Config{
		ID: "tax", Issuer: "https://op.test", ClientID: "voussoir", ClientSecret: "secret", AuthMethod: ClientSecretBasic,
		Scopes: []string{"openid"}, RedirectURI: "https://broker.test/callback/tax", IDTokenSigningAlg: "ES256",
		ACR: ACR{Max: protocol.EIDAS1}, Client: outbound.New(outbound.Config{}), ForeignHosts: []string{"broker.test"},
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Schema: identity.Schema{Civil: true},
	})
	if err != nil {
		f.Fatal(err)
	}
	return p
}

func FuzzDiscovery(f *testing.F) {
	p := fuzzed(f)
	f.Add([]byte(`{"issuer":"https://op.test","authorization_endpoint":"https://op.test/a","token_endpoint":"https://op.test/t","jwks_uri":"https://op.test/j"}`))
	f.Add([]byte(`{"issuer":"https://op.test","authorization_endpoint":"https://broker.test/a","token_endpoint":"//","prompt_values_supported":[null]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := p.readMetadata(doc)
		if err != nil {
			return
		}
		if m.authorization.Scheme != "https" || m.authorization.Host == "broker.test" || m.token == "" || m.keys == nil {
			t.Errorf("accepted %q as %+v", doc, m)
		}
	})
}

func FuzzTokenAnswer(f *testing.F) {
	p := fuzzed(f)
	f.Add(200, "application/json", []byte(`{"access_token":"a","token_type":"bearer","id_token":"a.b.c"}`))
	f.Add(400, "application/json", []byte(`{"error":"invalid_grant"}`))
	f.Add(200, "text/html; charset", []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		tok, err := p.readTokens(outbound.Answer{Status: status, ContentType: contentType, Body: body}, nil)
		var e *federation.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("error of another kind: %v", err)
		}
		if err == nil && (status != 200 || tok.id == "" || !visible(tok.access, maxAccessToken)) {
			t.Errorf("accepted %d %q %q", status, contentType, body)
		}
	})
}

func FuzzIDTokenClaims(f *testing.F) {
	p := fuzzed(f)
	f.Add([]byte(`{"iss":"https://op.test","aud":"voussoir","sub":"s","exp":1800000060,"iat":1800000000,"nonce":"n","acr":"eidas1","auth_time":1800000000,"given_name":"A"}`))
	f.Add([]byte(`{"aud":[null],"exp":1e309,"iat":"x","email":{}}`))
	f.Fuzz(func(_ *testing.T, payload []byte) {
		m, err := protocol.Object(payload)
		if err != nil {
			return
		}
		claims := object(m)
		_ = p.checkIssue(claims)
		_ = checkTimes(claims, p.cfg.Now())
		_ = p.checkBinding(claims, "access", "code", "n")
		_, _ = p.judge(federation.Request{ForceLogin: true}, pending{}, claims)
		_, _, _ = p.identity(claims, claims)
	})
}
