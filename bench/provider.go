package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/sandbox"
)

// secretVariable holds the broker's secret at the providers: a command line can
// be read by anyone on the machine.
const secretVariable = "BENCH_SECRET"

// idp is one identity provider to serve.
type idp struct {
	id     protocol.ProviderID
	issuer string
	acr    protocol.ACR
}

// providerVerb serves the two identity providers until ctx ends.
func providerVerb(ctx context.Context, args []string, progress io.Writer) error {
	fs := flag.NewFlagSet("bench provider", flag.ContinueOnError)
	fs.SetOutput(progress)
	tax := fs.String("tax", "http://localhost:8081", "origin of the provider at eidas1")
	post := fs.String("post", "http://localhost:8082", "origin of the provider at eidas2")
	broker := fs.String("broker", "http://localhost:8080", "origin of the broker")
	people := fs.Int("people", 1000, "how many invented people they know")
	if err := fs.Parse(args); err != nil {
		return err
	}
	secret := os.Getenv(secretVariable)
	if secret == "" || *people < 1 {
		return errors.New("the providers need " + secretVariable + " and at least one person")
	}
	failed := make(chan error, 2)
	for _, p := range []idp{{sandbox.Tax, *tax, protocol.EIDAS1}, {sandbox.Post, *post, protocol.EIDAS2}} {
		h, err := p.handler(*broker, secret, *people)
		if err != nil {
			return err
		}
		u, err := url.Parse(p.issuer)
		if err != nil {
			return err
		}
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", u.Port()))
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
		defer func() { _ = srv.Close() }()      // the process ends
		go func() { failed <- srv.Serve(ln) }() // ends with Close
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (p idp) handler(broker, secret string, people int) (http.Handler, error) {
	signer, err := newThrowaway()
	if err != nil {
		return nil, err
	}
	return sandbox.NewProvider(sandbox.ProviderConfig{
		ID: p.id, Name: protocol.Text{"en": "Load", "fr": "Charge"}, Issuer: p.issuer, ACR: p.acr, Identities: crowd(people),
		Clients: []sandbox.ProviderClient{{
			ID: brokerID, SecretSHA256: sha256.Sum256([]byte(secret)), RedirectURIs: []string{broker + "/callback/" + string(p.id)},
		}},
		Signer: signer, Now: time.Now,
	})
}

// crowd invents n people p0, p1, …, all different, all of age.
func crowd(n int) []sandbox.Identity {
	out := make([]sandbox.Identity, n)
	for i := range out {
		out[i] = sandbox.Identity{
			ID: fmt.Sprintf("p%d", i), GivenName: "Dominique " + letters(i), FamilyName: "Claveau", Gender: "female",
			Birthdate:  fmt.Sprintf("%04d-%02d-%02d", 1940+i%60, 1+i%12, 1+i%28),
			Birthplace: "69123", Birthcountry: "99100", Email: fmt.Sprintf("p%d@mail.example", i), EmailVerified: true,
		}
	}
	return out
}

// letters writes i with the letters of the alphabet, as names have no digits.
func letters(i int) string {
	s := ""
	for {
		s = string(rune('a'+i%26)) + s
		if i < 26 {
			return "Z" + s
		}
		i = i/26 - 1
	}
}
