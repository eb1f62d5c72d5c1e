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
	run     string // the test that runs it
	suite   func(t *testing.T) *suite
	tests   map[string]test
	modules []module
}

// module is one test of a plan.
type module struct{ name, about string }

// plans is every module that an OpenID provider is asked, in the suite's names.
func plans() []plan {
	noProofs := without(securityModules, "dpop")
	noAssertions := without(noProofs, "client-assertion", "audience")
	return []plan{
		{
			name: "oidcc-basic", run: "TestOidccBasic", modules: basicModules, tests: basicTests(),
			suite: func(t *testing.T) *suite { return basicSuite(t, "") },
		},
		{
			name: "oidcc-formpost-basic", run: "TestOidccFormpostBasic", modules: basicModules, tests: basicTests(),
			suite: func(t *testing.T) *suite {
				s := basicSuite(t, "form_post")
				s.plain = true
				return s
			},
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
		{
			name: "fapi2-security-profile-final, sender_constrain=mtls", run: "TestFapi2BoundToCertificate",
			modules: noProofs, tests: only(securityTests(), noProofs, certificateTests()),
			suite: func(t *testing.T) *suite { return mtlsSuite(t, false) },
		},
		{
			name: "fapi2-security-profile-final, client_auth_type=mtls, sender_constrain=mtls", run: "TestFapi2ByCertificate",
			modules: noAssertions, tests: only(securityTests(), noAssertions, certificateTests()),
			suite: func(t *testing.T) *suite { return mtlsSuite(t, true) },
		},
		{name: "oidcc-dynamic", run: "TestOidccDynamic", modules: dynamicModules, tests: dynamicTests(), suite: dynamicSuite},
		{
			name: "oidcc-rp-initiated-logout", run: "TestOidccRPInitiatedLogout", modules: logoutModules, tests: logoutTests(),
			suite: func(t *testing.T) *suite { return basicSuite(t, "") },
		},
		{
			name: "oidcc-frontchannel-rp-initiated-logout", run: "TestOidccFrontChannelLogout", modules: frontChannelModules,
			tests: frontChannelTests(), suite: frontChannelSuite,
		},
		{
			name: "oidcc-backchannel-rp-initiated-logout", run: "TestOidccBackChannelLogout", modules: backChannelModules,
			tests: backChannelTests(), suite: backChannelSuite,
		},
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

// TestPlans_EachModuleHasATestOrAReason: a module is tested, or docs/divergences.md
// says why it does not apply, and never both.
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
	known := map[string]bool{}
	for _, p := range plans() {
		tests := maps.Clone(p.tests)
		for _, m := range p.modules {
			known[m.name] = true
			if (tests[m.name] != nil) == excused[m.name] || m.about == "" {
				t.Errorf("%s: %s has a test: %v, has a reason: %v; want one of the two", p.name, m.name, tests[m.name] != nil, excused[m.name])
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
}
