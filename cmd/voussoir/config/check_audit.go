package config

import "github.com/voussoir-id/voussoir/policies"

// Audit is the log of what the broker did.
type Audit struct {
	// PersonalRetention is how long the personal part of an entry is kept, as an ISO
	// 8601 duration in whole days, months or years, a month to ten years. Then it is destroyed, and the
	// log still verifies. Default P36M.
	PersonalRetention string `yaml:"personal_retention" eg:"P36M"`
	// Witnesses are others who sign the log's checkpoints after seeing that nothing before was changed
	// (docs/audit.md): 16 at most. The broker never waits for them. Needs a restart. Default []: none.
	Witnesses []Witness `yaml:"witnesses" eg:"[{ key: \"witness.example/w1+…\", url: https://witness.example }]"`
}

// usualAuditRetention is audit.personal_retention unless said otherwise.
const usualAuditRetention = "P36M"

func (c *checker) audit() {
	const at = "audit.personal_retention"
	if !c.has(at) || !c.ok(at) {
		return
	}
	period, clock, err := parseDuration(c.f.Audit.PersonalRetention)
	days := period.Years*365 + period.Months*30 + period.Days
	switch {
	case err != nil:
		c.add(at, quote(c.f.Audit.PersonalRetention)+" "+err.Error(), "personal_retention: P36M")
	case clock != 0:
		c.add(at, "the time is in whole days, months or years", "personal_retention: P36M")
	case days < 28 || days > 3660:
		c.add(at, "the time is a month at least and ten years at most", "personal_retention: P36M")
	}
}

func (c *checker) auditRetention() policies.Period {
	period, _, _ := parseDuration(c.f.Audit.PersonalRetention) // a mistake is reported by the check
	return period
}
