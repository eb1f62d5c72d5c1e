package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
)

func (c *checker) policy(i int) {
	p, path := &c.f.Policies[i], index("policies", i)
	if at := path + ".id"; c.sound(at, p.ID) && !clientID.MatchString(p.ID) {
		c.add(at, quote(p.ID)+" cannot be a policy's id", "1 to 64 of letters, digits and -._~, such as library")
	}
	c.empty(path+".id", p.ID, "id: library")
	if at := path + ".version"; c.has(at) && c.ok(at) && (p.Version < 1 || p.Version > 1_000_000_000) {
		c.add(at, "a version is 1 or more", "version: 1")
	}
	c.text(path+".purpose", p.Purpose, 300)
	c.durations(p, path)
	c.known(path+".providers.allow", p.Providers.Allow, c.providerIDs(), "provider")
	c.denied(p, path)
	c.reachable(p, path)
	c.claimRules(p, path)
	c.registryOf(p, path)
	c.conditions(p, path)
	c.policyTests(p, path)
	c.remarks(p, path)
}

func (c *checker) durations(p *Policy, path string) {
	if at := path + ".retention"; c.has(at) && c.ok(at) && p.Retention != "" {
		if _, _, err := parseDuration(p.Retention); err != nil {
			c.add(at, quote(p.Retention)+" "+err.Error(), "retention: P1Y (a year), P6M (six months) or P30D (thirty days)")
		}
	}
	at := path + ".consent_validity"
	if !c.has(at) || !c.ok(at) {
		return
	}
	period, clock, err := parseDuration(p.ConsentValidity)
	switch {
	case err != nil:
		c.add(at, quote(p.ConsentValidity)+" "+err.Error(), "consent_validity: P1Y (a year), or PT0S (ask each time)")
	case clock != 0:
		c.add(at, "an answer is remembered for whole days, months or years", "consent_validity: P1D, or PT0S (ask each time)")
	case period.Years*366+period.Months*31+period.Days > 10*366:
		c.add(at, "an answer is remembered for ten years at most", "consent_validity: P1Y")
	}
}

// reachable: a level that no allowed provider has would lock everybody out.
func (c *checker) reachable(p *Policy, path string) {
	want := protocol.ACR(p.MinACR)
	if !want.Known() || len(c.f.Providers) == 0 {
		return
	}
	best := protocol.ACR("")
	for _, idp := range c.f.Providers {
		if !p.usable(&idp) {
			continue
		}
		if !protocol.ACR(idp.ACR.Max).Known() {
			return // reported there
		}
		best = protocol.StrongerACR(best, protocol.ACR(idp.ACR.Max))
	}
	if best != "" && !best.Reaches(want) {
		c.add(path+".min_acr", "no provider that this policy allows reaches "+string(want), "min_acr: "+string(best)+", or allow a provider that reaches "+string(want))
	}
}

func (c *checker) claimRules(p *Policy, path string) {
	names := make([]string, len(p.Claims))
	for i, r := range p.Claims {
		names[i] = r.Name
		at := index(path+".claims", i) + ".name"
		switch {
		case !c.has(at) || !c.ok(at):
		case r.Name == "sub":
			c.add(at, "sub always goes to the service and is no choice of a policy", "nothing: remove this entry")
		case r.Name == "email_verified":
			c.add(at, "email_verified goes with email and is no choice of its own", "name: email")
		case !protocol.Claim(r.Name).Known():
			what, instead := unknownName("claim", r.Name, claimNames())
			c.add(at, what, instead)
		case slices.Index(names, r.Name) < i:
			c.add(at, fmt.Sprintf("the claim %s is in this policy twice; it first stands on line %d", r.Name, c.place(index(path+".claims", slices.Index(names, r.Name))+".name").line), "it once")
		}
	}
	c.birthdateBesideAge(p, path)
	c.residenceTwice(p, path)
}

// residenceTwice objects where a service takes a smaller territory although its
// policy also has a larger one, and so says that this would do.
func (c *checker) residenceTwice(p *Policy, path string) {
	coarsest := ""
	for _, claim := range protocol.Residences() {
		i := slices.IndexFunc(p.Claims, func(r ClaimRule) bool { return r.Name == string(claim) })
		switch {
		case i < 0:
		case coarsest == "":
			coarsest = string(claim)
		case p.Claims[i].Required:
			c.add(index(path+".claims", i)+".name", string(claim)+" is required although "+coarsest+" is enough for this policy", "remove "+string(claim)+"; or remove "+coarsest+" if the smaller territory is needed")
		}
	}
}

// birthdateBesideAge objects where a service takes a birth date that its policy
// justifies by an age threshold only (data minimisation, GDPR article 5(1)(c)).
func (c *checker) birthdateBesideAge(p *Policy, path string) {
	birthdate, age := -1, ""
	for i, r := range p.Claims {
		if r.Name == string(protocol.Birthdate) && r.Required {
			birthdate = i
		}
		if strings.HasPrefix(r.Name, "age_over_") {
			age = r.Name
		}
	}
	if birthdate >= 0 && age != "" {
		c.add(index(path+".claims", birthdate)+".name", "the birth date is required although an age threshold ("+age+") is enough for this policy", "remove birthdate, and keep "+age+"; or remove "+age+" if the date itself is needed")
	}
}
