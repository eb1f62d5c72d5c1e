package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// The exit codes of policy diff.
const (
	exitDiffers     = 3
	exitUnversioned = 4
)

func (p *program) policy() *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "Test, explain, compare and lint policies", Args: cobra.NoArgs,
		Long: "policy works on the policies of a configuration and starts nothing; see docs/policies.md.",
		RunE: func(*cobra.Command, []string) error {
			return usageError("policy test, policy explain, policy diff or policy lint")
		},
	}
	c.AddCommand(p.policyTest(), p.policyExplain(), p.policyDiff(), p.policyLint())
	return c
}

// trialResult is one case of a test table and what came of it.
type trialResult struct {
	Policy string   `json:"policy"`
	Name   string   `json:"name"`
	Good   bool     `json:"good"`
	Wrong  []string `json:"wrong"`
}

func (p *program) policyTest() *cobra.Command {
	c := &cobra.Command{
		Use: "test --config FILE", Short: "Decide the cases of every policy's test table", Args: cobra.NoArgs,
		Long: "test decides each case under tests: in a policy, and says what came out differently. Conditions that no case\n" +
			"makes true are named. Exit code 0: all as expected; 1: not; 2: the configuration has mistakes.",
	}
	file := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the results as JSON")
	c.RunE = func(*cobra.Command, []string) error {
		loaded, err := p.load(*file)
		if err != nil {
			return err
		}
		results, idle := runTrials(loaded)
		failed := 0
		for _, r := range results {
			if !r.Good {
				failed++
			}
		}
		if *asJSON {
			err = p.printJSON(struct {
				Good          bool          `json:"good"`
				Cases         []trialResult `json:"cases"`
				NeverHappened []string      `json:"never_happened"`
			}{failed == 0, results, idle})
		} else {
			p.printTrials(results, idle, failed)
		}
		if err == nil && failed > 0 {
			return alreadySaid(exitFailure)
		}
		return err
	}
	return c
}

func (p *program) printTrials(results []trialResult, idle []string, failed int) {
	for _, r := range results {
		word := "ok  "
		if !r.Good {
			word = "FAIL"
		}
		fmt.Fprintf(p.out, "%s  %s: %s\n", word, r.Policy, r.Name)
		for _, w := range r.Wrong {
			fmt.Fprintln(p.out, "        "+w)
		}
	}
	for _, c := range idle {
		fmt.Fprintf(p.out, "no case makes the condition %s true\n", c)
	}
	fmt.Fprintf(p.out, "%s, %d as expected\n", count(len(results), "case"), len(results)-failed)
}

// runTrials decides every case, and names the conditions that never held.
func runTrials(l *config.Loaded) ([]trialResult, []string) {
	results, idle := []trialResult{}, []string{}
	held := map[string]bool{}
	for _, t := range l.Trials() {
		x := l.Policies.Explain(t.Facts)
		for _, c := range x.Conditions {
			held[t.Policy+"."+c.ID] = held[t.Policy+"."+c.ID] || c.Held
		}
		wrong := differences(t.Want, x.Decision)
		results = append(results, trialResult{t.Policy, t.Name, len(wrong) == 0, wrong})
	}
	for _, id := range l.Policies.IDs() {
		policy, _ := l.Policies.ByID(id)
		for _, c := range policy.Conditions {
			if !held[id+"."+c.ID] {
				idle = append(idle, id+"."+c.ID)
			}
		}
	}
	return results, idle
}

// differences compares what a case wants, as far as it says so, with a decision.
func differences(want config.Want, d policies.Decision) []string {
	wrong := []string{}
	say := func(key, want, got string) {
		if want != got {
			wrong = append(wrong, fmt.Sprintf("%s: %s, want %s", key, got, want))
		}
	}
	for _, list := range []struct {
		key  string
		want []string
		got  []protocol.Claim
	}{{"release", want.Release, d.Release}, {"optional", want.Optional, d.Optional}, {"missing", want.Missing, d.Missing}} {
		if list.want != nil {
			say(list.key, names(list.want), names(list.got))
		}
	}
	if want.Deny != nil {
		say("deny", fmt.Sprint(*want.Deny), fmt.Sprint(d.Deny != ""))
	}
	if want.Ask != "" {
		say("ask", want.Ask, askWord(d))
	}
	if want.Basis != "" {
		say("basis", want.Basis, string(d.Basis))
	}
	if want.Rule != "" {
		say("rule", want.Rule, d.Named())
	}
	return wrong
}

// names are sorted: the order in which somebody lists claims means nothing.
func names[T ~string](in []T) string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	slices.Sort(out)
	return "[" + strings.Join(out, ", ") + "]"
}

