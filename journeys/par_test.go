package journeys

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// push sends what start would have put into the URL to /par, and returns the
// request with the reference in its place.
func (s *service) push(scope string) request {
	s.t.Helper()
	r := s.start(scope, nil)
	_, query, _ := strings.Cut(r.URL, "?")
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.broker+"/par", strings.NewReader(query))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	if status, err := s.json(req, &answer); err != nil || status != http.StatusCreated {
		s.t.Fatalf("push: %d %v", status, err)
	}
	sing("request_uri", answer.RequestURI)
	r.URL = s.broker + "/authorize?" + url.Values{"client_id": {s.id}, "request_uri": {answer.RequestURI}}.Encode()
	return r
}

// pushedPlaces are where a broker dies with a pushed request in hand; again says
// whether the request may still be answered afterwards.
var pushedPlaces = []struct {
	place string
	again bool
}{
	{"callback.after-consume", true}, {"callback.after-advance", true}, {"consent.after-advance", true}, {"pushed.before-consume", true},
	{"pushed.after-consume", false}, {"consent.after-record", false}, {"code.after-put", false}, {"consent.after-done", false},
}

// TestCrash_APushedRequestIsAnsweredOnce_RFC9126_7_3 kills the broker around the
// line that uses a pushed request up. Whatever the person does after the restart,
// one reference never leads to two answers, and the next one works.
func TestCrash_APushedRequestIsAnsweredOnce_RFC9126_7_3(t *testing.T) {
	whole(t)
	binary(t, "failpoints")
	for _, tt := range pushedPlaces {
		t.Run(tt.place, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, 1)
			text, err := os.ReadFile(w.config)
			if err != nil {
				t.Fatal(err)
			}
			required := strings.Replace(string(text), "    policy: library\n", "    policy: library\n    require_par: true\n", 1)
			if err := os.WriteFile(w.config, []byte(required), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				w.pushedOnce(tt.place, tt.again)
			}
		})
	}
}

func (w *crashWorld) pushedOnce(place string, again bool) {
	w.t.Helper()
	const scope, identity = "openid given_name age_over_16 email", "person-0"
	p := w.start(place)
	r := w.service.push(scope)
	if before := w.visitFrom(newCitizen(w.t), identity, r); before.code != "" {
		w.t.Errorf("%s: a code before the crash", place)
	}
	if !p.ended() {
		w.t.Errorf("the broker did not die at %s", place)
	}
	p.stop()
	p = w.start("")
	defer p.stop()
	after := w.visitFrom(newCitizen(w.t), identity, r)
	if got := after.code != "" && after.tokens == 1; got != again {
		w.t.Errorf("%s: the same request is answered after the crash: %v, want %v", place, got, again)
	}
	refused := newCitizen(w.t).visit(http.MethodGet, r.URL, nil, "", w.service.back)
	if refused.Status != http.StatusBadRequest || refused.errorCode() != "flow_unknown" {
		w.t.Errorf("%s: an answered request leads to %s (%d, %q)", place, refused.URL.Path, refused.Status, refused.errorCode())
	}
	if next := w.visitFrom(newCitizen(w.t), identity, w.service.push(scope)); next.tokens != 1 {
		w.t.Errorf("%s: the next request is not answered", place)
	}
}
