package consent

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// ReceiptSchema names the form of a Document: its fields and their order of ideas are
// those of ISO/IEC TS 27560:2023, as far as public descriptions of it go. Which field is
// which: docs/receipts.md.
const ReceiptSchema = "voussoir-receipt-1"

// ReceiptType is the typ of a receipt that is signed as a JWT.
const ReceiptType = "consent-receipt+jwt"

// receiptAlg signs receipts: every verifier knows it.
const receiptAlg = "ES256"

// DocumentsConfig is what NewDocuments needs; all of it.
type DocumentsConfig struct {
	Issuer  string // https://host[:port]
	Prover  Prover
	Signer  Signer
	Deriver identity.Deriver
	// About tells what the configuration says of a receipt's service today; false: it is
	// gone, and the document says only what the receipt itself knows.
	About func(r Receipt) (About, bool)
	Now   func() time.Time
}

// Prover proves that an entry is in the audit log. Implemented by audit.Tree.
type Prover interface {
	// Prove returns audit.ErrNotInTree for an entry that has no index yet.
	Prove(ctx context.Context, id [16]byte) (audit.Proof, error)
}

// Signer signs what is for everybody to verify with the keys at /jwks. Implemented by
// keys.Ring.
type Signer interface {
	Sign(ctx context.Context, alg, typ string, payload []byte) (compact string, err error)
}

// About is what the configuration says of a service.
type About struct {
	Name      protocol.Text // of the service, which is the controller
	Sector    string        // in which the person is known to it
	Purpose   protocol.Text // of the policy, if it still has the receipt's version
	Retention string        // ISO 8601, likewise
	Provider  protocol.Text // of the identity provider
}

// Documents makes receipts to take away. Safe for concurrent use.
type Documents struct{ cfg DocumentsConfig }

// NewDocuments refuses a missing collaborator.
func NewDocuments(cfg DocumentsConfig) (*Documents, error) {
	if cfg.Issuer == "" || cfg.Prover == nil || cfg.Signer == nil || cfg.Deriver == nil || cfg.About == nil || cfg.Now == nil {
		return nil, errors.New("consent: documents: a collaborator is missing")
	}
	return &Documents{cfg}, nil
}

// Document is a receipt for its holder. It has names of claims, never values, and knows
// her as the service does: whoever finds it learns nothing that the service did not.
type Document struct {
	Schema     string       `json:"schema_version"`
	RecordID   string       `json:"record_id"`
	Principal  identity.Sub `json:"pii_principal_id,omitempty"`
	Broker     string       `json:"issued_by"`
	Controller Controller   `json:"pii_controller"`
	Notice     DocNotice    `json:"privacy_notice"`
	Purpose    DocPurpose   `json:"purpose"`
	Event      DocEvent     `json:"event"`
	SignIn     *DocSignIn   `json:"authentication,omitempty"`
	Withdraw   string       `json:"withdrawal_method"`
	Audit      DocAudit     `json:"audit"`
}

// Controller is the service.
type Controller struct {
	ID   protocol.ClientID `json:"party_id"`
	Name protocol.Text     `json:"party_name,omitempty"`
}

