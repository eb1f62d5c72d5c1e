package config

// Policy says what services may receive, why, and from whom.
type Policy struct {
	// ID is its name for clients: 1 to 64 of letters, digits and -._~. Required.
	ID string `yaml:"id" jsonschema:"required" eg:"library"`
	// Version is a whole number, 1 or more. Raise it with each change: people are
	// then asked anew. Required.
	Version int `yaml:"version" jsonschema:"required" eg:"1"`
	// Purpose completes the sentence "to …" on the consent page. Required.
	Purpose Text `yaml:"purpose" jsonschema:"required" eg:"{ fr: \"Ouvrir votre compte\", en: \"Open your account\" }"`
	// LegalBasis is the ground of article 6(1) GDPR: consent asks the person, the
	// others inform her. Required.
	LegalBasis string `yaml:"legal_basis" jsonschema:"required,enum=consent,enum=public_task,enum=legal_obligation" eg:"consent"`
	// Retention is how long the service keeps the data, ISO 8601, shown to the
	// person. Default "": not said.
	Retention string `yaml:"retention" eg:"P1Y"`
	// MinACR is the weakest level that will do. Default eidas1.
	MinACR string `yaml:"min_acr" jsonschema:"enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas1"`
	// Providers says which identity providers may be used.
	Providers Allow `yaml:"providers"`
	// Claims are what may be released; nothing else ever is. Default []: only sub.
	Claims []ClaimRule `yaml:"claims" eg:"[{ name: given_name, required: true }]"`
	// Conditions narrow what may be released, by facts of the sign-in
	// (docs/policies.md). Default [].
	Conditions []Condition `yaml:"conditions" eg:"[{ id: adults, when: \"!person.age_over(18)\", then: deny, reason: { en: … } }]"`
	// Accepted answers warnings about this policy with a written reason. Default [].
	Accepted []Acceptance `yaml:"accepted" eg:"[{ remark: all-required, reason: \"a loan needs both\" }]"`
	// Tests are cases that voussoir policy test decides: facts, and what is expected.
	// Default [].
	Tests []PolicyTest `yaml:"tests" eg:"[{ name: \"asks the first time\", want: { rule: first-time } }]"`
	// Registry is whether the civil registry has to confirm an identity before anything
	// of it leaves: require; prefer, which lets those pass whom it confirmed before while it
	// does not answer; or off. Default require if there is a registry and the policy
	// releases anything of the civil identity, ages included; otherwise off.
	Registry string `yaml:"registry" jsonschema:"enum=require,enum=prefer,enum=off" eg:"prefer"`
	// RegistryGrace is for how long the registry's word lets a person pass while it
	// does not answer, with prefer: ISO 8601 in years, months or days, at most P1Y. Default
	// P30D.
	RegistryGrace string `yaml:"registry_grace" eg:"P30D"`
	// ConsentValidity is how long an answer is remembered, ISO 8601 in years,
	// months or days. Default PT0S: ask each time.
	ConsentValidity string `yaml:"consent_validity" eg:"P1Y"`
}

// Allow says which providers may be used.
type Allow struct {
	// Allow lists provider ids. Default []: all of them.
	Allow []string `yaml:"allow" eg:"[tax]"`
	// Deny lists provider ids that may not be used. Default [].
	Deny []string `yaml:"deny" eg:"[city]"`
}

// ClaimRule allows one claim.
type ClaimRule struct {
	// Name is the claim. Required.
	Name string `yaml:"name" jsonschema:"required" eg:"given_name"`
	// Required: the service cannot work without it, so there is no checkbox.
	// Default false.
	Required bool `yaml:"required" eg:"true"`
}
