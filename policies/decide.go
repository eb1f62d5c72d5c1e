package policies

import (
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// The rules. Exactly one of them makes each decision, in this order; its name is
// on record. Deny: the first six. Ask: the next nine. The last lets pass.
const (
	RuleNoPolicy        = "no-policy"              // the client has no policy, so nothing is justified
	RuleACR             = "acr"                    // the sign-in is weaker than the policy or the request demands
	RuleConditionDeny   = "condition-denied"       // a condition of the policy says no
	RuleConditionFailed = "condition-failed"       // nobody can say whether a condition holds
	RuleConditionACR    = "condition-acr"          // a condition wants a higher level
	RuleMissing         = "required-claim-missing" // the service cannot work without a claim that nobody knows
	RulePromptConsent   = "prompt-consent"         // the service wants her to be asked (prompt=consent)
	RuleOffline         = "offline-access"         // the service wants to come back while she is away: no earlier answer speaks of that
	RuleEveryTime       = "every-time"             // the policy remembers no answer
	RuleFirstTime       = "first-time"             // she has not answered before, or withdrew
	RuleInformed        = "informed"               // the same on another basis than consent: she is told
	RulePolicyChanged   = "policy-changed"         // she answered under another policy, version or legal basis
	RuleExpired         = "expired"                // her answer was remembered until now, or for longer than the policy now allows
	RuleNewClaim        = "new-claim"              // more is asked than she has seen, or agreed to
	RuleOtherPerson     = "another-person"         // her earlier answer covers it, but somebody else was signed in here: she is told who she is now
	RuleConditionAsk    = "condition-ask"          // a condition wants her to be asked, whatever she has answered before
	RuleStanding        = "standing"               // her earlier answer covers it
)

// Rules lists the rules in the order in which they are tried.
func Rules() []string {
	return []string{
		RuleNoPolicy, RuleACR, RuleConditionDeny, RuleConditionFailed, RuleConditionACR, RuleMissing,
		RulePromptConsent, RuleOffline, RuleEveryTime, RuleFirstTime, RuleInformed, RulePolicyChanged, RuleExpired,
		RuleNewClaim, RuleOtherPerson, RuleConditionAsk, RuleStanding,
	}
}

// Decide says what may leave and whether to ask first. It is the only place that
// says so. What may leave is never more than what the policy allows, the request
// asks for and we know of the person. It is pure, and safe for concurrent use.
func (t *Table) Decide(f Facts) Decision { return t.decide(f, nil) }

// decide is Decide; each is told of every condition that it looked at.
func (t *Table) decide(f Facts, each func(c *Condition, held bool, failed error)) Decision {
	p, ok := t.Policy(f.Client)
	if !ok {
		return Decision{Deny: protocol.UnauthorizedClient, Rule: RuleNoPolicy}
	}
	d := Decision{Basis: p.Basis, PolicyID: p.ID, PolicyVersion: p.Version}
	if !f.ACR.Reaches(requiredACR(p, f.Request)) {
		return d.denied(RuleACR)
	}
	asked := f.Request.AskedClaims()
	v := p.conditions(&f, asked, each)
	if rule := v.against(&d, f.ACR); rule != "" {
		return d.denied(rule)
	}
	p.claims(asked, f.Has, v.withhold, &d)
	if len(d.Missing) > 0 {
		return d.denied(RuleMissing)
	}
	if d.Rule = p.why(f, d); d.Rule == RuleStanding && v.ask != "" {
		d.Rule, d.Condition = RuleConditionAsk, v.ask
	}
	if d.Rule == RuleStanding {
		d.Release = among(asked, d.Release, intersect(f.Standing.Agreed, d.Optional))
		d.Optional = nil
		return d // AskNothing
	}
	// A standing answer that does not cover this request ticks no box: consent is
	// an act (GDPR article 4(11)).
	d.OfflineUntil = offline(f)
	d.Ask = AskConsent
	if p.informs() {
		d.Ask = AskInform
	}
	if !p.ConsentValidity.IsZero() {
		d.Until = p.ConsentValidity.AddTo(f.Now)
	}
	return d
}

// denied drops whatever could be mistaken for a permission.
func (d Decision) denied(rule string) Decision {
	return Decision{
		Deny: protocol.AccessDenied, Rule: rule, Missing: d.Missing,
		Condition: d.Condition, RequireACR: d.RequireACR, Reason: d.Reason,
		Basis: d.Basis, PolicyID: d.PolicyID, PolicyVersion: d.PolicyVersion,
	}
}

// claims sorts what is asked for and allowed: needed leaves if she goes on,
// optional if she also ticks it, missing is needed and unknown. A claim counts as
// needed if the policy requires it and the request did not mark it voluntary
// (OpenID Connect Core section 5.5.1). What a condition withholds is as good as
// unknown.
func (p *Policy) claims(asks []protocol.Asked, has, withhold []protocol.Claim, d *Decision) {
	for _, asked := range asks {
		rule, allowed := p.rule(asked.Claim)
		known := slices.Contains(has, asked.Claim)
		need := rule.Required && !asked.Voluntary
		if allowed && known && slices.Contains(withhold, asked.Claim) {
			d.Withheld, known = append(d.Withheld, asked.Claim), false
		}
		switch {
		case !allowed:
		case known && need:
			d.Release = append(d.Release, asked.Claim)
		case known:
			d.Optional = append(d.Optional, asked.Claim)
		case need:
			d.Missing = append(d.Missing, asked.Claim)
		}
	}
}

// slack is how far a remembered answer may reach beyond what the policy would
// grant now: clocks differ, and so do months. What reaches further was given
// while the policy remembered for longer, and is asked for anew.
const slack = 24 * time.Hour

// why names the rule for a request that nothing forbids.
func (p *Policy) why(f Facts, d Decision) string {
	s := f.Standing
	switch {
	case f.Request.Prompt.Consent:
		return RulePromptConsent
	case !offline(f).IsZero():
		return RuleOffline
	case p.ConsentValidity.IsZero():
		return RuleEveryTime
	case s == nil && p.informs():
		return RuleInformed
	case s == nil:
		return RuleFirstTime
	case s.PolicyID != p.ID || s.PolicyVersion != p.Version || s.Basis != p.Basis:
		return RulePolicyChanged
	case !f.Now.Before(s.Until) || s.Until.After(p.ConsentValidity.AddTo(f.Now).Add(slack)):
		return RuleExpired
	case !subset(d.Release, s.Agreed) || !subset(d.Optional, s.Shown):
		return RuleNewClaim
	case f.Switched:
		return RuleOtherPerson
	}
	return RuleStanding
}

// offline is until when the service may come back while she is away, if she goes on:
// zero when it has not asked, or may not. Every such permission has an end of its
// own, so that an earlier answer never covers a new one (OpenID Connect Core section
// 11).
func offline(f Facts) time.Time {
	if !f.Client.MayRefresh() || !slices.Contains(f.Request.Scopes, protocol.OfflineAccess) {
		return time.Time{}
	}
	return f.Now.Add(f.Client.RefreshMax)
}

// informs reports whether the basis is one on which a person is told and not
// asked. Anything unknown is treated as consent, which asks.
func (p *Policy) informs() bool { return p.Basis == PublicTask || p.Basis == LegalObligation }

// rule returns what p says of one claim; false: not allowed.
func (p *Policy) rule(c protocol.Claim) (ClaimRule, bool) {
	for _, r := range p.Claims {
		if r.Name == c {
			return r, true
		}
	}
	return ClaimRule{}, false
}

// ClaimsInIDToken returns those of the released claims that also go into the ID
// token: asked for there through the claims parameter, or registered so for the
// client. All others are at the userinfo endpoint only.
func ClaimsInIDToken(client *clients.Client, req protocol.AuthRequest, released []protocol.Claim) []protocol.Claim {
	var out []protocol.Claim
	for _, c := range released {
		if _, asked := req.Claims.IDToken[c]; asked || slices.Contains(client.ClaimsInIDToken, c) {
			out = append(out, c)
		}
	}
	return out
}

// SameQuestion reports whether a person who was shown d would see the same in
// other: the same policy, the same claims that leave, the same checkboxes, and
// whether the service may come back while she is away.
func (d Decision) SameQuestion(other Decision) bool {
	return d.Deny == other.Deny && d.Ask == other.Ask && d.Basis == other.Basis &&
		d.OfflineUntil.IsZero() == other.OfflineUntil.IsZero() &&
		d.PolicyID == other.PolicyID && d.PolicyVersion == other.PolicyVersion &&
		slices.Equal(d.Release, other.Release) && slices.Equal(d.Optional, other.Optional)
}

// Shown is everything that the page of d lists: what leaves and the checkboxes.
func (d Decision) Shown() []protocol.Claim { return slices.Concat(d.Release, d.Optional) }

// among returns the claims of a and b in the order in which the request's claims
// are listed, so that equal sets are equal slices.
func among(asks []protocol.Asked, a, b []protocol.Claim) []protocol.Claim {
	var out []protocol.Claim
	for _, asked := range asks {
		if slices.Contains(a, asked.Claim) || slices.Contains(b, asked.Claim) {
			out = append(out, asked.Claim)
		}
	}
	return out
}

func intersect(a, b []protocol.Claim) []protocol.Claim {
	var out []protocol.Claim
	for _, c := range a {
		if slices.Contains(b, c) {
			out = append(out, c)
		}
	}
	return out
}

func subset(a, b []protocol.Claim) bool {
	for _, c := range a {
		if !slices.Contains(b, c) {
			return false
		}
	}
	return true
}
