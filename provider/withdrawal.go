package provider

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/notices"
	"github.com/voussoir-id/voussoir/protocol"
)

// NoticeWithdrawal is the kind of notice that says that a person has taken her answer
// back.
const NoticeWithdrawal = "withdrawal"

// EventConsentWithdrawn is the type of the security event that a service is sent (RFC
// 8417 section 2.2). No registered type says it.
const EventConsentWithdrawn = "urn:voussoir:secevent:consent-withdrawn"

// withdrawalNewsLife is for how long a service that does not answer is told.
const withdrawalNewsLife = 24 * time.Hour

// sealWithdrawal is the purpose of what a notice holds until it is delivered.
const sealWithdrawal = "notice/" + NoticeWithdrawal

// WithdrawalsConfig is what NewWithdrawals needs; all of it.
type WithdrawalsConfig struct {
	Issuer  string
	Clients func() *clients.Set
	Grants  GrantStore
	Sealer  login.Sealer
	Keys    Keys
	Deriver identity.Deriver
	Notices Notices
	Audit   Recorder
	// SealKey is that of a person, for the audit log; none when it was destroyed.
	SealKey func(ctx context.Context, p identity.PersonID) ([]byte, error)
	Now     func() time.Time
}

// Withdrawals carries out what a person takes back: tokens die, and the service is
// told by a security event token (RFC 8417) that is pushed to it (RFC 8935). Safe for
// concurrent use.
type Withdrawals struct{ cfg WithdrawalsConfig }

var (
	_ consent.Ender = (*Withdrawals)(nil)
	_ notices.Kind  = (*Withdrawals)(nil)
)

// NewWithdrawals refuses a missing collaborator.
func NewWithdrawals(cfg WithdrawalsConfig) (*Withdrawals, error) {
	if cfg.Clients == nil || cfg.Grants == nil || cfg.Sealer == nil || cfg.Keys == nil || cfg.Deriver == nil || cfg.Notices == nil || cfg.Audit == nil || cfg.SealKey == nil || cfg.Now == nil {
		return nil, errors.New("provider: withdrawals: a collaborator is missing")
	}
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("provider: withdrawals: %w", err)
	}
	return &Withdrawals{cfg}, nil
}

// End implements consent.Ender. The tombstone of a grant lasts longer than any code or
// access token of it, those included that a request is just making.
func (w *Withdrawals) End(ctx context.Context, e consent.Ending) error {
	until := w.cfg.Now().Add(lastAccess)
	for _, id := range e.Grants {
		if err := w.cfg.Grants.WithdrawGrant(ctx, login.GrantID(id), until); err != nil {
			return fmt.Errorf("revoke a withdrawn grant: %w", err)
		}
	}
	return w.tell(ctx, e.Receipt)
}

// news is what a notice holds: enough to tell the service, and to put on record that
// it was told.
type news struct {
	ID      string // of the receipt: who is told twice can tell
	Subject identity.Sub
	Policy  string
	Version int
	Claims  []protocol.Claim
	Time    time.Time
	Person  identity.PersonID
}

// tell puts the news into the queue; after a crash once more, with the same jti. What is
// sealed holds nobody's key, so that destroying it leaves no copy here.
func (w *Withdrawals) tell(ctx context.Context, r consent.Receipt) error {
	c, ok := w.cfg.Clients().Get(r.Client)
	if !ok || c.SecurityEventsURI == "" {
		return nil
	}
	sub, err := identity.PairwiseSub(ctx, w.cfg.Deriver, c.Sector, r.Person)
	if err != nil {
		return fmt.Errorf("subject for client %s: %w", c.ID, err)
	}
	n := notices.Notice{ID: notices.NewID(), Kind: NoticeWithdrawal, Client: string(c.ID)}
	plain, err := json.Marshal(news{
		ID: hex.EncodeToString(r.ID[:]), Subject: sub, Policy: r.PolicyID, Version: r.PolicyVersion, Claims: r.Released, Time: r.Time, Person: r.Person,
	})
	if err != nil {
		return errors.New("encode notice") // the cause could quote the subject
	}
	if n.Sealed, err = w.cfg.Sealer.Seal(sealWithdrawal, []byte(n.ID), plain); err != nil {
		return fmt.Errorf("seal notice for client %s: %w", c.ID, err)
	}
	return w.cfg.Notices.PutFor(ctx, withdrawalNewsLife, n)
}

