// Command witness is a witness of transparency logs as others wrote it, for one log
// (C2SP tlog-witness). It has a module of its own, so that none of this is in the broker.
//
//	witness ADDRESS NAME ORIGIN LOG-KEY
//
// It prints its own key, makes a new one at each start, and forgets what it saw.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: witness ADDRESS NAME ORIGIN LOG-KEY")
		os.Exit(2)
	}
	if err := serve(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, address, name, origin, key string) error {
	log, err := note.NewVerifier(key)
	if err != nil {
		return err
	}
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return err
	}
	signer, err := formats.NewSignerForCosignatureV1(secret)
	if err != nil {
		return err
	}
	w, err := witness.New(ctx, witness.Opts{
		Persistence: inmemory.New(), Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, asked string) (note.Verifier, bool, error) { return log, asked == origin, nil },
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	shown, err := formats.VKeyToCosignatureV1(public)
	if err != nil {
		return err
	}
	fmt.Println(shown)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
}
