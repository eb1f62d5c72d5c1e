package policies

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/voussoir-id/voussoir/protocol"
)

// Effect is what a condition does when it holds. None of them lets more leave:
// whoever reads a policy's claims has read the most that it can release.
type Effect string

// The effects, the strongest first.
const (
	Deny       Effect = "deny"        // nothing leaves, and she reads the reason
	RequireACR Effect = "require_acr" // the sign-in must reach a level
	Withhold   Effect = "withhold"    // some claims do not leave this time
	AskAgain   Effect = "ask"         // an earlier answer does not do
)

// Condition adds a rule to a policy. All conditions of a policy are looked at, and
// the order in which they are written means nothing.
type Condition struct {
	ID       string
	When     string // CEL over ConditionFacts
	Then     Effect
	Claims   []protocol.Claim // with Withhold
	ACR      protocol.ACR     // with RequireACR
	Reason   protocol.Text    // what the person reads, with Deny
	program  cel.Program      // nil until Compiler.Compile: such a condition fails
	literals []Literal
}

// Limits of an expression. The cost is CEL's own measure, about one for each step:
// a reasonable condition costs ten to fifty.
const (
	maxSource = 1000 // bytes
	maxNodes  = 200
	maxDepth  = 20
	costLimit = 2000
)

// Literal is a word that a condition compares a fact with, so that whoever knows
// all services and places can say that there is no such one.
type Literal struct {
	Fact  string // service, provider, acr, requested, known, or commune, departement, region
	Value string
}

// Literals are the words that a compiled condition compares facts with.
func (c Condition) Literals() []Literal { return slices.Clone(c.literals) }

// Compiler compiles conditions. It is safe for concurrent use.
type Compiler struct{ env *cel.Env }

// NewCompiler prepares the language of conditions: the facts, comparisons, boolean
// logic, small arithmetic, lists and beginnings of texts. There are no dates, no
// regular expressions and no conversions in it.
func NewCompiler() (*Compiler, error) {
	texts := cel.ListType(cel.StringType)
	e, err := cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(standardSubset())),
		cel.ParserExpressionSizeLimit(maxSource), cel.ParserRecursionLimit(maxDepth), cel.ParserErrorRecoveryLimit(0),
		cel.ExpressionNodeLimit(maxNodes),
		cel.Variable("service", cel.StringType), cel.Variable("provider", cel.StringType), cel.Variable("acr", cel.StringType),
		cel.Variable("requested", texts), cel.Variable("known", texts),
		cel.Variable("hour", cel.IntType), cel.Variable("weekday", cel.IntType),
		cel.Variable("person", subjectType), cel.Variable("person.civil", cel.BoolType),
		cel.Variable("person.age_known", cel.BoolType), cel.Variable("person.residence_known", cel.BoolType),
		cel.Function("reaches", cel.MemberOverload("acr_reaches", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(reaches))),
		cel.Function("age_over", cel.MemberOverload("person_age_over", []*cel.Type{subjectType, cel.IntType}, cel.BoolType, cel.BinaryBinding(ageOver))),
		residence("lives_in_commune", func(p *subject) string { return p.Commune }),
		residence("lives_in_departement", func(p *subject) string { return p.Departement }),
		residence("lives_in_region", func(p *subject) string { return p.Region }),
	)
	if err != nil {
		return nil, fmt.Errorf("language of conditions: %w", err)
	}
	return &Compiler{env: e}, nil
}

func residence(name string, code func(*subject) string) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload("person_"+name, []*cel.Type{subjectType, cel.StringType}, cel.BoolType, cel.BinaryBinding(livesIn(code))))
}

// standardSubset is what a condition may use of CEL's own functions.
func standardSubset() *env.LibrarySubset {
	s := &env.LibrarySubset{IncludeMacros: []string{operators.Exists, operators.All}}
	for _, name := range []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Add, operators.Subtract, operators.Modulo, operators.In, overloads.Size, overloads.StartsWith,
	} {
		s.IncludeFunctions = append(s.IncludeFunctions, env.NewFunction(name))
	}
	return s
}

// Compile checks a condition's expression and returns the condition ready for use.
// The error is for the person who wrote the expression, and on one line.
func (k *Compiler) Compile(c Condition) (Condition, error) {
	if len(c.When) > maxSource {
		return Condition{}, fmt.Errorf("the expression is longer than %d bytes", maxSource)
	}
	checked, issues := k.env.Compile(c.When)
	if err := issues.Err(); err != nil {
		return Condition{}, errors.New(firstIssue(issues))
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return Condition{}, fmt.Errorf("the expression is of type %s: a condition is true or false", checked.OutputType())
	}
	literals, err := literalsOf(checked.NativeRep())
	if err != nil {
		return Condition{}, err
	}
	if err := k.affordable(checked); err != nil {
		return Condition{}, err
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops(checked.NativeRep().Expr()) { // without one it is no longer than it is written, and counting costs more than it does
		options = append(options, cel.CostLimit(costLimit))
	}
	program, err := k.env.Program(checked, options...)
	if err != nil {
		return Condition{}, fmt.Errorf("the expression cannot be used: %w", err)
	}
	c.program, c.literals = program, literals
	if err := c.reliable(); err != nil {
		return Condition{}, err
	}
	return c, nil
}

// firstIssue is what is wrong first, with its place in the expression.
func firstIssue(issues *cel.Issues) string {
	all := issues.Errors()
	if len(all) == 0 {
		return "the expression cannot be read"
	}
	return at(all[0].Location) + strings.Join(strings.Fields(all[0].Message), " ")
}

// at is a place in the expression, which may have several lines.
func at(l common.Location) string {
	switch {
	case l.Line() < 1 || l.Column() < 0:
		return ""
	case l.Line() == 1:
		return fmt.Sprintf("at letter %d: ", l.Column()+1)
	}
	return fmt.Sprintf("at letter %d of its line %d: ", l.Column()+1, l.Line())
}

// holds evaluates c. An error means that nobody can say.
func (c *Condition) holds(e *evaluation) (bool, error) {
	if c.program == nil {
		return false, errors.New("not compiled")
	}
	v, _, err := c.program.Eval(e)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, errors.New("neither true nor false")
	}
	return bool(b), nil
}

