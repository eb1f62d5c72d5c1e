package conformance

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/keys"
)

// client is a relying party in the hands of a module. A copy with other fields is
// the same client doing something else.
type client struct {
	*op
	id, redirect string
	secret       string               // with ring nil: HTTP Basic, or in the form
	inForm       bool                 //
	ring         *keys.Ring           // private_key_jwt
	alg          string               // of its assertions; "none": unsigned
	assert       func(map[string]any) // changes the claims of its assertions
	mute         bool                 // sends no credentials
	holder       *holder              // proves possession on each of its requests; nil: none
	// Of one that connects with a certificate:
	via           *http.Client    // nil: that of op
	bearer        tls.Certificate // what via shows, if it is the right one
	byCertificate bool            // it proves the client, too
}

// reply is what an endpoint says to a client.
type reply struct {
	status int
	header http.Header
	text   []byte
	body   map[string]any // nil if it is no JSON
}

// str is a member of the reply that is a string, else "".
func (r reply) str(name string) string { s, _ := r.body[name].(string); return s }

// call sends one request of the client's own; prepare may add to it. A proof of
// possession is added here, for /par, /token and /userinfo alike, and nowhere else.
func (c *client) call(t *testing.T, method, path string, form url.Values, prepare func(*http.Request)) reply {
	t.Helper()
	send := func() reply {
		return c.exchangeBy(t, c.via, method, path, form, func(r *http.Request) {
			prepare(r)
			if c.holder != nil {
				c.holder.prove(t, r)
			}
		})
	}
	answer := send()
	if c.holder != nil && c.holder.heard(answer) {
		answer = send()
		c.holder.heard(answer)
	}
	return answer
}

// send posts a form to an endpoint with the client's credentials.
func (c *client) send(t *testing.T, method, path string, form url.Values) reply {
	t.Helper()
	form = maps.Clone(form)
	return c.call(t, method, path, form, func(r *http.Request) {
		c.authenticate(t, form, r)
		r.Body = readCloser(form.Encode())
		r.ContentLength = int64(len(form.Encode()))
	})
}

func (c *client) authenticate(t *testing.T, form url.Values, r *http.Request) {
	t.Helper()
	switch {
	case c.mute:
	case c.byCertificate:
		if form.Get("client_id") == "" {
			form.Set("client_id", c.id)
		}
	case c.ring != nil:
		if form.Get("client_id") == "" {
			form.Set("client_id", c.id)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.assertion(t))
	case c.inForm:
		form.Set("client_id", c.id)
		form.Set("client_secret", c.secret)
	default:
		r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
}

func (c *client) assertion(t *testing.T) string {
	t.Helper()
	now := c.now()
	claims := map[string]any{
		"iss": c.id, "sub": c.id, "aud": c.issuer, "jti": random(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	if c.assert != nil {
		c.assert(claims)
	}
	return c.sign(t, c.alg, "JWT", claims)
}

// sign makes a JWS; alg none makes one that nobody signed.
func (c *client) sign(t *testing.T, alg, typ string, claims map[string]any) string {
	t.Helper()
	payload := encode(t, claims)
	if alg == "none" {
		b64 := base64.RawURLEncoding
		return b64.EncodeToString(encode(t, map[string]any{"alg": alg, "typ": typ})) + "." + b64.EncodeToString(payload) + "."
	}
	compact, err := c.ring.Sign(t.Context(), alg, typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// tampered is a JWS whose signature has one bit changed.
func tampered(compact string) string {
	head, tail := compact[:len(compact)-20], compact[len(compact)-20:]
	swap := "A"
	if tail[0] == 'A' {
		swap = "B"
	}
	return head + swap + tail[1:]
}

// exchange sends one request to the broker; prepare may add to it.
func (o *op) exchange(t *testing.T, method, path string, form url.Values, prepare func(*http.Request)) reply {
	t.Helper()
	return o.exchangeBy(t, nil, method, path, form, prepare)
}

func (o *op) exchangeBy(t *testing.T, via *http.Client, method, path string, form url.Values, prepare func(*http.Request)) reply {
	t.Helper()
	if via == nil {
		via = o.http
	}
	req, err := http.NewRequestWithContext(t.Context(), method, o.issuer+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8") // as the suite has it
	}
	if prepare != nil {
		prepare(req)
	}
	resp, err := via.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	r := reply{status: resp.StatusCode, header: resp.Header}
	if r.text, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(r.text, &r.body) // no JSON: no body
	wellSaid(t, path, r)
	return r
}

// userinfo asks with a token in the header, under this scheme; a POST has no body.
func (c *client) userinfo(t *testing.T, method, scheme, token string) reply {
	t.Helper()
	return c.call(t, method, "/userinfo", nil, func(r *http.Request) {
		r.Header.Set("Authorization", scheme+" "+token)
	})
}

// redeem redeems a code; verifier may be "".
func (c *client) redeem(t *testing.T, code, verifier string) reply {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirect}}
	if verifier != "" {
		form.Set("code_verifier", verifier)
	}
	return c.send(t, http.MethodPost, "/token", form)
}

// secretHash is what the configuration knows of a secret.
func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// part is the header (0) or the payload (1) of a JWS, unverified.
func part(t *testing.T, compact string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		t.Fatal("not a compact JWS")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func readCloser(body string) io.ReadCloser { return io.NopCloser(strings.NewReader(body)) }
