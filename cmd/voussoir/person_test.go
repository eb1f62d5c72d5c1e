package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/protocol"
)

func TestKillPerson(t *testing.T) {
	file, _ := writeConfig(t)
	b := newBroker(t, file, io.Discard)
	her := identity.Person{ID: identity.PersonID{7}}
	var err error
	if her.SealKey, err = b.ring.NewWrappedKey(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.records.Resolve(t.Context(), [32]byte{7}, her, time.Now()); err != nil {
		t.Fatal(err)
	}
	service, ok := b.current.Load().clients.Get("city-library")
	if !ok {
		t.Fatal("no such client")
	}
	sub, err := identity.PairwiseSub(t.Context(), b.ring, service.Sector, her.ID)
	if err != nil {
		t.Fatal(err)
	}
	id, earlier := her.ID.String(), time.Now()
	tests := []struct {
		name   string
		args   []string
		code   int
		says   string
		barred [2]bool // what she began before all this; what she begins now
	}{
		{"without a reason", []string{"kill", "person", id}, exitUsage, "--reason", [2]bool{}},
		{"no id at all", []string{"kill", "person", "--reason", "x"}, exitUsage, "name one person", [2]bool{}},
		{"twice over", []string{"kill", "person", "--reason", "x", "--client", "city-library", "--subject", string(sub), id}, exitUsage, "name one person", [2]bool{}},
		{"a service and no subject", []string{"kill", "person", "--reason", "x", "--client", "city-library"}, exitUsage, "name one person", [2]bool{}},
		{"by a subject that looks like a flag", []string{"kill", "person", "--reason", "x", "--client", "city-library", "--subject", "-j1GL"}, exitFailure, "knows nobody", [2]bool{}},
		{"not an id", []string{"kill", "person", "--reason", "x", "alice"}, exitFailure, "not a person id", [2]bool{}},
		{"nobody's id", []string{"kill", "person", "--reason", "x", strings.Repeat("ab", 16)}, exitFailure, "no such person", [2]bool{}},
		{"by what a service knows her by, at another one", []string{"kill", "person", "--reason", "x", "--client", "nobody", "--subject", string(sub)}, exitFailure, "no client of the configuration", [2]bool{}},
		{"by what nobody is known by", []string{"kill", "person", "--reason", "x", "--client", "city-library", "--subject", "x"}, exitFailure, "knows nobody", [2]bool{}},
		{"restored before", []string{"restore", "person", id}, exitFailure, "not out of service", [2]bool{}},
		{"by what a service knows her by", []string{"kill", "person", "--reason", "stolen card", "--client", "city-library", "--subject", string(sub)}, exitOK, "person " + id + " is killed", [2]bool{true, true}},
		{"twice", []string{"kill", "person", "--reason", "x", id}, exitFailure, "out of service already", [2]bool{true, true}},
		{"the list", []string{"kill", "list"}, exitOK, "stolen card", [2]bool{true, true}},
		{"restored, for a script", []string{"restore", "person", id, "--json"}, exitOK, `"state": "restored"`, [2]bool{true, false}},
		{"once more, in capital letters", []string{"kill", "person", "--reason", "x", strings.ToUpper(id)}, exitOK, "is killed", [2]bool{true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := say(t, append(tt.args, "--config", file)...)
			if code != tt.code || !strings.Contains(out+errs, tt.says) {
				t.Errorf("%v = %d %s%s, want %d %q", tt.args, code, out, errs, tt.code, tt.says)
			}
			if err := b.takeOverPeople(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := [2]bool{b.barred(id, earlier), b.barred(id, time.Now())}; got != tt.barred {
				t.Errorf("barred: %v, want %v", got, tt.barred)
			}
		})
	}
	if b.barred(strings.Repeat("cd", 16), time.Time{}) {
		t.Error("somebody else is barred too")
	}
}

// A person who is not out of service any more is not on the list, and a broker that
// starts knows of her all the same: what she began before counts no more.
func TestKillPerson_TheEndOfItHoldsAcrossARestart(t *testing.T) {
	file, _ := writeConfig(t)
	b := newBroker(t, file, io.Discard)
	her := identity.Person{ID: identity.PersonID{7}, SealKey: nil}
	var err error
	if her.SealKey, err = b.ring.NewWrappedKey(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.records.Resolve(t.Context(), [32]byte{7}, her, time.Now()); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	for _, args := range [][]string{{"kill", "person", "--reason", "x"}, {"restore", "person"}} {
		if code, _, errs := say(t, append(args, "--config", file, her.ID.String())...); code != exitOK {
			t.Fatal(errs)
		}
	}
	_, out, _ := say(t, "kill", "list", "--json", "--config", file)
	var lines []stopLine
	if err := json.Unmarshal([]byte(out), &lines); err != nil || len(lines) != 0 {
		t.Errorf("the list: %s %v", out, err)
	}
	b.close()
	if again := newBroker(t, file, io.Discard); !again.barred(her.ID.String(), before) || again.barred(her.ID.String(), time.Now()) {
		t.Error("a broker that starts has forgotten it")
	}
}

func TestSuspicious_OnlyATrustedProxyWarns(t *testing.T) {
	s := &config.Suspicious{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}, Header: "X-Suspicious", ACR: protocol.EIDAS2}
	b := &broker{}
	b.current.Store(&snapshot{loaded: &config.Loaded{Suspicious: s}})
	tests := []struct {
		name   string
		from   string
		values []string
		want   protocol.ACR
	}{
		{"the proxy warns", "10.0.0.7:1", []string{"1"}, protocol.EIDAS2},
		{"the same in IPv6's clothes", "[::ffff:10.0.0.7]:1", []string{"bot"}, protocol.EIDAS2},
		{"it says that all is well", "10.0.0.7:1", []string{"0"}, ""},
		{"it says nothing", "10.0.0.7:1", []string{""}, ""},
		{"it adds to what a client sent", "10.0.0.7:1", []string{"0", "1"}, protocol.EIDAS2},
		{"no header", "10.0.0.7:1", nil, ""},
		{"a stranger warns of somebody else's browser", "10.0.0.8:1", []string{"1"}, ""},
		{"no address", "", []string{"1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got protocol.ACR
			h := b.warned(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = b.caution(r.Header) }))
			r := httptest.NewRequest("GET", "/authorize", nil)
			r.RemoteAddr = tt.from
			r.Header["X-Suspicious"] = tt.values
			r.Header.Set("X-Forwarded-For", "10.0.0.7")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("level %q, want %q", got, tt.want)
			}
		})
	}
	b.current.Store(&snapshot{loaded: &config.Loaded{}})
	if got := b.caution(http.Header{"X-Suspicious": {"1"}}); got != "" {
		t.Errorf("without a configuration: %q", got)
	}
}
