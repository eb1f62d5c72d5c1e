package config

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/voussoir-id/voussoir/cog"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// Condition narrows what a policy releases, by facts of the sign-in.
type Condition struct {
	// ID is its name on record: 1 to 32 of a-z, 0-9 and -. Required.
	ID string `yaml:"id" jsonschema:"required" eg:"adults"`
	// When is an expression (CEL) that is true or false, of at most 1000 bytes. If nobody
	// can say which, the sign-in is denied. Required.
	When string `yaml:"when" jsonschema:"required" eg:"\"!person.age_over(18)\""`
	// Then is what happens when it is true: deny, withhold some claims, require_acr a
	// level, or ask again whatever the person answered before. Required.
	Then string `yaml:"then" jsonschema:"required,enum=deny,enum=withhold,enum=require_acr,enum=ask" eg:"deny"`
	// Claims are withheld, with then: withhold. Only optional ones can be.
	Claims []string `yaml:"claims" eg:"[email]"`
	// ACR is the level, with then: require_acr.
	ACR string `yaml:"acr" jsonschema:"enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas2"`
	// Reason is what the person reads, with then: deny.
	Reason Text `yaml:"reason" eg:"{ fr: \"Ce service est réservé aux adultes.\", en: \"This service is for adults.\" }"`
}

// maxConditions of one policy: each is evaluated at each sign-in.
const maxConditions = 20

var conditionID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (c *checker) conditions(p *Policy, path string) {
	path += ".conditions"
	if len(p.Conditions) > maxConditions {
		c.add(path, fmt.Sprintf("there are more than %d conditions", maxConditions), "several policies, or conditions put together with ||")
		return
	}
	doubles(c, path, p.Conditions, func(k Condition) string { return k.ID })
	for i := range p.Conditions {
		k, at := &p.Conditions[i], index(path, i)
		if c.sound(at+".id", k.ID) && !conditionID.MatchString(k.ID) {
			c.add(at+".id", quote(k.ID)+" cannot be a condition's id", "1 to 32 of a-z, 0-9 and -, such as adults")
		}
		c.empty(at+".id", k.ID, "id: adults")
		c.effect(p, k, at)
		c.expression(k, at)
	}
}

// effect checks that a condition has what its effect needs, and nothing else.
func (c *checker) effect(p *Policy, k *Condition, at string) {
	if !c.ok(at+".then") || k.Then == "" {
		return
	}
	for _, need := range []struct {
		key, then, eg string
		there         bool
	}{
		{"claims", string(policies.Withhold), "claims: [email]", len(k.Claims) > 0},
		{"acr", string(policies.RequireACR), "acr: eidas2", k.ACR != ""},
		{"reason", string(policies.Deny), "reason: { fr: …, en: … }: she is turned away, and has to know why", len(k.Reason) > 0},
	} {
		switch path := at + "." + need.key; {
		case k.Then == need.then && !need.there && !c.has(path):
			c.add(path, "with then: "+need.then+" this is missing", need.eg)
		case k.Then != need.then && c.has(path):
			c.add(path, "this has no effect with then: "+k.Then, "then: "+need.then+", or remove this line")
		}
	}
	c.text(at+".reason", k.Reason, 200)
	for i, name := range k.Claims {
		path := index(at+".claims", i)
		rule := slices.IndexFunc(p.Claims, func(r ClaimRule) bool { return r.Name == name })
		switch {
		case !c.ok(path):
		case rule < 0:
			c.add(path, "this policy does not release "+quote(name)+" at all", "a claim of this policy, or remove it")
		case p.Claims[rule].Required:
			c.add(path, name+" is required: the service cannot work without it", "required: false in its claim, or then: deny")
		}
	}
}

// expression compiles, and looks whether what it compares facts with exists.
func (c *checker) expression(k *Condition, at string) {
	path := at + ".when"
	if !c.sound(path, k.When) {
		c.empty(path, k.When, "when: \"!person.age_over(18)\"")
		return
	}
	if c.compiler == nil {
		var err error
		if c.compiler, err = policies.NewCompiler(); err != nil {
			c.add(path, err.Error(), "nothing: this is a fault of the program")
			return
		}
	}
	done, err := c.compiler.Compile(policies.Condition{
		ID: k.ID, When: k.When, Then: policies.Effect(k.Then), Claims: words[protocol.Claim](k.Claims),
		ACR: protocol.ACR(k.ACR), Reason: k.Reason.text(),
	})
	if err != nil {
		c.add(path, err.Error(), "an expression over the facts of docs/policies.md")
		return
	}
	c.compiled[at] = done
	for _, l := range done.Literals() {
		c.literal(path, l)
	}
}

// literal refuses a word that its fact can never be.
func (c *checker) literal(path string, l policies.Literal) {
	var all []string
	switch l.Fact {
	case "service":
		for _, k := range c.f.Clients {
			all = append(all, k.ID)
		}
		if len(c.f.Registration.Tokens) > 0 {
			return // services come and go
		}
	case "provider":
		all = c.providerIDs()
	case "acr":
		all = []string{string(protocol.EIDAS1), string(protocol.EIDAS2), string(protocol.EIDAS3)}
	case "requested", "known":
		l.Fact, all = "claim", claimNames()
	default:
		if !place(l) {
			c.add(path, "there is no "+l.Fact+" with the code "+quote(l.Value), "its INSEE code of "+fmt.Sprint(cog.Year)+", such as "+
				map[string]string{"commune": "69123", "departement": "69", "region": "84"}[l.Fact])
		}
		return
	}
	if !slices.Contains(all, "") && !slices.Contains(all, l.Value) {
		what, instead := unknownName(l.Fact, l.Value, all)
		c.add(path, what, instead)
	}
}

// place reports whether somebody can live there: in a commune of today, which a
// delegated one or an arrondissement is not.
func place(l policies.Literal) bool {
	switch l.Fact {
	case "commune":
		p, ok := cog.Lookup(l.Value)
		return ok && p.Kind == cog.Commune
	case "departement":
		_, _, ok := cog.Departement(l.Value)
		return ok
	}
	_, ok := cog.Region(l.Value)
	return ok
}

func (c *checker) loadConditions(p *Policy, path string) []policies.Condition {
	var out []policies.Condition
	for i := range p.Conditions {
		out = append(out, c.compiled[index(path+".conditions", i)])
	}
	return out
}
