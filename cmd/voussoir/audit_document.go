package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/consent"
)

// readDocument reads a receipt as /me gives it, as JSON or as a JWT, and the proof in
// it. ok is false for a file that is neither: it is a proof itself. The signature of a
// JWT is not looked at: the log's proof says more, and for longer.
func readDocument(b []byte) (doc consent.Document, proof []byte, ok bool, err error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return doc, nil, false, nil
	}
	switch parts := strings.Split(string(b), "."); {
	case b[0] == '{':
		err = json.Unmarshal(b, &doc)
	case len(parts) == 3 && !bytes.ContainsAny(b, " \n"):
		var payload []byte
		var signed struct {
			Receipt *consent.Document `json:"receipt"`
		}
		if payload, err = base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			err = json.Unmarshal(payload, &signed)
		}
		if err == nil && signed.Receipt == nil {
			err = errors.New("no receipt")
		}
		if err == nil {
			doc = *signed.Receipt
		}
	default:
		return doc, nil, false, nil
	}
	switch {
	case err != nil:
		return doc, nil, true, errors.New("the file is not a receipt")
	case doc.Schema != consent.ReceiptSchema:
		return doc, nil, true, errors.New("the receipt is of a form that is not known here")
	case doc.Audit.Proof == "":
		return doc, nil, true, errors.New("the receipt has no proof yet: download it again")
	}
	return doc, []byte(doc.Audit.Proof), true, nil
}

// agrees holds a document against the entry that its proof is of.
func agrees(doc consent.Document, s audit.Statement) error {
	var p audit.Public
	if err := json.Unmarshal(s.Public, &p); err != nil {
		return errors.New("the entry cannot be read")
	}
	if err := doc.Matches(s.ID, p); err != nil {
		return errors.New("the receipt says something else than the log: " + err.Error())
	}
	return nil
}
