package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
	"github.com/voussoir-id/voussoir/protocol"
)

// A service that registers may use certificates exactly where one of the file may.
func TestAdmit_ByACertificateWhereCertificatesCanReachTheBroker_RFC8705(t *testing.T) {
	const keys = `"jwks":{"keys":[{"kty":"EC","crv":"P-256"}]}`
	for members, method := range map[string]clients.AuthMethod{
		`{"token_endpoint_auth_method":"self_signed_tls_client_auth",` + keys + `}`: clients.SelfSignedTLS,
		`{"tls_client_certificate_bound_access_tokens":true}`:                       clients.SecretBasic,
	} {
		if _, _, err := withTokens(t, "").Admit(applicant(t, members)); err == nil || !strings.Contains(err.Error(), "no certificate can reach this broker") {
			t.Errorf("%s without certificates: %v", members, err)
		}
		l := withTokens(t, "\nclient_certificates: { trusted_proxies: [10.0.0.7] }\n")
		c, _, err := l.Admit(applicant(t, members))
		if err != nil || c.AuthMethod != method || c.CertificateBound != strings.Contains(members, "bound") {
			t.Errorf("%s behind a proxy: %+v, %v", members, c, err)
		}
	}
	l := withTokens(t, "\nclient_certificates: { trusted_proxies: [10.0.0.7] }\n")
	_, _, err := l.Admit(applicant(t, `{"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"new.example"}`))
	if err == nil || !strings.Contains(err.Error(), "which authorities") {
		t.Errorf("tls_client_auth without authorities: %v", err)
	}
}

// An exception of the initial token for services with a secret is none for those
// without: PKCE is all that they have.
func TestAdmit_APublicClientIsNoExceptionFromPKCE_RFC9700_2_1_1(t *testing.T) {
	l := withTokens(t, "      public_clients: true\n      require_pkce: false\n      exception_reason: \"the certification suite sends no PKCE\"\n")
	c, _, err := l.Admit(applicant(t, `{"token_endpoint_auth_method":"none"}`))
	if err != nil || !c.RequirePKCE {
		t.Errorf("Admit = %+v, %v", c, err)
	}
	if c, _, err = l.Admit(applicant(t, `{}`)); err != nil || c.RequirePKCE {
		t.Errorf("one with a secret: %+v, %v", c, err)
	}
}

// Who may register for one host must not get people sent to another.
func TestAdmit_AfterLogoutToAnotherHost_LO04(t *testing.T) {
	l := withTokens(t, "      redirect_hosts: [new.example]\n")
	_, _, err := l.Admit(applicant(t, `{"post_logout_redirect_uris":["https://phishing.example/"]}`))
	if got, ok := errors.AsType[*protocol.Error](err); !ok || got.Code != protocol.InvalidClientMetadata || !strings.HasPrefix(got.Description, "post_logout_redirect_uris: ") {
		t.Errorf("Admit = %v", err)
	}
	if _, _, err = l.Admit(applicant(t, `{"post_logout_redirect_uris":["https://new.example/bye"]}`)); err != nil {
		t.Error(err)
	}
	// An app's own scheme is on no host.
	_, _, err = l.Admit(applicant(t, `{"application_type":"native","redirect_uris":["com.phishing.app:/cb"],"token_endpoint_auth_method":"private_key_jwt",
		"jwks":{"keys":[{"kty":"EC","crv":"P-256"}]},"sector_identifier_uri":"https://new.example/s.json"}`))
	if got, ok := errors.AsType[*protocol.Error](err); !ok || got.Code != protocol.InvalidRedirectURI {
		t.Errorf("Admit = %v", err)
	}
}

// A name that looks the same is the same.
func TestAdmit_ANameThatReadsLikeAnother(t *testing.T) {
	l := withTokens(t, "")
	for _, name := range []string{"City  library", "City\u00a0library", "City\u200blibrary", "City\u2009library", "City library.", "Ｃity library", "Cíty library"} {
		raw, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = l.Admit(applicant(t, `{"client_name":`+string(raw)+`}`)); err == nil || !strings.Contains(err.Error(), "another service") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, _, err := l.Admit(applicant(t, `{"client_name":"City library of Lyon"}`)); err != nil {
		t.Error(err)
	}
}

// What a profile stands for cannot be contradicted.
func TestProfile_FAPI2RotatesNoRefreshToken(t *testing.T) {
	from, to := bytes.Index(deploy.Example, []byte("    # Where a person may go after")), bytes.Index(deploy.Example, []byte("  - id: tax-appeals"))
	text := slices.Concat(deploy.Example[:from], []byte(`    sector: library.example
    policy: library
    profile: fapi2
    jwks_uri: https://library.example/jwks
    refresh_tokens: { max: P180D, rotation: true }
`), deploy.Example[to:])
	_, err := Parse("/etc/voussoir/example.yaml", text, environment)
	var mistakes Problems
	if !errors.As(err, &mistakes) || !slices.ContainsFunc(mistakes, func(p Problem) bool { return strings.HasSuffix(p.Path, "refresh_tokens.rotation") }) {
		t.Errorf("Parse = %v", err)
	}
}
