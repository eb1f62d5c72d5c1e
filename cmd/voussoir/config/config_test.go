package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/deploy"
	"github.com/voussoir-id/voussoir/federation/oidc"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// environment is what the tests' configurations may read.
func environment(name string) string {
	return map[string]string{"VOUSSOIR_TAX_SECRET": "from-the-environment"}[name]
}

// Each file in testdata/mistakes holds one mistake (or what its name says), and
// beside it stands what voussoir check says about it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d files, %v; want 25 or more", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			_, err := Load(file, environment)
			var got Problems
			if !errors.As(err, &got) {
				t.Fatalf("Load = %v, want Problems", err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			text := strings.ReplaceAll(got.Error(), filepath.Dir(file)+"/", "") + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("got\n%s\nwant\n%s", text, want)
			}
			for _, p := range got {
				if p.Line < 1 || p.Column < 1 || p.What == "" || p.Instead == "" {
					t.Errorf("incomplete: %+v", p)
				}
			}
			if strings.Contains(text, "hunter2") {
				t.Error("the secret of the file is in the message")
			}
		})
	}
}

func TestExamples_AreWithoutMistakeOrWarning(t *testing.T) {
	for name, data := range map[string][]byte{"deploy/example.yaml": deploy.Example, "deploy/demo.yaml": deploy.Demo} {
		got, err := Parse(name, data, environment)
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
		} else if len(got.Warnings) > 0 {
			t.Errorf("%s:\n%v", name, got.Warnings)
		}
	}
}

// The example of the design is a contract: operators and other suites use it.
func TestDesignExample_Loads(t *testing.T) {
	if _, err := Load("testdata/design.yaml", environment); err != nil {
		t.Errorf("\n%v", err)
	}
}

