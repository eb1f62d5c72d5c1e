package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Switched over, one is silent, one answers 503 and one serves rubbish; switched back,
// all three are providers again.
func TestNeighbours_AreBrokenInThreeWays(t *testing.T) {
	n, err := newNeighbours(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer n.stop()
	if err := n.serve(addresses{Broker: "http://localhost:1", BrokerSecret: "secret"}); err != nil {
		t.Fatal(err)
	}
	ask := func(p idp) (int, string) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.issuer+"/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for _, sick := range []bool{true, false} {
		n.sick.Store(sick)
		for i, p := range n.All {
			status, body := ask(p)
			want, honest := []int{0, 503, 200}[i], strings.Contains(body, `"issuer":"`+p.issuer+`"`)
			if !sick {
				want = 200
			}
			if status != want || honest == sick {
				t.Errorf("%s, sick %v: %d %.40q, want %d", p.id, sick, status, body, want)
			}
		}
	}
}

func TestComparison_TheRatioIsOfAllRounds(t *testing.T) {
	c := comparison{
		Rounds: []round{{spread{1, 1e6, 1e6, 1e6}, spread{1, 2e6, 2e6, 2e6}}},
		Well:   spread{100, 1e6, 2e6, 10e6}, Sick: spread{100, 1e6, 2e6, 11e6}, Ratio: 1.1, Visits: 7,
	}
	var out bytes.Buffer
	if err := c.report(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| round 1, all work | 1 | 1.0 ms | 1.0 ms | 1.0 ms |", "| **all rounds, three broken** | 100 | 1.0 ms | 2.0 ms | 11.0 ms |",
		"p99 with three broken to p99 when all work: 1.100 (visits to the broken ones: 7)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	c.Errors = map[string]int{"/token answered 503": 1}
	if err := c.report(&out, true); err == nil {
		t.Error("a login that failed is no comparison")
	}
}
