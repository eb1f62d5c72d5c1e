package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// target is the broker under load and the service in whose name people come.
type target struct {
	Broker      string // issuer and origin
	RedirectURI string // nobody listens there: the generator reads the redirect itself
	Scope       string
	Provider    string // id of the provider that is chosen
}

// login is one whole sign-in, from the service's button to userinfo, in a
// browser that the broker has not seen before.
type login struct {
	target
	*browser
	service                *service
	state, nonce, verifier string
	sub                    string // who signed in, in the end
}

func newLogin(t target, s *service, client *http.Client) *login {
	return &login{target: t, service: s, browser: newBrowser(client, t.Broker), state: token(), nonce: token(), verifier: token()}
}

func token() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// run signs identity in and returns the time that the broker added: the sum of
// its answers, without the provider's and without think time.
func (l *login) run(ctx context.Context, identity string) (time.Duration, error) {
	flow, err := l.open(ctx)
	if err != nil {
		return 0, err
	}
	consent, err := l.atProvider(ctx, flow, identity)
	if err != nil {
		return 0, err
	}
	back, err := l.post(ctx, consent, url.Values{"answer": {"agree"}})
	if err != nil {
		return 0, err
	}
	if err := l.redeem(ctx, back); err != nil {
		return 0, err
	}
	return l.spent, nil
}

// open goes from the service to the choice page and returns the flow's address.
func (l *login) open(ctx context.Context) (flow string, err error) {
	sum := sha256.Sum256([]byte(l.verifier))
	request, err := l.push(ctx, url.Values{
		"client_id": {l.service.id}, "redirect_uri": {l.RedirectURI}, "response_type": {"code"}, "scope": {l.Scope},
		"state": {l.state}, "nonce": {l.nonce}, "ui_locales": {"fr"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		return "", err
	}
	page, err := l.follow(ctx, l.Broker+"/authorize?"+request.Encode())
	if err != nil {
		return "", err
	}
	return l.flowOf(page, `id="provider-`+l.Provider+`"`)
}

// flowOf returns the address /login/{flow} of a page that must hold this hook.
func (l *login) flowOf(page answer, hook string) (string, error) {
	rest, ok := strings.CutPrefix(page.URL.Path, "/login/")
	id, _, _ := strings.Cut(rest, "/")
	if page.Status != http.StatusOK || !ok || !bytes.Contains(page.Body, []byte(hook)) {
		return "", fmt.Errorf("%s answered %d%s, want a page with %s", page.URL.Path, page.Status, errorCode(page.Body), hook)
	}
	return l.Broker + "/login/" + id, nil
}

// errorCode reads the stable code of an error page, for the report.
func errorCode(body []byte) string {
	_, after, ok := bytes.Cut(body, []byte(`data-code="`))
	code, _, end := bytes.Cut(after, []byte(`"`))
	if !ok || !end {
		return ""
	}
	return " (" + string(code) + ")"
}

// atProvider chooses the provider, signs in there and returns where the consent
// form goes. It posts the provider's form without looking at the page: that
// would measure the sandbox.
func (l *login) atProvider(ctx context.Context, flow, identity string) (consent string, err error) {
	away, err := l.post(ctx, flow+"/provider", url.Values{"provider": {l.Provider}})
	if err != nil {
		return "", err
	}
	idp, request, ok := strings.Cut(away.Next, "/authorize?")
	if away.Status != http.StatusSeeOther || !ok {
		return "", fmt.Errorf("%s answered %d%s, want the way to the provider", away.URL.Path, away.Status, errorCode(away.Body))
	}
	back, err := l.post(ctx, idp+"/sign-in", url.Values{"request": {request}, "identity": {identity}})
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(back.Next, l.Broker+"/callback/") {
		return "", fmt.Errorf("the provider answered %d, want the way to the broker's callback", back.Status)
	}
	page, err := l.follow(ctx, back.Next)
	if err != nil {
		return "", err
	}
	at, err := l.flowOf(page, `id="consent-agree"`)
	return at + "/consent", err
}

// redeem is the service's part: code for tokens, tokens for claims. A login
// whose answer is not for us is no login.
func (l *login) redeem(ctx context.Context, back answer) error {
	u, err := url.Parse(back.Next)
	if err != nil || !strings.HasPrefix(back.Next, l.RedirectURI+"?") {
		return fmt.Errorf("%s answered %d%s, want the way to the service", back.URL.Path, back.Status, errorCode(back.Body))
	}
	q := u.Query()
	if q.Get("error") != "" || q.Get("state") != l.state || q.Get("iss") != l.Broker {
		return errors.New("the answer to the service is an error, or has a wrong state or iss")
	}
	tokens, err := l.call(ctx, http.MethodPost, "/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {l.RedirectURI}, "code_verifier": {l.verifier},
	}, "")
	if err != nil {
		return err
	}
	var t struct {
		AccessToken string `json:"access_token"`
		IDToken     string `json:"id_token"`
	}
	if tokens.Status != http.StatusOK || json.Unmarshal(tokens.Body, &t) != nil {
		return fmt.Errorf("/token answered %d", tokens.Status)
	}
	if l.sub, err = l.subject(t.IDToken); err != nil {
		return err
	}
	return l.userinfo(ctx, t.AccessToken)
}

// subject reads who signed in.
func (l *login) subject(idToken string) (string, error) {
	var c struct{ Iss, Sub, Nonce string }
	if err := l.service.claims(idToken, &c); err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	if c.Sub == "" || c.Iss != l.Broker || c.Nonce != l.nonce {
		return "", errors.New("the ID token has a wrong iss, sub or nonce")
	}
	return c.Sub, nil
}

func (l *login) userinfo(ctx context.Context, access string) error {
	got, err := l.call(ctx, http.MethodGet, "/userinfo", nil, access)
	if err != nil {
		return err
	}
	var c struct{ Sub string }
	if l.service.kind == basic {
		err = json.Unmarshal(got.Body, &c)
	} else {
		err = l.service.claims(string(got.Body), &c)
	}
	if got.Status != http.StatusOK || err != nil || c.Sub != l.sub {
		return fmt.Errorf("/userinfo answered %d, or speaks of somebody else", got.Status)
	}
	return nil
}
