package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/protocol"
)

// NoticeLogout is the kind of notice that says that a session is over.
const NoticeLogout = "logout"

// logoutTokenLife is what OpenID Connect Back-Channel Logout section 2.4 asks for at
// most: a token is made anew for each try.
const logoutTokenLife = 2 * time.Minute

// logoutTombstone is longer than a code and the access tokens that it buys live.
const logoutTombstone = 2 * time.Hour

// sealNotice is the purpose of what a notice holds until it is delivered.
const sealNotice = "notice/" + NoticeLogout

// Notices delivers what services are told. Implemented by notices.Queue.
type Notices interface {
	Put(ctx context.Context, ns ...notices.Notice) error
	PutFor(ctx context.Context, life time.Duration, ns ...notices.Notice) error
}

var _ notices.Kind = (*Codes)(nil)

// Ended implements login.Issuer: each service with a back-channel logout URI is told,
// once, and whatever the service that asked has of this session dies. The codes and
// access tokens of all services die with the session; what another service was given
// for the time when the person is away stays with it (OpenID Connect Back-Channel
// Logout section 2.7).
func (c *Codes) Ended(ctx context.Context, asked protocol.ClientID, ds []login.Departure) error {
	var ns []notices.Notice
	for _, d := range ds {
		if d.Client == asked {
			if err := c.endGrant(ctx, d.Grant, d.OfflineUntil, c.cfg.Now().Add(logoutTombstone)); err != nil {
				return fmt.Errorf("revoke grant: %w", err)
			}
		}
		client, ok := c.cfg.Clients().Get(d.Client)
		told := slices.ContainsFunc(ns, func(n notices.Notice) bool { return n.Client == string(d.Client) })
		if !ok || told || client.BackChannelLogoutURI == "" {
			continue
		}
		n := notices.Notice{ID: notices.NewID(), Kind: NoticeLogout, Client: string(d.Client)}
		plain, err := json.Marshal(d)
		if err != nil {
			return errors.New("encode notice") // the cause could quote the subject
		}
		if n.Sealed, err = c.cfg.Sealer.Seal(sealNotice, []byte(n.ID), plain); err != nil {
			return fmt.Errorf("seal notice for client %s: %w", d.Client, err)
		}
		ns = append(ns, n)
	}
	if len(ns) == 0 {
		return nil
	}
	return c.cfg.Notices.Put(ctx, ns...)
}

// logoutToken is what a service is told (OpenID Connect Back-Channel Logout section
// 2.4). It never holds a nonce, so that nobody takes it for an ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"` // of the notice: who got it twice can tell
	SID      string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

// logoutEvent says which kind of event a security event token is about.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Request implements notices.Kind: the logout token as a form (section 2.5), where
// the service wants it now.
func (c *Codes) Request(ctx context.Context, n notices.Notice) (*http.Request, error) {
	client, ok := c.cfg.Clients().Get(protocol.ClientID(n.Client))
	if !ok || client.BackChannelLogoutURI == "" {
		return nil, notices.ErrUnwanted
	}
	d, err := c.departure(n)
	if err != nil {
		return nil, err
	}
	now := c.cfg.Now()
	payload, err := json.Marshal(logoutToken{
		Issuer: c.cfg.Issuer, Subject: d.Subject, Audience: n.Client, SID: d.SID, ID: n.ID,
		IssuedAt: now.Unix(), Expires: now.Add(logoutTokenLife).Unix(), Events: map[string]struct{}{logoutEvent: {}},
	})
	if err != nil {
		return nil, errors.New("encode logout token") // the cause could quote the subject
	}
	compact, err := c.cfg.Keys.Sign(ctx, idTokenAlg(client), "logout+jwt", payload)
	if err != nil {
		return nil, fmt.Errorf("sign logout token: %w", err)
	}
	form := url.Values{"logout_token": {compact}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackChannelLogoutURI, strings.NewReader(form))
	if err != nil {
		return nil, errors.New("the back-channel logout URI is not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

func (c *Codes) departure(n notices.Notice) (d login.Departure, err error) {
	plain, err := c.cfg.Sealer.Open(sealNotice, []byte(n.ID), n.Sealed)
	if err != nil {
		return d, fmt.Errorf("open notice: %w", err)
	}
	if json.Unmarshal(plain, &d) != nil {
		return d, errors.New("read notice") // the cause could quote the subject
	}
	return d, nil
}

// Accepts implements notices.Kind (section 2.8): 200 is yes, and 204, which some
// frameworks make of an empty 200; 400 says that it will never be one.
func (*Codes) Accepts(status int) notices.Verdict {
	switch status {
	case http.StatusOK, http.StatusNoContent:
		return notices.Taken
	case http.StatusBadRequest:
		return notices.Refused
	}
	return notices.Again
}

// Over implements notices.Kind: how it ended is on record.
func (c *Codes) Over(ctx context.Context, n notices.Notice, outcome string) error {
	e := audit.Event{Public: audit.Public{Kind: audit.LogoutDelivered, Client: n.Client, Outcome: outcome}}
	if outcome != notices.OK {
		e.Public.Kind = audit.LogoutFailed
	}
	if d, err := c.departure(n); err == nil { // else it was made under a key that is gone
		e.Personal.Person, e.Personal.Grant, e.SealKey = d.Person, string(d.Grant), d.SealKey
	}
	if _, err := c.cfg.Audit.Append(ctx, e); err != nil {
		return fmt.Errorf("audit %s: %w", e.Public.Kind, err)
	}
	return nil
}
