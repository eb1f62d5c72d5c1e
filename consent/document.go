package consent

import (
	"context"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

// DocumentsConfig is what NewDocuments needs; all of it.
type DocumentsConfig struct {
	Issuer  string // https://host[:port]
	Prover  Prover
	Signer  Signer
	Deriver identity.Deriver
	// About tells what the configuration says of a receipt's service today; false: it is
	// gone, and the document says only what the receipt itself knows.
	About func(r Receipt) (About, bool)
}

// Prover proves that an entry is in the audit log. Implemented by audit.Tree.
type Prover interface {
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
