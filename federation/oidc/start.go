package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/protocol"
)

// pending is what Finish needs of Start. Whoever keeps it keeps it sealed.
type pending struct {
	Provider protocol.ProviderID `json:"p"`
	Nonce    string              `json:"n"`
	Verifier string              `json:"v"` // PKCE (RFC 7636)
	Started  int64               `json:"t"` // seconds since 1970
}

// The longest hint that we pass on, in bytes, and the most languages.
const (
	maxLoginHint = 256
	maxLocales   = 10
)

// Start implements federation.Provider.
func (p *Provider) Start(ctx context.Context, r federation.Request) (federation.Started, error) {
	if r.State == "" {
		return federation.Started{}, p.failf(federation.Invalid, "start without state")
	}
	if r.MinACR != "" && !p.cfg.ACR.Max.Reaches(r.MinACR) {
		return federation.Started{}, p.failf(federation.TooWeak, "cannot reach %s", r.MinACR)
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return federation.Started{}, err
	}
	pend := pending{Provider: p.cfg.ID, Nonce: random(), Verifier: random(), Started: p.cfg.Now().Unix()}
	saved, err := json.Marshal(pend)
	if err != nil {
		return federation.Started{}, p.fail(federation.Unavailable, err)
	}
	carried, err := p.carried(ctx, m, r, pend)
	if err != nil {
		return federation.Started{}, err
	}
	u := *m.authorization
	q := u.Query()
	maps.Copy(q, carried)
	u.RawQuery = q.Encode()
	return federation.Started{URL: u.String(), Pending: saved}, nil
}

// carried is what the browser takes to the provider: the request, or a reference to
// it where it was pushed.
func (p *Provider) carried(ctx context.Context, m *metadata, r federation.Request, pend pending) (url.Values, error) {
	request := url.Values{}
	if err := p.describe(request, m, r, pend); err != nil {
		return nil, p.fail(federation.Unavailable, err)
	}
	if pushes, err := p.pushes(m); err != nil || !pushes {
		return request, err
	}
	return p.push(ctx, m, request)
}

// describe writes the authentication request (OpenID Connect Core section
// 3.1.2.1). Nothing in it tells which service the person came from.
func (p *Provider) describe(q url.Values, m *metadata, r federation.Request, pend pending) error {
	challenge := sha256.Sum256([]byte(pend.Verifier))
	q.Set("response_type", "code")
	q.Set("client_id", p.cfg.ClientID)
	q.Set("redirect_uri", p.cfg.RedirectURI)
	q.Set("scope", strings.Join(p.cfg.Scopes, " "))
	q.Set("state", r.State)
	q.Set("nonce", pend.Nonce)
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	q.Set("code_challenge_method", "S256")
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	levels := p.acrValues(r.MinACR)
	if p.cfg.ACR.Essential && len(levels) > 0 {
		claims, err := essentialACR(levels)
		if err != nil {
			return err
		}
		set("claims", claims)
	} else {
		set("acr_values", strings.Join(levels, " "))
	}
	set("prompt", prompt(m, r))
	set("max_age", maxAge(r))
	if hint := r.LoginHint; len(hint) <= maxLoginHint && strings.IndexFunc(hint, unicode.IsControl) < 0 {
		set("login_hint", hint)
	}
	set("ui_locales", uiLocales(r.UILocales))
	return nil
}

// essentialACR is the claims parameter that obliges the provider to reach one of the
// levels or to refuse (OpenID Connect Core section 5.5.1.1).
func essentialACR(levels []string) (string, error) {
	type acr struct {
		Essential bool     `json:"essential"`
		Values    []string `json:"values"`
	}
	claims, err := json.Marshal(map[string]map[string]acr{"id_token": {"acr": {Essential: true, Values: levels}}})
	return string(claims), err
}

// acrValues are the provider's names for the levels that satisfy min, weakest
// first: acr_values is in order of preference, and nobody is asked for a stronger
// sign-in than the service needs.
func (p *Provider) acrValues(least protocol.ACR) []string {
	if least == "" {
		return nil
	}
	var out []string
	for value, level := range p.cfg.ACR.Map {
		if level.Reaches(least) {
			out = append(out, value)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		la, lb := p.cfg.ACR.Map[a], p.cfg.ACR.Map[b]
		if la == lb {
			return strings.Compare(a, b)
		}
		if lb.Reaches(la) {
			return -1
		}
		return 1
	})
	return out
}

// prompt asks for what was asked of us. A provider that does not announce
// select_account might ignore it and sign the same person in again, so it is
// asked for a new sign-in instead, which lets another person in as well.
func prompt(m *metadata, r federation.Request) string {
	var out []string
	if r.SelectAccount && slices.Contains(m.prompts, "select_account") {
		out = append(out, "select_account")
	} else if r.SelectAccount {
		r.ForceLogin = true
	}
	if r.ForceLogin {
		out = append(out, "login")
	}
	return strings.Join(out, " ")
}

// maxAge is sent with a forced sign-in too: it obliges the provider to say
// auth_time (OpenID Connect Core section 2), which is how we know that it obeyed.
func maxAge(r federation.Request) string {
	if r.ForceLogin {
		return "0"
	}
	if r.MaxAge == nil {
		return ""
	}
	return strconv.FormatInt(max(0, int64(*r.MaxAge/time.Second)), 10)
}

// languageTag has the alphabet and a generous length of BCP 47.
var languageTag = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

func uiLocales(tags []string) string {
	var out []string
	for _, t := range tags {
		if languageTag.MatchString(t) && len(out) < maxLocales {
			out = append(out, t)
		}
	}
	return strings.Join(out, " ")
}

// random is 256 bits in 43 characters, which also suits a PKCE verifier.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process rather than return bad bytes
	return base64.RawURLEncoding.EncodeToString(b[:])
}
