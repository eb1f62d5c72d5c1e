package sandbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/voussoir-id/voussoir/protocol"
)

// The sample service's own error words, beside those of the protocol.
const (
	stateUnknown      protocol.ErrorCode = "state_unknown"      // an answer to a question that this browser did not ask
	issuerWrong       protocol.ErrorCode = "issuer_wrong"       // RFC 9207
	brokerUnavailable protocol.ErrorCode = "broker_unavailable" // no answer from discovery, token or userinfo
	tokenRefused      protocol.ErrorCode = "token_refused"
	idTokenInvalid    protocol.ErrorCode = "id_token_invalid"
	userInfoInvalid   protocol.ErrorCode = "userinfo_invalid"
)

// outcome is what one sign-in came to: an error, or all that was received.
type outcome struct {
	browser     [32]byte
	Account     *Account
	Error       protocol.ErrorCode // "" when signed in
	Description string             // for developers

	Sub           string
	Claims        []claimCell
	IDTokenHeader string // indented JSON, as the ones below
	IDTokenClaims string
	UserInfo      string
	TokenResponse string
	IDToken       string // as it came
	AccessToken   string
}

// claimCell is one row of the table.
type claimCell struct{ Name, Value string }

func failed(a *Account, code protocol.ErrorCode, why string) outcome {
	return outcome{Account: a, Error: code, Description: why}
}

