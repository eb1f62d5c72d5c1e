// Package web owns what people see and how we answer: pages, translations,
// headers, cookies, request events, and the one place where an error becomes a
// page or JSON. Handlers return errors. It knows nothing of stores, keys or
// flows, and its pages work without JavaScript.
package web

import (
	"net/http"

	"github.com/voussoir-id/voussoir/protocol"
)

// Handler answers a request or returns an error that web turns into an answer.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Code is the stable code of an error page: the data-code of <main id="error">.
// For each there is one sentence per language.
type Code string

// The codes, with the status that each answers.
const (
	FlowUnknown     Code = "flow_unknown"     // 400: too long ago, or never was
	FlowNotYours    Code = "flow_not_yours"   // 400: another browser started it, or cookies are off
	AlreadyAnswered Code = "already_answered" // 400: this sign-in is over
	ClientUnknown   Code = "client_unknown"   // 400
	RedirectInvalid Code = "redirect_invalid" // 400: redirect_uri missing or not registered
	RequestInvalid  Code = "request_invalid"  // 400: malformed, duplicated or oversized parameters
	ProviderUnknown Code = "provider_unknown" // 400: not a provider that may be chosen here
	CallbackInvalid Code = "callback_invalid" // 400: an answer from a provider that nobody asked for
	LogoutInvalid   Code = "logout_invalid"   // 400: a request to log out that cannot be trusted

	LogoutRedirectInvalid Code = "logout_redirect_invalid" // 400: post_logout_redirect_uri is not registered
	CivilStatus           Code = "civil_status"            // 403: the civil registry holds the person for dead
	PersonBlocked         Code = "person_blocked"          // 403: an operator has taken the person out of service
	CrossSite             Code = "cross_site"              // 403: the form was sent from another site
	NotFound              Code = "not_found"               // 404
	MethodNotAllowed      Code = "method_not_allowed"      // 405
	TooLarge              Code = "too_large"               // 413
	Unavailable           Code = "unavailable"             // 503 with Retry-After: a store or key cannot be reached
	Internal              Code = "internal"                // 500
)

// Problem is an error for a person. Err is logged, never shown.
type Problem struct {
	Code Code
	Err  error
	Back *Back // nil: no way back to a service
	// Contact says where else to turn; empty: nowhere that we know of.
	Contact protocol.Text
	// TurnBack is a form that goes back to the service in place of a link; nil: there is
	// none. The service then gets an answer.
	TurnBack *TurnBack
}

// TurnBack is a form without fields. ReturnURI is as in ChoosePage.
type TurnBack struct{ Action, ReturnURI string }

// Back is the way back to the service from an error page.
type Back struct {
	Client protocol.Text
	URL    string
}

// Fail makes a Problem.
func Fail(code Code, err error) *Problem { return &Problem{Code: code, Err: err} }

func (p *Problem) Error() string {
	if p.Err != nil {
		return string(p.Code) + ": " + p.Err.Error()
	}
	return string(p.Code)
}

func (p *Problem) Unwrap() error { return p.Err }

// NoticeCode names a sentence above the choices; it says what went wrong at
// Provider and what to do. Empty: no notice.
type NoticeCode string

// The notices.
const (
	NoticeCancelled        NoticeCode = "cancelled"
	NoticeRefused          NoticeCode = "refused"
	NoticeUnavailable      NoticeCode = "unavailable"
	NoticeInvalid          NoticeCode = "invalid"
	NoticeTooWeak          NoticeCode = "too_weak"
	NoticeTooOld           NoticeCode = "too_old"
	NoticeBadIdentity      NoticeCode = "bad_identity"
	NoticeMissingClaim     NoticeCode = "missing_claim"
	NoticeCondition        NoticeCode = "condition"         // the service's policy denies, and says why
	NoticeConditionUnknown NoticeCode = "condition_unknown" // nobody can say whether it does
	NoticeStepUp           NoticeCode = "step_up"           // she is signed in, and not strongly enough
	NoticeCaution          NoticeCode = "caution"           // something is unusual about her connection
	NoticeSignedOut        NoticeCode = "signed_out"        // she logged out while the visit was open

	NoticeProviderBlocked NoticeCode = "provider_blocked" // she herself has blocked it
	NoticePersonBlocked   NoticeCode = "person_blocked"   // never shown: a page of its own says it, see PersonBlocked

	NoticeRegistrySeveral     NoticeCode = "registry_several"
	NoticeRegistryNone        NoticeCode = "registry_none"
	NoticeRegistryRefused     NoticeCode = "registry_refused"
	NoticeRegistryDeceased    NoticeCode = "registry_deceased" // never shown: a page of its own says it, see CivilStatus
	NoticeRegistryUnavailable NoticeCode = "registry_unavailable"
	NoticeRegistryAmbiguous   NoticeCode = "registry_ambiguous"
	NoticeRegistryNotCivil    NoticeCode = "registry_not_civil"
)

// Notice is a sentence about a provider.
type Notice struct {
	Code     NoticeCode
	Provider protocol.Text
	Claims   []protocol.Claim // for NoticeMissingClaim
	Reason   protocol.Text    // for NoticeCondition
	// For NoticeStepUp: the level that she has, and the one that she needs.
	Has, Needs protocol.ACR
}

// ConsentPage is what the consent page shows. Action posts answer=agree|refuse
// and claim=NAME for each ticked box.
type ConsentPage struct {
	Client    protocol.Text
	Purpose   protocol.Text
	Provider  protocol.Text
	Basis     string // consent | public_task | legal_obligation: which words
	Retention string // ISO 8601, how long the service keeps the data; "" unknown
	Remember  string // ISO 8601, how long the answer is remembered; "" or zero: not
	// OfflineUntil is the last day on which the service may come back while she is
	// away, YYYY-MM-DD; "" when it may not.
	OfflineUntil string
	Required     []ClaimValue
	Optional     []ClaimValue
	Details      []protocol.Text // what else the service would be allowed, a sentence each
	Action       string
	Change       string // a form that posts here goes back to the choice page; "" hides it
	ReturnURI    string // as in ChoosePage
	Switched     bool   // somebody else was signed in at this browser until now
}

// ClaimValue is a claim with the value that will leave, as the service gets it.
// The page words it (dates, genders, yes and no).
type ClaimValue struct {
	Claim    protocol.Claim
	Value    any    // string, bool or []string
	Verified bool   // for email: the provider vouches for it
	Place    string // of a claim of residence: the name of the place that Value is the code of
}

// FormPostPage is the form_post response mode: a form that the person submits
// herself without JavaScript and that submits itself with it.
type FormPostPage struct {
	Client protocol.Text
	Action string // the registered redirect URI
	Fields []Field
}

// Field is one hidden input.
type Field struct{ Name, Value string }

// WaitPage is shown when an earlier click of the same person is still being
// answered; it looks again at URL, a path of ours, after two seconds.
type WaitPage struct{ URL string }
