// Command tessera reads a log as a stranger does, with the client and the checker of
// Tessera (C2SP tlog-tiles): it follows the log, and recomputes it from its entry
// bundles. It has a module of its own, so that none of this is in the broker.
//
//	tessera URL KEY [CHECKPOINT]
//
// CHECKPOINT is a file: what was seen last time, if it is there, and what is seen
// now, afterwards. It ends with 0 only when everything holds.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: tessera URL KEY [CHECKPOINT]")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := check(ctx, os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "tessera:", err)
		os.Exit(1)
	}
}

func check(ctx context.Context, address, key string, file []string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return err
	}
	log, err := client.NewHTTPFetcher(u, http.DefaultClient)
	if err != nil {
		return err
	}
	var seen []byte
	if len(file) > 0 {
		if seen, err = os.ReadFile(file[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	tracker, err := client.NewLogStateTracker(ctx, log.ReadTile, seen, v, v.Name(), client.UnilateralConsensus(log.ReadCheckpoint))
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	_, _, now, err := tracker.Update(ctx)
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	f := fsck.New(v.Name(), v, log, hashes, fsck.Opts{N: 2})
	if err := f.Check(ctx); err != nil {
		return fmt.Errorf("fsck: %w", err)
	}
	fmt.Printf("%d entries\n", tracker.Latest().Size)
	if len(file) > 0 {
		return os.WriteFile(file[0], now, 0o600)
	}
	return nil
}

// hashes are the leaf hashes of an entry bundle.
func hashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	out := make([][]byte, len(b.Entries))
	for i, e := range b.Entries {
		out[i] = rfc6962.DefaultHasher.HashLeaf(e)
	}
	return out, nil
}
