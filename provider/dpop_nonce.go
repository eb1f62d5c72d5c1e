package provider

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
)

const (
	// nonceWindow is how long one nonce is handed out. It is accepted in the window
	// after that too, so a proof can be made ahead by ten minutes at most.
	nonceWindow = 5 * time.Minute
	nonceLabel  = "dpop-nonce/v1"
	nonceSize   = 16 // bytes
)

// nonceAt is the nonce of the window that t is in (RFC 9449 section 8): a MAC over
// issuer and window under a key of the ring. So nothing is stored, every replica knows
// it, a restart does not change it, and nobody else can tell the next one.
func (p *Provider) nonceAt(ctx context.Context, t time.Time) (string, error) {
	msg := binary.BigEndian.AppendUint64(nil, uint64(t.Unix()/int64(nonceWindow.Seconds())))
	mac, err := p.Deriver.Derive(ctx, nonceLabel, append(msg, p.Issuer...))
	if err != nil {
		return "", fmt.Errorf("derive a DPoP nonce: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(mac[:nonceSize]), nil
}

var errNonce = errors.New("nonce is missing, old or not ours")

// checkNonce accepts the nonces of this window and of the one before, and puts the
// present one on the answer whenever the client had another or none: it uses the newest
// that it was given (RFC 9449 section 8.2).
func (p *Provider) checkNonce(ctx context.Context, h http.Header, got string) error {
	now := p.Now()
	fresh, err := p.nonceAt(ctx, now)
	if err != nil {
		return unavailable(err)
	}
	if subtle.ConstantTimeCompare([]byte(got), []byte(fresh)) == 1 {
		return nil
	}
	old, err := p.nonceAt(ctx, now.Add(-nonceWindow))
	if err != nil {
		return unavailable(err)
	}
	h.Set("DPoP-Nonce", fresh)
	if subtle.ConstantTimeCompare([]byte(got), []byte(old)) == 1 {
		return nil
	}
	return protocol.Fail(protocol.UseDPoPNonce, errNonce, "the DPoP proof needs the nonce in the DPoP-Nonce header of this answer")
}
