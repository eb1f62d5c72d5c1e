package policies

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

var (
	noon  = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	later = time.Date(2027, 3, 14, 12, 0, 0, 0, time.UTC) // noon + P1Y
)

func library() *Policy {
	return &Policy{
		ID: "library", Version: 3, Basis: Consent, MinACR: protocol.EIDAS1,
		Claims: []ClaimRule{
			{Name: protocol.GivenName, Required: true},
			{Name: protocol.AgeOver16, Required: true},
			{Name: protocol.Email},
		},
		ConsentValidity: Period{Years: 1},
	}
}

// visit is a request that asks for all of it, by somebody of whom all is known,
// and who has not been here before.
func visit() Facts {
	return Facts{
		Client:  &clients.Client{ID: "city-library", Policy: "library"},
		Request: protocol.AuthRequest{Scopes: []protocol.Scope{"openid", "given_name", "age_over_16", "email"}},
		ACR:     protocol.EIDAS1,
		Has:     []protocol.Claim{protocol.GivenName, protocol.FamilyName, protocol.Birthdate, protocol.Email, protocol.AgeOver16},
		Now:     noon,
	}
}

func answered(agreed ...protocol.Claim) *Standing {
	return &Standing{
		PolicyID: "library", PolicyVersion: 3, Basis: Consent, Until: later,
		Shown:  []protocol.Claim{protocol.GivenName, protocol.Email, protocol.AgeOver16},
		Agreed: agreed,
	}
}

var (
	firm = []protocol.Claim{protocol.GivenName, protocol.AgeOver16}
	mail = []protocol.Claim{protocol.Email}
)

// asks is a decision of the library's policy that shows the page.
func asks(rule string) Decision {
	return Decision{Release: firm, Optional: mail, Ask: AskConsent, Basis: Consent, Rule: rule, PolicyID: "library", PolicyVersion: 3, Until: later}
}

// wantsOffline makes the request one that asks to come back while she is away.
func wantsOffline(f *Facts) {
	f.Client.RefreshIdle, f.Client.RefreshMax = 30*24*time.Hour, 180*24*time.Hour
	f.Request.Scopes = append(f.Request.Scopes, protocol.OfflineAccess)
}

func offlineUntil(d Decision, until time.Time) Decision { d.OfflineUntil = until; return d }

type decideRow struct {
	name   string
	policy func(*Policy)
	facts  func(*Facts)
	want   Decision
}

