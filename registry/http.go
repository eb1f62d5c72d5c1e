package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// maxAnswer bounds what the registry may send, in bytes.
const maxAnswer = 16 << 10

// Timeout bounds one call: a person is waiting, and her provider has taken its
// time already.
const Timeout = 3 * time.Second

// HTTPConfig is what NewHTTP needs. Fields without a default are required.
type HTTPConfig struct {
	URL       string       // where identities are posted; https, or http where AllowHTTP
	Token     string       // sent as a bearer token (RFC 6750 section 2.1); "": none
	AllowHTTP bool         // development only
	Client    *http.Client // from outbound, of its own
	Breaker   *outbound.Breaker
	Now       func() time.Time
	Log       *slog.Logger // why it was not reached; it never gets a value
}

// String and LogValue keep the token out of logs.
func (c HTTPConfig) String() string { return "registry at " + c.URL }

// HTTP is a registry behind one HTTP endpoint. It posts the six facts as JSON and
// reads an outcome and, with exact and corrected, the six facts as the registry has
// them:
//
//	{"given_name":"…","family_name":"…","birthdate":"…","gender":"…","birthplace":"…","birthcountry":"…"}
//	{"outcome":"corrected","identity":{"given_name":"…", …}}
type HTTP struct{ cfg HTTPConfig }

var _ Registry = (*HTTP)(nil)

// NewHTTP refuses a missing collaborator and an address that is none. It calls
// nobody.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	if cfg.Client == nil || cfg.Breaker == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("registry: a client, a breaker, a clock and a log are needed")
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("registry: the address is not a URL")
	}
	if err := outbound.CheckURL(u, cfg.AllowHTTP); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("registry: the address has a query")
	}
	return &HTTP{cfg: cfg}, nil
}

// facts is a civil identity on the way to the registry and back.
type facts struct {
	GivenName    string `json:"given_name"`
	FamilyName   string `json:"family_name"`
	Birthdate    string `json:"birthdate"`
	Gender       string `json:"gender"`
	Birthplace   string `json:"birthplace"` // "" when born abroad
	Birthcountry string `json:"birthcountry"`
}

// Check asks once. It does not retry: the person is waiting, and the breaker
// decides for those who come after her.
func (h *HTTP) Check(ctx context.Context, p identity.Pivot) (Result, error) {
	done, err := h.cfg.Breaker.Allow()
	if err != nil {
		return Result{Outcome: Unavailable}, fmt.Errorf("registry: %w", err)
	}
	worked := false
	defer func() { done(worked) }() // a panic counts as a failure
	bounded, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r, err := h.ask(bounded, p)
	// A person who went away says nothing about the registry.
	worked = err == nil || ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled)
	if err != nil {
		err = fmt.Errorf("registry: %w", err)
		h.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "the civil registry did not answer", slog.String("error", err.Error()))
		return Result{Outcome: Unavailable}, err
	}
	return r, nil
}

func (h *HTTP) ask(ctx context.Context, p identity.Pivot) (Result, error) {
	body, err := json.Marshal(facts(p))
	if err != nil {
		return Result{}, errors.New("encode the identity") // the cause could quote it
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return Result{}, errors.New("the address is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if h.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.cfg.Token)
	}
	a, err := outbound.Do(h.cfg.Client, req, maxAnswer)
	if err != nil {
		return Result{}, err
	}
	if a.Status != http.StatusOK {
		return Result{}, fmt.Errorf("answered %d", a.Status)
	}
	if media, _, err := mime.ParseMediaType(a.ContentType); err != nil || media != "application/json" {
		return Result{}, errors.New("answered something that is not JSON")
	}
	return h.read(a.Body, p)
}

// read takes nothing for granted: an answer that says one thing and shows another
// is no answer.
func (h *HTTP) read(body []byte, asked identity.Pivot) (Result, error) {
	m, err := protocol.Object(body)
	if err != nil {
		return Result{}, errors.New("the answer is not a JSON object")
	}
	var outcome Outcome
	if json.Unmarshal(m["outcome"], &outcome) != nil {
		return Result{}, errors.New("the answer has no outcome")
	}
	switch outcome {
	case Several, None, Refused, Deceased:
		return Result{Outcome: outcome}, nil
	case Exact, Corrected:
	default:
		return Result{}, errors.New("the outcome is not one that we know")
	}
	given, ok := m["identity"]
	if !ok && outcome == Exact {
		return Result{Outcome: Exact, Identity: asked}, nil
	}
	found, err := h.pivot(given)
	if err != nil {
		return Result{}, err
	}
	same := bytes.Equal(found.Canonical(), asked.Canonical())
	if !same && outcome == Exact {
		return Result{}, errors.New("the outcome is exact and the identity is another")
	}
	if same { // only case or separators were mended
		outcome = Exact
	}
	return Result{Outcome: outcome, Identity: found}, nil
}

// pivot reads the identity of an answer, and normalises it as a provider's.
func (h *HTTP) pivot(raw json.RawMessage) (identity.Pivot, error) {
	m, err := protocol.Object(raw)
	if err != nil {
		return identity.Pivot{}, errors.New("the answer has no identity")
	}
	var p identity.Pivot
	for name, dst := range map[string]*string{
		"given_name": &p.GivenName, "family_name": &p.FamilyName, "birthdate": &p.Birthdate,
		"gender": &p.Gender, "birthplace": &p.Birthplace, "birthcountry": &p.Birthcountry,
	} {
		if value, ok := m[name]; ok && json.Unmarshal(value, dst) != nil {
			return identity.Pivot{}, fmt.Errorf("the answer's %s is no text", name)
		}
	}
	p, err = p.Normalise(h.cfg.Now())
	if err != nil {
		return identity.Pivot{}, fmt.Errorf("the answer's %w", err) // it names claims, never values
	}
	return p, nil
}
