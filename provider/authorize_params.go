package provider

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// What one parameter of an authorization request may weigh, in bytes or items.
const (
	maxOpaque    = 512 // state, nonce
	maxScope     = 1024
	maxACRValues = 256
	maxLoginHint = 256
	maxLocales   = 10
	maxHint      = 8 << 10 // id_token_hint
	maxClaims    = 8 << 10
	maxMaxAge    = 10 * 365 * 24 * 3600 // seconds
)

// params is a request that is being read: form and client in, req out.
type params struct {
	p      *Provider
	client *clients.Client
	form   url.Values
	req    *protocol.AuthRequest
}

// get returns a parameter; one that is sent without a value counts as not sent
// (RFC 6749 section 3.1).
func (a params) get(name string) string { return a.form.Get(name) }

// parse validates everything but client_id and redirect_uri, which are proven.
// First it reads how an error is answered, then one parameter after the other;
// the first that does not hold is the error. Parameters that we do not know are
// ignored (RFC 6749 section 3.1), and so are display and claims_locales.
func (p *Provider) parse(client *clients.Client, form url.Values, req *protocol.AuthRequest) error {
	a := params{p: p, client: client, form: form, req: req}
	a.answering()
	for _, step := range []func(params) *protocol.Error{
		params.repeated, params.unsupported, params.responseType, params.responseMode, params.state, params.nonce,
		params.scope, params.resources, params.details, params.challenge, params.dpopKey, params.prompt, params.maxAge, params.acrValues, params.claims,
		params.loginHint, params.uiLocales, params.idpHint, params.idTokenHint,
	} {
		if err := step(a); err != nil {
			return err
		}
	}
	return nil
}

func invalid(why string) *protocol.Error { return protocol.Fail(protocol.InvalidRequest, nil, why) }

// answering reads response_mode and state ahead of the checks, as far as they
// hold: even the first error is answered in the mode that was asked for and with
// the state that the service sent, or without it, but never with another.
func (a params) answering() {
	a.req.ResponseMode = protocol.ModeQuery
	if m := a.form["response_mode"]; len(m) == 1 {
		if mode, ok := a.mode(m[0]); ok {
			a.req.ResponseMode = mode
		}
	}
	if s := a.form["state"]; len(s) == 1 && isOpaque(s[0]) {
		a.req.State = s[0]
	}
}

func (a params) repeated() *protocol.Error {
	if repeated(a.form) {
		return invalid("a parameter is repeated")
	}
	return nil
}

// unsupported refuses what it would be dangerous to ignore: a service that sends
// a request object relies on it (OpenID Connect Core sections 3.1.2.6 and 6).
func (a params) unsupported() *protocol.Error {
	for _, u := range []struct {
		name string
		code protocol.ErrorCode
		why  string
	}{
		{"request", protocol.RequestNotSupported, "this client has registered no request_object_signing_alg"},
		{"request_uri", protocol.RequestURINotSupported, "request_uri must come from the pushed_authorization_request_endpoint"},
		{"registration", protocol.RegistrationNotSupported, "registration is not supported"},
	} {
		if a.get(u.name) != "" {
			return protocol.Fail(u.code, nil, u.why)
		}
	}
	return nil
}

func (a params) responseType() *protocol.Error {
	switch a.get("response_type") {
	case "code":
		return nil
	case "":
		return invalid("response_type is missing")
	}
	return protocol.Fail(protocol.UnsupportedResponseType, nil, "only response_type code is supported")
}

func (a params) responseMode() *protocol.Error {
	raw := a.get("response_mode")
	if _, ok := a.mode(raw); ok || raw == "" {
		return nil
	}
	if !clients.TakesForms(a.req.RedirectURI) && strings.HasPrefix(raw, "form_post") {
		return invalid("a form cannot be posted to this redirect_uri; use response_mode query")
	}
	if jwtModes[protocol.ResponseMode(raw)] != "" {
		return invalid("this client has registered no authorization_signed_response_alg")
	}
	return invalid("response_mode must be query, form_post, jwt, query.jwt or form_post.jwt")
}

