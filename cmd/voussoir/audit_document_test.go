package main

import (
	"encoding/base64"
	"strings"
	"testing"
)

// Files that are not receipts are told from proofs, and none is taken for one.
func TestVerifyReceipt_ReadsOnlyReceipts(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	for _, c := range []struct {
		name, file, want string
		document         bool
	}{
		{"nothing", "", "", false},
		{"a proof", "c2sp.org/tlog-proof@v1\nextra AA==\nindex 0\n", "", false},
		{"JSON that is cut", `{"schema_version":"voussoir-rec`, "the file is not a receipt", true},
		{"other JSON", `{"schema_version":"other"}`, "the receipt is of a form that is not known here", true},
		{"without a proof", `{"schema_version":"voussoir-receipt-1"}`, "the receipt has no proof yet: download it again", true},
		{"a JWT that is no receipt", encode([]byte(`{}`)) + "." + encode([]byte(`{"sub":"x"}`)) + ".AA", "the file is not a receipt", true},
		{"a JWT that is not base64", "a.!.b", "the file is not a receipt", true},
	} {
		_, proof, document, err := readDocument(t.Context(), []byte(c.file), nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if document != c.document || got != c.want || proof != nil {
			t.Errorf("%s: document %t, %q", c.name, document, got)
		}
	}
	signed := encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(`{"receipt":{"schema_version":"voussoir-receipt-1"}}`)) + ".AA"
	for jwks, want := range map[string]string{`{"keys":[]}`: "the keys cannot be read", "nonsense": "the keys cannot be read"} {
		if _, _, _, err := readDocument(t.Context(), []byte(signed), []byte(jwks)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with the keys %s: %v, want %s", jwks, err, want)
		}
	}
}