// DocNotice says which words she read, by their hash (see Notice).
type DocNotice struct {
	Policy   string `json:"policy"`
	Version  int    `json:"policy_version"`
	Language string `json:"language,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // hex
}

// DocPurpose is what for, on what basis, and which facts.
type DocPurpose struct {
	Text      protocol.Text    `json:"purpose_description,omitempty"`
	Basis     string           `json:"lawful_basis"`
	Shown     []protocol.Claim `json:"pii_requested"`
	Released  []protocol.Claim `json:"pii_information"` // what left, or what is taken back
	Retention string           `json:"retention_period,omitempty"`
}

// DocEvent is the act.
type DocEvent struct {
	Type         Act        `json:"event_type"`
	Time         time.Time  `json:"event_time"`
	ValidUntil   *time.Time `json:"valid_until,omitempty"`
	OfflineUntil *time.Time `json:"offline_until,omitempty"`
	About        string     `json:"about,omitempty"` // the record that it ends, or rests on
}

// DocSignIn is how she was known.
type DocSignIn struct {
	Provider protocol.ProviderID `json:"identity_provider"`
	Name     protocol.Text       `json:"identity_provider_name,omitempty"`
	ACR      protocol.ACR        `json:"acr"`
}

// DocAudit is where the act is on record. Proof is a C2SP tlog-proof, with the entry in
// it; "" while the entry waits for its place in the tree, some seconds.
type DocAudit struct {
	Entry string `json:"entry"`
	Index *int64 `json:"index,omitempty"`
	Proof string `json:"proof,omitempty"`
}

// Document makes the document of a receipt.
func (d *Documents) Document(ctx context.Context, r Receipt) (Document, error) {
	doc := Document{
		Schema: ReceiptSchema, RecordID: hex.EncodeToString(r.ID[:]), Broker: d.cfg.Issuer,
		Controller: Controller{ID: r.Client},
		Notice:     DocNotice{Policy: r.PolicyID, Version: r.PolicyVersion, Language: r.Language},
		Purpose:    DocPurpose{Basis: r.Basis, Shown: orEmpty(r.Shown), Released: orEmpty(r.Released)},
		Event:      DocEvent{Type: r.Act, Time: r.Time, ValidUntil: instant(r.Until), OfflineUntil: instant(r.OfflineUntil), About: idText(r.About)},
		Withdraw:   d.cfg.Issuer + "/me",
		Audit:      DocAudit{Entry: hex.EncodeToString(r.Audit[:])},
	}
	if r.Notice != ([32]byte{}) {
		doc.Notice.SHA256 = hex.EncodeToString(r.Notice[:])
	}
	if r.Provider != "" {
		doc.SignIn = &DocSignIn{Provider: r.Provider, ACR: r.ACR}
	}
	if about, ok := d.cfg.About(r); ok {
		if err := d.describe(ctx, &doc, r, about); err != nil {
			return Document{}, fmt.Errorf("receipt for client %s: %w", r.Client, err)
		}
	}
	proof, err := d.cfg.Prover.Prove(ctx, r.Audit)
	switch {
	case errors.Is(err, audit.ErrNotInTree):
	case err != nil:
		return Document{}, fmt.Errorf("receipt for client %s: %w", r.Client, err)
	default:
		doc.Audit.Index, doc.Audit.Proof = &proof.Index, string(proof.Encode())
	}
	return doc, nil
}

func (d *Documents) describe(ctx context.Context, doc *Document, r Receipt, a About) (err error) {
	doc.Controller.Name, doc.Purpose.Text, doc.Purpose.Retention = a.Name, a.Purpose, a.Retention
	if doc.SignIn != nil {
		doc.SignIn.Name = a.Provider
	}
	doc.Principal, err = identity.PairwiseSub(ctx, d.cfg.Deriver, a.Sector, r.Person)
	return err
}

// signedDocument is the payload of a signed receipt.
type signedDocument struct {
	Issuer   string            `json:"iss"`
	Subject  identity.Sub      `json:"sub,omitempty"`
	Audience protocol.ClientID `json:"aud"`
	IssuedAt int64             `json:"iat"`
	ID       string            `json:"jti"`
	Document Document          `json:"receipt"`
}

// Signed makes the document a JWT that everybody can verify with the keys at /jwks, for as
// long as they are there; its proof verifies for longer. No exp: what happened stays true.
func (d *Documents) Signed(ctx context.Context, doc Document) (string, error) {
	payload, err := json.Marshal(signedDocument{
		Issuer: d.cfg.Issuer, Subject: doc.Principal, Audience: doc.Controller.ID, IssuedAt: d.cfg.Now().Unix(), ID: doc.RecordID, Document: doc,
	})
	if err != nil {
		return "", errors.New("encode a receipt")
	}
	compact, err := d.cfg.Signer.Sign(ctx, receiptAlg, ReceiptType, payload)
	if err != nil {
		return "", fmt.Errorf("sign a receipt: %w", err)
	}
	return compact, nil
}

// Matches reports what of a document the audit entry in its proof does not say: whoever
// changes a document cannot change the entry. p is the public part of that entry.
func (doc Document) Matches(entry [16]byte, p audit.Public) error {
	claims := make([]string, len(doc.Purpose.Released))
	for i, c := range doc.Purpose.Released {
		claims[i] = string(c)
	}
	switch {
	case doc.Audit.Entry != hex.EncodeToString(entry[:]):
		return errors.New("the proof is of another entry")
	case p.Kind != (Receipt{Act: doc.Event.Type}).kind():
		return fmt.Errorf("the entry says %s", p.Kind)
	case p.Client != string(doc.Controller.ID):
		return fmt.Errorf("the entry is about the service %s", p.Client)
	case p.Policy != doc.Notice.Policy || p.PolicyVersion != doc.Notice.Version || p.Basis != doc.Purpose.Basis:
		return fmt.Errorf("the entry is about version %d of the policy %s, on the basis %s", p.PolicyVersion, p.Policy, p.Basis)
	case !slices.Equal(p.Claims, claims):
		return fmt.Errorf("the entry is about the facts %v", p.Claims)
	}
	return nil
}

func orEmpty(claims []protocol.Claim) []protocol.Claim {
	return append([]protocol.Claim{}, claims...)
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func idText(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}
