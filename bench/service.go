package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// kind is how demanding the service of a run is.
type kind string

// The kinds.
const (
	basic kind = "basic" // a secret, opaque tokens, userinfo as JSON
	jwt   kind = "jwt"   // private_key_jwt, userinfo as a signed JWT
	fapi2 kind = "fapi2" // pushed requests, private_key_jwt, DPoP; ID token and userinfo signed and encrypted
)

func kinds() []kind { return []kind{basic, jwt, fapi2} }

// clientOf is the client id of the service of this kind.
func (k kind) clientID() string { return clientID + "-" + string(k) }

// service is what the service in a login knows: how it proves itself, and what it
// reads answers with. It is shared by all logins of a run.
type service struct {
	kind    kind
	id      string
	secret  string
	broker  string     // issuer
	asserts *throwaway // signs client assertions
	proves  *throwaway // signs DPoP proofs
	opens   *sealed    // decrypts
	nonce   atomic.Pointer[string]
}

func newService(k kind, at addresses) *service {
	return &service{
		kind: k, id: k.clientID(), secret: at.ClientSecret, broker: at.Broker,
		asserts: at.Asserts, proves: at.Proves, opens: at.Opens,
	}
}

// prove adds what the service proves itself with to a form, or to the header.
func (s *service) prove(form url.Values, h http.Header) error {
	if s.kind == basic {
		pair := url.QueryEscape(s.id) + ":" + url.QueryEscape(s.secret)
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	}
	now := time.Now().Unix()
	payload, err := json.Marshal(map[string]any{"iss": s.id, "sub": s.id, "aud": s.broker, "jti": token(), "iat": now, "exp": now + 60})
	if err != nil {
		return err
	}
	assertion, err := s.asserts.Sign(context.Background(), "ES256", "JWT", payload)
	form.Set("client_id", s.id)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return err
}

// bind adds a DPoP proof (RFC 9449 section 4.2), with the newest nonce.
func (s *service) bind(h http.Header, method, address, access string) error {
	if s.kind != fapi2 {
		return nil
	}
	claims := map[string]any{"jti": token(), "htm": method, "htu": address, "iat": time.Now().Unix()}
	if n := s.nonce.Load(); n != nil {
		claims["nonce"] = *n
	}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	proof, err := s.proves.sign(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+string(s.proves.jwk)+`}`, payload)
	h.Set("DPoP", proof)
	return err
}

// learn keeps the nonce of an answer, if it has one.
func (s *service) learn(h http.Header) {
	if n := h.Get("DPoP-Nonce"); n != "" {
		s.nonce.Store(&n)
	}
}

// claims reads what an ID token or a userinfo answer says. It does not verify the
// signature: the tests do that, and here it would only heat the machine.
func (s *service) claims(body string, into any) error {
	if s.kind == fapi2 {
		inner, err := s.opens.open(body)
		if err != nil {
			return err
		}
		body = inner
	}
	parts := strings.Split(body, ".")
	if len(parts) != 3 {
		return errors.New("the answer is no JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, into) != nil {
		return errors.New("the answer is no JWS")
	}
	return nil
}

// sealed opens what is encrypted to the service: ECDH-ES with A256GCM.
type sealed struct{ key *throwaway }

func (o *sealed) open(compact string) (string, error) {
	jwe, err := jose.ParseEncryptedCompact(compact, []jose.KeyAlgorithm{jose.ECDH_ES}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return "", errors.New("the answer is not encrypted as registered")
	}
	plain, err := jwe.Decrypt(o.key.key)
	if err != nil {
		return "", errors.New("the answer is encrypted to somebody else")
	}
	return string(plain), nil
}

// call sends a request of the service's own, and once more when the broker wants a
// nonce in the proof (RFC 9449 section 8).
func (l *login) call(ctx context.Context, method, path string, form url.Values, access string) (answer, error) {
	for try := 0; ; try++ {
		h := http.Header{}
		if access != "" {
			scheme := "Bearer "
			if l.service.kind == fapi2 {
				scheme = "DPoP "
			}
			h.Set("Authorization", scheme+access)
		} else if err := l.service.prove(form, h); err != nil {
			return answer{}, err
		}
		if path != "/par" {
			if err := l.service.bind(h, method, l.Broker+path, access); err != nil {
				return answer{}, err
			}
		}
		got, err := l.send(ctx, method, l.Broker+path, form, h)
		if err != nil {
			return answer{}, err
		}
		l.service.learn(got.Header)
		asked := strings.Contains(string(got.Body), "use_dpop_nonce") || strings.Contains(got.Header.Get("WWW-Authenticate"), "use_dpop_nonce")
		if !asked || try > 0 {
			return got, nil
		}
	}
}

// push brings the request to the broker (RFC 9126) and returns what is left of it
// for the browser; a service that does not push returns it as it is.
func (l *login) push(ctx context.Context, request url.Values) (url.Values, error) {
	if l.service.kind != fapi2 {
		return request, nil
	}
	got, err := l.call(ctx, http.MethodPost, "/par", request, "")
	if err != nil {
		return nil, err
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if got.Status != http.StatusCreated || json.Unmarshal(got.Body, &pushed) != nil {
		return nil, fmt.Errorf("/par answered %d", got.Status)
	}
	return url.Values{"client_id": {l.service.id}, "request_uri": {pushed.RequestURI}}, nil
}
