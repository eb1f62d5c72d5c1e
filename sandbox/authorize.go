package sandbox

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

// authRequest is an authorization request. redirectURI is set only once it is
// proven to be the client's: before that an error is a page, never a redirect
// (RFC 6749 section 4.1.2.1).
type authRequest struct {
	client      *ProviderClient
	redirectURI string
	state       string
	nonce       string
	challenge   string
	scopes      []protocol.Scope
	prompt      protocol.Prompt
	maxAge      *time.Duration
	loginHint   string
	locales     []string
	raw         string // the whole request, as the sign-in page carries it
}

// authorize answers GET and POST /authorize: with the sign-in page, or at once
// when the session of this browser will do.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	values, err := query(r)
	if r.Method == http.MethodPost {
		values, err = form(w, r)
	}
	if err != nil || len(values.Encode()) > maxQuery {
		p.showProblem(w, r)
		return
	}
	req, fail := p.parse(values)
	if fail != nil {
		p.refuse(w, r, req, fail)
		return
	}
	s, ok := p.session(r)
	switch {
	case ok && !p.mustShow(req, s):
		p.answer(w, r, req, &grant{session: s})
	case req.prompt.None:
		p.refuse(w, r, req, protocol.Fail(protocol.LoginRequired, nil, "nobody is signed in here, or not recently enough"))
	default:
		p.showSignIn(w, r, req, s)
	}
}

// mustShow: the session exists, but the request wants the person to act.
func (p *provider) mustShow(req authRequest, s session) bool {
	if req.prompt.Login || req.prompt.SelectAccount {
		return true
	}
	return req.maxAge != nil && p.Now().Sub(s.authTime) > *req.maxAge
}

// signIn answers POST /sign-in, the form of the sign-in page: request is the
// authorization request over again, validated anew as it came through the
// browser; identity, or act=cancel, is the button; fail is the failure switch.
func (p *provider) signIn(w http.ResponseWriter, r *http.Request) {
	f, err := form(w, r)
	if err != nil || len(f.Get("request")) > maxQuery {
		p.showProblem(w, r)
		return
	}
	values, err := url.ParseQuery(f.Get("request"))
	if err != nil {
		p.showProblem(w, r)
		return
	}
	req, fail := p.parse(values)
	if fail != nil {
		p.refuse(w, r, req, fail)
		return
	}
	who, known := p.people[f.Get("identity")]
	fault, valid := faultNamed(f.Get("fail"))
	switch {
	case f.Get("act") == "cancel":
		p.refuse(w, r, req, protocol.Fail(protocol.AccessDenied, nil, "the person turned back"))
	case !known || !valid:
		p.showProblem(w, r)
	case fault == FaultServerError:
		p.refuse(w, r, req, protocol.Fail(protocol.ServerError, nil, "the sandbox was told to fail"))
	default:
		s := session{identity: who, authTime: p.Now()}
		p.setSession(w, p.sessions.put(s, p.Now()), sessionTTL)
		p.answer(w, r, req, &grant{session: s, fault: fault})
	}
}

// signOut forgets who is signed in here.
func (p *provider) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(p.sessionCookie()); err == nil {
		p.sessions.take(c.Value, p.Now())
	}
	p.setSession(w, "", 0)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// answer sends the browser back with a code.
func (p *provider) answer(w http.ResponseWriter, r *http.Request, req authRequest, g *grant) {
	g.client, g.redirectURI, g.nonce, g.challenge, g.scopes = req.client, req.redirectURI, req.nonce, req.challenge, req.scopes
	back := url.Values{"code": {p.codes.put(g, p.Now())}, "iss": {p.Issuer}}
	if g.fault == FaultWrongIssuer {
		back.Set("iss", p.Issuer+".example")
	}
	p.sendBack(w, r, req, back)
}

// refuse answers an error: to the client once its redirect URI is proven,
// otherwise to the person.
func (p *provider) refuse(w http.ResponseWriter, r *http.Request, req authRequest, e *protocol.Error) {
	if req.redirectURI == "" {
		p.showProblem(w, r)
		return
	}
	p.sendBack(w, r, req, url.Values{"error": {string(e.Code)}, "error_description": {e.Description}, "iss": {p.Issuer}})
}

