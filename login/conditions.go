package login

import (
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/web"
)

// person is what a policy's conditions may know of an identity.
func person(id identity.Identity) policies.Person {
	p := policies.Person{Civil: id.Civil}
	p.Age, p.AgeKnown = id.Age()
	p.Commune, p.Departement, p.Region = id.Residence.Areas()
	return p
}

// deniedNotice words a denial of policy as what another provider could mend, where
// one could.
func deniedNotice(d policies.Decision) *notice {
	switch d.Rule {
	case policies.RuleMissing:
		return &notice{Code: web.NoticeMissingClaim, Claims: d.Missing}
	case policies.RuleConditionDeny:
		return &notice{Code: web.NoticeCondition, Reason: d.Reason, Rule: d.Named()}
	case policies.RuleConditionFailed:
		return &notice{Code: web.NoticeConditionUnknown, Rule: d.Named()}
	}
	return &notice{Code: web.NoticeTooWeak}
}
