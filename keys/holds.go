package keys

import (
	"context"
	"crypto"
	"fmt"
	"slices"
)

// Holds reports whether key is one of the set that may sign. A key for encryption
// proves nobody's identity.
func (s *Static) Holds(_ context.Context, key crypto.PublicKey) (bool, error) {
	return s.set.holds(key), nil
}

// Holds is that of Static. A key that is not there causes a fetch, as
// with Verify. An error is ErrUnavailable: nobody knows.
func (r *Remote) Holds(ctx context.Context, key crypto.PublicKey) (bool, error) {
	set, err := r.sets.Get(ctx)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if set.holds(key) {
		return true, nil
	}
	if set, err = r.again(ctx); err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return set.holds(key), nil
}

func (s keySet) holds(key crypto.PublicKey) bool {
	comparable, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && slices.ContainsFunc(s, func(k publicKey) bool {
		return !slices.ContainsFunc(k.algs, encrypts) && comparable.Equal(k.key)
	})
}