// sendBack adds state and redirects. 303: the browser must not send the form on
// (RFC 9700 section 4.12).
func (p *provider) sendBack(w http.ResponseWriter, r *http.Request, req authRequest, answer url.Values) {
	if req.state != "" {
		answer.Set("state", req.state)
	}
	sep := "?"
	if strings.Contains(req.redirectURI, "?") {
		sep = "&"
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, req.redirectURI+sep+answer.Encode(), http.StatusSeeOther)
}

// parse validates a request. With an error, what it could prove is in the
// request: the redirect URI, and with it the state.
func (p *provider) parse(values url.Values) (authRequest, *protocol.Error) {
	var req authRequest
	bad := func(why string) (authRequest, *protocol.Error) {
		return req, protocol.Fail(protocol.InvalidRequest, nil, why)
	}
	v, doubled := params(values)
	if doubled != nil && (len(values["client_id"]) != 1 || len(values["redirect_uri"]) != 1) {
		return bad("client_id or redirect_uri occurs twice")
	}
	c, ok := p.clients[values.Get("client_id")]
	if !ok || !c.hasRedirectURI(values.Get("redirect_uri")) {
		return bad("unknown client or redirect_uri")
	}
	req.client, req.redirectURI, req.raw = c, values.Get("redirect_uri"), values.Encode()
	if len(values["state"]) == 1 {
		req.state = values.Get("state")
	}
	if doubled != nil {
		return bad("a parameter occurs twice")
	}
	req.nonce, req.challenge, req.loginHint = v["nonce"], v["code_challenge"], v["login_hint"]
	req.locales = strings.Fields(v["ui_locales"])
	return req, req.parseRest(v)
}

// parseRest checks what is left once errors may go to the client.
func (req *authRequest) parseRest(v map[string]string) *protocol.Error {
	fail := func(code protocol.ErrorCode, why string) *protocol.Error { return protocol.Fail(code, nil, why) }
	switch {
	case v["request"] != "":
		return fail(protocol.RequestNotSupported, "request objects are not supported")
	case v["request_uri"] != "":
		return fail(protocol.RequestURINotSupported, "request_uri is not supported")
	case v["response_type"] == "":
		return fail(protocol.InvalidRequest, "response_type is missing")
	case v["response_type"] != "code":
		return fail(protocol.UnsupportedResponseType, "only response_type=code")
	case v["response_mode"] != "" && v["response_mode"] != "query":
		return fail(protocol.InvalidRequest, "only response_mode=query")
	case v["code_challenge_method"] != "S256" || !isS256(req.challenge):
		return fail(protocol.InvalidRequest, "PKCE with code_challenge_method=S256 is required")
	}
	hasOpenID := false
	for _, s := range strings.Fields(v["scope"]) {
		hasOpenID = hasOpenID || protocol.Scope(s) == protocol.OpenID
		req.scopes = append(req.scopes, protocol.Scope(s))
	}
	if !hasOpenID {
		return fail(protocol.InvalidScope, "scope must contain openid")
	}
	if a := v["max_age"]; a != "" {
		n, err := strconv.ParseUint(a, 10, 31)
		if err != nil {
			return fail(protocol.InvalidRequest, "max_age is not a number of seconds")
		}
		age := time.Duration(n) * time.Second
		req.maxAge = &age
	}
	return req.parsePrompt(v["prompt"])
}

// parsePrompt reads the prompt set; none goes with nothing else (OpenID Connect
// Core section 3.1.2.1). consent is taken and shows nothing: there is nothing
// here to consent to.
func (req *authRequest) parsePrompt(prompt string) *protocol.Error {
	values := strings.Fields(prompt)
	for _, s := range values {
		switch s {
		case "none":
			req.prompt.None = true
		case "login":
			req.prompt.Login = true
		case "consent":
			req.prompt.Consent = true
		case "select_account":
			req.prompt.SelectAccount = true
		default:
			return protocol.Fail(protocol.InvalidRequest, nil, "unknown prompt")
		}
	}
	if req.prompt.None && len(values) > 1 {
		return protocol.Fail(protocol.InvalidRequest, nil, "prompt=none goes with no other prompt")
	}
	return nil
}

// isS256 reports whether s can be a SHA-256 in base64url (RFC 7636 section 4.2).
func isS256(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32
}
