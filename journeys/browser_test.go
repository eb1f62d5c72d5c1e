package journeys

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const chromium = "/usr/bin/chromium"

// people is one invented person for each visit of the tour that asks for
// consent: an answer is remembered, whichever browser it was given in.
var people = []string{"zoe", "jean-baptiste", "solene", "ines", "thi-lan", "ambre", "jade", "moussa", "maximilienne"}

// TestBrowser_Tour lets a real browser do what people do; see browser/tour.mjs.
// VOUSSOIR_SHOTS keeps the photographs of every page.
func TestBrowser_Tour(t *testing.T) { tour(t, "tour.mjs") }

// TestBrowser_Me: a person's own space; see browser/me.mjs.
func TestBrowser_Me(t *testing.T) { tour(t, "me.mjs") }

func tour(t *testing.T, script string) {
	t.Helper()
	need(t, chromium, "Chromium")
	need(t, "node_modules/playwright-core/package.json", "playwright-core")
	w := demo(t)
	shots := os.Getenv("VOUSSOIR_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	cmd := exec.Command(node(t), "browser/"+script)
	cmd.Env = append(os.Environ(), "BROKER="+w.Broker, "LOW_IDP="+w.LowIdP, "HIGH_IDP="+w.HighIdP, "SERVICE="+w.Service,
		"SHOTS="+shots, "CHROMIUM="+chromium, "LOW_ID="+lowProvider, "HIGH_ID="+highProvider, "PEOPLE="+strings.Join(people, ","), "AT_BOTH=camille")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSpace(line))
	}
	if err != nil {
		t.Fatalf("the tour: %v", err)
	}
}
