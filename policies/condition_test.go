package policies

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/protocol"
)

func compiled(t testing.TB, cs ...Condition) []Condition {
	t.Helper()
	k, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	for i := range cs {
		if cs[i], err = k.Compile(cs[i]); err != nil {
			t.Fatalf("%s: %v", cs[i].When, err)
		}
	}
	return cs
}

// adult lives in Lyon.
func adult() Facts {
	f := visit()
	f.Provider = "tax"
	f.Person = Person{Civil: true, AgeKnown: true, Age: 34, Commune: "69123", Departement: "69", Region: "84"}
	return f
}

func TestCondition_SeesTheFacts(t *testing.T) {
	summer := time.Date(2026, 7, 5, 22, 30, 0, 0, time.UTC) // Monday 00:30 in Paris
	tests := []struct {
		when  string
		facts func(*Facts)
		want  bool
	}{
		{`service == "city-library"`, nil, true},
		{`provider in ["tax", "post"]`, nil, true},
		{`acr == "eidas1"`, nil, true},
		{`acr.reaches("eidas2")`, nil, false},
		{`acr.reaches("eidas1")`, func(f *Facts) { f.ACR = protocol.EIDAS3 }, true},
		{`"email" in requested`, nil, true},
		{`"birthdate" in requested`, nil, false},
		{`"birthdate" in known`, nil, true},
		{`requested.exists(c, c.startsWith("age_"))`, nil, true},
		{`size(requested) == 3`, nil, true},
		{`hour == 13`, nil, true}, // noon UTC in March, before the clocks change
		{`weekday == 6`, nil, true},
		{`hour == 0 && weekday == 1`, func(f *Facts) { f.Now = summer }, true},
		{`person.civil`, nil, true},
		{`person.age_known && person.age_over(34) && !person.age_over(35)`, nil, true},
		{`person.residence_known && person.lives_in_commune("69123")`, nil, true},
		{`person.lives_in_departement("69") && person.lives_in_region("84") && !person.lives_in_region("11")`, nil, true},
		{`!person.age_known || person.age_over(18)`, func(f *Facts) { f.Person = Person{} }, true},
	}
	for _, tt := range tests {
		c, f := compiled(t, Condition{When: tt.when}), adult()
		if tt.facts != nil {
			tt.facts(&f)
		}
		if got, err := c[0].holds(&evaluation{f: &f, asked: f.Request.AskedClaims()}); err != nil || got != tt.want {
			t.Errorf("%s = %v, %v", tt.when, got, err)
		}
	}
}

func TestCivilTime_ChangesOnTheLastSundaysOfMarchAndOctober(t *testing.T) {
	for at, want := range map[string]int{
		"2026-03-29T00:59:59Z": 1, "2026-03-29T01:00:00Z": 3, "2026-10-25T00:59:59Z": 2, "2026-10-25T01:00:00Z": 2,
		"2026-01-01T00:00:00Z": 1, "2026-12-31T23:30:00Z": 0, "2024-03-31T01:00:00Z": 3,
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := civilTime(when).Hour(); got != want {
			t.Errorf("%s: %d o'clock, want %d", at, got, want)
		}
	}
}

func TestCompile_RefusesWhatNobodyMeans(t *testing.T) {
	k, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	for when, why := range map[string]string{
		``:                                      "Syntax error",
		`person.age_over(18`:                    "Syntax error",
		`hour`:                                  "is true or false",
		`servce == "x"`:                         "undeclared reference to 'servce'",
		`given_name == "Zoé"`:                   "undeclared reference",
		`person.birthdate == "2001-01-01"`:      "does not support field selection",
		`person == person && false || person`:   "expected type 'bool'",
		`person.age_over("18")`:                 "no matching overload",
		`person.age_over(0)`:                    "an age is 1 to 120",
		`timestamp("2026-01-01T00:00:00Z") > x`: "undeclared reference to 'timestamp'",
		`service.matches("(a+)+$")`:             "undeclared reference to 'matches'",
		`requested.map(c, c + c) == []`:         "undeclared reference",
		strings.Repeat(`!`, 1001) + `true`:      "longer than 1000 bytes",
		strings.Repeat(`(`, 60) + `true` + strings.Repeat(`)`, 60): "",
		strings.Repeat(`1+`, 300) + `1 == 1`:                       "",
	} {
		if _, err := k.Compile(Condition{When: when}); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %v, want %q", when, err, why)
		}
	}
}

