package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/signer"
	"github.com/voussoir-id/voussoir/store/sql"
)

// Keys and records belong together: every person's subject at every service is
// made of both. With one of them lost, or with another installation's, a broker
// would work, and everybody would be a stranger everywhere. So it does not start.

// openRing opens the keys of the records.
func openRing(ctx context.Context, c *config.Loaded, records *sql.Records, events *slog.Logger, now func() time.Time) (*keys.Ring, error) {
	entries, err := records.CountEntries(ctx)
	if err != nil {
		return nil, err
	}
	secret := c.KeysSecret
	if secret == nil {
		// A new secret for an old key file would only hide that the old one is gone.
		if (entries > 0 || exists(c.Data, keyFile)) && !exists(c.Data, keySecret) {
			return nil, fmt.Errorf("%s is missing, without which the key file cannot be read: restore it from its backup", filepath.Join(c.Data, keySecret))
		}
		if secret, err = keys.LoadOrCreateSecret(filepath.Join(c.Data, keySecret)); err != nil {
			return nil, err
		}
	}
	external, err := openSigner(c)
	if err != nil {
		return nil, err
	}
	ring, err := keys.Open(ctx, keys.Config{
		File: filepath.Join(c.Data, keyFile), Secret: secret, MustExist: entries > 0,
		Algs: signingAlgs(c), ProviderAlgs: []string{"ES256"}, DecryptionAlgs: decryptionAlgs(c), SAML: len(c.SAML) > 0, Signer: external, Now: now,
	})
	if err != nil {
		return nil, err
	}
	if entries == 0 && ring.OnRecord() {
		err = fmt.Errorf("the records are empty, but the keys in %s belong to records: restore records.db from its backup (to begin anew, with new subjects for everybody, move the keys away)", c.Data)
	} else {
		err = checkLineage(ctx, ring, records, events)
	}
	if err != nil {
		ring.Close()
		return nil, err
	}
	return ring, nil
}

// openSigner is the process that holds the signing keys, nil when they are in the
// key file. It connects to nobody yet.
func openSigner(c *config.Loaded) (keys.Signer, error) {
	if c.KeysSigner == "" {
		return nil, nil
	}
	return signer.NewClient(signer.ClientConfig{Socket: c.KeysSigner})
}

// ownKeys refuses to work on the keys of another user. A key file is written
// anew at each change and belongs to the writer: after one "sudo voussoir keys"
// the broker could not read its own keys any more.
func ownKeys(dir string) error {
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the key file: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int64(s.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("the key file belongs to user %d, and this is user %d: run it as the broker's user (sudo -u '#%d' voussoir …)", s.Uid, os.Geteuid(), s.Uid)
	}
	return nil
}

// checkLineage compares the keys with what the records know of them. A key file
// that is merely older (a backup) is all that the operator has: it is taken, with
// an alarm.
func checkLineage(ctx context.Context, ring *keys.Ring, records *sql.Records, events *slog.Logger) error {
	known, err := records.Keys(ctx)
	if err != nil || len(known) == 0 {
		return err
	}
	lost := 0
	for _, k := range known {
		if !slices.ContainsFunc(ring.Keys(), func(d keys.Description) bool { return d.KID == k.KID }) {
			lost++
		}
	}
	if lost == len(known) {
		return errors.New("the key file is not the one of these records: restore the one that is, or the records that go with it")
	}
	if lost > 0 {
		events.LogAttrs(ctx, slog.LevelError, "the key file is an older copy: keys that the records know are lost",
			slog.Bool("alarm", true), slog.Int("lost", lost))
	}
	return nil
}

// syncKeys brings keys and records to the same state. What the records know to
// be revoked is revoked again if an older key file brought it back; for the rest
// the key file is right, and the records follow, for auditors and checkLineage.
func syncKeys(ctx context.Context, ring *keys.Ring, records *sql.Records, events *slog.Logger) error {
	known, err := records.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range ring.Keys() {
		back := k.State != keys.Revoked && slices.ContainsFunc(known, func(m keys.Metadata) bool {
			return m.KID == k.KID && m.State == string(keys.Revoked)
		})
		if !back {
			continue
		}
		events.LogAttrs(ctx, slog.LevelError, "the key file holds a key that was revoked: it is revoked again",
			slog.Bool("alarm", true), slog.String("kid", k.KID))
		if err := ring.Revoke(ctx, k.KID); err != nil {
			return err
		}
	}
	for _, k := range ring.Keys() {
		m := keys.Metadata{KID: k.KID, Alg: k.Alg, State: string(k.State), Created: k.Created, Activated: k.Activated, Retired: k.Ended}
		if slices.Contains(known, m) {
			continue
		}
		if err := records.PutKey(ctx, m); err != nil {
			return fmt.Errorf("put key %s on record: %w", k.KID, err)
		}
	}
	return nil
}
