package journeys

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestMatrix_TheDocsSayWhatIsTried: docs/interop.md names each counterpart with its
// version, each story, and what a counterpart cannot do.
func TestMatrix_TheDocsSayWhatIsTried(t *testing.T) {
	whole(t)
	text, err := os.ReadFile("../docs/interop.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	counterparts := map[string]string{"Voussoir": "this one"}
	for _, rp := range relyingParties(t) {
		counterparts[rp.name] = version(t, rp.name)
	}
	for _, idp := range identityProviders(t) {
		if idp.name != "Voussoir" {
			counterparts[idp.name] = version(t, idp.name)
		}
	}
	for name, is := range counterparts {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \| ([^|]+) \|`).FindStringSubmatch(doc)
		if row == nil || !strings.HasPrefix(is, row[1]) {
			t.Errorf("docs/interop.md has the row %q for %s %s", row, name, is)
		}
	}
	for _, story := range stories {
		if !strings.Contains(doc, "| "+story.name+" |") {
			t.Errorf("docs/interop.md does not tell the story %s", story.name)
		}
	}
	for _, limit := range []string{samlCannotRefuse, samlCannotLeave, lemonKeepsHer, apacheCannotRead, rubyCannotHint} {
		if !strings.Contains(doc, "- "+limit+"\n") {
			t.Errorf("docs/interop.md does not say: %s", limit)
		}
	}
}

// version is what is installed of a counterpart.
func version(t *testing.T, name string) string {
	t.Helper()
	switch name {
	case "go-oidc":
		mod, err := os.ReadFile("../go.mod")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(mod), "github.com/coreos/go-oidc/v3 v")
		is, _, _ := strings.Cut(after, "\n")
		return is
	case "openid-client", "oidc-provider":
		var doc struct{ Version string }
		text, err := os.ReadFile("node_modules/" + name + "/package.json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		return doc.Version
	}
	of := map[string]string{
		"mod_auth_openidc": "libapache2-mod-auth-openidc", "omniauth_openid_connect": "ruby-omniauth-openid-connect",
		"LemonLDAP::NG": "liblemonldap-ng-portal-perl", "SimpleSAMLphp": "simplesamlphp",
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", of[name]).Output()
	if err != nil {
		t.Skipf("skipped: no Debian here, so nobody knows the version of %s: %v", name, err)
	}
	return string(out)
}