func TestCompile_NamesTheWordsThatFactsAreComparedWith(t *testing.T) {
	c := compiled(t, Condition{When: `service == "a" || "b" != provider || provider in ["c", "d"] || "email" in requested || acr.reaches("eidas2") || person.lives_in_region("84")`})
	want := []Literal{{"service", "a"}, {"provider", "b"}, {"provider", "c"}, {"provider", "d"}, {"requested", "email"}, {"acr", "eidas2"}, {"region", "84"}}
	if got := c[0].Literals(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func denies(rule, condition string) Decision {
	return Decision{Deny: protocol.AccessDenied, Rule: rule, Condition: condition, Basis: Consent, PolicyID: "library", PolicyVersion: 3}
}

func TestDecide_Conditions(t *testing.T) {
	reason := protocol.Text{"en": "for adults"}
	deny := func(id, when string) Condition { return Condition{ID: id, When: when, Then: Deny, Reason: reason} }
	tests := []struct {
		name       string
		conditions []Condition
		facts      func(*Facts)
		want       Decision
	}{
		{"nothing changes when none holds", []Condition{deny("a", "false")}, nil, asks(RuleFirstTime)},
		{
			"one that holds denies, with its reason", []Condition{deny("adults", "!person.age_over(40)")}, nil,
			func() Decision { d := denies(RuleConditionDeny, "adults"); d.Reason = reason; return d }(),
		},
		{
			"what is not known denies, and is not taken for no", []Condition{{ID: "adults", When: "person.age_over(18)", Then: AskAgain}},
			func(f *Facts) { f.Person = Person{} }, denies(RuleConditionFailed, "adults"),
		},
		{
			"where she lives is not known: it denies", []Condition{{ID: "lyon", When: `!person.lives_in_commune("69123")`, Then: Withhold, Claims: mail}},
			func(f *Facts) { f.Person.Commune = "" }, denies(RuleConditionFailed, "lyon"),
		},
		{
			"a denial is named before one that failed",
			[]Condition{{ID: "a", When: "person.age_over(18)", Then: AskAgain}, deny("b", "true")},
			func(f *Facts) { f.Person = Person{} },
			func() Decision { d := denies(RuleConditionDeny, "b"); d.Reason = reason; return d }(),
		},
		{
			"the highest level that is wanted counts",
			[]Condition{{ID: "a", When: "true", Then: RequireACR, ACR: protocol.EIDAS2}, {ID: "b", When: "true", Then: RequireACR, ACR: protocol.EIDAS3}, {ID: "c", When: "true", Then: RequireACR, ACR: protocol.EIDAS1}},
			nil, func() Decision { d := denies(RuleConditionACR, "b"); d.RequireACR = protocol.EIDAS3; return d }(),
		},
		{"a level that is reached does nothing", []Condition{{ID: "a", When: "true", Then: RequireACR, ACR: protocol.EIDAS2}}, func(f *Facts) { f.ACR = protocol.EIDAS2 }, asks(RuleFirstTime)},
		{
			"an optional claim is withheld", []Condition{{ID: "a", When: "hour > 8", Then: Withhold, Claims: mail}}, nil,
			func() Decision { d := asks(RuleFirstTime); d.Optional, d.Withheld = nil, mail; return d }(),
		},
		{
			"to withhold a claim that is needed denies", []Condition{{ID: "a", When: "true", Then: Withhold, Claims: firm[:1]}}, nil,
			func() Decision { d := denies(RuleMissing, ""); d.Missing = firm[:1]; return d }(),
		},
		{
			"an earlier answer does not do", []Condition{{ID: "a", When: "true", Then: AskAgain}},
			func(f *Facts) { f.Standing = answered(firm...) },
			func() Decision { d := asks(RuleConditionAsk); d.Condition = "a"; return d }(),
		},
		{"an effect that does not exist denies", []Condition{{ID: "a", When: "true", Then: "allow"}}, nil, denies(RuleConditionFailed, "a")},
		{"a level that does not exist denies", []Condition{{ID: "a", When: "true", Then: RequireACR, ACR: "x"}}, nil, denies(RuleConditionFailed, "a")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, f := library(), adult()
			p.Conditions = compiled(t, tt.conditions...)
			if tt.facts != nil {
				tt.facts(&f)
			}
			if got := NewTable(p).Decide(f); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Decide =\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
	t.Run("one that was never compiled denies", func(t *testing.T) {
		p := library()
		p.Conditions = []Condition{{ID: "a", When: "false", Then: AskAgain}}
		if got := NewTable(p).Decide(adult()); got.Named() != "condition-failed:a" {
			t.Errorf("%+v", got)
		}
	})
}

// The conditions never let more leave, a denial of any of them wins, and their order
// means nothing.
func TestDecide_ConditionsNeverEnlargeARelease(t *testing.T) {
	whens := []string{
		"true", "false", `"email" in requested`, "person.age_over(18)", "!person.age_over(18)", "person.civil",
		`acr.reaches("eidas2")`, `person.lives_in_departement("69")`, "size(requested) > 2", `"birthdate" in known`,
	}
	k, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		p, f := drawFacts(t)
		f.Person = Person{AgeKnown: rapid.Bool().Draw(t, "age known"), Age: rapid.IntRange(10, 30).Draw(t, "age"), Departement: rapid.SampledFrom([]string{"", "69", "01"}).Draw(t, "département")}
		before := NewTable(p).Decide(f)
		with := *p
		for i := range rapid.IntRange(1, 4).Draw(t, "conditions") {
			c, err := k.Compile(Condition{
				ID: string(rune('a' + i)), When: rapid.SampledFrom(whens).Draw(t, "when"),
				Then:   rapid.SampledFrom([]Effect{Deny, RequireACR, Withhold, AskAgain}).Draw(t, "then"),
				Claims: drawClaims(t, "withheld"), ACR: rapid.SampledFrom(protocol.ACRs()).Draw(t, "level"),
			})
			if err != nil {
				t.Fatal(err)
			}
			with.Conditions = append(with.Conditions, c)
		}
		after := NewTable(&with).Decide(f)
		if !subset(after.Shown(), before.Shown()) && before.Ask != AskNothing || before.Deny != "" && after.Deny == "" {
			t.Fatalf("without: %+v\nwith: %+v", before, after)
		}
		if before.Ask == AskNothing && after.Ask == AskNothing && !subset(after.Release, before.Release) {
			t.Fatalf("unasked, without: %+v\nwith: %+v", before, after)
		}
		mixed := with
		mixed.Conditions = rapid.Permutation(with.Conditions).Draw(t, "order")
		if again := NewTable(&mixed).Decide(f); !reflect.DeepEqual(after, again) {
			t.Fatalf("another order: %+v, then %+v", after, again)
		}
		e := evaluation{f: &f, asked: f.Request.AskedClaims()}
		denied := slices.ContainsFunc(with.Conditions, func(c Condition) bool {
			held, err := c.holds(&e)
			return err != nil || held && c.Then == Deny
		})
		if denied && after.Deny == "" {
			t.Fatalf("a condition denies or fails, and yet: %+v", after)
		}
	})
}

// docs/policies.md explains every fact, effect and rule, and no others.
func TestDocs_ListTheFacts(t *testing.T) {
	doc, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, line := range strings.Split(string(doc), "\n") {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	for _, f := range ConditionFacts() {
		if row := "| `" + f.Name + "` | " + f.Type + " | " + f.What + " |"; !slices.Contains(rows, row) {
			t.Errorf("docs/policies.md lacks\n%s", row)
		}
	}
	for _, word := range append(Rules(), string(Deny), string(RequireACR), string(Withhold), string(AskAgain)) {
		if !slices.ContainsFunc(rows, func(r string) bool { return strings.HasPrefix(r, "| `"+word+"` |") }) {
			t.Errorf("docs/policies.md has no row for %s", word)
		}
	}
}

// Whatever an operator pastes in: it is refused in one line, or its evaluation never
// comes near the limit, and neither true nor false lets more leave.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		`true`, `requested.all(a, requested.all(b, requested.all(c, requested.all(d, a + b + c + d != ""))))`,
		`[1,2,3].exists(x, x == 4 % 0)`, `person.age_over(9223372036854775807 + 1)`, `"\u0000" in known`, `{"a": 1}["b"] == 1`,
		`size(requested + requested + requested) > 3`, `person.lives_in_region(service)`, "\xff", `((((((`, "\"\n0000000000",
	} {
		f.Add(s)
	}
	k, err := NewCompiler()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, when string) {
		c, err := k.Compile(Condition{ID: "c", When: when, Then: Withhold, Claims: mail})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			return
		}
		p := library()
		p.Conditions = []Condition{c}
		whole := adult()
		whole.Request.Scopes, whole.Has = protocol.Scopes(), protocol.Claims()
		if _, err := c.holds(&evaluation{f: &whole, asked: whole.Request.AskedClaims()}); err != nil && strings.Contains(err.Error(), "cost") {
			t.Errorf("%s: %v", when, err)
		}
		for _, facts := range []Facts{adult(), visit()} {
			if got := NewTable(p).Decide(facts); !subset(got.Shown(), append(slices.Clone(firm), mail...)) {
				t.Errorf("%s: %+v", when, got)
			}
		}
	})
}

