package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
)

// withSAML adds a SAML provider, whose metadata nobody fetches here, to a configuration.
func withSAML(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	newPKI(t, filepath.Dir(file))
	const provider = `providers:
  - id: uni
    name: { fr: Université, en: University }
    protocol: saml
    issuer: https://idp.uni.example/metadata
    acr: { max: eidas1, map: { "urn:x:password": eidas1 } }
    saml: { metadata_url: "https://idp.uni.example/metadata", metadata_certificate_file: authorities.pem }
`
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "providers:\n", provider, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSAML_TheFirstProviderNeedsARestart(t *testing.T) {
	file, _ := writeConfig(t)
	var events journal
	b := newBroker(t, file, &events)
	withSAML(t, file)
	before := b.current.Load()
	b.reloadFile(t.Context(), func() (*config.Loaded, error) { return (&program{getenv: os.Getenv}).load(file) })
	if b.current.Load() != before || !strings.Contains(events.String(), "the first one needs a restart") {
		t.Errorf("the log says %s", events.String())
	}
}

func TestSAML_KeysAreListedRotatedAndRevoked(t *testing.T) {
	file, _ := writeConfig(t)
	withSAML(t, file)
	newBroker(t, file, io.Discard).close()
	of := func(state string) (kids []string) {
		code, out, errs := say(t, "keys", "list", "--config", file)
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); f[1] == "SAML-OAEP" && f[2] == "saml" && f[4] == state {
				kids = append(kids, f[0])
			}
		}
		return kids
	}
	if len(of("active")) != 1 || len(of("next")) != 1 {
		t.Fatal("there is no pair that opens assertions")
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"before anybody can know the next key", []string{"--for", "saml", "--alg", "SAML-OAEP"}, exitFailure, "may not know the next SAML-OAEP key yet"},
		{"an algorithm of tokens", []string{"--for", "saml"}, exitUsage, "--for saml goes with"},
		{"among the keys for services", []string{"--alg", "SAML-OAEP"}, exitUsage, "--for saml goes with"},
		{"all the same", []string{"--for", "saml", "--alg", "SAML-OAEP", "--early"}, exitOK, "is the active SAML-OAEP key now"},
	} {
		code, out, errs := say(t, append([]string{"keys", "rotate", "--config", file}, tt.args...)...)
		if code != tt.code || !strings.Contains(out+errs, tt.says) {
			t.Errorf("rotate %s: exit %d: %s%s", tt.name, code, out, errs)
		}
	}
	if code, _, errs := say(t, "keys", "revoke", "--config", file, of("active")[0]); code != exitOK {
		t.Fatalf("revoke: exit %d: %s", code, errs)
	}
	if len(of("active")) != 1 || len(of("next")) != 1 || len(of("retired")) != 1 || len(of("revoked")) != 1 {
		t.Error("after a rotation and a revocation the pair is not whole")
	}
}
