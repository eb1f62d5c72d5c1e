package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/cog"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// PolicyTest is one case of a policy's test table.
type PolicyTest struct {
	// Name is a sentence that says what is expected. Required.
	Name string `yaml:"name" jsonschema:"required" eg:"\"a minor is turned away\""`
	// Facts are what is known of the sign-in.
	Facts Facts `yaml:"facts"`
	// Want is what is expected. What it leaves out may be anything. Required.
	Want Want `yaml:"want" jsonschema:"required" eg:"{ rule: first-time }"`
}

// Facts are those of a sign-in that is only thought of. What is left out is the usual.
type Facts struct {
	// Client is the service. Default: the first one under the policy.
	Client string `yaml:"client" eg:"city-library"`
	// Scopes are those of its request; openid is always among them. Default: all that
	// the policy allows is asked for.
	Scopes []string `yaml:"scopes" eg:"[given_name, email]"`
	// Voluntary are claims that it asks for through the claims parameter, and can do
	// without. Default [].
	Voluntary []string `yaml:"voluntary" eg:"[birthdate]"`
	// Provider is where she signs in. Default: the first one that the policy allows.
	Provider string `yaml:"provider" eg:"tax"`
	// ACR is the level that it reached. Default: the weakest that will do.
	ACR string `yaml:"acr" jsonschema:"enum=eidas1,enum=eidas2,enum=eidas3" eg:"eidas1"`
	// Known are the claims that are known of her. Default: all of the policy.
	Known []string `yaml:"known" eg:"[given_name, email]"`
	// Age is hers, in years, 1 to 130. Default: not known.
	Age int `yaml:"age" eg:"34"`
	// Commune is where she lives, by its INSEE code. Default: not known.
	Commune string `yaml:"commune" eg:"\"69123\""`
	// At is when she signs in (RFC 3339). Default 2026-01-15T11:00:00Z, a Thursday, noon
	// in France.
	At string `yaml:"at" eg:"2026-01-15T11:00:00Z"`
	// Prompt is consent where the service wants her to be asked. Default "".
	Prompt string `yaml:"prompt" jsonschema:"enum=,enum=consent" eg:"consent"`
	// AnotherPerson is whether somebody else was signed in at this browser until now.
	// Default false.
	AnotherPerson bool `yaml:"another_person" eg:"true"`
	// Answered are the claims that she agreed to before, all of the policy having been
	// shown to her, under this version of it. Default: she has not answered before.
	Answered []string `yaml:"answered" eg:"[given_name]"`
}

// Want is what is expected of a decision.
type Want struct {
	// Release is what leaves, or leaves if she goes on.
	Release []string `yaml:"release" eg:"[given_name]"`
	// Optional is what she may tick.
	Optional []string `yaml:"optional" eg:"[email]"`
	// Missing is what is required and not known.
	Missing []string `yaml:"missing" eg:"[given_name]"`
	// Deny is whether nothing may leave.
	Deny *bool `yaml:"deny" eg:"true"`
	// Ask is nothing, consent or inform: which page she sees.
	Ask string `yaml:"ask" jsonschema:"enum=nothing,enum=consent,enum=inform" eg:"consent"`
	// Basis is the legal basis that is named to her.
	Basis string `yaml:"basis" jsonschema:"enum=consent,enum=public_task,enum=legal_obligation" eg:"consent"`
	// Rule is which rule decides; with a condition, as in condition-denied:adults.
	Rule string `yaml:"rule" eg:"first-time"`
}

// usualTime is Facts.At where it is left out: tests do not depend on the day.
var usualTime = time.Date(2026, 1, 15, 11, 0, 0, 0, time.UTC)

// policyTests checks the tables, and not yet what comes out.
func (c *checker) policyTests(p *Policy, path string) {
	for i := range p.Tests {
		t, at := &p.Tests[i], index(path+".tests", i)
		c.empty(at+".name", t.Name, "name: \"a sentence\"")
		c.factsOf(p, &t.Facts, at+".facts")
		for _, list := range []struct {
			key   string
			names []string
		}{{"release", t.Want.Release}, {"optional", t.Want.Optional}, {"missing", t.Want.Missing}} {
			c.known(at+".want."+list.key, list.names, claimNames(), "claim")
		}
	}
}

func (c *checker) factsOf(p *Policy, f *Facts, at string) {
	for _, list := range []struct {
		key   string
		names []string
	}{{"voluntary", f.Voluntary}, {"known", f.Known}, {"answered", f.Answered}} {
		c.known(join(at, list.key), list.names, claimNames(), "claim")
	}
	var scopes, services []string
	for _, s := range protocol.Scopes() {
		scopes = append(scopes, string(s))
	}
	for _, k := range c.f.Clients {
		if k.Policy == p.ID {
			services = append(services, k.ID)
		}
	}
	c.known(join(at, "scopes"), f.Scopes, scopes, "scope")
	for _, one := range []struct {
		key, value, thing string
		all               []string
	}{{"client", f.Client, "service under this policy", services}, {"provider", f.Provider, "provider", c.providerIDs()}} {
		if path := join(at, one.key); c.sound(path, one.value) && !slices.Contains(one.all, "") && !slices.Contains(one.all, one.value) {
			what, instead := unknownName(one.thing, one.value, one.all)
			c.add(path, what, instead)
		}
	}
	if i := slices.IndexFunc(c.f.Providers, func(idp Provider) bool { return idp.ID == f.Provider }); i >= 0 && f.Provider != "" && !p.usable(&c.f.Providers[i]) {
		c.add(join(at, "provider"), "nobody can use "+quote(f.Provider)+" under this policy", "a provider that the policy allows")
	}
	if c.has(join(at, "age")) && c.ok(join(at, "age")) && (f.Age < 1 || f.Age > 130) {
		c.add(join(at, "age"), "an age is 1 to 130", "age: 34, or leave it out: not known")
	}
	if c.sound(join(at, "commune"), f.Commune) && !place(policies.Literal{Fact: "commune", Value: f.Commune}) {
		c.add(join(at, "commune"), "there is no commune with the code "+quote(f.Commune), "its INSEE code, such as \"69123\"")
	}
	if _, err := time.Parse(time.RFC3339, f.At); c.sound(join(at, "at"), f.At) && err != nil {
		c.add(join(at, "at"), quote(f.At)+" is no time", "at: 2026-01-15T11:00:00Z")
	}
}

