package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/protocol"
)

// Registry is the civil registry, behind an adapter of the operator's own
// (docs/registry.md).
type Registry struct {
	// URL is where identities are posted, without a query. https, or loopback http with
	// development: true. Default "": there is no registry.
	URL string `yaml:"url" eg:"https://registry.example/check"`
	// TokenFile is a file with the bearer token that is sent there, relative to this
	// file, mode 0600 or 0400. Default: none is sent.
	TokenFile string `yaml:"token_file" eg:"secrets/registry"`
	// TokenEnv names the environment variable that holds the token, in place of
	// token_file.
	TokenEnv string `yaml:"token_env" eg:"VOUSSOIR_REGISTRY_TOKEN"`
	// Contact is where people can turn to whom the registry holds for dead, shown to
	// them: an office, its address, its telephone. Default: none is named.
	Contact Text `yaml:"contact" eg:"{ fr: \"Service de l'état civil, 01 99 00 00 00\", en: \"Civil registry office, 01 99 00 00 00\" }"`
}

// CivilRegistry is Registry with its secret.
type CivilRegistry struct {
	URL, Token string
	Contact    protocol.Text
}

// The words of a policy.
const (
	registryRequire = string(policies.RegistryRequire)
	registryPrefer  = string(policies.RegistryPrefer)
	registryOff     = "off"
)

// usualGrace is registry_grace unless said otherwise.
const usualGrace = "P30D"

// registryDefaults is the careful reading: where there is a registry, nothing of a
// civil identity leaves without its word, unless the policy says so.
func registryDefaults(f *File) {
	for i := range f.Policies {
		p := &f.Policies[i]
		usual := registryOff
		if f.Registry.URL != "" && p.civil() {
			usual = registryRequire
		}
		if fill(&p.Registry, usual); p.Registry == registryPrefer {
			fill(&p.RegistryGrace, usualGrace)
		}
	}
}

// civil reports whether anything that p releases comes from the civil identity.
func (p *Policy) civil() bool {
	return slices.ContainsFunc(p.Claims, func(r ClaimRule) bool { return protocol.Claim(r.Name).Civil() })
}

func (c *checker) registry() {
	r := &c.f.Registry
	if r.URL != "" {
		c.uri("registry.url", r.URL)
	}
	if u, err := url.Parse(r.URL); err == nil && c.sound("registry.url", r.URL) && (u.RawQuery != "" || strings.Contains(r.URL, "?")) {
		c.add("registry.url", "the address of the registry has a query: identities are posted, and never in an address", "url: "+u.Scheme+"://"+u.Host+u.Path)
	}
	c.secretFile("registry.token_file", r.TokenFile)
	c.environment("registry.token_env", r.TokenEnv)
	if r.TokenFile != "" && r.TokenEnv != "" {
		c.add("registry.token_env", "the token has two places", "token_file or token_env, one of them")
	}
	if r.URL == "" && c.ok("registry.url") && (r.TokenFile != "" || r.TokenEnv != "") {
		c.add("registry.url", "there is a token, and no registry to send it to", "url: https://registry.example/check, or remove the token")
	}
	c.text("registry.contact", r.Contact, 300)
}

// registryOf checks what a policy wants of the registry.
func (c *checker) registryOf(p *Policy, path string) {
	at, grace := path+".registry", path+".registry_grace"
	wanted := p.Registry == registryRequire || p.Registry == registryPrefer
	switch {
	case !c.ok(at) || !wanted:
	case c.f.Registry.URL == "":
		c.add(at, "there is no civil registry to ask", "registry: { url: … } at the top of the file, or registry: off here")
	case !p.civil():
		c.add(at, "nothing that this policy releases is in the civil registry: it would learn of each sign-in for nothing", "registry: off, or remove this line")
	case !c.civilProvider(p):
		c.add(at, "no provider that this policy allows gives a civil identity: nobody could sign in", "registry: off, or allow a provider with civil_identity: true")
	}
	if !c.has(grace) || !c.ok(grace) {
		return
	}
	period, clock, err := parseDuration(p.RegistryGrace)
	switch {
	case p.Registry != registryPrefer && c.ok(at):
		c.add(grace, "there is a grace only with registry: prefer", "registry: prefer, or remove this line")
	case err != nil:
		c.add(grace, quote(p.RegistryGrace)+" "+err.Error(), "registry_grace: P30D")
	case clock != 0 || period.IsZero():
		c.add(grace, "a grace is one day or more, in whole days, months or years", "registry_grace: P30D, or registry: require")
	case period.Years*366+period.Months*31+period.Days > 366:
		c.add(grace, "a grace is a year at most: the registry's word is remembered for no longer", "registry_grace: P1Y")
	}
}

// civilProvider reports whether somebody could be confirmed. The usual value of a
// policy is checked too: a registry that is added must not lock anybody out unseen.
func (c *checker) civilProvider(p *Policy) bool {
	return len(c.f.Providers) == 0 || slices.ContainsFunc(c.f.Providers, func(idp Provider) bool {
		return idp.CivilIdentity && (len(p.Providers.Allow) == 0 || slices.Contains(p.Providers.Allow, idp.ID))
	})
}

func (c *checker) loadRegistry() *CivilRegistry {
	r := &c.f.Registry
	if r.URL == "" {
		return nil
	}
	path := "registry.token_file"
	if r.TokenEnv != "" {
		path = "registry.token_env"
	}
	return &CivilRegistry{URL: r.URL, Token: string(c.secret(path, r.TokenFile, r.TokenEnv)), Contact: r.Contact.text()}
}

func (p *Policy) registry() (policies.Registry, policies.Period) {
	if p.Registry == registryOff {
		return policies.RegistryOff, policies.Period{}
	}
	grace, _, _ := parseDuration(p.RegistryGrace) // a mistake is reported by the check
	return policies.Registry(p.Registry), grace
}