// What could become too long at a sign-in, or fails by itself, is refused when it is
// read: at a sign-in it would turn people away without anybody having meant it.
func TestCompile_RefusesWhatWouldDenyByItself(t *testing.T) {
	k, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	for when, why := range map[string]string{
		`requested.exists(a, known.exists(b, a == b))`:                          "too many steps",
		`requested.all(a, requested.all(b, requested.all(c, a + b + c != "")))`: "too many steps",
		`10 % hour == 1`:                                             "although everything is known: modulus by zero",
		`weekday == 7 && 4 % (hour - 13) == 0`:                       "although everything is known: modulus by zero",
		`9223372036854775807 + hour > 0`:                             "although everything is known: integer overflow",
		`person == person`:                                           "although everything is known: person is no value",
		`acr.reaches(provider)`:                                      "although everything is known: there is no such level",
		"hour < 5 ||\n  hours > 3":                                   "at letter 3 of its line 2: undeclared reference to 'hours'",
		"person.age_over(\n 180)":                                    "at letter 2 of its line 2: person.age_over(180)",
		`[` + strings.Repeat(`1,`, 400) + `1].exists(x, x == 2)`:     "limit of 200",
		strings.Repeat(`"aaaa" + `, 100) + `"a" == service`:          "recursion",
		strings.Repeat(`[`, 30) + strings.Repeat(`]`, 30) + ` == []`: "recursion",
	} {
		if _, err := k.Compile(Condition{When: when}); err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %v, want %q", when, err, why)
		}
	}
}

