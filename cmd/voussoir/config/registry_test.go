package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
	"github.com/voussoir-id/voussoir/policies"
)

func withRegistry(t *testing.T, top, policy string) (*Loaded, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(deploy.Demo), "registry:\n  url: http://localhost:8083/check\n", "registry:\n"+top, 1)
	text = strings.Replace(text, "    registry: prefer\n    registry_grace: P30D\n", policy, 1)
	return Parse(filepath.Join(dir, "voussoir.yaml"), []byte(text), environment)
}

func TestLoad_Registry(t *testing.T) {
	const url = "  url: http://localhost:8083/check\n"
	month, year := policies.Period{Days: 30}, policies.Period{Years: 1}
	tests := []struct {
		name, top, policy string
		token             string
		mode              policies.Registry
		grace             policies.Period
	}{
		{"the careful default", url, "", "", policies.RegistryRequire, policies.Period{}},
		{"off", url, "    registry: off\n", "", policies.RegistryOff, policies.Period{}},
		{"prefer, with the usual grace", url, "    registry: prefer\n", "", policies.RegistryPrefer, month},
		{"prefer, with a grace of a year", url, "    registry: prefer\n    registry_grace: P1Y\n", "", policies.RegistryPrefer, year},
		{"a token from a file", url + "  token_file: token\n", "    registry: require\n", "hush", policies.RegistryRequire, policies.Period{}},
		{"a token from the environment", url + "  token_env: VOUSSOIR_TAX_SECRET\n", "", "from-the-environment", policies.RegistryRequire, policies.Period{}},
	}
	for _, tt := range tests {
		got, err := withRegistry(t, tt.top, tt.policy)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		p, _ := got.Policies.Policy(&clients.Client{Policy: "library"})
		if r := got.Registry; r.URL != "http://localhost:8083/check" || r.Token != tt.token || r.Contact["fr"] == "" {
			t.Errorf("%s: a registry at %s with a token of %d letters", tt.name, r.URL, len(r.Token))
		}
		if p.Registry != tt.mode || p.RegistryGrace != tt.grace {
			t.Errorf("%s: %q, %v", tt.name, p.Registry, p.RegistryGrace)
		}
	}
}

func TestLoad_NoRegistry(t *testing.T) {
	got, err := Parse("/etc/voussoir/example.yaml", deploy.Example, environment)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := got.Policies.Policy(&clients.Client{Policy: "library"})
	if got.Registry != nil || p.Registry != policies.RegistryOff {
		t.Errorf("%v, %q", got.Registry != nil, p.Registry)
	}
}
