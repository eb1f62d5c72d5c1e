package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/deploy"
)

// variant is the demo's configuration with some things replaced: one, by the next.
func variant(t *testing.T, pairs ...string) string {
	t.Helper()
	text := string(deploy.Demo)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the demo has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	file := filepath.Join(t.TempDir(), "voussoir.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	library  = "  - id: library\n    version: 1\n"
	mailRule = "      - { id: no-mail-of-children, when: \"!person.age_known || !person.age_over(16)\", then: withhold, claims: [email] }\n"
)

func TestPolicyTest_ExamplesKeepTheirOwnTables(t *testing.T) {
	for name, data := range map[string][]byte{"demo.yaml": deploy.Demo, "example.yaml": deploy.Example} {
		l, err := config.Parse(name, data, func(string) string { return "x" })
		if err != nil {
			t.Fatal(err)
		}
		results, idle := runTrials(l)
		if len(results) < 5 || len(idle) > 0 {
			t.Errorf("%s: %d cases, never happened: %v", name, len(results), idle)
		}
		for _, r := range results {
			if !r.Good {
				t.Errorf("%s: %s: %s: %v", name, r.Policy, r.Name, r.Wrong)
			}
		}
	}
}

func TestPolicyTest_SaysWhatCameOutDifferently(t *testing.T) {
	file := variant(t, mailRule, mailRule+"      - { id: at-night, when: \"hour < 6\", then: ask }\n      - { id: idle, when: \"hour > 23\", then: ask }\n")
	code, out, errs := say(t, "policy", "test", "--config", file)
	if code != exitOK || !strings.Contains(out, "no case makes the condition library.idle true") || !strings.Contains(out, "7 cases, 7 as expected") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	file = variant(t, "facts: { known: [age_over_16] }\n        want: { deny: true,", "facts: { known: [age_over_16] }\n        want: { deny: false, release: [email], ask: consent,")
	code, out, _ = say(t, "policy", "test", "--config", file, "--json")
	var got struct {
		Good  bool
		Cases []trialResult
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailure || got.Good {
		t.Fatalf("%d, %v: %s", code, err, out)
	}
	if w := strings.Join(got.Cases[3].Wrong, "; "); w != "release: [], want [email]; deny: true, want false; ask: denied, want consent" {
		t.Errorf("%s", w)
	}
}

func TestPolicyExplain_NamesRuleConditionAndEachClaim(t *testing.T) {
	file := variant(t, mailRule, "      - { id: no-mail, when: \"!person.age_over(18)\", then: withhold, claims: [email] }\n")
	code, out, errs := say(t, "policy", "explain", "--config", file, "--client", "city-library", "--facts", "{ age: 17 }")
	want := `policy library, version 1: she is asked, by the rule first-time (basis: consent)
  condition no-mail (withhold): true
  given_name               yes        it is required, and leaves if she goes on
  email                    no         a condition withholds it
  age_over_16              yes        it is required, and leaves if she goes on
`
	if code != exitOK || out != want {
		t.Errorf("%d\n%s%s\nwant\n%s", code, out, errs, want)
	}
	code, out, _ = say(t, "policy", "explain", "--config", file, "--client", "city-library", "--json")
	if code != exitOK || !strings.Contains(out, `"rule": "condition-failed:no-mail"`) || !strings.Contains(out, "nobody can say: her age is not known") {
		t.Errorf("of unknown age: %d\n%s", code, out)
	}
	for _, args := range [][]string{
		{"--client", "nobody"}, {}, {"--client", "city-library", "--facts", "{ agee: 17 }"}, {"--client", "city-library", "--facts", "{ age: -1 }"},
	} {
		if code, out, errs := say(t, append([]string{"policy", "explain", "--config", file}, args...)...); code != exitUsage || errs == "" {
			t.Errorf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestPolicyDiff_TellsAChangeFromOneWithoutANewVersion(t *testing.T) {
	same := variant(t, "demo", "demo")
	more := "      - { name: age_over_16, required: true }\n      - { name: gender, required: true }\n"
	old := "      - { name: age_over_16, required: true }\n"
	unversioned := variant(t, old, more)
	raised := filepath.Join(t.TempDir(), "raised.yaml")
	text, _ := os.ReadFile(unversioned)
	if err := os.WriteFile(raised, []byte(strings.Replace(string(text), library, "  - id: library\n    version: 2\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{same, same}, exitOK, ""},
		{[]string{same, unversioned}, exitUnversioned, "library: version 1, WHICH SHOULD BE RAISED\n  + The service may now receive gender (required).\n"},
		{[]string{same, raised, "library"}, exitDiffers, "library: version 2, was 1; everybody is asked or informed anew\n  + The service may now receive gender (required).\n"},
		{[]string{same, raised, "canteen"}, exitOK, ""},
	} {
		if code, out, errs := say(t, append([]string{"policy", "diff"}, tt.args...)...); code != tt.code || out != tt.says {
			t.Errorf("%d\n%s%s\nwant %d\n%s", code, out, errs, tt.code, tt.says)
		}
	}
}

func TestPolicyLint_WarningsAreAnsweredWithAReason(t *testing.T) {
	over := "      - { name: email, required: true }\n"
	noRule := "      - { id: at-night, when: \"hour < 6\", then: ask }\n"
	file := variant(t, "      - { name: email, required: false }\n", over, mailRule, noRule)
	code, out, _ := say(t, "policy", "lint", "--config", file)
	if code != exitFailure || !strings.Contains(out, "[email-required]") || !strings.Contains(out, "[all-required]") || !strings.Contains(out, "2 warnings") {
		t.Errorf("%d\n%s", code, out)
	}
	file = variant(t, "      - { name: email, required: false }\n", over+
		"    accepted:\n      - { remark: email-required, reason: \"reminders go by e-mail only\" }\n      - { remark: all-required, reason: \"a card needs each of these\" }\n", mailRule, noRule)
	if code, out, _ = say(t, "policy", "lint", "--config", file); code != exitOK || !strings.Contains(out, "0 warnings") {
		t.Errorf("%d\n%s", code, out)
	}
}
