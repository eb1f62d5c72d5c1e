package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/registry"
)

// RegistryPath is where the civil registry of the sandbox is asked.
const RegistryPath = "/check"

// RegistryConfig is what NewRegistry needs.
type RegistryConfig struct {
	Token string // that the broker has to show; "": none
	Now   func() time.Time
	Log   *slog.Logger
}

// NewRegistry returns the civil registry of the demo world (docs/registry.md): it
// knows the people of the table, and has every kind of answer for somebody.
func NewRegistry(cfg RegistryConfig) (http.Handler, error) {
	if cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("sandbox: a registry needs a clock and a log")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+RegistryPath, func(w http.ResponseWriter, r *http.Request) { answerCheck(w, r, cfg) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "The civil registry of the demo. The broker asks it by POST "+RegistryPath+"; there is nothing to see here.\n")
	})
	return mux, nil
}

// civilFacts is an identity on the way, and registryAnswer what is said of it.
type civilFacts struct {
	GivenName    string `json:"given_name"`
	FamilyName   string `json:"family_name"`
	Birthdate    string `json:"birthdate"`
	Gender       string `json:"gender"`
	Birthplace   string `json:"birthplace"`
	Birthcountry string `json:"birthcountry"`
}

type registryAnswer struct {
	Outcome  registry.Outcome `json:"outcome"`
	Identity *civilFacts      `json:"identity,omitempty"`
}

func answerCheck(w http.ResponseWriter, r *http.Request, cfg RegistryConfig) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var asked civilFacts
	switch body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); {
	case cfg.Token != "" && r.Header.Get("Authorization") != "Bearer "+cfg.Token:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil || media != "application/json" || json.Unmarshal(body, &asked) != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := lookUp(asked, cfg.Now())
	switch answer.Outcome {
	case registry.Unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case slowRegistry:
		select {
		case <-time.After(SlowFor):
		case <-r.Context().Done():
		}
		answer.Outcome = registry.Exact
	}
	cfg.Log.LogAttrs(r.Context(), slog.LevelInfo, "civil registry asked", slog.String("outcome", string(answer.Outcome)))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// slowRegistry is an answer that comes too late.
const slowRegistry registry.Outcome = "slow"

// oddities is what the registry says of those of whom it does not say exact.
var oddities = map[string]registry.Outcome{
	"margueritte": registry.Corrected,
	"moellon":     registry.Several,
	"pignon":      registry.None,
	"lincoir":     registry.Refused,
	"archivolte":  registry.Deceased,
	"lambris":     registry.Unavailable,
	"lucarne":     slowRegistry,
}

// lookUp compares as a registry would: without regard to capitals and hyphens.
func lookUp(asked civilFacts, now time.Time) registryAnswer {
	digest, ok := canonical(asked, now)
	if !ok {
		return registryAnswer{Outcome: registry.None}
	}
	for _, e := range people(now) {
		held := civilFacts{e.GivenName, e.FamilyName, e.Birthdate, e.Gender, e.Birthplace, e.Birthcountry}
		if d, ok := canonical(held, now); !ok || d != digest {
			continue
		}
		switch outcome := oddities[e.ID]; outcome {
		case "":
			return registryAnswer{Outcome: registry.Exact, Identity: &held}
		case registry.Corrected:
			held.GivenName, held.Birthdate = "Marguerite Aimée", "1962-08-15"
			return registryAnswer{Outcome: outcome, Identity: &held}
		default:
			return registryAnswer{Outcome: outcome}
		}
	}
	return registryAnswer{Outcome: registry.None}
}

func canonical(f civilFacts, now time.Time) (string, bool) {
	p, err := identity.Pivot(f).Normalise(now)
	return string(p.Canonical()), err == nil
}
