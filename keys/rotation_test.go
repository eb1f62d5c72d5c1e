package keys

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// cachingService keeps our JWKS for as long as it likes, and does not fetch it for
// a key id that it does not know, unless it is alert.
type cachingService struct {
	keep    time.Duration
	alert   bool
	fetched time.Time
	set     *Static
}

func (s *cachingService) fetch(t *testing.T, r *Ring, now time.Time) {
	t.Helper()
	body, _ := r.JWKS()
	set, err := NewStatic(body)
	if err != nil {
		t.Fatal(err)
	}
	s.set, s.fetched = set, now
}

func (s *cachingService) verify(t *testing.T, r *Ring, jws string, now time.Time) error {
	t.Helper()
	if s.set == nil || now.Sub(s.fetched) >= s.keep {
		s.fetch(t, r, now)
	}
	_, err := s.set.Verify(context.Background(), jws, "ES256")
	if err != nil && s.alert {
		s.fetch(t, r, now)
		_, err = s.set.Verify(context.Background(), jws, "ES256")
	}
	return err
}

// longestToken is the longest that anything we sign can be valid: a JWT access
// token of a client with the longest access_token_lifetime that check accepts.
const longestToken = time.Hour

// Weeks of sign-ins, every 20 minutes, at services that keep our keys for an hour
// and for a day, while keys rotate as early as the command lets them: nothing fails
// to verify, neither when it is issued nor at the end of its life.
func TestRotation_NoVerificationEverFails(t *testing.T) {
	const step = 20 * time.Minute
	cfg, clock := shelf(t)
	r := open(t, cfg)
	services := []*cachingService{{keep: time.Hour}, {keep: PublishedFor}, {keep: time.Hour, alert: true}}
	var living []string // what was signed within longestToken
	rotations := 0
	for n := range int(14 * 24 * time.Hour / step) {
		clock.move(step)
		if !clock.Now().Before(r.KnownFrom(ForServices, "ES256")) {
			if err := r.Rotate(t.Context(), ForServices, "ES256"); err != nil {
				t.Fatal(err)
			}
			rotations++
		}
		jws, err := r.Sign(t.Context(), "ES256", "JWT", fmt.Append(nil, n))
		if err != nil {
			t.Fatal(err)
		}
		if living = append(living, jws); len(living) > int(longestToken/step)+1 {
			living = living[1:]
		}
		for _, s := range services {
			for _, token := range []string{living[0], jws} {
				if err := s.verify(t, r, token, clock.Now()); err != nil {
					t.Fatalf("%s: a service that keeps our keys for %s: %v", clock.Now(), s.keep, err)
				}
			}
		}
	}
	if rotations != 14 {
		t.Errorf("%d rotations in 14 days", rotations)
	}
}

// The meaning of the module oidcc-server-rotate-keys: right after a rotation both
// keys are published, and the key of before until everything it signed has expired.
func TestRotation_OldAndNewKeyAreBothPublished(t *testing.T) {
	cfg, clock := shelf(t)
	r := open(t, cfg)
	if r.cfg.Retention < longestToken+PublishedFor {
		t.Errorf("retired keys are published for %s", r.cfg.Retention)
	}
	old, err := r.Sign(t.Context(), "ES256", "JWT", nil)
	if err != nil {
		t.Fatal(err)
	}
	clock.move(PublishedFor)
	if err := r.Rotate(t.Context(), ForServices, "ES256"); err != nil {
		t.Fatal(err)
	}
	fresh, err := r.Sign(t.Context(), "ES256", "JWT", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		verify(t, r, "ES256", old)
		verify(t, r, "ES256", fresh)
		clock.move(longestToken)
	}
}

// What an emergency costs, as docs/operate.md says: after one revocation nobody
// refuses what is signed from then on; after two within a service's caching time
// only one that does not fetch for an unknown key id does. What the key signed is
// refused by everybody who has fetched since, and by nobody before.
func TestRevocation_WhatItCostsAServiceThatCaches(t *testing.T) {
	cfg, clock := shelf(t)
	r := open(t, cfg)
	dull, alert := &cachingService{keep: time.Hour}, &cachingService{keep: time.Hour, alert: true}
	sign := func() string {
		jws, err := r.Sign(t.Context(), "ES256", "JWT", nil)
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	check := func(what, jws string, dullAccepts, alertAccepts bool) {
		t.Helper()
		for s, want := range map[*cachingService]bool{dull: dullAccepts, alert: alertAccepts} {
			if err := s.verify(t, r, jws, clock.Now()); (err == nil) != want {
				t.Errorf("%s: a service (alert: %v) says %v, want accepted: %v", what, s.alert, err, want)
			}
		}
	}
	stolen := sign()
	check("before", stolen, true, true)
	revoke := func() error { return r.Revoke(t.Context(), kid(t, r, "ES256", Active)) }
	if err := revoke(); err != nil {
		t.Fatal(err)
	}
	check("signed after one revocation", sign(), true, true)
	check("the stolen key, still cached", stolen, true, true)
	if err := revoke(); err != nil {
		t.Fatal(err)
	}
	check("signed after two revocations", sign(), false, true)
	clock.move(time.Hour)
	check("an hour later", sign(), true, true)
	check("the stolen key, an hour later", stolen, false, false)
	if err := r.Rotate(t.Context(), ForServices, "RS256"); !errors.Is(err, ErrNoKey) {
		t.Errorf("rotating what is not there: %v", err)
	}
}
