package protocol

import "fmt"

// ErrorCode is an error value of the protocol (RFC 6749 sections 4.1.2.1 and
// 5.2, OpenID Connect Core section 3.1.2.6, RFC 6750 section 3.1).
type ErrorCode string

// The codes that we answer with.
const (
	InvalidRequest           ErrorCode = "invalid_request"
	InvalidClient            ErrorCode = "invalid_client"
	InvalidGrant             ErrorCode = "invalid_grant"
	InvalidScope             ErrorCode = "invalid_scope"
	InvalidToken             ErrorCode = "invalid_token"
	UnauthorizedClient       ErrorCode = "unauthorized_client"
	UnsupportedGrantType     ErrorCode = "unsupported_grant_type"
	UnsupportedResponseType  ErrorCode = "unsupported_response_type"
	AccessDenied             ErrorCode = "access_denied"
	ServerError              ErrorCode = "server_error"
	TemporarilyUnavailable   ErrorCode = "temporarily_unavailable"
	LoginRequired            ErrorCode = "login_required"
	ConsentRequired          ErrorCode = "consent_required"
	InteractionRequired      ErrorCode = "interaction_required"
	AccountSelection         ErrorCode = "account_selection_required"
	RequestNotSupported      ErrorCode = "request_not_supported"
	RequestURINotSupported   ErrorCode = "request_uri_not_supported"
	RegistrationNotSupported ErrorCode = "registration_not_supported"
	UnmetAuthentication      ErrorCode = "unmet_authentication_requirements"
)

// The codes for what is asked in other ways than by plain parameters.
const (
	InvalidTarget               ErrorCode = "invalid_target"                // RFC 8707 section 2
	InvalidAuthorizationDetails ErrorCode = "invalid_authorization_details" // RFC 9396 section 5
	InvalidRequestObject        ErrorCode = "invalid_request_object"        // RFC 9101 section 7
	InvalidDPoPProof            ErrorCode = "invalid_dpop_proof"            // RFC 9449 section 5
	UseDPoPNonce                ErrorCode = "use_dpop_nonce"                // RFC 9449 section 8
)

// The codes for services that register by API (RFC 7591 section 3.2.2).
const (
	InvalidRedirectURI          ErrorCode = "invalid_redirect_uri"
	InvalidClientMetadata       ErrorCode = "invalid_client_metadata"
	UnapprovedSoftwareStatement ErrorCode = "unapproved_software_statement"
)

// Error is an answer in the protocol's words. Description is shown to the
// service's developers: it never holds a value that a stranger sent, a claim
// value or a secret. Cause stays inside.
type Error struct {
	Code        ErrorCode
	Description string // ASCII without quotes or backslashes (RFC 6749 section 5.2)
	Cause       error
	Status      int // of the answer in JSON; 0: the usual one of Code (RFC 6749 section 5.2)
}

// Fail makes an Error; cause may be nil.
func Fail(code ErrorCode, cause error, description string) *Error {
	return &Error{Code: code, Description: description, Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Description, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Description)
}

func (e *Error) Unwrap() error { return e.Cause }