func TestLoad_ConvertsEveryField(t *testing.T) {
	got, err := Parse("/etc/voussoir/example.yaml", deploy.Example, environment)
	if err != nil {
		t.Fatal(err)
	}
	if got.Data != "/etc/voussoir/data" || got.Issuer != "https://id.example.org" || len(got.Clients.Services()) != 2 || len(got.Clients.All()) != 3 || got.PolicyCount != 2 || len(got.Digest) != 64 {
		t.Errorf("settings: %+v", got)
	}
	tax := oidc.Config{
		ID: "tax", Name: protocol.Text{"fr": "Impôts", "en": "Tax office"}, Issuer: "https://login.tax.example",
		ClientID: "voussoir", ClientSecret: "from-the-environment", AuthMethod: oidc.ClientSecretBasic,
		Scopes:      []string{"openid", "profile", "birth", "email"},
		RedirectURI: "https://id.example.org/callback/tax", IDTokenSigningAlg: "ES256", UserInfo: oidc.UserInfo{Fetch: true},
		ACR:    oidc.ACR{Max: protocol.EIDAS1, Map: map[string]protocol.ACR{"urn:tax:password": protocol.EIDAS1}},
		Claims: map[string]string{}, Relay: true, ForeignHosts: []string{"id.example.org", "login.city.example"},
	}
	tax.Schema.Civil, tax.Schema.Optional = true, []protocol.Claim{
		"given_name", "family_name", "birthdate", "gender", "preferred_username", "birthplace", "birthcountry", "email", "email_verified",
	}
	if !reflect.DeepEqual(got.Providers[0], tax) {
		t.Errorf("provider = %+v, want %+v", got.Providers[0], tax)
	}
	if c := got.Providers[1]; c.AuthMethod != oidc.PrivateKeyJWT || c.ClientSecret != "" || c.Claims["nickname"] != "preferred_username" {
		t.Errorf("provider = %+v", c)
	}
	library, _ := got.Clients.Get("city-library")
	digest := func(first byte) (d [32]byte) {
		for i := 0; i < 32; i += 16 {
			copy(d[i:], []byte{first, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0})
		}
		d[16] = 0x0f
		return d
	}
	want := &clients.Client{
		ID: "city-library", Name: protocol.Text{"fr": "Médiathèque", "en": "City library"},
		RedirectURIs: []string{"https://library.example/callback"}, PostLogoutURIs: []string{"https://library.example/"},
		BackChannelLogoutURI: "https://library.example/backchannel-logout", SecurityEventsURI: "https://library.example/security-events",
		AuthMethod: clients.SecretBasic, SecretSHA256: [][32]byte{digest(0x0f), digest(0x1f)},
		Sector: "library.example", Policy: "library", RequirePKCE: true, RequireNonce: true, RequireState: true,
		IDTokenSigningAlg: "ES256", AccessTokenTTL: time.Minute, AccessTokenFormat: clients.Opaque, IdPHints: []protocol.ProviderID{"tax"},
		AllowedOrigins: []string{}, Scopes: []protocol.Scope{"openid", "given_name", "age_over_16", "email", "offline_access"},
		ClaimsInIDToken: []protocol.Claim{"age_over_16"}, RefreshIdle: 30 * 24 * time.Hour, RefreshMax: 180 * 24 * time.Hour,
	}
	if !reflect.DeepEqual(library, want) {
		t.Errorf("client = %+v\nwant %+v", library, want)
	}
	appeals, _ := got.Clients.Get("tax-appeals")
	if appeals.RequireNonce || !appeals.RequirePKCE || appeals.AuthSigningAlg != "ES256" || appeals.UserInfoSigningAlg != "ES256" ||
		appeals.IDTokenEncryption != (clients.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"}) || appeals.UserInfoEncryption != appeals.IDTokenEncryption || !strings.Contains(string(appeals.JWKS), `"kid":"a1"`) {
		t.Errorf("client = %+v", appeals)
	}
	api, _ := got.Clients.Get("tax-api")
	third := digest(0x2f)
	wantAPI := &clients.Client{
		ID: "tax-api", Name: protocol.Text{"fr": "API Impôts", "en": "Tax API"}, AuthMethod: clients.SecretPost,
		SecretSHA256: [][32]byte{third}, Sector: "tax.example", RequirePKCE: true, RequireNonce: true, RequireState: true,
		IntrospectionSigningAlg: "ES256",
		DataProvider:            &clients.DataProvider{Scopes: []protocol.Scope{"birthdate"}, Claims: []protocol.Claim{"birthdate"}, Resources: []string{"https://api.tax.example/"}},
	}
	if !reflect.DeepEqual(api, wantAPI) {
		t.Errorf("data provider = %+v\nwant %+v", api, wantAPI)
	}
	policy, _ := got.Policies.Policy(library)
	wantPolicy := &policies.Policy{
		ID: "library", Version: 3, Purpose: protocol.Text{"fr": "Ouvrir votre compte de lecteur", "en": "Open your reader account"},
		Basis: policies.Consent, Retention: "P1Y", MinACR: protocol.EIDAS1,
		Claims:          []policies.ClaimRule{{Name: "given_name", Required: true}, {Name: "age_over_16", Required: true}, {Name: "email"}},
		ConsentValidity: policies.Period{Years: 1},
	}
	var conditions []string
	for _, c := range policy.Conditions {
		conditions = append(conditions, c.ID+": "+c.When+": "+string(c.Then))
	}
	if want := []string{`account-without-mail: !person.civil: withhold`, `too-young: !person.age_over(6): deny`}; !reflect.DeepEqual(conditions, want) {
		t.Errorf("conditions = %q\nwant %q", conditions, want)
	}
	wantPolicy.Conditions = policy.Conditions // compiled: compared above
	if !reflect.DeepEqual(policy, wantPolicy) {
		t.Errorf("policy = %+v\nwant %+v", policy, wantPolicy)
	}
}

