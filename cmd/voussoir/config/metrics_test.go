package config

import (
	"os"
	"strings"
	"testing"
)

func TestMetricsListen_IsOnThisMachineUnlessSaidOtherwise(t *testing.T) {
	base, err := os.ReadFile("testdata/mistakes/listen-without-port.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, line, want, warning string }{
		{"absent: nothing listens", "", "", ""},
		{"a port alone is one of loopback", "metrics_listen: :9090\n", "127.0.0.1:9090", ""},
		{"loopback", "metrics_listen: \"[::1]:9090\"\n", "[::1]:9090", ""},
		{"every address, with a warning", "metrics_listen: 0.0.0.0:9090\n", "0.0.0.0:9090", "there is no password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.Replace(string(base), "listen: 127.0.0.1\n", tt.line, 1)
			got, err := Parse("voussoir.yaml", []byte(file), environment)
			if err != nil {
				t.Fatal(err)
			}
			if got.Metrics != tt.want || strings.Contains(got.Warnings.Error(), "password") != (tt.warning != "") {
				t.Errorf("listens on %q with %v; want %q, %q", got.Metrics, got.Warnings, tt.want, tt.warning)
			}
		})
	}
}
