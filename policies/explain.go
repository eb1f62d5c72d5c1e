package policies

import (
	"slices"

	"github.com/voussoir-id/voussoir/protocol"
)

// Explanation is a decision with the reasons for everything in it.
type Explanation struct {
	Decision   Decision
	Claims     []ClaimReason     // of the policy and of the request, in the order of protocol.Claims
	Conditions []ConditionResult // in the order of their ids; none where the decision fell before them
}

// ClaimReason says what becomes of a claim: leaves, may be ticked, or stays, and why.
type ClaimReason struct {
	Claim   protocol.Claim
	Leaves  bool // with AskNothing at once, otherwise if she goes on
	Offered bool // if she also ticks it
	Why     string
}

// ConditionResult is what came of a condition.
type ConditionResult struct {
	ID     string
	Then   Effect
	Held   bool
	Failed string // why nobody can say; "" where somebody can
}

// Explain decides as Decide does, and says why.
func (t *Table) Explain(f Facts) Explanation {
	var out Explanation
	out.Decision = t.decide(f, func(c *Condition, held bool, err error) {
		r := ConditionResult{ID: c.ID, Then: c.Then, Held: held}
		if err != nil {
			r.Failed = err.Error()
		}
		out.Conditions = append(out.Conditions, r)
	})
	p, ok := t.Policy(f.Client)
	if !ok {
		return out
	}
	for _, c := range protocol.Claims() {
		rule, allowed := p.rule(c)
		i := slices.IndexFunc(f.Request.AskedClaims(), func(a protocol.Asked) bool { return a.Claim == c })
		if !allowed && i < 0 {
			continue
		}
		r := ClaimReason{Claim: c, Leaves: slices.Contains(out.Decision.Release, c), Offered: slices.Contains(out.Decision.Optional, c)}
		r.Why = whyClaim(f, out.Decision, r, rule, allowed, i >= 0)
		out.Claims = append(out.Claims, r)
	}
	return out
}

func whyClaim(f Facts, d Decision, r ClaimReason, rule ClaimRule, allowed, asked bool) string {
	switch {
	case !allowed:
		return "the policy does not allow it"
	case !asked:
		return "the service does not ask for it"
	case slices.Contains(d.Withheld, r.Claim):
		return "a condition withholds it"
	case slices.Contains(d.Missing, r.Claim):
		return "it is required, and not known"
	case d.Deny != "":
		return "nothing leaves: " + d.Named()
	case r.Leaves && d.Ask == AskNothing:
		return "her earlier answer covers it"
	case r.Leaves:
		return "it is required, and leaves if she goes on"
	case r.Offered && rule.Required:
		return "the service can do without it: a checkbox"
	case r.Offered:
		return "it is optional: a checkbox"
	case !slices.Contains(f.Has, r.Claim):
		return "it is not known"
	}
	return "she did not agree to it"
}