// mode is the response mode that a value asks for, if this client may have it.
func (a params) mode(raw string) (protocol.ResponseMode, bool) {
	m := protocol.ResponseMode(raw)
	if strings.HasPrefix(raw, "form_post") && !clients.TakesForms(a.req.RedirectURI) {
		return "", false
	}
	if m == protocol.ModeQuery || m == protocol.ModeFormPost {
		return m, true
	}
	signed, ok := jwtModes[m]
	return signed, ok && a.client.ResponseSigningAlg != ""
}

func (a params) state() *protocol.Error {
	if s := a.get("state"); s == "" && a.client.RequireState {
		return invalid("state is missing")
	} else if !isOpaque(s) {
		return invalid("state must be at most 512 printable ASCII characters")
	}
	return nil
}

func (a params) nonce() *protocol.Error {
	n := a.get("nonce")
	if n == "" && a.client.RequireNonce {
		return invalid("nonce is missing")
	}
	if !isOpaque(n) {
		return invalid("nonce must be at most 512 printable ASCII characters")
	}
	a.req.Nonce = n
	return nil
}

// scope wants openid (OpenID Connect Core section 3.1.2.1) and answers
// invalid_scope without it, as RFC 6749 section 3.3 has it for a missing scope.
// Scopes that we do not know are ignored; one that we know and this client may
// not ask for is told, so that nobody waits for a claim that will never come; but
// offline_access is then as good as not sent (Core section 11).
func (a params) scope() *protocol.Error {
	fail := func(why string) *protocol.Error { return protocol.Fail(protocol.InvalidScope, nil, why) }
	raw := a.get("scope")
	if len(raw) > maxScope || !isOpaqueWithin(raw, maxScope) {
		return fail("scope is too long or malformed")
	}
	for _, word := range strings.Fields(raw) {
		s := protocol.Scope(word)
		if !s.Known() || slices.Contains(a.req.Scopes, s) || s == protocol.OfflineAccess && !a.client.MayRefresh() {
			continue
		}
		if s != protocol.OpenID && s != protocol.OfflineAccess && len(a.client.Scopes) > 0 && !slices.Contains(a.client.Scopes, s) {
			return fail("this client may not ask for scope " + string(s))
		}
		a.req.Scopes = append(a.req.Scopes, s)
	}
	if !slices.Contains(a.req.Scopes, protocol.OpenID) {
		return fail("scope must contain openid")
	}
	return nil
}

// challenge is PKCE (RFC 7636 section 4.3) with S256 only. With an exception a
// client may leave it out, but not send half of it.
func (a params) challenge() *protocol.Error {
	challenge, method := a.get("code_challenge"), a.get("code_challenge_method")
	if challenge == "" && method == "" && !a.client.RequirePKCE && a.client.AuthMethod != clients.Public {
		return nil
	}
	if challenge == "" {
		return invalid("code_challenge is missing")
	}
	if method != "S256" {
		return invalid("code_challenge_method must be S256")
	}
	if !isHandle(challenge) {
		return invalid("code_challenge must be 43 base64url characters")
	}
	a.req.CodeChallenge = challenge
	return nil
}

func (a params) prompt() *protocol.Error {
	raw := a.get("prompt")
	if !isOpaqueWithin(raw, 64) {
		return invalid("prompt is malformed")
	}
	words := strings.Fields(raw)
	for _, word := range words {
		switch word {
		case "none":
			a.req.Prompt.None = true
		case "login":
			a.req.Prompt.Login = true
		case "consent":
			a.req.Prompt.Consent = true
		case "select_account":
			a.req.Prompt.SelectAccount = true
		default:
			return invalid("prompt holds an unknown value")
		}
	}
	if a.req.Prompt.None && len(words) > 1 {
		return invalid("prompt none must be alone")
	}
	return a.inPerson()
}

func (a params) maxAge() *protocol.Error {
	raw := a.get("max_age")
	if raw == "" {
		return nil
	}
	n, err := strconv.ParseUint(raw, 10, 32) // takes neither sign nor space nor underscore
	if err != nil || n > maxMaxAge || raw != strconv.FormatUint(n, 10) {
		return invalid("max_age must be a number of seconds")
	}
	age := time.Duration(n) * time.Second
	a.req.MaxAge = &age
	return nil
}

