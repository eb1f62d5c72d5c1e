package outbound

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// peer answers what a test wants.
type peer func(*http.Request) (*http.Response, error)

func (p peer) RoundTrip(r *http.Request) (*http.Response, error) { return p(r) }

type brokenBody struct{ io.Reader }

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (brokenBody) Close() error             { return nil }

func answer(status int, body io.ReadCloser) peer {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: body, Header: http.Header{}, ContentLength: -1}, nil
	}
}

func TestBulkhead_WhatCountsAsAFailureOfThePeer(t *testing.T) {
	text := func() io.ReadCloser { return io.NopCloser(strings.NewReader("{}")) }
	for _, tt := range []struct {
		name string
		peer peer
		want bool
	}{
		{"no answer", func(*http.Request) (*http.Response, error) { return nil, io.EOF }, true},
		{"503", answer(503, text()), true},
		{"a body that breaks off", answer(200, brokenBody{}), true},
		{"a refusal is the answer of a peer that works", answer(400, text()), false},
		{"an answer", answer(200, text()), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			breaker, err := NewBreaker(BreakerConfig{Failures: 1, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			c, err := Bulkhead(&http.Client{Transport: tt.peer}, BulkheadConfig{Breaker: breaker, Failed: func() { told++ }})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = Get(t.Context(), c, "https://idp.example/", "*/*", 100)
			if breaker.Open() != tt.want || (told == 1) != tt.want {
				t.Errorf("open %t, told %d times; want failure %t", breaker.Open(), told, tt.want)
			}
			if _, err := Get(t.Context(), c, "https://idp.example/", "*/*", 100); errors.Is(err, ErrOpen) != tt.want {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestBulkhead_AHangingPeerTakesSoManyCallsAndNoMore(t *testing.T) {
	breaker, err := NewBreaker(BreakerConfig{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	entered, hang := make(chan struct{}), make(chan struct{})
	c, err := Bulkhead(&http.Client{Transport: peer(func(*http.Request) (*http.Response, error) {
		entered <- struct{}{}
		<-hang
		return nil, io.EOF
	})}, BulkheadConfig{Limit: 2, Breaker: breaker})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	for range 2 {
		go func() {
			_, _ = Get(t.Context(), c, "https://idp.example/", "*/*", 100)
			ended <- struct{}{}
		}()
		<-entered
	}
	if _, err := Get(t.Context(), c, "https://idp.example/", "*/*", 100); !errors.Is(err, ErrFull) {
		t.Errorf("the third call: %v, want ErrFull", err)
	}
	close(hang)
	<-ended
	<-ended
	go func() { <-entered }()
	if _, err := Get(t.Context(), c, "https://idp.example/", "*/*", 100); errors.Is(err, ErrFull) {
		t.Error("the slots are not given back")
	}
}

func TestBulkhead_RefusesAMissingCollaborator(t *testing.T) {
	if _, err := Bulkhead(nil, BulkheadConfig{}); err == nil {
		t.Error("no error")
	}
}
