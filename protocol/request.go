package protocol

import (
	"encoding/json"
	"time"
)

// ResponseMode is how the authorization response travels (OAuth 2.0 Multiple
// Response Types, OAuth 2.0 Form Post Response Mode).
type ResponseMode string

// The modes that we answer in; query is the default of the code flow.
const (
	ModeQuery    ResponseMode = "query"
	ModeFormPost ResponseMode = "form_post"
	// The same with the answer in a signed JWT (JARM); only for clients that have
	// registered an algorithm.
	ModeQueryJWT    ResponseMode = "query.jwt"
	ModeFormPostJWT ResponseMode = "form_post.jwt"
)

// Prompt is a set of prompt values (OpenID Connect Core section 3.1.2.1).
type Prompt struct{ None, Login, Consent, SelectAccount bool }

// AuthRequest is an authorization request that has been validated against its
// client: the redirect URI is one of the client's, byte for byte, and every
// other parameter has passed its check. Only provider makes one.
type AuthRequest struct {
	ClientID      ClientID
	RedirectURI   string
	ResponseMode  ResponseMode
	Scopes        []Scope // known ones only; openid among them
	State         string
	Nonce         string
	CodeChallenge string // S256 (RFC 7636); empty only for a client with an exception
	Prompt        Prompt
	MaxAge        *time.Duration // nil: not asked
	MinACR        ACR            // weakest level that satisfies acr_values or an essential acr; "" when none was asked
	LoginHint     string         // passed to the identity provider, never interpreted by us
	UILocales     []string       // BCP 47, most preferred first
	IdPHint       ProviderID     // only if the client may use it
	Claims        ClaimsRequest
	Resources     []string // where the access token is to be used (RFC 8707); registered ones only
	Details       []Detail // what else it asks for, each with what the person is to read of it (RFC 9396)
	Pushed        string   // id of the pushed request that it came by (RFC 9126), "" for none; such a one is answered once
	DPoPKey       string   // thumbprint of the only key that may redeem the code (RFC 9449 section 10), "" for any
	SubHint       string   // the subject that id_token_hint or claims.sub named, "" for none: anyone else gets login_required
}

// Detail is one authorization detail that its type has read (RFC 9396 section 2).
type Detail struct {
	Type   string
	Object json.RawMessage // as it was understood, type included
	Shown  Text            // what the consent page says of it
}

// ClaimsRequest is the claims parameter (OpenID Connect Core section 5.5).
type ClaimsRequest struct {
	UserInfo map[Claim]ClaimRequest `json:"userinfo,omitempty"`
	IDToken  map[Claim]ClaimRequest `json:"id_token,omitempty"`
}

// ClaimRequest says how much one claim is wanted.
type ClaimRequest struct {
	Essential bool `json:"essential,omitempty"`
}

// Asked says whether a claim was asked for and how.
type Asked struct {
	Claim     Claim
	Voluntary bool // only through the claims parameter, and not essential there
}

// AskedClaims is everything the request asks for, by scope and by the claims
// parameter, without doubles, in the order of Claims. A claim asked for by a
// scope, or anywhere as essential, is not voluntary.
func (r AuthRequest) AskedClaims() []Asked {
	needed := map[Claim]bool{} // present: asked; true: not voluntary
	for _, s := range r.Scopes {
		for _, c := range s.Claims() {
			needed[c] = true
		}
	}
	for _, m := range []map[Claim]ClaimRequest{r.Claims.UserInfo, r.Claims.IDToken} {
		for c, how := range m {
			needed[c] = needed[c] || how.Essential
		}
	}
	var out []Asked
	for _, c := range Claims() {
		if firm, ok := needed[c]; ok {
			out = append(out, Asked{Claim: c, Voluntary: !firm})
		}
	}
	return out
}
