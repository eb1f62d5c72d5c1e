package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/failpoint"
	"github.com/voussoir-id/voussoir/login"
)

// CodesConfig is what NewCodes needs. Fields without a default are required.
type CodesConfig struct {
	Issuer  string
	Clients func() *clients.Set
	Grants  GrantStore
	Once    OnceStore
	Refresh RefreshStore
	Sealer  login.Sealer
	Keys    Keys // signs responses
	Site    Site
	Notices Notices // what services are told
	Audit   Recorder
	CodeTTL time.Duration // how long a code may be redeemed; default 30 s, at most 10 min (RFC 6749 section 4.1.2)
	Now     func() time.Time
}

// Codes issues authorization codes and writes authorization responses. It is
// login's Issuer, made before login is. Safe for concurrent use.
type Codes struct{ cfg CodesConfig }

var _ login.Issuer = (*Codes)(nil)

// NewCodes refuses a missing collaborator.
func NewCodes(cfg CodesConfig) (*Codes, error) {
	if cfg.Clients == nil || cfg.Grants == nil || cfg.Once == nil || cfg.Refresh == nil || cfg.Sealer == nil || cfg.Keys == nil || cfg.Site == nil || cfg.Notices == nil || cfg.Audit == nil || cfg.Now == nil {
		return nil, errors.New("provider: codes: a collaborator is missing")
	}
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("provider: codes: %w", err)
	}
	if cfg.CodeTTL == 0 {
		cfg.CodeTTL = 30 * time.Second
	}
	if cfg.CodeTTL < 0 || cfg.CodeTTL > 10*time.Minute {
		return nil, errors.New("provider: codes: CodeTTL is not between 0 and 10 min")
	}
	return &Codes{cfg: cfg}, nil
}

// IssueCode returns a code that redeems g once within CodeTTL from now. Any
// error means that no code may be given out. The caller has put the release on
// record before (see docs/life-of-a-login.md).
func (c *Codes) IssueCode(ctx context.Context, g login.Grant) (string, error) {
	client, ok := c.cfg.Clients().Get(g.Client)
	if !ok {
		return "", fmt.Errorf("issue code: client %s is gone", g.Client)
	}
	g.IssuedAt = c.cfg.Now()
	failpoint.Here("code.before-put")
	code, err := storeGrant(ctx, c, CodeGrant, g.ID, g, c.forgetAt(g.IssuedAt, client))
	if err != nil {
		return "", fmt.Errorf("issue code for client %s: %w", g.Client, err)
	}
	failpoint.Here("code.after-put")
	return code, nil
}

// forgetAt is when a code leaves the store: not when it expires, but when the last
// token that it can have bought does. Until then a second use is recognised and
// revokes them (RFC 6749 section 4.1.2).
func (c *Codes) forgetAt(issued time.Time, client *clients.Client) time.Time {
	return issued.Add(c.cfg.CodeTTL + accessTTL(client))
}

// expired reports whether a code issued at this time may no longer be redeemed.
func (c *Codes) expired(issued time.Time) bool {
	return !c.cfg.Now().Before(issued.Add(c.cfg.CodeTTL))
}

// accessTTL is the life of a client's access tokens: 60 s unless registered
// otherwise, never more than 1 h.
func accessTTL(c *clients.Client) time.Duration {
	if c.AccessTokenTTL <= 0 {
		return time.Minute
	}
	return min(c.AccessTokenTTL, time.Hour)
}