// Trial is a case of a policy's table, ready to be decided.
type Trial struct {
	Policy string
	Name   string
	Facts  policies.Facts
	Want   Want
}

// Trials are the cases of all policies, in the order of the file.
func (l *Loaded) Trials() []Trial {
	var out []Trial
	for i := range l.file.Policies {
		p := &l.file.Policies[i]
		for _, t := range p.Tests {
			out = append(out, Trial{Policy: p.ID, Name: t.Name, Facts: l.facts(p, t.Facts), Want: t.Want})
		}
	}
	return out
}

// FactsFor reads facts (YAML, as in a test table) for a service. Mistakes are a
// Problems error.
func (l *Loaded) FactsFor(file string, data []byte, id protocol.ClientID) (policies.Facts, error) {
	client, ok := l.Clients.Get(id)
	at := slices.IndexFunc(l.file.Policies, func(p Policy) bool { return ok && p.ID == client.Policy })
	if at < 0 {
		return policies.Facts{}, fmt.Errorf("there is no service %q with a policy", id)
	}
	f, d := decodeFacts(file, data)
	c := &checker{decoder: d, f: &l.file}
	p := &l.file.Policies[at]
	if c.factsOf(p, &f, ""); len(d.problems) > 0 {
		return policies.Facts{}, d.problems
	}
	f.Client = string(id)
	return l.facts(p, f), nil
}

// facts completes what f leaves out.
func (l *Loaded) facts(p *Policy, f Facts) policies.Facts {
	out := policies.Facts{ACR: protocol.ACR(f.ACR), Provider: protocol.ProviderID(f.Provider), Switched: f.AnotherPerson, Now: usualTime}
	out.Client = l.serviceOf(p, f.Client)
	all := make([]protocol.Claim, len(p.Claims))
	for i, r := range p.Claims {
		all[i] = protocol.Claim(r.Name)
	}
	out.Request = requestOf(f, all)
	if out.ACR == "" {
		out.ACR = protocol.ACR(p.MinACR)
	}
	if out.Provider == "" {
		i := slices.IndexFunc(l.file.Providers, func(idp Provider) bool { return p.usable(&idp) })
		out.Provider = protocol.ProviderID(l.file.Providers[max(i, 0)].ID)
	}
	if out.Has = words[protocol.Claim](f.Known); f.Known == nil {
		out.Has = all
	}
	if at, err := time.Parse(time.RFC3339, f.At); err == nil {
		out.Now = at
	}
	i := slices.IndexFunc(l.file.Providers, func(idp Provider) bool { return idp.ID == string(out.Provider) })
	out.Person = policies.Person{Civil: i >= 0 && l.file.Providers[i].CivilIdentity, AgeKnown: f.Age > 0, Age: f.Age}
	if place, ok := cog.Lookup(f.Commune); ok {
		out.Person.Commune, out.Person.Departement, out.Person.Region = place.Code, place.Departement, place.Region
	}
	if f.Answered != nil {
		out.Standing = &policies.Standing{
			PolicyID: p.ID, PolicyVersion: p.Version, Basis: policies.LegalBasis(p.LegalBasis),
			Shown: all, Agreed: words[protocol.Claim](f.Answered), Until: loadPolicy(p).ConsentValidity.AddTo(out.Now),
		}
	}
	return out
}

func (l *Loaded) serviceOf(p *Policy, id string) *clients.Client {
	for _, k := range l.Clients.Services() {
		if k.Policy == p.ID && (id == "" || string(k.ID) == id) {
			return k
		}
	}
	return &clients.Client{Policy: p.ID} // of a service that will register
}

func requestOf(f Facts, all []protocol.Claim) protocol.AuthRequest {
	out := protocol.AuthRequest{Scopes: append([]protocol.Scope{protocol.OpenID}, words[protocol.Scope](f.Scopes)...)}
	out.Prompt.Consent = f.Prompt == "consent"
	out.Claims.UserInfo = map[protocol.Claim]protocol.ClaimRequest{}
	if f.Scopes == nil {
		for _, c := range all {
			out.Claims.UserInfo[c] = protocol.ClaimRequest{Essential: true}
		}
	}
	for _, c := range f.Voluntary {
		out.Claims.UserInfo[protocol.Claim(c)] = protocol.ClaimRequest{}
	}
	return out
}
