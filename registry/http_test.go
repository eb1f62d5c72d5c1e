package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/outbound"
)

var day = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

var ada = identity.Pivot{
	GivenName: "Ada Louise", FamilyName: "Merlin", Birthdate: "1984-07-09", Gender: "female", Birthplace: "69123", Birthcountry: "99100",
}

func asJSON(p identity.Pivot) string {
	b, _ := json.Marshal(facts(p))
	return string(b)
}

// world is a registry that answers as a test wants, and what it was asked.
type world struct {
	*HTTP
	answer func(w http.ResponseWriter, r *http.Request)
	now    time.Time
	asked  int
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: day}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked++
		w.answer(rw, r)
	}))
	t.Cleanup(srv.Close)
	clock := func() time.Time { return w.now }
	breaker, err := outbound.NewBreaker(outbound.BreakerConfig{Failures: 2, Pause: time.Minute, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w.HTTP, err = NewHTTP(HTTPConfig{
		URL: srv.URL + "/check", Token: "hush", AllowHTTP: true, Breaker: breaker, Now: clock, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Client: outbound.New(outbound.Config{AllowPrivate: true, AllowHTTP: true}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) says(body string) {
	w.answer = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(rw, body)
	}
}

func TestCheck_Outcomes(t *testing.T) {
	married := ada
	married.GivenName = "Ada"
	capitals := ada
	capitals.FamilyName = "MERLIN"
	tests := []struct {
		name string
		says string
		want Result
	}{
		{"exact, without saying it again", `{"outcome":"exact"}`, Result{Exact, ada}},
		{"exact", `{"outcome":"exact","identity":` + asJSON(ada) + `}`, Result{Exact, ada}},
		{"corrected", `{"outcome":"corrected","identity":` + asJSON(married) + `}`, Result{Corrected, married}},
		{"corrected in nothing that tells people apart", `{"outcome":"corrected","identity":` + asJSON(capitals) + `}`, Result{Exact, capitals}},
		{"several", `{"outcome":"several"}`, Result{Outcome: Several}},
		{"none", `{"outcome":"none"}`, Result{Outcome: None}},
		{"refused", `{"outcome":"refused","identity":null}`, Result{Outcome: Refused}},
		{"deceased, whatever else it says", `{"outcome":"deceased","identity":` + asJSON(ada) + `}`, Result{Outcome: Deceased}},
		{"members that we do not know", `{"version":2,"outcome":"none"}`, Result{Outcome: None}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.says(tt.says)
			if got, err := w.Check(t.Context(), ada); err != nil || got != tt.want {
				t.Errorf("%#v, %v; want %#v", got, err, tt.want)
			}
		})
	}
}

// The identity is in the body and nowhere else.
func TestCheck_NothingInTheURL(t *testing.T) {
	w := newWorld(t)
	w.answer = func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.RequestURI != "/check" || r.Header.Get("Authorization") != "Bearer hush" || string(body) != asJSON(ada) {
			t.Errorf("%s %s %s", r.Method, r.RequestURI, body)
		}
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"outcome":"none"}`)
	}
	if got, err := w.Check(t.Context(), ada); err != nil || got.Outcome != None {
		t.Errorf("%v, %v", got, err)
	}
}

// Whatever is not an answer means that nobody knows, and the reason quotes nothing.
func TestCheck_AnythingElseIsUnavailable(t *testing.T) {
	wrong := ada
	wrong.Birthdate = "1984-13-45"
	other := ada
	other.FamilyName = "Somebody"
	tests := map[string]func(w http.ResponseWriter, r *http.Request){
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"404": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"it hangs up":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"HTML":              func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Merlin</html>") },
		"a list":            say(`["exact"]`),
		"nothing":           say(``),
		"no outcome":        say(`{}`),
		"another word":      say(`{"outcome":"maybe Merlin"}`),
		"a number":          say(`{"outcome":1}`),
		"twice":             say(`{"outcome":"exact","outcome":"none"}`),
		"other case":        say(`{"Outcome":"exact"}`),
		"unavailable":       say(`{"outcome":"unavailable"}`),
		"no identity":       say(`{"outcome":"corrected"}`),
		"a malformed one":   say(`{"outcome":"corrected","identity":` + asJSON(wrong) + `}`),
		"half of one":       say(`{"outcome":"corrected","identity":{"given_name":"Ada"}}`),
		"numbers in it":     say(`{"outcome":"corrected","identity":{"given_name":1}}`),
		"exact, of another": say(`{"outcome":"exact","identity":` + asJSON(other) + `}`),
		"too much":          say(`{"outcome":"none","x":"` + strings.Repeat("x", maxAnswer) + `"}`),
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = answer
			got, err := w.Check(t.Context(), ada)
			if err == nil || got != (Result{Outcome: Unavailable}) {
				t.Fatalf("%#v, %v", got, err)
			}
			for _, value := range []string{"Ada", "Merlin", "Somebody", "1984", "69123", "hush", "/check"} {
				if strings.Contains(err.Error()+w.log.String(), value) {
					t.Errorf("the reason or the log quotes %q: %v", value, err)
				}
			}
		})
	}
}

func say(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

func TestCheck_ABrokenRegistryIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) }
	for range 5 {
		if got, _ := w.Check(t.Context(), ada); got.Outcome != Unavailable {
			t.Fatal(got)
		}
	}
	if w.asked != 2 {
		t.Errorf("asked %d times, want 2", w.asked)
	}
	if _, err := w.Check(t.Context(), ada); !errors.Is(err, outbound.ErrOpen) {
		t.Errorf("%v", err)
	}
	w.now = w.now.Add(time.Minute)
	w.says(`{"outcome":"exact"}`)
	if got, err := w.Check(t.Context(), ada); err != nil || got.Outcome != Exact {
		t.Errorf("after a minute: %v, %v", got, err)
	}
}

func TestResult_IsNotPrinted(t *testing.T) {
	if text := fmt.Sprintf("%v %s %+v", Result{Exact, ada}, Result{Exact, ada}, Result{Exact, ada}); strings.Contains(text, "Ada") {
		t.Error(text)
	}
}

func TestNewHTTP_RefusesWhatCannotWork(t *testing.T) {
	good := newWorld(t).cfg
	for name, change := range map[string]func(*HTTPConfig){
		"no client":   func(c *HTTPConfig) { c.Client = nil },
		"no breaker":  func(c *HTTPConfig) { c.Breaker = nil },
		"no clock":    func(c *HTTPConfig) { c.Now = nil },
		"no log":      func(c *HTTPConfig) { c.Log = nil },
		"http":        func(c *HTTPConfig) { c.AllowHTTP = false },
		"no address":  func(c *HTTPConfig) { c.URL = "" },
		"a query":     func(c *HTTPConfig) { c.URL += "?name=" },
		"credentials": func(c *HTTPConfig) { c.URL = strings.Replace(c.URL, "http://", "http://u:p@", 1) },
	} {
		bad := good
		change(&bad)
		if _, err := NewHTTP(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"outcome":"corrected","identity":` + asJSON(ada) + `}`))
	f.Add([]byte(`{"outcome":"exact"}`))
	f.Add([]byte(`{"outcome":"deceased","identity":{"given_name":null}}`))
	h := &HTTP{cfg: HTTPConfig{Now: func() time.Time { return day }}}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := h.read(body, ada)
		if err != nil {
			return
		}
		if shows := r.Identity != (identity.Pivot{}); shows != (r.Outcome == Exact || r.Outcome == Corrected) || r.Outcome == Unavailable {
			t.Errorf("%s, with an identity: %v", r.Outcome, shows)
		}
		if r.Outcome == Corrected {
			if _, err := r.Identity.Normalise(day); err != nil {
				t.Error(err)
			}
		}
	})
}