// securityEvent is a security event token (RFC 8417 section 2.2). It has no exp (section
// 2.2), no nonce and a typ of its own, so that nobody takes it for an ID token.
type securityEvent struct {
	Issuer   string                    `json:"iss"`
	Audience string                    `json:"aud"`
	IssuedAt int64                     `json:"iat"`
	ID       string                    `json:"jti"`
	Subject  subjectID                 `json:"sub_id"`
	TimeOf   int64                     `json:"toe"` // section 2.2: when it happened
	Events   map[string]withdrawnEvent `json:"events"`
}

// subjectID names a person as the service knows her (RFC 9493 section 3.2.3).
type subjectID struct {
	Format  string       `json:"format"`
	Issuer  string       `json:"iss"`
	Subject identity.Sub `json:"sub"`
}

// withdrawnEvent says what she took back.
type withdrawnEvent struct {
	Policy  string           `json:"policy"`
	Version int              `json:"policy_version"`
	Claims  []protocol.Claim `json:"claims"` // that she had agreed to pass on
}

// Request implements notices.Kind (RFC 8935 section 2.1).
func (w *Withdrawals) Request(ctx context.Context, n notices.Notice) (*http.Request, error) {
	c, ok := w.cfg.Clients().Get(protocol.ClientID(n.Client))
	if !ok || c.SecurityEventsURI == "" {
		return nil, notices.ErrUnwanted
	}
	x, err := w.open(n)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(securityEvent{
		Issuer: w.cfg.Issuer, Audience: n.Client, ID: x.ID, IssuedAt: w.cfg.Now().Unix(), TimeOf: x.Time.Unix(),
		Subject: subjectID{Format: "iss_sub", Issuer: w.cfg.Issuer, Subject: x.Subject},
		Events:  map[string]withdrawnEvent{EventConsentWithdrawn: {Policy: x.Policy, Version: x.Version, Claims: x.Claims}},
	})
	if err != nil {
		return nil, errors.New("encode security event token") // the cause could quote the subject
	}
	compact, err := w.cfg.Keys.Sign(ctx, idTokenAlg(c), "secevent+jwt", payload)
	if err != nil {
		return nil, fmt.Errorf("sign security event token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.SecurityEventsURI, strings.NewReader(compact))
	if err != nil {
		return nil, errors.New("the security events URI is not a URL")
	}
	req.Header.Set("Content-Type", "application/secevent+jwt")
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func (w *Withdrawals) open(n notices.Notice) (x news, err error) {
	plain, err := w.cfg.Sealer.Open(sealWithdrawal, []byte(n.ID), n.Sealed)
	if err != nil {
		return x, fmt.Errorf("open notice: %w", err)
	}
	if json.Unmarshal(plain, &x) != nil {
		return x, errors.New("read notice") // the cause could quote the subject
	}
	return x, nil
}

// Accepts implements notices.Kind: 202 is yes (RFC 8935 section 2.2), and what
// frameworks make of it; 400 says that it will never be one (section 2.3).
func (*Withdrawals) Accepts(status int) notices.Verdict {
	switch status {
	case http.StatusAccepted, http.StatusOK, http.StatusNoContent:
		return notices.Taken
	case http.StatusBadRequest:
		return notices.Refused
	}
	return notices.Again
}

// Over implements notices.Kind: how it ended is on record.
func (w *Withdrawals) Over(ctx context.Context, n notices.Notice, outcome string) error {
	e := audit.Event{Public: audit.Public{Kind: audit.EventDelivered, Client: n.Client, Outcome: outcome}}
	if outcome != notices.OK {
		e.Public.Kind = audit.EventFailed
	}
	if x, err := w.open(n); err == nil { // else it was made under a key that is gone
		if e.SealKey, err = w.cfg.SealKey(ctx, x.Person); err != nil {
			return fmt.Errorf("audit %s: %w", e.Public.Kind, err)
		}
		if len(e.SealKey) > 0 { // else she has closed her record, and nothing is said of her any more
			e.Personal.Person = x.Person.String()
		}
	}
	if _, err := w.cfg.Audit.Append(ctx, e); err != nil {
		return fmt.Errorf("audit %s: %w", e.Public.Kind, err)
	}
	return nil
}
