package sql

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/protocol"
)

func (w *consentWorld) documents(t *testing.T) *consent.Documents {
	t.Helper()
	tree, err := audit.NewTree(w.records)
	if err != nil {
		t.Fatal(err)
	}
	d, err := consent.NewDocuments(consent.DocumentsConfig{
		Issuer: "https://broker.example", Prover: tree, Signer: w.ring, Deriver: w.ring, Now: w.clock,
		About: func(r consent.Receipt) (consent.About, bool) {
			return consent.About{Name: protocol.Text{"fr": "Médiathèque"}, Sector: "library.example", Purpose: protocol.Text{"fr": "Ouvrir votre compte"}, Retention: "P1Y"}, r.Client == "library"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// public is the public part of the entry that a document's proof is of, which must hold.
func (w *consentWorld) public(t *testing.T, doc consent.Document) (id [16]byte, p audit.Public) {
	t.Helper()
	proof, err := audit.ParseProof([]byte(doc.Audit.Proof))
	if err != nil {
		t.Fatal(err)
	}
	_, key := w.keys(t)
	if _, err := proof.Verify(treeOrigin, key); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(proof.Statement.Public, &p); err != nil {
		t.Fatal(err)
	}
	return proof.Statement.ID, p
}

func document(t *testing.T, d *consent.Documents, r consent.Receipt) consent.Document {
	t.Helper()
	doc, err := d.Document(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocument_SaysWhatHappenedAndProvesIt_TS27560(t *testing.T) {
	w := newConsentWorld(t)
	d := w.documents(t)
	given := w.answers(t, "library", "g1", nil)
	if doc := document(t, d, given); doc.Audit.Proof != "" || doc.Audit.Index != nil {
		t.Errorf("a proof before the entry is in the tree: %+v", doc.Audit)
	}
	w.sequence(t)
	doc := document(t, d, given)
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"schema_version":"voussoir-receipt-1"`, `"party_id":"library","party_name":{"fr":"Médiathèque"}`, `"lawful_basis":"consent"`,
		`"pii_requested":["given_name","email"],"pii_information":["given_name"]`, `"retention_period":"P1Y"`, `"event_type":"given"`,
		`"withdrawal_method":"https://broker.example/me"`, `"acr":"eidas1"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the document does not say %s:\n%s", want, b)
		}
	}
	if id := given.Person.String(); strings.Contains(string(b), id) || doc.Principal == "" {
		t.Errorf("it names her by what is the same everywhere: %s", b)
	}
	entry, p := w.public(t, doc)
	if err := doc.Matches(entry, p); err != nil {
		t.Errorf("Matches: %v", err)
	}
	elsewhere := document(t, d, w.answers(t, "gone", "g2", nil))
	if elsewhere.Principal != "" || elsewhere.Controller.Name != nil || elsewhere.Controller.ID != "gone" {
		t.Errorf("of a service that is gone: %+v", elsewhere)
	}
}

func TestDocument_AChangedOneIsFound(t *testing.T) {
	w := newConsentWorld(t)
	d := w.documents(t)
	given := w.answers(t, "library", "g1", nil)
	w.sequence(t)
	good := document(t, d, given)
	entry, p := w.public(t, good)
	for name, change := range map[string]func(*consent.Document){
		"another service":    func(x *consent.Document) { x.Controller.ID = "theatre" },
		"another act":        func(x *consent.Document) { x.Event.Type = consent.Refused },
		"fewer facts":        func(x *consent.Document) { x.Purpose.Released = nil },
		"another basis":      func(x *consent.Document) { x.Purpose.Basis = "public_task" },
		"another version":    func(x *consent.Document) { x.Notice.Version++ },
		"another policy":     func(x *consent.Document) { x.Notice.Policy = "other" },
		"the proof of other": func(x *consent.Document) { x.Audit.Entry = strings.Repeat("0", 32) },
	} {
		x := good
		change(&x)
		if x.Matches(entry, p) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// A receipt is hers to keep: it verifies after her record was destroyed.
func TestDocument_HoldsAfterAnErasure_LE(t *testing.T) {
	w := newConsentWorld(t)
	d := w.documents(t)
	given := w.answers(t, "library", "g1", nil)
	w.sequence(t)
	doc := document(t, d, given)
	if err := w.records.EraseKey(t.Context(), w.person.ID); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(checkpointEvery)
	w.answersNobody(t)
	w.sequence(t)
	entry, p := w.public(t, doc)
	if err := doc.Matches(entry, p); err != nil {
		t.Errorf("after the erasure: %v", err)
	}
	if r := w.verify(t, w.records); !r.OK() {
		t.Errorf("the log: %v", r.Findings)
	}
}

// answersNobody adds an entry about nobody.
func (w *consentWorld) answersNobody(t *testing.T) {
	t.Helper()
	if _, err := w.log.Append(t.Context(), audit.Event{Public: audit.Public{Kind: audit.ConfigLoaded, Outcome: "ok"}}); err != nil {
		t.Fatal(err)
	}
}

func TestDocument_SignedIsAJWTOfATypeOfItsOwn(t *testing.T) {
	w := newConsentWorld(t)
	d := w.documents(t)
	given := w.answers(t, "library", "g1", nil)
	w.sequence(t)
	doc := document(t, d, given)
	compact, err := d.Signed(t.Context(), doc)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(compact, ".")
	var header, payload map[string]any
	for i, into := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if header["typ"] != "consent-receipt+jwt" || header["alg"] != "ES256" || payload["nonce"] != nil || payload["exp"] != nil ||
		payload["aud"] != "library" || payload["sub"] != string(doc.Principal) || payload["jti"] != doc.RecordID || payload["receipt"] == nil {
		t.Errorf("header %v, payload %v", header, payload)
	}
}
