package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// objectOf makes a request object of the client "signer": a whole request and the
// claims about itself; changes replace claims, and nil removes one.
func objectOf(w *world, changes map[string]any) string {
	now := w.p.Now().Unix()
	claims := map[string]any{"iss": "signer", "aud": issuer, "exp": now + 300, "nbf": now, "iat": now, "jti": newHandle()}
	for k, v := range request("client_id", "signer") {
		claims[k] = v[0]
	}
	for k, v := range changes {
		claims[k] = v
		if v == nil {
			delete(claims, k)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	return signObject(w.t, payload, "oauth-authz-req+jwt", jose.ES256, clientKey())
}

func signObject(t testing.TB, payload []byte, typ string, alg jose.SignatureAlgorithm, key any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", "c1")
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// signed is what a client sends with a request object and nothing else.
func signed(object string) url.Values {
	return url.Values{"client_id": {"signer"}, "request": {object}}
}

func TestRequestObject_StartsTheVisitOfTheSameRequest_RFC9101_6_3(t *testing.T) {
	w := newWorld(t).serve()
	plain := request("client_id", "signer", "max_age", "300", "claims", `{"userinfo":{"birthdate":{"essential":true}}}`)
	w.do(get(PathAuthorize, plain))
	object := func() string {
		return objectOf(w, map[string]any{
			"max_age": 300, "claims": map[string]any{"userinfo": map[string]any{"birthdate": map[string]any{"essential": true}}},
			"display": []string{"page"}, "unknown": true,
		})
	}
	for name, r := range map[string]*http.Request{
		"by GET": get(PathAuthorize, signed(object())), "by POST": post(PathAuthorize, signed(object())),
		"pushed": visit(w.pushedURI(signed(object()), "signer"), "signer"),
	} {
		w.started = w.started[:1]
		if got := w.do(r); got.header.Get("Location") != "/login/flow" {
			t.Fatalf("%s: got %d to %q: %s", name, got.status, got.header.Get("Location"), got.body)
		}
		w.started[1].Pushed = ""
		if !reflect.DeepEqual(w.started[0], w.started[1]) {
			t.Errorf("%s: started with %+v, want %+v", name, w.started[1], w.started[0])
		}
	}
}

// objectRow is a request object, or what claims to be one.
type objectRow struct {
	object string
	ok     bool
}

// objects are the modules of the message signing plan and of RFC 9101, by name.
func objects(w *world) map[string]objectRow {
	now := w.p.Now().Unix()
	with := func(changes ...any) string {
		m := map[string]any{}
		for i := 0; i < len(changes); i += 2 {
			m[changes[i].(string)] = changes[i+1]
		}
		return objectOf(w, m)
	}
	payload := []byte(strings.ReplaceAll(string(claimsOf(w.t, with())), "\n", ""))
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"oauth-authz-req+jwt"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
	hmac := signObject(w.t, payload, "JWT", jose.HS256, []byte(clientJWKS()))
	good := with()
	return map[string]objectRow{
		"a good one":                  {good, true},
		"typ JWT":                     {signObject(w.t, payload, "JWT", jose.ES256, clientKey()), true},
		"no typ, OIDC Core 6.1":       {signObject(w.t, []byte(strings.Replace(string(payload), `"jti":"`, `"jti":"a`, 1)), "", jose.ES256, clientKey()), true},
		"without jti":                 {with("jti", nil), true},
		"without nbf and iat":         {with("nbf", nil, "iat", nil), true},
		"ensure-multiple-aud":         {with("aud", []string{"https://other.example", issuer}), true},
		"nbf-8-seconds-ahead":         {with("nbf", now+8), true},
		"iat-8-seconds-ahead":         {with("iat", now+8), true},
		"exp-60-minutes-ahead":        {with("exp", now+3600), true},
		"nbf-60-minutes-ago":          {with("nbf", now-3600), true},
		"a number that is no max_age": {with("max_age", 1.5), false},

		"without-exp":                         {with("exp", nil), false},
		"expired":                             {with("exp", now), false},
		"expired-5-minutes-ago":               {with("exp", now-300), false},
		"exp-over-60-minutes":                 {with("exp", now+3600+60), false},
		"nbf-over-60-minutes-ago":             {with("nbf", now-3600-60), false},
		"nbf-in-the-future":                   {with("nbf", now+60), false},
		"iat in the future":                   {with("iat", now+60), false},
		"bad-aud":                             {with("aud", "https://other.example"), false},
		"aud the token endpoint":              {with("aud", issuer+PathToken), false},
		"aud an array of others":              {with("aud", []string{"https://other.example"}), false},
		"aud missing":                         {with("aud", nil), false},
		"aud a number":                        {with("aud", 1), false},
		"aud too many":                        {with("aud", []string{issuer, "1", "2", "3", "4", "5", "6", "7", "8"}), false},
		"iss missing":                         {with("iss", nil), false},
		"iss another client":                  {with("iss", "library"), false},
		"client_id inside is another":         {with("client_id", "library"), false},
		"client_id inside missing":            {with("client_id", nil), false},
		"sub of a client assertion":           {with("sub", "signer"), false},
		"a client assertion":                  {assert(w.t, w, map[string]any{"iss": "signer", "sub": "signer"}, jose.ES256, clientKey()), false},
		"an object inside the object":         {with("request", good), false},
		"a request_uri inside the object":     {with("request_uri", "https://rp.example/r"), false},
		"exp a string":                        {with("exp", "2000000000"), false},
		"exp a fraction":                      {with("exp", float64(now)+60.5), false},
		"state no string":                     {with("state", 1), false},
		"scope an array":                      {with("scope", []string{"openid"}), false},
		"claims a string":                     {with("claims", "{}"), false},
		"jti too long":                        {with("jti", strings.Repeat("a", 257)), false},
		"signature-algorithm-is-none":         {none, false},
		"signed-by-other-client's-key":        {signObject(w.t, payload, "JWT", jose.ES256, stranger), false},
		"bad-signature":                       {good[:len(good)-8] + "AAAAAAAA", false},
		"payload-changed":                     {strings.Replace(good, ".", ".e30", 1), false},
		"HS256 with the public key":           {hmac, false},
		"another type":                        {signObject(w.t, payload, "at+jwt", jose.ES256, clientKey()), false},
		"type logout+jwt":                     {signObject(w.t, payload, "logout+jwt", jose.ES256, clientKey()), false},
		"payload no object":                   {signObject(w.t, []byte(`[]`), "JWT", jose.ES256, clientKey()), false},
		"a member twice":                      {signObject(w.t, []byte(strings.Replace(string(payload), `{`, `{"scope":"openid",`, 1)), "JWT", jose.ES256, clientKey()), false},
		"no JWT":                              {"x", false},
		"five parts (encrypted)":              {"a.b.c.d.e", false},
		"too long":                            {with("padding", strings.Repeat("a", 40<<10)), false},
		"redirect-uri-missing":                {with("redirect_uri", nil), false},
		"redirect-uri-not-registered":         {with("redirect_uri", "https://evil.example/"), false},
		"response-type-code-id_token":         {with("response_type", "code id_token"), false},
		"without-code-challenge":              {with("code_challenge", nil), false},
		"code-challenge-method-plain":         {with("code_challenge_method", "plain"), false},
		"a-state-that-must-not-be-echoed":     {with("state", "a\r\nb"), false},
		"a-claims-parameter-of-another-shape": {with("claims", map[string]any{"userinfo": "email"}), false},
	}
}

func TestRequestObject_Modules_FAPI2MessageSigning_5_3_1_AZ07(t *testing.T) {
	w := newWorld(t).serve()
	for name, row := range objects(w) {
		t.Run(name, func(t *testing.T) {
			got := w.push(signed(row.object), "signer")
			switch {
			case row.ok && got.status != 201:
				t.Errorf("got %d %s", got.status, got.body)
			case !row.ok && (got.status < 400 || got.status >= 500):
				t.Errorf("accepted: %d %s", got.status, got.body)
			}
		})
	}
	// By value the service hears nothing where its redirect URI is not proven.
	w = newWorld(t).serve()
	for name, row := range objects(w) {
		t.Run("by value, "+name, func(t *testing.T) {
			if len(row.object) > maxURL/2 {
				return
			}
			got := w.do(post(PathAuthorize, signed(row.object)))
			location := got.header.Get("Location")
			switch {
			case row.ok && location != "/login/flow":
				t.Errorf("got %d %s", got.status, got.body)
			case !row.ok && location == "/login/flow", strings.Contains(location, "evil"):
				t.Errorf("accepted: %d to %q", got.status, location)
			case !row.ok && location == "" && got.status != 400:
				t.Errorf("got %d", got.status)
			}
		})
	}
}

// The registered algorithm is the only one, whatever key the client has.
func TestRequestObject_AlgorithmIsPinned_RFC8725_3_1(t *testing.T) {
	w := newWorld(t).serve()
	all := testClients()
	for _, c := range all {
		if c.ID == "signer" {
			c.RequestObjectSigningAlg = "PS256"
		}
	}
	w.mu.Lock()
	w.set = clients.NewSet(all...)
	w.mu.Unlock()
	wantError(t, w.push(signed(objectOf(w, nil)), "signer"), 400, "invalid_request_object")
}

func TestRequestObject_OnlyWhatIsInsideCounts_RFC9101_6_3(t *testing.T) {
	w := newWorld(t).serve()
	q := signed(objectOf(w, map[string]any{"nonce": "inside"}))
	for name, value := range map[string]string{
		"redirect_uri": "https://evil.example/", "state": "outside", "nonce": "outside", "scope": "openid birthdate", "prompt": "none",
		"response_type": "token", "response_mode": "form_post", "code_challenge": "x", "max_age": "1",
	} {
		q.Set(name, value)
	}
	if got := w.do(get(PathAuthorize, q)); got.header.Get("Location") != "/login/flow" {
		t.Fatalf("got %d to %q: %s", got.status, got.header.Get("Location"), got.body)
	}
	q.Set("request", objectOf(w, map[string]any{"nonce": "inside"}))
	w.do(visit(w.pushedURI(q, "signer"), "signer"))
	for _, got := range w.started {
		if got.State != "st~ate" || got.Nonce != "inside" || got.Prompt.None || got.MaxAge != nil || len(got.Scopes) != 3 || got.RedirectURI != redirect || got.ResponseMode != protocol.ModeQuery {
			t.Errorf("started with %+v", got)
		}
	}
	// A parameter is not filled in from outside when it is missing inside.
	q = request("client_id", "signer", "request", objectOf(w, map[string]any{"nonce": nil}))
	if got := w.do(get(PathAuthorize, q)).location(t, redirect); got.Get("error") != "invalid_request" {
		t.Errorf("nonce from outside: %v", got)
	}
}

func TestRequestObject_WhereAnErrorGoes_AZ07(t *testing.T) {
	w := newWorld(t).serve()
	expired := objectOf(w, map[string]any{"exp": w.p.Now().Unix() - 1})
	elsewhere := objectOf(w, map[string]any{"exp": w.p.Now().Unix() - 1, "redirect_uri": "https://rp.example/second?tenant=1"})
	// The same registered URI outside and inside: the service hears it.
	q := w.do(get(PathAuthorize, request("client_id", "signer", "request", expired))).location(t, redirect)
	if q.Get("error") != "invalid_request_object" || q.Get("state") != "st~ate" || q.Get("iss") != issuer {
		t.Errorf("got %v", q)
	}
	for name, form := range map[string]url.Values{
		"none outside":               signed(expired),
		"another inside":             request("client_id", "signer", "request", elsewhere),
		"not registered":             request("client_id", "signer", "request", expired, "redirect_uri", "https://evil.example/"),
		"none inside":                request("client_id", "signer", "request", objectOf(w, map[string]any{"exp": 1, "redirect_uri": nil})),
		"no object":                  request("client_id", "signer", "request", "x"),
		"an object of another shape": request("client_id", "signer", "request", "a.b.c"),
	} {
		t.Run(name, func(t *testing.T) { wantPage(t, w.do(get(PathAuthorize, form)), web.RequestInvalid) })
	}
	wantPage(t, w.do(get(PathAuthorize, url.Values{"client_id": {"nobody"}, "request": {expired}})), web.ClientUnknown)
	// Verified, and wrong: what is inside is what the service says.
	bad := signed(objectOf(w, map[string]any{"scope": "email", "state": "inside"}))
	if q := w.do(get(PathAuthorize, bad)).location(t, redirect); q.Get("error") != "invalid_scope" || q.Get("state") != "inside" {
		t.Errorf("got %v", q)
	}
	// Two objects, or one beside an address: nobody chooses between them.
	two := request("client_id", "signer")
	two["request"] = []string{objectOf(w, nil), objectOf(w, nil)}
	if q := w.do(get(PathAuthorize, two)).location(t, redirect); q.Get("error") != "invalid_request" {
		t.Errorf("two objects: %v", q)
	}
	both := request("client_id", "signer", "request", objectOf(w, nil), "request_uri", "https://rp.example/r")
	if q := w.do(get(PathAuthorize, both)).location(t, redirect); !strings.HasSuffix(q.Get("error"), "_not_supported") {
		t.Errorf("object and address: %v", q)
	}
	if len(w.started) != 0 {
		t.Errorf("%d visits started", len(w.started))
	}
}

func TestRequestObject_JTIOnce_RFC9101_10(t *testing.T) {
	w := newWorld(t).serve()
	object := objectOf(w, nil)
	if got := w.push(signed(object), "signer"); got.status != 201 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	wantError(t, w.push(signed(object), "signer"), 400, "invalid_request_object")
	wantPage(t, w.do(get(PathAuthorize, signed(object))), web.RequestInvalid)
	// The memory is of request objects: an assertion with this jti is another thing.
	w.store.fail = "consume"
	wantUnavailable(t, w.push(signed(objectOf(w, nil)), "signer"))
	if got := w.do(get(PathAuthorize, signed(objectOf(w, nil)))); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d", got.status)
	}
}

// unavailableKeys is a jwks_uri that does not answer.
type unavailableKeys struct{ KeySet }

func (unavailableKeys) Verify(context.Context, string, string) ([]byte, error) {
	return nil, fmt.Errorf("fetch: %w", keys.ErrUnavailable)
}

func TestRequestObject_KeysThatCannotBeFetchedAreNoRefusal(t *testing.T) {
	w := newWorld(t).serve()
	for name, answer := range map[string]func(*clients.Client) (KeySet, error){
		"no set":        func(*clients.Client) (KeySet, error) { return nil, errors.New("none") },
		"not reachable": func(*clients.Client) (KeySet, error) { return unavailableKeys{}, nil },
	} {
		w.p.ClientKeys = answer
		wantUnavailable(t, w.push(signed(objectOf(w, nil)), "signer"))
		if got := w.do(get(PathAuthorize, signed(objectOf(w, nil)))); got.status != 503 {
			t.Errorf("%s: got %d", name, got.status)
		}
	}
}

func TestRequestObject_RequiredPerClient_RFC9101_10_5(t *testing.T) {
	w := newWorld(t).serve()
	wantError(t, w.push(request("client_id", "fapi"), "fapi"), 400, "invalid_request")
	if q := w.do(get(PathAuthorize, request("client_id", "fapi"))).location(t, redirect); q.Get("error") != "invalid_request" {
		t.Errorf("got %v", q)
	}
	fapi := func(changes map[string]any) url.Values {
		all := map[string]any{"iss": "fapi", "client_id": "fapi"}
		for k, v := range changes {
			all[k] = v
		}
		return url.Values{"client_id": {"fapi"}, "request": {objectOf(w, all)}}
	}
	if q := w.do(get(PathAuthorize, fapi(nil))).location(t, redirect); q.Get("error") != "invalid_request" { // signed, not pushed
		t.Errorf("got %v", q)
	}
	wantError(t, w.push(fapi(map[string]any{"nbf": nil}), "fapi"), 400, "invalid_request_object")
	if got := w.do(visit(w.pushedURI(fapi(nil), "fapi"), "fapi")); got.header.Get("Location") != "/login/flow" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestRequestObject_AClientThatHasRegisteredNoAlgorithmIsTold(t *testing.T) {
	w := newWorld(t).serve()
	object := objectOf(w, map[string]any{"iss": "library", "client_id": "library"})
	if q := w.do(get(PathAuthorize, request("request", object))).location(t, redirect); q.Get("error") != "request_not_supported" {
		t.Errorf("got %v", q)
	}
	wantError(t, w.push(request("request", object)), 400, "request_not_supported")
}

func FuzzRequestObject(f *testing.F) {
	w := newWorld(f)
	f.Add(claimsOf(f, objectOf(w, nil)))
	f.Add([]byte(`{"aud":["a",1],"exp":1e3,"claims":{"a":null},"max_age":"x"}`))
	f.Add([]byte(`{"iss":"signer","client_id":"signer","redirect_uri":"https://evil.example/"}`))
	client, _ := w.set.Get("signer")
	w.advance(time.Second)
	f.Fuzz(func(t *testing.T, payload []byte) {
		form, err := w.p.requestObject(t.Context(), client, signObject(t, payload, "JWT", jose.ES256, clientKey()))
		if err != nil {
			if err.Code != protocol.InvalidRequestObject || form != nil {
				t.Errorf("got %v", err)
			}
			return
		}
		if form.Get("client_id") != "signer" || repeated(form) || form.Has("request") || form.Has("request_uri") {
			t.Errorf("got %v", form)
		}
	})
}
