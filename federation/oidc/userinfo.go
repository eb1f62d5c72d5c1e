package oidc

import (
	"context"
	"net/http"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// userInfo asks the userinfo endpoint about subject (OpenID Connect Core section
// 5.3); nil when the provider is not configured to be asked.
func (p *Provider) userInfo(ctx context.Context, m *metadata, t tokens, subject string) (object, error) {
	if !p.cfg.UserInfo.Fetch {
		return nil, nil
	}
	want := "application/json"
	if p.cfg.UserInfo.SigningAlg != "" {
		want = "application/jwt"
	}
	scheme := "Bearer "
	if t.bound != nil {
		scheme = "DPoP "
	}
	a, err := p.proven(t.bound, "userinfo endpoint", t.access, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.userInfo, nil)
		if err != nil {
			return nil, p.failf(federation.Unavailable, "userinfo endpoint is not a URL")
		}
		req.Header.Set("Authorization", scheme+t.access)
		req.Header.Set("Accept", want)
		return req, nil
	})
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, p.failf(federation.Refused, "userinfo endpoint answered %s", http.StatusText(a.Status))
	}
	if mediaType(a.ContentType) != want {
		return nil, p.failf(federation.Invalid, "userinfo is not %s", want)
	}
	info, err := p.readUserInfo(ctx, m, a)
	if err != nil {
		return nil, err
	}
	// About another person, or about nobody: a token substitution (section 5.3.2).
	if sub, _, err := info.text("sub"); err != nil || sub != subject {
		return nil, p.failf(federation.Invalid, "userinfo is about another subject")
	}
	return info, nil
}

func (p *Provider) readUserInfo(ctx context.Context, m *metadata, a outbound.Answer) (object, error) {
	body := a.Body
	if alg := p.cfg.UserInfo.SigningAlg; alg != "" {
		signed, err := p.inner(ctx, p.cfg.UserInfo.EncryptionAlg, string(a.Body))
		if err != nil {
			return nil, err
		}
		if body, err = m.keys.Verify(ctx, signed, alg); err != nil {
			return nil, p.unverified(err)
		}
	}
	members, err := protocol.Object(body)
	if err != nil {
		return nil, p.fail(federation.Invalid, err)
	}
	info := object(members)
	if p.cfg.UserInfo.SigningAlg != "" {
		if why := p.checkSignedInfo(info); why != "" {
			return nil, p.failf(federation.Invalid, "userinfo: %s", why)
		}
	}
	return info, nil
}

// checkSignedInfo checks what a signed answer should say of itself (section
// 5.3.2) wherever it does, or returns "".
func (p *Provider) checkSignedInfo(info object) string {
	if iss, ok, err := info.text("iss"); ok && (err != nil || iss != p.cfg.Issuer) {
		return "another issuer"
	}
	if audience, err := info.texts("aud"); err != nil {
		return "a malformed audience"
	} else {
		for _, a := range audience {
			if a != p.cfg.ClientID {
				return "another audience"
			}
		}
	}
	if exp, ok, err := info.date("exp"); ok && (err != nil || !p.cfg.Now().Before(exp.Add(skew))) {
		return "expired"
	}
	return ""
}
