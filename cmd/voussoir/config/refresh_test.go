package config

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/deploy"
)

func TestLoad_RefreshTokens(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		yaml        string
		idle, whole time.Duration
		keep        bool
	}{
		"as in the example":         {yaml: "refresh_tokens: { idle: P30D, max: P180D }", idle: 30 * day, whole: 180 * day},
		"idle is thirty days":       {yaml: "refresh_tokens: { max: P180D }", idle: 30 * day, whole: 180 * day},
		"idle is never beyond max":  {yaml: "refresh_tokens: { max: P10D }", idle: 10 * day, whole: 10 * day},
		"weeks, days and hours":     {yaml: "refresh_tokens: { idle: PT12H, max: P2W }", idle: 12 * time.Hour, whole: 14 * day},
		"an exception, with reason": {yaml: "refresh_tokens: { max: P1D, rotation: false, reason: FAPI 2.0 }", idle: day, whole: day, keep: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := libraryWith(t, "refresh_tokens: { idle: P30D, max: P180D }", tt.yaml)
			if c.RefreshIdle != tt.idle || c.RefreshMax != tt.whole || c.KeepRefreshToken != tt.keep {
				t.Errorf("idle %s, max %s, keep %t", c.RefreshIdle, c.RefreshMax, c.KeepRefreshToken)
			}
		})
	}
}

func TestLoad_NoRefreshTokensUnlessItIsSaid(t *testing.T) {
	got, err := Parse("/etc/voussoir/example.yaml", deploy.Example, environment)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := got.Clients.Get("tax-appeals"); c.MayRefresh() || c.RefreshIdle != 0 || c.KeepRefreshToken {
		t.Errorf("client = %+v", c)
	}
}