// A condition of one loop is affordable whatever a service asks for.
func TestCompile_OneLoopIsAffordable(t *testing.T) {
	c, f := compiled(t, Condition{When: `requested.all(c, c in known && c != "emial")`}), adult()
	f.Request.Scopes = protocol.Scopes()
	if _, err := c[0].holds(&evaluation{f: &f, asked: f.Request.AskedClaims()}); err != nil {
		t.Errorf("%v", err)
	}
	if want := []Literal{{"requested", "emial"}}; !reflect.DeepEqual(c[0].Literals(), want) {
		t.Errorf("words: %v, want %v", c[0].Literals(), want)
	}
}

func BenchmarkDecide_TwoConditions(b *testing.B) {
	benchmarkConditions(b,
		Condition{ID: "a", When: `!person.age_over(16) && provider in ["tax", "post"]`, Then: Deny},
		Condition{ID: "b", When: `"email" in requested && !acr.reaches("eidas1")`, Then: Withhold},
	)
}

func BenchmarkDecide_TwentyConditions(b *testing.B) {
	var cs []Condition
	for i := range 20 {
		cs = append(cs, Condition{ID: string(rune('a' + i)), When: `!person.age_over(16) && provider in ["tax", "post"]`, Then: Deny})
	}
	benchmarkConditions(b, cs...)
}

func BenchmarkDecide_ALoop(b *testing.B) {
	benchmarkConditions(b, Condition{ID: "a", When: `requested.exists(c, c.startsWith("idp_"))`, Then: Deny})
}

func benchmarkConditions(b *testing.B, cs ...Condition) {
	p, f := library(), adult()
	f.Standing = answered(firm...)
	p.Conditions = compiled(b, cs...)
	table := NewTable(p)
	if d := table.Decide(f); d.Rule != RuleStanding {
		b.Fatal(errors.New(d.Named()))
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Decide(f)
	}
}
