package main

import (
	"os"
	"strings"
	"testing"

	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/outbound"
)

// The words of the two lists of outcomes are explained, each one.
func TestMetricsPage_ExplainsEveryOutcome(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "### What comes of a sign-in")
	signIns, rest, _ := strings.Cut(rest, "### What comes of a call")
	calls, _, _ := strings.Cut(rest, "\n### ")
	for _, word := range login.Endings() {
		if !strings.Contains(signIns, "`"+word+"`") {
			t.Errorf("docs/metrics.md does not explain the end %s of a sign-in", word)
		}
	}
	for _, word := range outbound.Outcomes() {
		if !strings.Contains(calls, "`"+string(word)+"`") {
			t.Errorf("docs/metrics.md does not explain the outcome %s of a call", word)
		}
	}
}