// literalsOf finds the words that facts are compared with, and refuses an age that
// nobody has.
func literalsOf(checked *ast.AST) ([]Literal, error) {
	var out []Literal
	var err error
	facts := itemsOf(checked.Expr())
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		switch name := call.FunctionName(); name {
		case operators.Equals, operators.NotEquals:
			args := call.Args()
			out = append(append(out, facts.compared(args[0], args[1])...), facts.compared(args[1], args[0])...)
		case operators.In:
			args := call.Args()
			out = append(append(out, facts.member(args[0], args[1])...), facts.compared(args[1], args[0])...)
		case "reaches":
			out = append(out, word("acr", call.Args()[0])...)
		case "lives_in_commune", "lives_in_departement", "lives_in_region":
			out = append(out, word(name[len("lives_in_"):], call.Args()[0])...)
		case "age_over":
			if n, ok := literal(call.Args()[0]).(types.Int); ok && (n < 1 || n > 120) {
				err = fmt.Errorf("%sperson.age_over(%d): an age is 1 to 120", at(checked.SourceInfo().GetStartLocation(call.Args()[0].ID())), n)
			}
		}
	}))
	return out, err
}

// items are the facts by their names, and by those that a loop gives to their items.
type items map[string]string

func itemsOf(root ast.Expr) items {
	out := items{"service": "service", "provider": "provider", "acr": "acr", "requested": "requested", "known": "known"}
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.ComprehensionKind {
			return
		}
		if loop := e.AsComprehension(); loop.IterRange().Kind() == ast.IdentKind {
			if fact, ok := out[loop.IterRange().AsIdent()]; ok {
				out[loop.IterVar()] = fact
			}
		}
	}))
	return out
}

// loops reports whether an expression has a loop.
func loops(root ast.Expr) bool {
	found := false
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) { found = found || e.Kind() == ast.ComprehensionKind }))
	return found
}

// compared is what fact == word says of the fact; in is for a list of claims.
func (i items) compared(fact, value ast.Expr) []Literal {
	if fact.Kind() != ast.IdentKind {
		return nil
	}
	if name, ok := i[fact.AsIdent()]; ok {
		return word(name, value)
	}
	return nil
}

// member is what fact in [word, …] says of the fact.
func (i items) member(fact, list ast.Expr) []Literal {
	if list.Kind() != ast.ListKind {
		return nil
	}
	var out []Literal
	for _, e := range list.AsList().Elements() {
		out = append(out, i.compared(fact, e)...)
	}
	return out
}

func word(fact string, value ast.Expr) []Literal {
	if s, ok := literal(value).(types.String); ok {
		return []Literal{{fact, string(s)}}
	}
	return nil
}

func literal(e ast.Expr) any {
	if e.Kind() != ast.LiteralKind {
		return nil
	}
	return e.AsLiteral()
}

// verdict is what all conditions of a policy say together.
type verdict struct {
	deny, failed *Condition // the first of each
	acr          *Condition // the one that wants the highest level
	withhold     []protocol.Claim
	ask          string // the first that wants her to be asked
}

// conditions looks at every condition, so that none can hide behind another.
func (p *Policy) conditions(f *Facts, asked []protocol.Asked, each func(*Condition, bool, error)) verdict {
	var v verdict
	if len(p.Conditions) == 0 {
		return v
	}
	e := evaluation{f: f, asked: asked}
	for i := range p.Conditions {
		c := &p.Conditions[i]
		held, err := c.holds(&e)
		if each != nil {
			each(c, held, err)
		}
		switch {
		case err != nil:
			v.fail(c)
		case held:
			v.add(c)
		}
	}
	return v
}

func (v *verdict) fail(c *Condition) {
	if v.failed == nil {
		v.failed = c
	}
}

// add is for a condition that holds. An effect that does not exist denies: it was
// meant to keep something from leaving.
func (v *verdict) add(c *Condition) {
	switch c.Then {
	case Deny:
		if v.deny == nil {
			v.deny = c
		}
	case RequireACR:
		if !c.ACR.Known() {
			v.fail(c)
		} else if v.acr == nil || !v.acr.ACR.Reaches(c.ACR) {
			v.acr = c
		}
	case Withhold:
		v.withhold = append(v.withhold, c.Claims...)
	case AskAgain:
		if v.ask == "" {
			v.ask = c.ID
		}
	default:
		v.fail(c)
	}
}

// against names the rule by which conditions deny, and notes in d what goes with
// it; "" when they do not.
func (v *verdict) against(d *Decision, reached protocol.ACR) string {
	switch {
	case v.deny != nil:
		d.Condition, d.Reason = v.deny.ID, v.deny.Reason
		return RuleConditionDeny
	case v.failed != nil:
		d.Condition = v.failed.ID
		return RuleConditionFailed
	case v.acr != nil && !reached.Reaches(v.acr.ACR):
		d.Condition, d.RequireACR = v.acr.ID, v.acr.ACR
		return RuleConditionACR
	}
	return ""
}
