package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/deploy"
	"github.com/voussoir-id/voussoir/federation/saml"
	"github.com/voussoir-id/voussoir/protocol"
)

const samlExample = `
  - id: uni
    name: { en: "University" }
    protocol: saml
    issuer: urn:mace:uni.example:idp
    saml:
      metadata_file: uni.xml
      preset: eduperson
      subject_attribute: "urn:oasis:names:tc:SAML:attribute:pairwise-id"
      require_encryption: true
      cbc_exception_reason: "their software has nothing else, until 2027"
      minimum_context: true
    claims: { email: "urn:x:mail" }
    acr: { max: eidas2, map: { "urn:x:password": eidas1 } }
`

func TestLoad_ConvertsASAMLProviderInItsPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "uni.xml"), []byte("<x/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(deploy.Example), "\n  - id: city\n", samlExample+"\n  - id: city\n", 1)
	got, err := Parse(filepath.Join(dir, "voussoir.yaml"), []byte(text), environment)
	if err != nil {
		t.Fatal(err)
	}
	want := []SAMLProvider{{Position: 1, Config: saml.Config{
		ID: "uni", Name: protocol.Text{"en": "University"}, EntityID: "urn:mace:uni.example:idp", Metadata: []byte("<x/>"),
		OurEntityID: "https://id.example.org/saml/uni/metadata", ACS: "https://id.example.org/saml/uni/acs", SLO: "https://id.example.org/saml/uni/slo", Relay: true,
		ACR: saml.ACR{Max: protocol.EIDAS2, Map: map[string]protocol.ACR{"urn:x:password": protocol.EIDAS1}, Minimum: true},
		Attributes: map[string]string{
			"urn:oid:2.5.4.42": "given_name", "urn:oid:2.5.4.4": "family_name", "urn:x:mail": "email",
			"urn:oid:2.16.840.1.113730.3.1.241": "preferred_username",
		},
		SubjectAttribute: "urn:oasis:names:tc:SAML:attribute:pairwise-id", RequireEncryption: true, AllowCBC: true,
		ForeignHosts: []string{"id.example.org", "login.tax.example", "login.city.example"},
	}}}
	if !reflect.DeepEqual(got.SAML, want) {
		t.Errorf("provider = %+v\nwant %+v", got.SAML, want)
	}
	if len(got.Providers) != 2 || got.Providers[1].ID != "city" {
		t.Errorf("the others: %d, the second %q", len(got.Providers), got.Providers[1].ID)
	}
}
