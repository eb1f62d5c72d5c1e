package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/voussoir-id/voussoir/outbound"
)

// ErrUnavailable means that keys cannot be had right now: those of the other side
// (Remote), or our own in the signer (Ring). Nobody knows, so it is never a no.
var ErrUnavailable = errors.New("keys: not available right now")

// How long a fetched set lives.
const (
	remoteTTL     = 10 * time.Minute // a key that its owner withdraws is refused after this
	remoteAhead   = 3 * time.Minute  // fetched this long before, while the old set serves
	remoteKeep    = 24 * time.Hour   // the last good set is used this long while fetches fail
	remoteRetry   = 10 * time.Second // between a failed fetch and the next
	unknownPause  = time.Minute      // a fetch in this time for keys that we do not have, and refetchBurst at once
	maxRemoteBody = 1 << 20
	maxRemoteKeys = 100
)

// RemoteConfig makes a Remote.
type RemoteConfig struct {
	URL    string       // the jwks_uri
	Client *http.Client // from outbound; it decides whether http and private addresses are allowed
	Now    func() time.Time
	Log    *slog.Logger // told of keys that are skipped; nil: nobody is
}

// Remote is a key set that its owner publishes at a URL (RFC 7517 section 5). A
// set is used for 10 minutes; if it cannot be fetched then, the last good one is
// used for up to 24 hours. A token with an unknown key id causes a fetch: at most
// three in a row, then one a minute, however many such tokens come. A key that is
// malformed, weak, private or not meant for signatures is skipped; the others remain.
type Remote struct {
	cfg   RemoteConfig
	sets  *outbound.Latest[keySet]
	spent refetches
}

// NewRemote fetches nothing yet.
func NewRemote(c RemoteConfig) (*Remote, error) {
	if c.Client == nil || c.Now == nil {
		return nil, errors.New("keys: remote set needs a client and a clock")
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("keys: remote set has no valid URL")
	}
	if err := outbound.CheckURL(u, true); err != nil {
		return nil, fmt.Errorf("keys: remote set: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Remote{cfg: c}
	r.sets, err = outbound.NewLatest(outbound.LatestConfig[keySet]{
		Fetch: r.fetch, TTL: remoteTTL, Keep: remoteKeep, Retry: remoteRetry, Now: c.Now, Ahead: remoteAhead,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Ready fetches the keys if there are none yet.
func (r *Remote) Ready(ctx context.Context) error {
	if _, err := r.sets.Get(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Renew fetches the keys unless they were asked for less than pause ago. An error
// means that they cannot be had; what was fetched before stays in use.
func (r *Remote) Renew(ctx context.Context, pause time.Duration) error {
	if _, err := r.sets.RenewAfter(ctx, pause); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Verify checks the signature of a JWS in compact form (RFC 7515 section 7.1) of at
// most 64 KiB and returns its payload. alg is the one algorithm that the caller
// accepts: ES256, ES384, ES512, EdDSA, PS256 or RS256; the token's header has no
// say in it (RFC 8725 section 3.1). The payload is not looked at. An error that is
// ErrUnavailable means that the keys cannot be had, so that nobody knows; every
// other one means that the token does not verify. Safe for concurrent use.
func (r *Remote) Verify(ctx context.Context, compact, alg string) ([]byte, error) {
	t, err := parseToken(compact, alg) // before any fetch: rubbish costs its sender's time, not ours
	if err != nil {
		return nil, err
	}
	set, err := r.sets.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	payload, err := set.verify(t)
	// A key without an id may have been replaced by another without an id.
	replaced := t.kid == "" && errors.Is(err, errSignature)
	if !errors.Is(err, errNoKey) && !replaced {
		return payload, err
	}
	if set, err = r.again(ctx); err != nil {
		// The key may exist in a set that we cannot read: unknown is not no.
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return set.verify(t)
}

// again fetches the set because of a key that it does not have, if that is not too
// soon, and returns the set as it is then.
func (r *Remote) again(ctx context.Context) (keySet, error) {
	return r.sets.Renew(ctx, func() bool { return r.spent.take(r.cfg.Now()) })
}

func (r *Remote) fetch(ctx context.Context) (keySet, error) {
	a, err := outbound.Get(ctx, r.cfg.Client, r.cfg.URL, "application/jwk-set+json, application/json", maxRemoteBody)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("keys: status %d", a.Status)
	}
	set, skipped, err := parseSet(a.Body)
	if err != nil {
		return nil, err
	}
	for _, why := range skipped {
		r.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "published key skipped",
			slog.String("host", hostOf(r.cfg.URL)), slog.String("why", why.Error()))
	}
	return set, nil
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Static is a key set that was given to us once, in a configuration.
type Static struct{ set keySet }

// NewStatic reads a JWK set (RFC 7517 section 5). Unlike Remote it refuses the
// whole set when one key is unusable: here somebody can correct it.
func NewStatic(jwks []byte) (*Static, error) {
	if len(jwks) > maxRemoteBody {
		return nil, errors.New("keys: set is too large")
	}
	set, skipped, err := parseSet(jwks)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(skipped...); err != nil {
		return nil, err
	}
	if len(set) == 0 {
		return nil, errors.New("keys: set is empty")
	}
	return &Static{set: set}, nil
}

// Verify promises what Remote.Verify does; its keys are always at hand.
func (s *Static) Verify(_ context.Context, compact, alg string) ([]byte, error) {
	t, err := parseToken(compact, alg)
	if err != nil {
		return nil, err
	}
	return s.set.verify(t)
}