// postedCallback takes an answer in form_post mode and turns it into a GET of
// our own site, which carries the cookie; see browser. The handle in its
// address is good for one use.
func (s *service) postedCallback(w http.ResponseWriter, r *http.Request) {
	f, err := form(w, r)
	if err != nil {
		s.showError(w, r, http.StatusBadRequest, failed(nil, stateUnknown, err.Error()))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/callback?posted="+s.posted.put(f, s.Now()), http.StatusSeeOther)
}

// callback answers GET /callback. What it received is shown at another address,
// so that no code stays in the history and a reload does no harm.
func (s *service) callback(w http.ResponseWriter, r *http.Request) {
	values, err := query(r)
	if h := values.Get("posted"); err == nil && h != "" {
		values, _ = s.posted.take(h, s.Now())
	}
	answer, doubled := params(values)
	if id, ok := s.answered.get(answer["state"], s.Now()); ok {
		http.Redirect(w, r, "/outcome/"+id, http.StatusSeeOther) // back, or a reload; the outcome checks whose it is
		return
	}
	at, ok := s.attempts.get(answer["state"], s.Now())
	if err != nil || doubled != nil || !ok || !isBrowser(r, at.browser) {
		s.showError(w, r, http.StatusBadRequest, failed(nil, stateUnknown, ""))
		return
	}
	if _, first := s.attempts.take(answer["state"], s.Now()); !first {
		s.showError(w, r, http.StatusBadRequest, failed(nil, stateUnknown, ""))
		return
	}
	out := s.finish(r.Context(), at, answer)
	out.browser = at.browser
	w.Header().Set("Cache-Control", "no-store")
	id := s.outcomes.put(out, s.Now())
	s.answered.keep(answer["state"], id, s.Now())
	http.Redirect(w, r, "/outcome/"+id, http.StatusSeeOther)
}

// finish does what every relying party should: iss, error, code for tokens, ID
// token, nonce, at_hash, userinfo of the same sub.
func (s *service) finish(ctx context.Context, at attempt, answer map[string]string) outcome {
	a := at.account
	if answer["iss"] != s.Issuer {
		return failed(a, issuerWrong, "iss in the answer is not "+s.Issuer)
	}
	if e := answer["error"]; e != "" {
		return failed(a, protocol.ErrorCode(e), answer["error_description"])
	}
	p, err := s.metadata(ctx)
	if err != nil {
		return failed(a, brokerUnavailable, err.Error())
	}
	rec := &recorder{next: s.Client.Transport}
	client := *s.Client
	client.Transport = rec
	c := s.oauth(p, a)
	tok, err := c.Exchange(oidc.ClientContext(ctx, &client), answer["code"], oauth2.VerifierOption(at.verifier))
	if err != nil {
		return tokenFailure(a, err)
	}
	out := outcome{Account: a, TokenResponse: indent(rec.body), AccessToken: tok.AccessToken}
	out.IDToken, _ = tok.Extra("id_token").(string)
	id, err := s.verify(ctx, p, at, out.IDToken, tok.AccessToken)
	if err != nil {
		return failed(a, idTokenInvalid, err.Error())
	}
	out.Sub, out.IDTokenHeader, out.IDTokenClaims = id.Subject, jwsPart(out.IDToken, 0), jwsPart(out.IDToken, 1)
	if err := s.fetchUser(ctx, p, tok, &out); err != nil {
		return failed(a, userInfoInvalid, err.Error())
	}
	return out
}

// verify checks the ID token (OpenID Connect Core section 3.1.3.7).
func (s *service) verify(ctx context.Context, p *oidc.Provider, at attempt, raw, access string) (*oidc.IDToken, error) {
	v := p.VerifierContext(oidc.ClientContext(ctx, s.Client), &oidc.Config{
		ClientID: at.account.ClientID, Now: s.Now,
		SupportedSigningAlgs: []string{oidc.ES256}, // pinned: the token does not choose
	})
	id, err := v.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if id.Nonce != at.nonce {
		return nil, errors.New("the nonce is not the one that was sent")
	}
	if id.AccessTokenHash != "" {
		err = id.VerifyAccessToken(access)
	}
	return id, err
}

// fetchUser adds userinfo. go-oidc does not compare the subjects; that is left
// to us (OpenID Connect Core section 5.3.2).
func (s *service) fetchUser(ctx context.Context, p *oidc.Provider, tok *oauth2.Token, out *outcome) error {
	user, err := p.UserInfo(oidc.ClientContext(ctx, s.Client), oauth2.StaticTokenSource(tok))
	if err != nil {
		return err
	}
	if user.Subject != out.Sub {
		return errors.New("userinfo speaks of another subject than the ID token")
	}
	var raw json.RawMessage
	if err := user.Claims(&raw); err != nil {
		return err
	}
	out.UserInfo = indent(raw)
	out.Claims, err = claimCells(raw)
	return err
}

// tokenFailure tells a refusal from silence.
func tokenFailure(a *Account, err error) outcome {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response.StatusCode >= 500 {
		return failed(a, brokerUnavailable, err.Error())
	}
	return failed(a, tokenRefused, fmt.Sprintf("the token endpoint answered %d %s", refused.Response.StatusCode, refused.ErrorCode))
}

// claimCells are the members of a userinfo object but sub, in the order of
// protocol.Claims, then the others by name.
func claimCells(raw json.RawMessage) ([]claimCell, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	var cells []claimCell
	for name, value := range members {
		if name == "sub" {
			continue
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		cells = append(cells, claimCell{Name: name, Value: text})
	}
	order := protocol.Claims()
	rank := func(name string) int {
		if i := slices.Index(order, protocol.Claim(name)); i >= 0 {
			return i
		}
		return len(order)
	}
	sort.Slice(cells, func(i, j int) bool {
		if a, b := rank(cells[i].Name), rank(cells[j].Name); a != b {
			return a < b
		}
		return cells[i].Name < cells[j].Name
	})
	return cells, nil
}

// jwsPart decodes one part of a compact JWS for the page.
func jwsPart(jws string, i int) string {
	parts := strings.Split(jws, ".")
	if i >= len(parts) {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		return ""
	}
	return indent(b)
}

func indent(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// recorder keeps the last answer's body, so that the page can show the token
// response as it came. It serves one request after another.
type recorder struct {
	next http.RoundTripper
	body []byte
}

func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	t.body = body
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// link is a way to sign in again.
type link struct {
	ID         string
	Text       protocol.Text
	Param, URL string
}

// links are the variants of a sign-in that a page offers.
func (a *Account) links() []link {
	var out []link
	add := func(id string, text protocol.Text, param, value string) {
		q := url.Values{"client": {a.ClientID}, param: {value}}
		out = append(out, link{ID: "again-" + id, Text: text, Param: param + "=" + value, URL: "/sign-in?" + q.Encode()})
	}
	add("login", note("Sign in anew", "Se connecter de nouveau"), "prompt", "login")
	add("consent", note("Ask me again", "Me reposer la question"), "prompt", "consent")
	add("none", note("Without showing anything", "Sans rien afficher"), "prompt", "none")
	add("select-account", note("As somebody else", "Avec un autre compte"), "prompt", "select_account")
	add("max-age", note("At most a minute old", "Datant d’une minute au plus"), "max_age", "60")
	add("form-post", note("Answer by form post", "Réponse par formulaire"), "response_mode", "form_post")
	add("eidas2", note("At the substantial level", "Au niveau substantiel"), "acr_values", string(protocol.EIDAS2))
	add("fr", note("In French", "En français"), "ui_locales", "fr")
	add("en", note("In English", "En anglais"), "ui_locales", "en")
	for _, p := range a.IdPHints {
		add("hint-"+string(p), note("Straight to one provider", "Directement chez un fournisseur"), "idp_hint", string(p))
	}
	return out
}
