package policies

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// Change is one difference between two versions of a policy, as a sentence.
type Change struct {
	More bool   `json:"more"` // more may leave than before, or on less than before
	Text string `json:"text"`
}

// Diff says in sentences what a citizen or a lawyer would want to know of a change
// from one version of a policy to another. The version itself is none. It is empty
// exactly when the two say the same.
func Diff(from, to *Policy) []Change {
	d := differ{}
	d.claims(from, to)
	d.say(to.Basis == Consent != (from.Basis == Consent) && from.Basis == Consent, from.Basis != to.Basis,
		"The legal basis is %s, and was %s.", to.Basis, from.Basis)
	for _, lang := range languages(from.Purpose, to.Purpose) {
		d.say(false, from.Purpose[lang] != to.Purpose[lang], "The purpose (%s) is %q, and was %q.", lang, to.Purpose[lang], from.Purpose[lang])
	}
	d.say(true, from.Retention != to.Retention,
		"The service keeps the data for %s, and did for %s.", unsaid(to.Retention), unsaid(from.Retention))
	d.say(!to.MinACR.Reaches(from.MinACR), from.MinACR != to.MinACR, "A sign-in has to reach %s, and had to reach %s.", to.MinACR, from.MinACR)
	d.say(from.ConsentValidity.AddTo(epoch).Before(to.ConsentValidity.AddTo(epoch)), from.ConsentValidity != to.ConsentValidity,
		"An answer is remembered for %s, and was for %s.", to.ConsentValidity, from.ConsentValidity)
	d.say(wider(from.AllowProviders, to.AllowProviders), !slices.Equal(from.AllowProviders, to.AllowProviders),
		"She may use %s, and could use %s.", providers(to.AllowProviders, "any provider"), providers(from.AllowProviders, "any provider"))
	d.say(!all(from.DenyProviders, to.DenyProviders), !slices.Equal(from.DenyProviders, to.DenyProviders),
		"She may not use %s, and could not use %s.", providers(to.DenyProviders, "none in particular"), providers(from.DenyProviders, "none in particular"))
	d.say(to.Registry != RegistryRequire && from.Registry != RegistryOff, from.Registry != to.Registry,
		"The civil registry is asked: %s, and was: %s.", registryWord(to.Registry), registryWord(from.Registry))
	d.say(from.RegistryGrace.AddTo(epoch).Before(to.RegistryGrace.AddTo(epoch)), from.RegistryGrace != to.RegistryGrace,
		"While the registry does not answer, its word counts for %s, and did for %s.", to.RegistryGrace, from.RegistryGrace)
	d.conditions(from, to)
	return d.changes
}

// epoch is a day from which periods are compared.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

type differ struct{ changes []Change }

func (d *differ) say(more, differs bool, format string, args ...any) { //nolint:revive // as fmt.Sprintf
	if differs {
		d.changes = append(d.changes, Change{More: more, Text: fmt.Sprintf(format, args...)})
	}
}

func (d *differ) claims(from, to *Policy) {
	for _, c := range protocol.Claims() {
		was, before := from.rule(c)
		is, now := to.rule(c)
		kind := map[bool]string{true: "required", false: "optional"}
		switch {
		case now && !before:
			d.say(true, true, "The service may now receive %s (%s).", c, kind[is.Required])
		case before && !now:
			d.say(false, true, "The service no longer receives %s.", c)
		case was.Required != is.Required:
			d.say(is.Required, true, "%s is now %s, and was %s.", c, kind[is.Required], kind[was.Required])
		}
	}
}

// conditions: one that is gone, or different, may let through what it held back.
func (d *differ) conditions(from, to *Policy) {
	was, is := byID(from), byID(to)
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[id]; !ok {
			d.say(true, true, "The condition %s is gone: %s", id, was[id].sentence())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(is)) {
		before, ok := was[id]
		after := is[id]
		switch {
		case !ok:
			d.say(false, true, "There is a new condition %s: %s", id, after.sentence())
		case before.sentence() != after.sentence():
			d.say(true, true, "The condition %s is now: %s It was: %s", id, after.sentence(), before.sentence())
		}
	}
}

func byID(p *Policy) map[string]Condition {
	out := map[string]Condition{}
	for _, c := range p.Conditions {
		out[c.ID] = c
	}
	return out
}

// sentence is all that a condition says.
func (c Condition) sentence() string {
	var then string
	switch c.Then {
	case Deny:
		then = "the sign-in is denied"
		for _, lang := range languages(c.Reason, nil) {
			then += fmt.Sprintf(" (%s: %q)", lang, c.Reason[lang])
		}
	case RequireACR:
		then = "the sign-in has to reach " + string(c.ACR)
	case Withhold:
		then = strings.Join(texts(c.Claims), ", ") + " is withheld"
	case AskAgain:
		then = "she is asked again"
	default:
		then = string(c.Then)
	}
	return "when " + c.When + ", " + then + "."
}

func languages(a, b protocol.Text) []string {
	all := maps.Clone(a)
	if all == nil {
		all = protocol.Text{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func unsaid(retention string) string {
	if retention == "" {
		return "a time that is not said"
	}
	return retention
}

func providers(ids []protocol.ProviderID, none string) string {
	if len(ids) == 0 {
		return none
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return strings.Join(out, ", ")
}

func wider(from, to []protocol.ProviderID) bool {
	return len(from) > 0 && (len(to) == 0 || !all(to, from))
}

func all(a, in []protocol.ProviderID) bool {
	return !slices.ContainsFunc(a, func(id protocol.ProviderID) bool { return !slices.Contains(in, id) })
}

func registryWord(r Registry) string {
	if r == RegistryOff {
		return "not at all"
	}
	return string(r)
}

// Unversioned names the policies that say something else than before under the same
// version: people who answered under it answered to something else.
func Unversioned(from, to *Table) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(to.byID)) {
		was, ok := from.byID[id]
		if ok && was.Version == to.byID[id].Version && len(Diff(was, to.byID[id])) > 0 {
			out = append(out, id)
		}
	}
	return out
}

// IDs lists the policies, sorted.
func (t *Table) IDs() []string { return slices.Sorted(maps.Keys(t.byID)) }
