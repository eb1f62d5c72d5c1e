package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// Services register, change and leave while the operator reloads the configuration and
// the broker looks for what its commands have done: what was answered holds, whichever
// came first.
func TestRegistration_WhileTheConfigurationIsReloaded(t *testing.T) {
	file, port := writeConfig(t)
	writeTokens(t, file, port, "onboarding")
	b := newBroker(t, file, &journal{})
	c, err := (&program{getenv: os.Getenv}).load(file)
	if err != nil {
		t.Fatal(err)
	}
	stop, others := make(chan struct{}), sync.WaitGroup{}
	for _, do := range []func() error{
		func() error { return b.reload(t.Context(), c) },
		func() error { return b.takeOverRegistrations(t.Context()) },
	} {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 30 {
		id, access, _ := b.register(t, "")
		second := fmt.Sprintf("https://new.example/%d", i)
		if status, got := b.call(t, "PUT", "/register/"+string(id), access, fmt.Sprintf(`{"client_id":%q,"redirect_uris":[%q]}`, id, second)); status != 200 {
			t.Fatalf("PUT = %d %v", status, got)
		}
		if c, ok := b.client(id); !ok || !c.HasRedirectURI(second) || c.HasRedirectURI("https://new.example/cb") {
			t.Fatalf("%d: after PUT: %+v", i, c)
		}
		if status, _ := b.call(t, "DELETE", "/register/"+string(id), access, ""); status != 204 {
			t.Fatalf("DELETE = %d", status)
		}
		if _, ok := b.client(id); ok {
			t.Fatalf("%d: it is there again after DELETE", i)
		}
	}
	close(stop)
	others.Wait()
	if _, ok := b.client(protocol.ClientID("nobody")); ok || len(b.current.Load().registered) != 0 {
		t.Error("something is left")
	}
}

// allow_private_addresses is for providers and keys, which the operator knows.
func TestRegistration_ASectorIsNoWayIntoOurNetwork_SF01(t *testing.T) {
	inside := httptest.NewTLSServer(http.NotFoundHandler())
	defer inside.Close()
	get := func(cfg outbound.Config) string {
		_, err := outbound.Get(t.Context(), outbound.New(cfg), inside.URL, "application/json", 1024)
		if err == nil {
			t.Fatal("the certificate of a test was believed")
		}
		return err.Error()
	}
	c := &config.Loaded{Private: true}
	if reached, kept := get(calls(c)), get(sectorCalls(c)); !strings.Contains(reached, "certificate") || strings.Contains(kept, "certificate") {
		t.Errorf("a provider: %s; a sector: %s", reached, kept)
	}
}