func askWord(d policies.Decision) string {
	switch {
	case d.Deny != "":
		return "denied"
	case d.Ask == policies.AskConsent:
		return "consent"
	case d.Ask == policies.AskInform:
		return "inform"
	}
	return "nothing"
}

func (p *program) policyExplain() *cobra.Command {
	c := &cobra.Command{
		Use: "explain --config FILE --client ID [--facts YAML]", Short: "Say what a service would receive, and why", Args: cobra.NoArgs,
		Long: "explain decides one sign-in that is only thought of and names the rule that decided, and for each claim why\n" +
			"it leaves or stays. Facts are those of a test table, as text or from a @file; what they leave out is the usual.",
		Example: "  voussoir policy explain --config voussoir.yaml --client city-library --facts '{ age: 15, known: [given_name] }'",
	}
	file := configFlag(c)
	client := c.Flags().String("client", "", "the `ID` of the service")
	facts := c.Flags().String("facts", "{}", "the facts, `YAML` or @FILE")
	asJSON := c.Flags().Bool("json", false, "print it as JSON")
	c.RunE = func(*cobra.Command, []string) error {
		if *client == "" {
			return usageError("--client ID is missing: it names the service")
		}
		loaded, err := p.load(*file)
		if err != nil {
			return err
		}
		f, err := readFacts(loaded, *facts, *client)
		if err != nil {
			return err
		}
		x := loaded.Policies.Explain(f)
		if *asJSON {
			return p.printJSON(explained(x))
		}
		p.printExplanation(explained(x))
		return nil
	}
	return c
}

func readFacts(l *config.Loaded, facts, client string) (policies.Facts, error) {
	name, data := "--facts", []byte(facts)
	if file, ok := strings.CutPrefix(facts, "@"); ok {
		read, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return policies.Facts{}, fmt.Errorf("read facts: %w", err)
		}
		name, data = file, read
	}
	f, err := l.FactsFor(name, data, protocol.ClientID(client))
	var mistakes config.Problems
	if err != nil && !errors.As(err, &mistakes) {
		return f, usageError(err.Error())
	}
	return f, err
}

// explanation is what explain prints.
type explanation struct {
	Policy     string            `json:"policy"`
	Version    int               `json:"version"`
	Rule       string            `json:"rule"`
	Ask        string            `json:"ask"` // denied, consent, inform or nothing
	Error      string            `json:"error,omitempty"`
	Basis      string            `json:"basis,omitempty"`
	RequireACR string            `json:"require_acr,omitempty"`
	Claims     []explainedClaim  `json:"claims"`
	Conditions []explainedFactor `json:"conditions"`
}

type explainedClaim struct {
	Claim  string `json:"claim"`
	Leaves string `json:"leaves"` // yes, no, or if ticked
	Why    string `json:"why"`
}

type explainedFactor struct {
	ID   string `json:"id"`
	Then string `json:"then"`
	Came string `json:"came"` // true, false, or why nobody can say
}

func explained(x policies.Explanation) explanation {
	d := x.Decision
	out := explanation{
		Policy: d.PolicyID, Version: d.PolicyVersion, Rule: d.Named(), Ask: askWord(d), Error: string(d.Deny),
		Basis: string(d.Basis), RequireACR: string(d.RequireACR), Claims: []explainedClaim{}, Conditions: []explainedFactor{},
	}
	for _, c := range x.Claims {
		leaves := "no"
		if c.Leaves {
			leaves = "yes"
		} else if c.Offered {
			leaves = "if ticked"
		}
		out.Claims = append(out.Claims, explainedClaim{string(c.Claim), leaves, c.Why})
	}
	for _, c := range x.Conditions {
		came := fmt.Sprint(c.Held)
		if c.Failed != "" {
			came = "nobody can say: " + c.Failed
		}
		out.Conditions = append(out.Conditions, explainedFactor{c.ID, string(c.Then), came})
	}
	return out
}

func (p *program) printExplanation(x explanation) {
	fmt.Fprintf(p.out, "policy %s, version %d: %s, by the rule %s (basis: %s)\n", x.Policy, x.Version, map[string]string{
		"denied": "denied", "consent": "she is asked", "inform": "she is informed", "nothing": "released without asking",
	}[x.Ask], x.Rule, x.Basis)
	if x.RequireACR != "" {
		fmt.Fprintln(p.out, "  a sign-in that reaches", x.RequireACR, "would do")
	}
	for _, c := range x.Conditions {
		fmt.Fprintf(p.out, "  condition %s (%s): %s\n", c.ID, c.Then, c.Came)
	}
	for _, c := range x.Claims {
		fmt.Fprintf(p.out, "  %-24s %-10s %s\n", c.Claim, c.Leaves, c.Why)
	}
}

