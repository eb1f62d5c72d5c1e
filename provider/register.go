package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// PathRegister is where services register by API (RFC 7591), and PathRegister/ID where
// they look after what they registered (RFC 7592).
const PathRegister = "/register"

// Registrar registers services. Implemented by registration.Service. Bodies are the
// members of a JSON object, answers whole JSON documents.
type Registrar interface {
	// Open reports whether somebody may register; if not, there is no endpoint.
	Open() bool
	Register(ctx context.Context, initialToken string, body map[string]json.RawMessage) ([]byte, error)
	Read(ctx context.Context, id protocol.ClientID, token string) ([]byte, error)
	Update(ctx context.Context, id protocol.ClientID, token string, body map[string]json.RawMessage) ([]byte, error)
	Delete(ctx context.Context, id protocol.ClientID, token string) error
}

// Serves reports whether a path is the provider's, for the one who mounts it.
func (p *Provider) Serves(path string) bool { return p.route(path) != nil }

// route finds the handler of a path as it came. A client id has no slash.
func (p *Provider) route(path string) http.Handler {
	if h := p.routes[path]; h != nil {
		return h
	}
	if id, ok := strings.CutPrefix(path, PathRegister+"/"); ok && id != "" && !strings.Contains(id, "/") {
		return p.registrations
	}
	return nil
}

// register serves POST /register.
func (p *Provider) register(w http.ResponseWriter, r *http.Request) error {
	return p.registrar(w, r, func(token string) error {
		body, err := readObject(r)
		if err != nil {
			return err
		}
		answer, err := p.Registrar.Register(r.Context(), token, body)
		if err != nil {
			return err
		}
		return writeClient(w, http.StatusCreated, answer)
	})
}

// manage serves GET, PUT and DELETE /register/ID.
func (p *Provider) manage(w http.ResponseWriter, r *http.Request) error {
	id := protocol.ClientID(strings.TrimPrefix(r.URL.Path, PathRegister+"/"))
	return p.registrar(w, r, func(token string) error {
		switch r.Method {
		case http.MethodGet:
			answer, err := p.Registrar.Read(r.Context(), id, token)
			if err != nil {
				return err
			}
			p.Note(r, slog.String("client", string(id)))
			return writeClient(w, http.StatusOK, answer)
		case http.MethodDelete:
			if err := p.Registrar.Delete(r.Context(), id, token); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		body, err := readObject(r)
		if err != nil {
			return err
		}
		answer, err := p.Registrar.Update(r.Context(), id, token, body)
		if err != nil {
			return err
		}
		p.Note(r, slog.String("client", string(id)))
		return writeClient(w, http.StatusOK, answer)
	})
}

// registrar calls do with the access token of the request, if there is an endpoint.
func (p *Provider) registrar(w http.ResponseWriter, r *http.Request, do func(token string) error) error {
	if !p.registering() {
		return web.Fail(web.NotFound, nil)
	}
	token, err := presented(r)
	if err == nil && usesDPoP(r) { // these tokens are bound to nobody
		err = protocol.Fail(protocol.InvalidToken, errNoToken, "an access token is required")
	}
	if err == nil && len(token) > maxCredential {
		err = errToken("too long")
	}
	if err == nil {
		err = do(token)
	}
	if err != nil {
		challengeRegistrar(w.Header(), err)
	}
	return err
}

// challengeRegistrar is the WWW-Authenticate header of RFC 6750 section 3: without
// any token one is told only how to send one.
func challengeRegistrar(h http.Header, err error) {
	var e *protocol.Error
	switch {
	case !errors.As(err, &e) || e.Code != protocol.InvalidToken:
	case errors.Is(e, errNoToken):
		h.Set("WWW-Authenticate", `Bearer realm="registration"`)
	default:
		h.Set("WWW-Authenticate", `Bearer realm="registration", error="invalid_token", error_description="`+e.Description+`"`)
	}
}

// registering reports whether discovery names the endpoint.
func (p *Provider) registering() bool { return p.Registrar != nil && p.Registrar.Open() }

// readObject reads the body of a registration: one JSON object, no name twice, which
// the rule of the route has bounded.
func readObject(r *http.Request) (map[string]json.RawMessage, error) {
	types := r.Header["Content-Type"]
	if len(types) != 1 {
		return nil, invalid("the body must be application/json")
	}
	if t, params, err := mime.ParseMediaType(types[0]); err != nil || t != "application/json" ||
		len(params) > 1 || len(params) == 1 && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, invalid("the body must be application/json")
	}
	raw, err := io.ReadAll(r.Body)
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, web.Fail(web.TooLarge, errors.New("body too large"))
	}
	if err != nil {
		return nil, invalid("the body could not be read")
	}
	body, err := protocol.Object(raw)
	if err != nil {
		return nil, protocol.Fail(protocol.InvalidClientMetadata, err, "the body is not one JSON object, or a name occurs twice in it")
	}
	return body, nil
}

func writeClient(w http.ResponseWriter, status int, answer []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(answer)
	return err
}
