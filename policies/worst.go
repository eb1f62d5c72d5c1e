package policies

import (
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// A condition that cannot be evaluated denies. That is for what is not known of a
// person; an expression that fails by itself would turn people away without anybody
// having meant it, and is refused when it is read.

// longestWord is an id, a level or the name of a claim; bytes.
const longestWord = 64

// worst says how large facts can be, so that the most that an expression can cost is
// known before anybody signs in.
type worst struct{}

// EstimateSize is part of cost.Estimator.
func (worst) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	path := n.Path()
	if len(path) == 0 {
		return nil
	}
	word := cost.RangedSizeEstimate(0, longestWord)
	size := word
	if fact := path[0]; (fact == "requested" || fact == "known") && len(path) == 1 {
		size = cost.ListSizeEstimate(cost.RangedSizeEstimate(0, uint64(len(protocol.Claims()))), word)
	}
	return &size
}

// EstimateCallCost is part of cost.Estimator. Our own functions compare one value: a
// step each.
func (worst) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	switch function {
	case "reaches", "age_over", "lives_in_commune", "lives_in_departement", "lives_in_region":
		return &cost.CallEstimate{CostEstimate: cost.FixedCostEstimate(1)}
	}
	return nil
}

// affordable refuses an expression that could reach the limit at a sign-in.
func (k *Compiler) affordable(checked *cel.Ast) error {
	estimate, err := k.env.EstimateCost(checked, worst{})
	if err != nil {
		return fmt.Errorf("nobody can say what the expression costs: %w", err)
	}
	if estimate.Max > costLimit {
		return fmt.Errorf("the expression could take too many steps at a sign-in (more than %d): one loop over a list, and not loops within loops", costLimit)
	}
	return nil
}

// reliable refuses an expression that fails although everything is known: it divides
// by zero at midnight, say. A level that does not exist is left to whoever looks at
// Literals, and can say which one was meant.
func (c *Condition) reliable() error {
	if slices.ContainsFunc(c.literals, func(l Literal) bool { return l.Fact == "acr" && !protocol.ACR(l.Value).Known() }) {
		return nil
	}
	everything := protocol.Claims()
	asked := make([]protocol.Asked, len(everything))
	for i, claim := range everything {
		asked[i].Claim = claim
	}
	levels, week := protocol.ACRs(), time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for hours := range 7 * 24 {
		f := Facts{
			Client: &clients.Client{ID: "service"}, Provider: "provider", ACR: levels[hours%len(levels)],
			Now: week.Add(time.Duration(hours) * time.Hour), Has: everything[:hours%(len(everything)+1)],
			Person: Person{Civil: hours%2 == 0, AgeKnown: true, Age: hours % 121, Commune: "69123", Departement: "69", Region: "84"},
		}
		if _, err := c.holds(&evaluation{f: &f, asked: asked[:len(f.Has)]}); err != nil {
			return fmt.Errorf("the expression fails although everything is known: %w", err)
		}
	}
	return nil
}