// policyChange is one policy of a comparison.
type policyChange struct {
	Policy      string            `json:"policy"`
	From        int               `json:"from"` // version; 0: there was none
	To          int               `json:"to"`   // version; 0: there is none any more
	Unversioned bool              `json:"unversioned,omitempty"`
	Changes     []policies.Change `json:"changes"`
}

func (p *program) policyDiff() *cobra.Command {
	c := &cobra.Command{
		Use: "diff OLD.yaml NEW.yaml [POLICY]", Short: "Say in sentences what changes for people between two configurations", Args: cobra.RangeArgs(2, 3),
		Long: "diff compares the policies of two configurations. A + marks what lets more leave, or on less than before.\n" +
			"Exit code 0: nothing differs; 3: something does; 4: something does under the same version, which a running\n" +
			"broker would refuse.",
	}
	asJSON := c.Flags().Bool("json", false, "print the differences as JSON")
	c.RunE = func(_ *cobra.Command, args []string) error {
		from, err := p.load(args[0])
		if err != nil {
			return err
		}
		to, err := p.load(args[1])
		if err != nil {
			return err
		}
		found := compare(from.Policies, to.Policies, args[2:])
		if *asJSON {
			if err := p.printJSON(found); err != nil {
				return err
			}
		} else {
			p.printChanges(found)
		}
		switch {
		case slices.ContainsFunc(found, func(c policyChange) bool { return c.Unversioned }):
			return alreadySaid(exitUnversioned)
		case len(found) > 0:
			return alreadySaid(exitDiffers)
		}
		return nil
	}
	return c
}

func compare(from, to *policies.Table, only []string) []policyChange {
	out := []policyChange{}
	ids := slices.Compact(slices.Sorted(slices.Values(append(from.IDs(), to.IDs()...))))
	for _, id := range ids {
		if len(only) > 0 && only[0] != id {
			continue
		}
		was, before := from.ByID(id)
		is, now := to.ByID(id)
		c := policyChange{Policy: id, Changes: []policies.Change{}}
		if before {
			c.From = was.Version
		}
		if now {
			c.To = is.Version
		}
		if before && now {
			c.Changes = policies.Diff(was, is)
			c.Unversioned = len(c.Changes) > 0 && c.From == c.To
		}
		if c.From != c.To || len(c.Changes) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func (p *program) printChanges(found []policyChange) {
	for _, c := range found {
		switch {
		case c.From == 0:
			fmt.Fprintf(p.out, "%s: new, version %d\n", c.Policy, c.To)
		case c.To == 0:
			fmt.Fprintf(p.out, "%s: gone; it was version %d\n", c.Policy, c.From)
		case c.Unversioned:
			fmt.Fprintf(p.out, "%s: version %d, WHICH SHOULD BE RAISED\n", c.Policy, c.To)
		default:
			fmt.Fprintf(p.out, "%s: version %d, was %d; everybody is asked or informed anew\n", c.Policy, c.To, c.From)
		}
		for _, s := range c.Changes {
			mark := "  "
			if s.More {
				mark = "+ "
			}
			fmt.Fprintln(p.out, "  "+mark+s.Text)
		}
	}
}

func (p *program) policyLint() *cobra.Command {
	c := &cobra.Command{
		Use: "lint --config FILE", Short: "Object to policies that ask for too much", Args: cobra.NoArgs,
		Long: "lint shows the mistakes and warnings about policies that check shows, and no others. A warning is answered by\n" +
			"a written reason, under accepted: in the policy. Exit code 0: nothing is open; 1: warnings are; 2: there are mistakes.",
	}
	file := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print the result as JSON")
	c.RunE = func(*cobra.Command, []string) error {
		loaded, err := p.load(*file)
		if err != nil {
			return err
		}
		open := slices.DeleteFunc(slices.Clone(loaded.Warnings), func(f config.Problem) bool { return !strings.HasPrefix(f.Path, "policies[") })
		if *asJSON {
			err = p.checkedJSON(*file, true, open)
		} else {
			for _, f := range open {
				fmt.Fprintln(p.out, f)
			}
			fmt.Fprintf(p.out, "%s: %s, %s\n", *file, count(loaded.PolicyCount, "policy"), count(len(open), "warning"))
		}
		if err == nil && len(open) > 0 {
			return alreadySaid(exitFailure)
		}
		return err
	}
	return c
}
