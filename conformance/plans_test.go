package conformance

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// test is one module against a broker.
type test func(t *testing.T, s *suite)

// plan is one of the suite's plans.
type plan struct {
	name    string // as the suite has it, without "-certification-test-plan" or "-test-plan"
	run     string // the test that runs it; "": none yet
	suite   func(t *testing.T) *suite
	tests   map[string]test
	modules []module
}

// module is one test of a plan. One that waits is not asserted yet: the feature
// that it is about is not built.
type module struct {
	name, about string
	waits       string
}

// The features that modules wait for.
const (
	refresh      = "refresh tokens"
	registration = "dynamic registration"
	logout       = "logout"
	profiles     = "profile: fapi2"
)

// plans is every module that an OpenID provider is asked, in the suite's names.
func plans() []plan {
	return []plan{
		{
			name: "oidcc-basic", run: "TestOidccBasic", modules: basicModules, tests: basicTests(),
			suite: func(t *testing.T) *suite { return basicSuite(t, "") },
		},
		{
			name: "oidcc-formpost-basic", run: "TestOidccFormpostBasic", modules: basicModules, tests: basicTests(),
			suite: func(t *testing.T) *suite { return basicSuite(t, "form_post") },
		},
		{
			name: "oidcc-config", run: "TestOidccConfig", modules: configModules,
			tests: map[string]test{"oidcc-discovery-endpoint-verification": discovery},
			suite: func(t *testing.T) *suite { return basicSuite(t, "") },
		},
		{
			name: "fapi2-security-profile-final", run: "TestFapi2SecurityProfile", modules: securityModules, tests: securityTests(),
			suite: func(t *testing.T) *suite { return fapi2Suite(t, false) },
		},
		{
			name: "fapi2-message-signing-final", run: "TestFapi2MessageSigning",
			modules: slices.Concat(securityModules, signingModules), tests: messageTests(),
			suite: func(t *testing.T) *suite { return fapi2Suite(t, true) },
		},
		{name: "oidcc-dynamic", modules: dynamicModules},
		{name: "oidcc-rp-initiated-logout", modules: logoutModules},
		{name: "oidcc-frontchannel-rp-initiated-logout", modules: frontChannelModules},
		{name: "oidcc-backchannel-rp-initiated-logout", modules: backChannelModules},
	}
}

// runPlan runs the modules of the plan whose test this is, one after the other:
// they share a clock.
func runPlan(t *testing.T, name string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a whole conformance plan: left to make test")
	}
	for _, p := range plans() {
		if p.run != name {
			continue
		}
		s := p.suite(t)
		for _, m := range p.modules {
			if run := p.tests[m.name]; run != nil {
				t.Run(m.name, func(t *testing.T) { run(t, s) })
			}
		}
	}
}

// reasons is the section of docs/divergences.md about modules that we do not run.
const reasons = "## Conformance modules that do not apply"

// TestPlans_EachModuleHasATestOrAReason: a module is tested, or waits for a feature
// by name, or docs/divergences.md says why it does not apply; and never two of them.
func TestPlans_EachModuleHasATestOrAReason(t *testing.T) {
	text, err := os.ReadFile("../docs/divergences.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), reasons+"\n")
	if !found {
		t.Fatalf("docs/divergences.md has no section %q", reasons)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	excused := map[string]bool{}
	for _, m := range regexp.MustCompile("`((?:oidcc|fapi2)-[^`]+)`").FindAllStringSubmatch(section, -1) {
		excused[m[1]] = true
	}
	known, waiting := map[string]bool{}, map[string]int{}
	for _, p := range plans() {
		tests := maps.Clone(p.tests)
		for _, m := range p.modules {
			known[m.name] = true
			ways := 0
			for _, is := range []bool{tests[m.name] != nil, m.waits != "", excused[m.name]} {
				if is {
					ways++
				}
			}
			if ways != 1 || m.about == "" {
				t.Errorf("%s: %s has a test: %v, waits for %q, has a reason: %v; want one of the three",
					p.name, m.name, tests[m.name] != nil, m.waits, excused[m.name])
			}
			if m.waits != "" {
				waiting[m.waits]++
			}
			delete(tests, m.name)
		}
		for name := range tests {
			t.Errorf("%s: there is a test for %s, which is no module of it, or is listed twice", p.name, name)
		}
	}
	for name := range excused {
		if !known[name] {
			t.Errorf("docs/divergences.md excuses %s, which is in no plan", name)
		}
	}
	t.Logf("modules that wait for a feature: %v", waiting)
}