func TestSector_IsTheRedirectHostByDefault_Core_8_1(t *testing.T) {
	got, err := Load("testdata/design.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := got.Clients.Get("no-sector")
	if c.Sector != "localhost" {
		t.Errorf("sector = %q, want localhost", c.Sector)
	}
}

func TestText_KeepsLeadingZeros(t *testing.T) {
	f, d := decode("x.yaml", []byte("issuer: 0123\nlisten: 1_000\ndata: 2026-11-23\n"))
	if f.Issuer != "0123" || f.Listen != "1_000" || f.Data != "2026-11-23" {
		t.Errorf("decode = %q %q %q (%v)", f.Issuer, f.Listen, f.Data, d.problems)
	}
}

func TestSecretFile(t *testing.T) {
	tests := []struct {
		name    string
		mode    os.FileMode
		content string
		want    string // the secret, or
		fault   string // part of the message
	}{
		{"is read without its line end", 0o600, "hunter2\n", "hunter2", ""},
		{"may be read-only", 0o400, "hunter2", "hunter2", ""},
		{"keeps inner spaces", 0o600, " hunter 2 \r\n", " hunter 2 ", ""},
		{"is refused when its group may read it", 0o640, "hunter2", "", "(mode 0640)"},
		{"is refused when everyone may read it", 0o604, "hunter2", "", "(mode 0604)"},
		{"is refused when it is empty", 0o600, "", "", "empty"},
		{"is refused when it holds only a line end", 0o600, "\n", "", "empty"},
		{"is refused when it is far too large", 0o600, strings.Repeat("x", maxSecret+1), "", "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "tax")
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tt.mode); err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(deploy.Example), "client_secret_env: VOUSSOIR_TAX_SECRET", "client_secret_file: tax", 1)
			got, err := Parse(filepath.Join(dir, "voussoir.yaml"), []byte(text), environment)
			if tt.fault == "" {
				if err != nil || got.Providers[0].ClientSecret != tt.want {
					t.Errorf("Parse = %v, want the secret", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Parse = %v, want %q and no secret", err, tt.fault)
			}
		})
	}
}

func TestLoad_ReportsAllMistakesByPosition(t *testing.T) {
	_, err := Load("testdata/mistakes/many.yaml", environment)
	var ps Problems
	if !errors.As(err, &ps) || len(ps) < 5 {
		t.Fatalf("Load = %v, want five mistakes or more", err)
	}
	for i := 1; i < len(ps); i++ {
		if ps[i].Line < ps[i-1].Line {
			t.Errorf("line %d comes after line %d", ps[i].Line, ps[i-1].Line)
		}
	}
}

func TestLoad_NoFile(t *testing.T) {
	var ps Problems
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), environment); err == nil || errors.As(err, &ps) {
		t.Errorf("Load = %v, want an error about the file", err)
	}
}

func TestParseDuration_ISO8601(t *testing.T) {
	tests := []struct {
		in     string
		period policies.Period
		clock  time.Duration
		ok     bool
	}{
		{"P1Y", policies.Period{Years: 1}, 0, true},
		{"P1Y2M10D", policies.Period{Years: 1, Months: 2, Days: 10}, 0, true},
		{"P2W", policies.Period{Days: 14}, 0, true},
		{"PT0S", policies.Period{}, 0, true},
		{"P0D", policies.Period{}, 0, true},
		{"PT1H30M", policies.Period{}, 90 * time.Minute, true},
		{"P1DT1S", policies.Period{Days: 1}, time.Second, true},
		{"P", policies.Period{}, 0, false},
		{"PT", policies.Period{}, 0, false},
		{"P1YT", policies.Period{}, 0, false},
		{"1 year", policies.Period{}, 0, false},
		{"P-1Y", policies.Period{}, 0, false},
		{"P1.5Y", policies.Period{}, 0, false},
		{"P1D1Y", policies.Period{}, 0, false},
		{"p1y", policies.Period{}, 0, false},
		{"P99999999999Y", policies.Period{}, 0, false},
	}
	for _, tt := range tests {
		period, clock, err := parseDuration(tt.in)
		if period != tt.period || clock != tt.clock || (err == nil) != tt.ok {
			t.Errorf("parseDuration(%q) = %v, %v, %v; want %v, %v, ok %v", tt.in, period, clock, err, tt.period, tt.clock, tt.ok)
		}
	}
}

// FuzzParse: whatever the bytes, there is an answer without a panic, and every
// mistake has a place and says what to write instead.
func FuzzParse(f *testing.F) {
	f.Add(deploy.Example)
	f.Add(deploy.Demo)
	files, _ := filepath.Glob("testdata/mistakes/*.yaml")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		got, err := Parse("/nowhere/x.yaml", data, environment)
		var ps Problems
		switch {
		case err == nil && got == nil:
			t.Error("neither a configuration nor an error")
		case err != nil && !errors.As(err, &ps):
			t.Errorf("an error of another kind: %v", err)
		}
		for _, p := range ps {
			if p.Line < 1 || p.Column < 1 || p.What == "" || p.Instead == "" {
				t.Errorf("incomplete: %+v", p)
			}
		}
	})
}