func decideRows() []decideRow {
	return []decideRow{
		{
			name:  "denies a client whose policy does not exist, since nothing is justified",
			facts: func(f *Facts) { f.Client = &clients.Client{ID: "city-library", Policy: "nowhere"} },
			want:  Decision{Deny: protocol.UnauthorizedClient, Rule: RuleNoPolicy},
		},
		{
			name:   "denies a sign-in below the level of the policy",
			policy: func(p *Policy) { p.MinACR = protocol.EIDAS2 },
			want:   Decision{Deny: protocol.AccessDenied, Rule: RuleACR, Basis: Consent, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:  "denies a sign-in below the level that the request asks for, though the policy would be content",
			facts: func(f *Facts) { f.Request.MinACR = protocol.EIDAS2 },
			want:  Decision{Deny: protocol.AccessDenied, Rule: RuleACR, Basis: Consent, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:  "denies a sign-in whose level nobody knows, even where the lowest would do",
			facts: func(f *Facts) { f.ACR = "eidas4" },
			want:  Decision{Deny: protocol.AccessDenied, Rule: RuleACR, Basis: Consent, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:   "denies everybody when the policy demands a level that does not exist",
			policy: func(p *Policy) { p.MinACR = "eidas9" },
			facts:  func(f *Facts) { f.ACR = protocol.EIDAS3 },
			want:   Decision{Deny: protocol.AccessDenied, Rule: RuleACR, Basis: Consent, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:  "denies when a claim that the service cannot work without is not known, and says which",
			facts: func(f *Facts) { f.Has = mail },
			want: Decision{
				Deny: protocol.AccessDenied, Missing: firm, Rule: RuleMissing,
				Basis: Consent, PolicyID: "library", PolicyVersion: 3,
			},
		},
		{
			name: "shows the page to one who took another's place at this browser, though she has agreed before, and ticks nothing",
			facts: func(f *Facts) {
				f.Switched = true
				f.Standing = answered(protocol.GivenName, protocol.AgeOver16, protocol.Email)
			},
			want: asks(RuleOtherPerson),
		},
		{
			name:  "asks again where the service wants to come back while she is away, whatever she has answered before, OIDC Core 11",
			facts: func(f *Facts) { wantsOffline(f); f.Standing = answered(firm...) },
			want:  offlineUntil(asks(RuleOffline), noon.Add(180*24*time.Hour)),
		},
		{
			name:   "tells her where the law does not require her agreement",
			policy: func(p *Policy) { p.Basis = PublicTask },
			facts:  wantsOffline,
			want: func() Decision {
				d := offlineUntil(asks(RuleOffline), noon.Add(180*24*time.Hour))
				d.Ask, d.Basis = AskInform, PublicTask
				return d
			}(),
		},
		{
			name:  "asks for nothing more when the service may not come back: then its wish is as good as none",
			facts: func(f *Facts) { wantsOffline(f); f.Client.RefreshMax = 0; f.Standing = answered(firm...) },
			want: Decision{
				Release: firm, Basis: Consent, Rule: RuleStanding, PolicyID: "library", PolicyVersion: 3,
			},
		},
		{
			name:  "does not ask anew when the service could come back and has not asked to",
			facts: func(f *Facts) { f.Client.RefreshMax = time.Hour; f.Standing = answered(firm...) },
			want: Decision{
				Release: firm, Basis: Consent, Rule: RuleStanding, PolicyID: "library", PolicyVersion: 3,
			},
		},
		{
			name: "does not miss a required claim that the request itself calls voluntary, OIDC Core 5.5.1",
			facts: func(f *Facts) {
				f.Request.Scopes = []protocol.Scope{"openid", "given_name"}
				f.Request.Claims.UserInfo = map[protocol.Claim]protocol.ClaimRequest{protocol.AgeOver16: {}}
				f.Has = []protocol.Claim{protocol.GivenName}
			},
			want: Decision{
				Release: []protocol.Claim{protocol.GivenName}, Ask: AskConsent, Basis: Consent,
				Rule: RuleFirstTime, PolicyID: "library", PolicyVersion: 3, Until: later,
			},
		},
		{
			name: "offers a required claim as a checkbox when the request calls it voluntary",
			facts: func(f *Facts) {
				f.Request.Scopes = []protocol.Scope{"openid"}
				f.Request.Claims.UserInfo = map[protocol.Claim]protocol.ClaimRequest{protocol.GivenName: {}, protocol.AgeOver16: {Essential: true}}
			},
			want: Decision{
				Release: []protocol.Claim{protocol.AgeOver16}, Optional: []protocol.Claim{protocol.GivenName}, Ask: AskConsent,
				Basis: Consent, Rule: RuleFirstTime, PolicyID: "library", PolicyVersion: 3, Until: later,
			},
		},
		{
			name: "asks somebody who has not been here before, with unticked boxes for what is optional",
			want: asks(RuleFirstTime),
		},
		{
			name:  "leaves out what the policy does not allow, however much is asked for",
			facts: func(f *Facts) { f.Request.Scopes = append(f.Request.Scopes, "profile", "birth", "idp_id") },
			want:  asks(RuleFirstTime),
		},
		{
			name:  "asks for nothing that the request does not ask for, however much the policy allows",
			facts: func(f *Facts) { f.Request.Scopes = []protocol.Scope{"openid"} },
			want:  Decision{Ask: AskConsent, Basis: Consent, Rule: RuleFirstTime, PolicyID: "library", PolicyVersion: 3, Until: later},
		},
		{
			name: "asks when the service says prompt=consent, and ticks nothing though she agreed before",
			facts: func(f *Facts) {
				f.Request.Prompt.Consent = true
				f.Standing = answered(protocol.GivenName, protocol.AgeOver16, protocol.Email)
			},
			want: asks(RulePromptConsent),
		},
		{
			name:   "asks each time when the policy remembers no answer",
			policy: func(p *Policy) { p.ConsentValidity = Period{} },
			facts:  func(f *Facts) { f.Standing = answered(firm...) },
			want:   Decision{Release: firm, Optional: mail, Ask: AskConsent, Basis: Consent, Rule: RuleEveryTime, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:   "informs on a public task, and still asks about what is optional",
			policy: func(p *Policy) { p.Basis = PublicTask },
			want: Decision{
				Release: firm, Optional: mail, Ask: AskInform, Basis: PublicTask,
				Rule: RuleInformed, PolicyID: "library", PolicyVersion: 3, Until: later,
			},
		},
		{
			name:   "informs on a legal obligation",
			policy: func(p *Policy) { p.Basis = LegalObligation },
			want: Decision{
				Release: firm, Optional: mail, Ask: AskInform, Basis: LegalObligation,
				Rule: RuleInformed, PolicyID: "library", PolicyVersion: 3, Until: later,
			},
		},
		{
			name:   "asks, as for consent, when it does not know the legal basis",
			policy: func(p *Policy) { p.Basis = "because" },
			want: Decision{
				Release: firm, Optional: mail, Ask: AskConsent, Basis: "because",
				Rule: RuleFirstTime, PolicyID: "library", PolicyVersion: 3, Until: later,
			},
		},
		{
			name:  "asks again when the policy has a new version",
			facts: func(f *Facts) { f.Standing = answered(firm...); f.Standing.PolicyVersion = 2 },
			want:  asks(RulePolicyChanged),
		},
		{
			name:  "asks again when the service works under another policy than she answered",
			facts: func(f *Facts) { f.Standing = answered(firm...); f.Standing.PolicyID = "archive" },
			want:  asks(RulePolicyChanged),
		},
		{
			name:  "asks somebody who was only informed, when the service turns to consent under the same version",
			facts: func(f *Facts) { f.Standing = answered(firm...); f.Standing.Basis = PublicTask },
			want:  asks(RulePolicyChanged),
		},
		{
			name:  "asks again at the very moment until which her answer is remembered",
			facts: func(f *Facts) { f.Standing = answered(firm...); f.Standing.Until = noon },
			want:  asks(RuleExpired),
		},
		{
			name:   "asks again when the policy remembers answers for a shorter time than when she gave hers",
			policy: func(p *Policy) { p.ConsentValidity = Period{Months: 1} },
			facts:  func(f *Facts) { f.Standing = answered(firm...); f.Standing.Until = noon.AddDate(0, 1, 2) },
			want: Decision{
				Release: firm, Optional: mail, Ask: AskConsent, Basis: Consent,
				Rule: RuleExpired, PolicyID: "library", PolicyVersion: 3, Until: noon.AddDate(0, 1, 0),
			},
		},
		{
			name:  "takes an answer that another machine gave by a clock an hour ahead",
			facts: func(f *Facts) { f.Standing = answered(firm...); f.Standing.Until = later.Add(time.Hour) },
			want:  Decision{Release: firm, Basis: Consent, Rule: RuleStanding, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:  "asks again when an optional claim is asked for that she has not seen",
			facts: func(f *Facts) { f.Standing = answered(firm...); f.Standing.Shown = firm },
			want:  asks(RuleNewClaim),
		},
		{
			name: "asks again when a claim that she left unticked is needed now",
			facts: func(f *Facts) {
				f.Standing = answered(protocol.GivenName)
			},
			want: asks(RuleNewClaim),
		},
		{
			name:  "asks nothing when her answer covers it, and leaves out what she did not tick",
			facts: func(f *Facts) { f.Standing = answered(firm...) },
			want:  Decision{Release: firm, Basis: Consent, Rule: RuleStanding, PolicyID: "library", PolicyVersion: 3},
		},
		{
			name:  "asks nothing when her answer covers it, and gives what she ticked",
			facts: func(f *Facts) { f.Standing = answered(protocol.GivenName, protocol.AgeOver16, protocol.Email) },
			want: Decision{
				Release: []protocol.Claim{protocol.GivenName, protocol.Email, protocol.AgeOver16}, Basis: Consent,
				Rule: RuleStanding, PolicyID: "library", PolicyVersion: 3,
			},
		},
		{
			name: "gives less than she agreed to when less is asked for",
			facts: func(f *Facts) {
				f.Standing = answered(protocol.GivenName, protocol.AgeOver16, protocol.Email)
				f.Request.Scopes = []protocol.Scope{"openid", "age_over_16"}
			},
			want: Decision{
				Release: []protocol.Claim{protocol.AgeOver16}, Basis: Consent,
				Rule: RuleStanding, PolicyID: "library", PolicyVersion: 3,
			},
		},
	}
}

func (r decideRow) decide() (Facts, Decision) {
	p, f := library(), visit()
	if r.policy != nil {
		r.policy(p)
	}
	if r.facts != nil {
		r.facts(&f)
	}
	return f, NewTable(p).Decide(f)
}

func TestDecide(t *testing.T) {
	for _, row := range decideRows() {
		t.Run(row.name, func(t *testing.T) {
			f, got := row.decide()
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("Decide(%+v) =\n%+v, want\n%+v", f, got, row.want)
			}
		})
	}
}

func TestDecide_everyRuleHasARow(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range decideRows() {
		seen[row.want.Rule] = true
	}
	for _, r := range []string{RuleConditionDeny, RuleConditionFailed, RuleConditionACR, RuleConditionAsk} {
		seen[r] = true // TestDecide_Conditions
	}
	for _, rule := range Rules() {
		if !seen[rule] {
			t.Errorf("rule %q has no row in the table", rule)
		}
		delete(seen, rule)
	}
	for rule := range seen {
		t.Errorf("rule %q is in the table but not among Rules()", rule)
	}
}

func drawClaims(t *rapid.T, label string) []protocol.Claim {
	return rapid.SliceOfDistinct(rapid.SampledFrom(protocol.Claims()), rapid.ID[protocol.Claim]).Draw(t, label)
}

func drawFacts(t *rapid.T) (*Policy, Facts) {
	p := &Policy{
		ID: "p", Version: rapid.IntRange(1, 2).Draw(t, "version"),
		Basis:           rapid.SampledFrom([]LegalBasis{Consent, PublicTask, LegalObligation, ""}).Draw(t, "basis"),
		MinACR:          rapid.SampledFrom([]protocol.ACR{"", protocol.EIDAS1, protocol.EIDAS2, protocol.EIDAS3, "x"}).Draw(t, "min"),
		ConsentValidity: Period{Days: rapid.IntRange(0, 2).Draw(t, "days")},
	}
	for _, c := range drawClaims(t, "allowed") {
		p.Claims = append(p.Claims, ClaimRule{Name: c, Required: rapid.Bool().Draw(t, "required")})
	}
	f := Facts{
		Client:  &clients.Client{Policy: rapid.SampledFrom([]string{"p", "p", "p", "q"}).Draw(t, "policy")},
		ACR:     rapid.SampledFrom([]protocol.ACR{"", protocol.EIDAS1, protocol.EIDAS2, protocol.EIDAS3}).Draw(t, "acr"),
		Has:     drawClaims(t, "has"),
		Now:     noon,
		Request: protocol.AuthRequest{Scopes: rapid.SliceOf(rapid.SampledFrom(protocol.Scopes())).Draw(t, "scopes")},
	}
	f.Request.Prompt.Consent = rapid.Bool().Draw(t, "prompt")
	f.Request.Claims.UserInfo = map[protocol.Claim]protocol.ClaimRequest{}
	for _, c := range drawClaims(t, "by the claims parameter") {
		f.Request.Claims.UserInfo[c] = protocol.ClaimRequest{Essential: rapid.Bool().Draw(t, "essential")}
	}
	if rapid.Bool().Draw(t, "has answered") {
		shown := drawClaims(t, "shown")
		f.Standing = &Standing{
			PolicyID: "p", PolicyVersion: rapid.IntRange(1, 2).Draw(t, "answered version"), Shown: shown,
			Basis:  rapid.SampledFrom([]LegalBasis{Consent, PublicTask, LegalObligation}).Draw(t, "answered basis"),
			Agreed: slices.DeleteFunc(slices.Clone(shown), func(protocol.Claim) bool { return rapid.Bool().Draw(t, "unticked") }),
			Until:  noon.AddDate(0, 0, rapid.IntRange(-1, 1).Draw(t, "until")),
		}
	}
	return p, f
}

// What may leave is within policy, request and knowledge; a standing answer never
// lets more leave than it holds; the same facts give the same decision.
func TestDecide_nothingLeavesThatIsNotAllowedAskedForAndKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, f := drawFacts(t)
		table := NewTable(p)
		d := table.Decide(f)
		if again := table.Decide(f); !reflect.DeepEqual(d, again) {
			t.Fatalf("two decisions on the same facts: %+v and %+v", d, again)
		}
		asked := map[protocol.Claim]bool{}
		for _, a := range f.Request.AskedClaims() {
			asked[a.Claim] = true
		}
		for _, c := range d.Answered(protocol.Claims()) {
			if _, allowed := p.rule(c); !allowed || !asked[c] || !slices.Contains(f.Has, c) {
				t.Fatalf("%s could leave: allowed %v, asked %v, has %v", c, allowed, asked[c], f.Has)
			}
			if d.Ask == AskNothing && !slices.Contains(f.Standing.Agreed, c) {
				t.Fatalf("%s leaves without asking though she agreed to %v", c, f.Standing.Agreed)
			}
		}
		if d.Deny != "" && (len(d.Shown()) > 0 || d.Ask != AskNothing || !d.Until.IsZero()) {
			t.Fatalf("denied, and yet %+v", d)
		}
		if !slices.Contains(Rules(), d.Rule) {
			t.Fatalf("decided by %q, which is no rule", d.Rule)
		}
	})
}

func TestClaimsInIDToken(t *testing.T) {
	released := []protocol.Claim{protocol.GivenName, protocol.FamilyName, protocol.Email}
	tests := []struct {
		name    string
		client  []protocol.Claim
		request map[protocol.Claim]protocol.ClaimRequest
		want    []protocol.Claim
	}{
		{"keeps identity out of the ID token unless somebody said so", nil, nil, nil},
		{"puts in what the client is registered for, if it is released", []protocol.Claim{protocol.Email, protocol.Birthdate}, nil, mail},
		{
			"puts in what the request asks for there, if it is released, OIDC Core 5.5", nil,
			map[protocol.Claim]protocol.ClaimRequest{protocol.GivenName: {}, protocol.Gender: {Essential: true}},
			[]protocol.Claim{protocol.GivenName},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := protocol.AuthRequest{Claims: protocol.ClaimsRequest{IDToken: tt.request}}
			got := ClaimsInIDToken(&clients.Client{ClaimsInIDToken: tt.client}, req, released)
			if !slices.Equal(got, tt.want) {
				t.Errorf("ClaimsInIDToken = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAnswered_ignoresATickForWhatWasNotOffered(t *testing.T) {
	got := asks(RuleFirstTime).Answered([]protocol.Claim{protocol.Birthdate, protocol.Email, protocol.Email})
	want := []protocol.Claim{protocol.GivenName, protocol.AgeOver16, protocol.Email}
	if !slices.Equal(got, want) {
		t.Errorf("Answered = %v, want %v", got, want)
	}
}

func BenchmarkDecide(b *testing.B) {
	table, f := NewTable(library()), visit()
	f.Standing = answered(firm...)
	b.ReportAllocs()
	for b.Loop() {
		table.Decide(f)
	}
}
