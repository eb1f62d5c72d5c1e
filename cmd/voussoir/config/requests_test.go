package config

import (
	"bytes"
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
)

// libraryWith loads the example with one line of city-library replaced.
func libraryWith(t *testing.T, line, by string) *clients.Client {
	t.Helper()
	if !bytes.Contains(deploy.Example, []byte(line)) {
		t.Fatalf("the example has no %q", line)
	}
	got, err := Parse("/etc/voussoir/example.yaml", bytes.Replace(deploy.Example, []byte(line), []byte(by), 1), environment)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := got.Clients.Get("city-library")
	return c
}

func TestLoad_RequirePAR(t *testing.T) {
	if c := libraryWith(t, "require_par: false", "require_par: true"); !c.RequirePAR {
		t.Error("require_par is not taken over")
	}
}

func TestLoad_SignedRequests(t *testing.T) {
	c := libraryWith(t, "require_par: false", `request_object_signing_alg: PS256
    require_signed_request_object: true
    jwks_uri: https://library.example/jwks`)
	if c.RequestObjectSigningAlg != "PS256" || !c.RequireSignedRequestObject || c.JWKSURI == "" || c.AuthMethod != clients.SecretBasic {
		t.Errorf("client = %+v", c)
	}
}

func TestLoad_SignedResponses(t *testing.T) {
	if c := libraryWith(t, "require_par: false", "authorization_signed_response_alg: EdDSA"); c.ResponseSigningAlg != "EdDSA" {
		t.Errorf("client = %+v", c)
	}
}

func TestLoad_Resources(t *testing.T) {
	c := libraryWith(t, "require_par: false", "resources: [https://api.example/, https://tax.example/v1]")
	if !slices.Equal(c.Resources, []string{"https://api.example/", "https://tax.example/v1"}) {
		t.Errorf("client = %+v", c)
	}
}

func TestLoad_DPoPBound(t *testing.T) {
	if c := libraryWith(t, "dpop_bound_access_tokens: false", "dpop_bound_access_tokens: true"); !c.DPoPBound {
		t.Error("dpop_bound_access_tokens is not taken over")
	}
}