func (a params) acrValues() *protocol.Error {
	raw := a.get("acr_values")
	if raw == "" && a.client.RequireACRValues {
		return invalid("acr_values is missing")
	}
	if raw == "" {
		return nil
	}
	if !isOpaqueWithin(raw, maxACRValues) {
		return invalid("acr_values is too long or malformed")
	}
	return a.level(strings.Fields(raw))
}

// level asks for the weakest of the levels named: any of them satisfies the
// service. When we know none of them the request cannot be met, and ignoring it
// would silently lower the level. Asked twice (acr_values and claims), the
// stronger demand counts.
func (a params) level(values []string) *protocol.Error {
	var weakest protocol.ACR
	for _, v := range values {
		l := protocol.ACR(v)
		if l.Known() && (weakest == "" || weakest.Reaches(l)) {
			weakest = l
		}
	}
	if weakest == "" {
		return protocol.Fail(protocol.UnmetAuthentication, nil, "none of the levels asked for is known")
	}
	a.req.MinACR = protocol.StrongerACR(a.req.MinACR, weakest)
	return nil
}

func (a params) loginHint() *protocol.Error {
	h := a.get("login_hint")
	if len(h) > maxLoginHint || !utf8.ValidString(h) || strings.ContainsFunc(h, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return invalid("login_hint is too long or malformed")
	}
	a.req.LoginHint = h
	return nil
}

// uiLocales keeps what looks like a language tag (RFC 5646 section 2.1). A tag
// that we cannot serve is no error (OpenID Connect Core section 3.1.2.1).
func (a params) uiLocales() *protocol.Error {
	raw := a.get("ui_locales")
	if !isOpaqueWithin(raw, 256) {
		return invalid("ui_locales is too long or malformed")
	}
	tags := strings.Fields(raw)
	if len(tags) > maxLocales {
		return invalid("ui_locales holds more than 10 tags")
	}
	for _, t := range tags {
		if len(t) <= 35 && isBase64URL(t) && !strings.Contains(t, "_") {
			a.req.UILocales = append(a.req.UILocales, t)
		}
	}
	return nil
}

// idpHint skips the choice page, so that only a client which may is believed.
func (a params) idpHint() *protocol.Error {
	id := protocol.ProviderID(a.get("idp_hint"))
	if id == "" {
		return nil
	}
	if !slices.Contains(a.client.IdPHints, id) {
		return invalid("this client may not name this provider in idp_hint")
	}
	a.req.IdPHint = id
	return nil
}

// idTokenHint names the person whom the service expects. A hint that we did not
// sign for this very client says nothing: it is ignored, so that it can neither
// pick nor reveal anybody.
func (a params) idTokenHint() *protocol.Error {
	raw := a.get("id_token_hint")
	if raw == "" {
		return nil
	}
	if len(raw) > maxHint {
		return invalid("id_token_hint is too long")
	}
	if sub, ok := a.p.hintedSubject(a.client.ID, raw); ok {
		return a.expect(sub)
	}
	return nil
}

// expect notes the one subject that the service will take.
func (a params) expect(sub string) *protocol.Error {
	if a.req.SubHint != "" && a.req.SubHint != sub {
		return invalid("id_token_hint and claims name different subjects")
	}
	a.req.SubHint = sub
	return nil
}

// isOpaque reports whether s can be echoed byte for byte in a URL, a form and a
// claim: printable ASCII (VSCHAR of RFC 6749 appendix A.5), at most 512.
func isOpaque(s string) bool { return isOpaqueWithin(s, maxOpaque) }

func isOpaqueWithin(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// inPerson has the person asked each time where she is all that tells this client
// from another program (see clients.Client.Imitable). With prompt=none that ends in
// consent_required.
func (a params) inPerson() *protocol.Error {
	if a.client.Imitable(a.req.RedirectURI) {
		a.req.Prompt.Consent = true
	}
	return nil
}
