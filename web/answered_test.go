package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"
)

// Of an address nothing is told but the name of its route.
func TestAnswered_HearsOfEachRequest(t *testing.T) {
	var heard []string
	now := noon
	s, err := New(Config{
		Issuer: issuer, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { now = now.Add(time.Second); return now },
		Answered: func(route, method string, status int, took time.Duration) {
			heard = append(heard, fmt.Sprint(route, " ", method, " ", status, " ", took))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	get(s.API("token", func(http.ResponseWriter, *http.Request) error { return nil }), "/token?code=secret", "en")
	get(s.Page("login", func(http.ResponseWriter, *http.Request) error { return Fail(NotFound, nil) }), "/login/flow", "en")
	if got, want := fmt.Sprint(heard), "[token GET 200 1s login GET 404 1s]"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
}
