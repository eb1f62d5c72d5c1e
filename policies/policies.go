// Package policies makes the decisions: which providers are offered, which
// claims may be released, whether to ask the person, on what legal basis, and
// why not. Its functions are pure: facts in, decision out; no context, no I/O,
// no clock. Everything else in Voussoir carries out what is decided here.
package policies

import (
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// LegalBasis is the ground on which claims are passed on (GDPR article 6(1)).
type LegalBasis string

// The bases: (a), (e) and (c) of article 6(1).
const (
	Consent         LegalBasis = "consent"
	PublicTask      LegalBasis = "public_task"
	LegalObligation LegalBasis = "legal_obligation"
)

// Policy says what one or more services may receive, why, and from whom.
type Policy struct {
	ID              string
	Version         int
	Purpose         protocol.Text
	Basis           LegalBasis
	Retention       string // ISO 8601 duration, as shown to the person
	MinACR          protocol.ACR
	AllowProviders  []protocol.ProviderID // empty: all
	DenyProviders   []protocol.ProviderID // never these, even when they are allowed
	Claims          []ClaimRule
	ConsentValidity Period // how long an answer is remembered; zero: ask each time
	Registry        Registry
	RegistryGrace   Period      // with RegistryPrefer
	Conditions      []Condition // compiled; see condition.go
}

// ClaimRule allows one claim.
type ClaimRule struct {
	Name     protocol.Claim
	Required bool // the service cannot work without it: no checkbox
}

// Period is an ISO 8601 calendar duration of years, months and days.
type Period struct{ Years, Months, Days int }

// Standing is an earlier answer of this person to this client.
type Standing struct {
	PolicyID      string
	PolicyVersion int
	Basis         LegalBasis       // on which she was asked, or told: being told is no consent
	Shown, Agreed []protocol.Claim // Agreed is a subset of Shown
	Until         time.Time
}

// Facts is all that Decide looks at.
type Facts struct {
	Client   *clients.Client
	Request  protocol.AuthRequest
	ACR      protocol.ACR     // what the provider really reached
	Has      []protocol.Claim // what we know of the person, derived facts included
	Provider protocol.ProviderID
	Person   Person    // for conditions
	Switched bool      // somebody else was signed in at this browser until now
	Standing *Standing // nil: she has not answered before, or withdrew
	Now      time.Time
}

// Ask is what the person must see before anything leaves.
type Ask uint8

// The kinds of page. AskNothing: a standing answer covers it.
const (
	AskNothing Ask = iota
	AskConsent     // agree or refuse
	AskInform      // informed, on another basis than consent; may still turn back
)

// Decision is what may happen. When Deny is set nothing may, and only Missing and
// what goes on record (Rule, Basis, the policy) is set beside it.
type Decision struct {
	Release       []protocol.Claim // leave if she goes on; with AskNothing, all that leaves
	Optional      []protocol.Claim // one unticked checkbox each
	Missing       []protocol.Claim // required, asked for, and not known (with Deny)
	Ask           Ask
	Basis         LegalBasis
	Deny          protocol.ErrorCode
	Rule          string // which rule decided; see Named
	Condition     string `json:",omitempty"` // which condition did, where the rule is one of conditions
	PolicyID      string
	PolicyVersion int
	Until         time.Time // until when an answer given now is remembered; zero: not
	OfflineUntil  time.Time `json:",omitzero"` // until when the service may come back while she is away, if she goes on; zero: not

	Withheld   []protocol.Claim `json:",omitempty"` // asked for, allowed and known, and kept back by a condition
	RequireACR protocol.ACR     `json:",omitempty"` // with RuleConditionACR: the level that would do
	Reason     protocol.Text    `json:",omitempty"` // with RuleConditionDenied: what the person reads
}

// Named is the rule as it goes on record: with the condition, where one decided.
func (d Decision) Named() string {
	if d.Condition == "" {
		return d.Rule
	}
	return d.Rule + ":" + d.Condition
}

// Answered returns what leaves when the person ticked these boxes: Release and
// those of Optional that she ticked, and nothing else that she may have sent.
func (d Decision) Answered(ticked []protocol.Claim) []protocol.Claim {
	out := append([]protocol.Claim(nil), d.Release...)
	for _, o := range d.Optional {
		for _, t := range ticked {
			if t == o {
				out = append(out, o)
				break
			}
		}
	}
	return out
}

// ProviderFacts is what Offer looks at for one provider.
type ProviderFacts struct {
	ID     protocol.ProviderID
	MaxACR protocol.ACR
}

// Offer says how one provider appears on the choice page.
type Offer struct {
	ID      protocol.ProviderID
	TooWeak bool // shown but not selectable: cannot reach the level
}

// Table is the immutable set of policies.
type Table struct{ byID map[string]*Policy }

// NewTable makes a table; the caller has refused doubles (cmd/voussoir/config does).
func NewTable(ps ...*Policy) *Table {
	t := &Table{byID: make(map[string]*Policy, len(ps))}
	for _, p := range ps {
		t.byID[p.ID] = p.inOrder()
	}
	return t
}

// With is t with more policies; of two with the same id the later counts.
func (t *Table) With(ps ...*Policy) *Table {
	out := NewTable(ps...)
	for id, p := range t.byID {
		if _, replaced := out.byID[id]; !replaced {
			out.byID[id] = p
		}
	}
	return out
}

// inOrder is p with its conditions by id: of several that deny, the first is on
// record, and the order in which they were written must mean nothing.
func (p *Policy) inOrder() *Policy {
	byID := func(a, b Condition) int { return strings.Compare(a.ID, b.ID) }
	if slices.IsSortedFunc(p.Conditions, byID) {
		return p
	}
	sorted := *p
	sorted.Conditions = slices.SortedFunc(slices.Values(p.Conditions), byID)
	return &sorted
}

// ByID returns a policy, or false.
func (t *Table) ByID(id string) (*Policy, bool) { p, ok := t.byID[id]; return p, ok }

// Policy returns the policy of a client, or false.
func (t *Table) Policy(c *clients.Client) (*Policy, bool) { p, ok := t.byID[c.Policy]; return p, ok }
