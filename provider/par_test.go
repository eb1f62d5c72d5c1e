package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// push sends a request to /par with client_secret_basic.
func (w *world) push(form url.Values, client ...string) reply {
	w.t.Helper()
	r := post(PathPAR, form)
	basic(r, cmp.Or(strings.Join(client, ""), "library"), secret)
	return w.do(r)
}

// pushedURI is the request_uri of a good push.
func (w *world) pushedURI(form url.Values, client ...string) string {
	w.t.Helper()
	got := w.push(form, client...)
	var answer pushedAnswer
	if got.status != http.StatusCreated || json.Unmarshal([]byte(got.body), &answer) != nil {
		w.t.Fatalf("push: got %d %s", got.status, got.body)
	}
	return answer.RequestURI
}

// visit is a request with nothing but client_id and request_uri.
func visit(uri string, client ...string) *http.Request {
	return get(PathAuthorize, url.Values{"client_id": {cmp.Or(strings.Join(client, ""), "library")}, "request_uri": {uri}})
}

func TestPAR_StartsTheVisitOfTheSameRequest_RFC9126_2_4(t *testing.T) {
	w := newWorld(t).serve()
	q := request("prompt", "login", "max_age", "300", "acr_values", "eidas2", "response_mode", "form_post", "idp_hint", "tax",
		"claims", `{"userinfo":{"birthdate":{"essential":true}}}`, "unknown", "ignored")
	w.do(get(PathAuthorize, q))
	if got := w.do(visit(w.pushedURI(q))); got.header.Get("Location") != "/login/flow" || got.header.Get("Set-Cookie") == "" {
		t.Fatalf("got %d to %q: %s", got.status, got.header.Get("Location"), got.body)
	}
	pushed := w.started[1]
	if len(pushed.Pushed) != 32 {
		t.Errorf("the visit does not know which pushed request it came by: %q", pushed.Pushed)
	}
	pushed.Pushed = ""
	if !reflect.DeepEqual(w.started[0], pushed) {
		t.Errorf("pushed: started with %+v, want %+v", pushed, w.started[0])
	}
}

func TestPAR_Answer_RFC9126_2_2(t *testing.T) {
	w := newWorld(t).serve()
	got := w.push(request())
	uri := got.json(t)["request_uri"].(string)
	if handle, ok := strings.CutPrefix(uri, "urn:ietf:params:oauth:request_uri:"); !ok || !isHandle(handle) {
		t.Errorf("request_uri = %q", uri)
	}
	golden(t, "par_answer.json", strings.ReplaceAll(got.body, uri, "REQUEST_URI")+"\n")
	if got.status != 201 || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	if again := w.push(request()).json(t)["request_uri"]; again == uri {
		t.Error("two pushes have one request_uri")
	}
	for _, g := range w.store.grants {
		if strings.Contains(string(g.Sealed), "n-0S6") || g.Kind != PushedGrant {
			t.Errorf("the store sees a request: %+v", g)
		}
	}
}

func TestPAR_EveryMethodOfAuthentication_AZ10(t *testing.T) {
	w := newWorld(t).serve()
	for name, form := range map[string]url.Values{
		"client_secret_post": request("client_id", "post", "client_secret", secret),
		"private_key_jwt": request("client_id", "jwt", "client_assertion_type", assertionType,
			"client_assertion", assert(t, w, nil, jose.ES256, clientKey())),
		"private_key_jwt without client_id": request("client_id", "-", "client_assertion_type", assertionType,
			"client_assertion", assert(t, w, nil, jose.ES256, clientKey())),
	} {
		if got := w.do(post(PathPAR, form)); got.status != 201 {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if got := w.push(request("client_id", "-")); got.status != 201 {
		t.Errorf("client_secret_basic without client_id: got %d %s", got.status, got.body)
	}
	used := assert(t, w, nil, jose.ES256, clientKey())
	form := request("client_id", "jwt", "client_assertion_type", assertionType, "client_assertion", used)
	w.do(post(PathPAR, form))
	wantError(t, w.do(post(PathPAR, form)), 401, "invalid_client")                     // jti twice
	wantError(t, w.do(post(PathToken, assertionForm(w, used))), 401, "invalid_client") // across endpoints too
	for name, changes := range map[string]map[string]any{
		"par-test-array-as-audience-fails":                                   {"aud": []string{issuer}},
		"par-test-pushed-authorization-url-as-audience-for-client-assertion": {"aud": issuer + PathPAR},
	} {
		t.Run(name, func(t *testing.T) {
			form.Set("client_assertion", assert(t, w, changes, jose.ES256, clientKey()))
			wantError(t, w.do(post(PathPAR, form)), 401, "invalid_client")
		})
	}
}

func TestPAR_RefusesStrangers_AZ10(t *testing.T) {
	w := newWorld(t).serve()
	wantError(t, w.do(post(PathPAR, request())), 401, "invalid_client")
	wantError(t, w.do(post(PathPAR, request("client_secret", secret))), 401, "invalid_client") // not the registered method
	wantError(t, w.push(request("client_id", "other")), 400, "invalid_request")
	wantError(t, w.push(request("client_id", "nobody"), "nobody"), 401, "invalid_client")
	for _, method := range []string{"GET", "PUT", "HEAD", "DELETE"} {
		if got := w.do(httptest.NewRequest(method, PathPAR, nil)); got.status != 405 || got.header.Get("Allow") != "POST" {
			t.Errorf("%s: got %d", method, got.status)
		}
	}
	r := post(PathPAR, request())
	r.URL.RawQuery = "state=x"
	basic(r, "library", secret)
	wantError(t, w.do(r), 400, "invalid_request")
	if got := w.push(request("padding", strings.Repeat("a", 70<<10))); got.status != 413 {
		t.Errorf("70 KiB: got %d", got.status)
	}
	if len(w.store.grants) != 0 {
		t.Errorf("%d requests kept", len(w.store.grants))
	}
}

// What is refused at /authorize is refused at /par, by the same word, as JSON.
func TestPAR_ValidatesAsAuthorizeDoes_RFC9126_2_3(t *testing.T) {
	w := newWorld(t).serve()
	for name, row := range authorizeErrors() {
		want := row.want
		if want == protocol.RequestURINotSupported {
			want = protocol.InvalidRequest // section 2.1
		}
		t.Run(name, func(t *testing.T) {
			wantError(t, w.push(row.q, row.q.Get("client_id")), 400, string(want))
		})
	}
	for _, uri := range badRedirects() {
		wantError(t, w.push(request("redirect_uri", uri)), 400, "invalid_request")
	}
	wantError(t, w.push(request("redirect_uri", "-")), 400, "invalid_request")
	inside := w.pushedURI(request())
	wantError(t, w.push(request("request_uri", inside)), 400, "invalid_request")
	wantError(t, w.push(url.Values{"client_id": {"library"}, "request_uri": {inside}}), 400, "invalid_request")
}

func TestPAR_RequestURIIsForOneClientOneTimeAndOneAnswer_AZ09(t *testing.T) {
	w := newWorld(t).serve()
	uri := w.pushedURI(request())
	wantPage(t, w.do(visit(uri, "other")), web.FlowUnknown)
	wantPage(t, w.do(visit(requestURIPrefix+newHandle())), web.FlowUnknown)
	wantPage(t, w.do(visit(requestURIPrefix)), web.FlowUnknown)
	wantPage(t, w.do(visit(uri+"x")), web.FlowUnknown)
	wantPage(t, w.do(visit(uri, "nobody")), web.ClientUnknown)
	wantPage(t, w.do(get(PathAuthorize, url.Values{"request_uri": {uri}})), web.ClientUnknown)
	wantPage(t, w.do(get(PathAuthorize, url.Values{"client_id": {"library"}, "request_uri": {uri, uri}})), web.RequestInvalid)
	wantPage(t, w.do(get(PathAuthorize, url.Values{"client_id": {"library", "library"}, "request_uri": {uri}})), web.RequestInvalid)
	// A code is no request, and a request no code.
	wantPage(t, w.do(visit(requestURIPrefix+w.code())), web.FlowUnknown)
	wantError(t, w.redeem(tokenForm(strings.TrimPrefix(uri, requestURIPrefix))), 400, "invalid_grant")

	for range 3 { // reload, back, a second tab
		if got := w.do(visit(uri)); got.header.Get("Location") != "/login/flow" {
			t.Fatalf("got %d to %q", got.status, got.header.Get("Location"))
		}
	}
	if err := w.codes.Complete(t.Context(), w.started[0]); err != nil {
		t.Fatal(err)
	}
	wantPage(t, w.do(visit(uri)), web.FlowUnknown)
	wantAnswered(t, w.codes.Complete(t.Context(), w.started[1]))
	wantAnswered(t, w.codes.Complete(t.Context(), w.started[0]))

	late := w.pushedURI(request())
	w.advance(pushedTTL - time.Second)
	if got := w.do(visit(late)); got.header.Get("Location") != "/login/flow" {
		t.Errorf("after 89 s: got %d", got.status)
	}
	w.advance(time.Second)
	got := w.do(visit(late))
	wantPage(t, got, web.FlowUnknown)
	if !strings.Contains(got.body, `href="https://rp.example/"`) {
		t.Error("the page has no way back to the service")
	}
	// A visit that began in time may take its time.
	w.advance(25 * time.Minute)
	if err := w.codes.Complete(t.Context(), w.started[len(w.started)-1]); err != nil {
		t.Errorf("a slow visit: %v", err)
	}
}

func wantAnswered(t *testing.T, err error) {
	t.Helper()
	var p *web.Problem
	if !errors.As(err, &p) || p.Code != web.AlreadyAnswered {
		t.Errorf("got %v, want already_answered", err)
	}
}

func TestPAR_OnlyClientIDAndRequestURICount_RFC9101_5(t *testing.T) {
	w := newWorld(t).serve()
	r := visit(w.pushedURI(request()))
	r.URL.RawQuery += "&redirect_uri=https%3A%2F%2Fevil.example&state=evil&state=twice&scope=openid+birthdate&prompt=none&request=x&response_mode=form_post"
	if got := w.do(r); got.header.Get("Location") != "/login/flow" {
		t.Fatalf("got %d to %q: %s", got.status, got.header.Get("Location"), got.body)
	}
	if got := w.started[0]; got.State != "st~ate" || got.Prompt.None || len(got.Scopes) != 3 || got.ResponseMode != protocol.ModeQuery || got.RedirectURI != redirect {
		t.Errorf("started with %+v", got)
	}
}

func TestPAR_ErrorsOfTheStartGoBackToTheService(t *testing.T) {
	w := newWorld(t).serve()
	uri := w.pushedURI(request())
	w.startErr = protocol.Fail(protocol.UnmetAuthentication, nil, "none reaches it")
	if q := w.do(visit(uri)).location(t, redirect); q.Get("error") != "unmet_authentication_requirements" || q.Get("state") != "st~ate" || q.Get("iss") != issuer {
		t.Errorf("got %v", q)
	}
}

func TestPAR_ARedirectURIThatIsNoLongerRegisteredIsNotUsed(t *testing.T) {
	w := newWorld(t).serve()
	uri := w.pushedURI(request())
	all := testClients()
	all[0].RedirectURIs = []string{"https://rp.example/new"}
	w.mu.Lock()
	w.set = clients.NewSet(all...)
	w.mu.Unlock()
	wantPage(t, w.do(visit(uri)), web.RedirectInvalid)
}

func TestPAR_RequiredPerClient_RFC9126_6(t *testing.T) {
	w := newWorld(t).serve()
	if q := w.do(get(PathAuthorize, request("client_id", "pusher"))).location(t, redirect); q.Get("error") != "invalid_request" || q.Get("state") != "st~ate" {
		t.Errorf("got %v", q)
	}
	if got := w.do(visit(w.pushedURI(request("client_id", "pusher"), "pusher"), "pusher")); got.header.Get("Location") != "/login/flow" {
		t.Errorf("got %d", got.status)
	}
}

func TestPAR_AnotherRequestURIIsNeverFetched_AZ08(t *testing.T) {
	called := atomic.Bool{}
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	defer trap.Close()
	w := newWorld(t).serve()
	for _, uri := range []string{trap.URL, "urn:example:x", "URN:IETF:params:oauth:request_uri:" + newHandle(), "https://rp.example/request.jwt#hash"} {
		if q := w.do(get(PathAuthorize, request("request_uri", uri))).location(t, redirect); q.Get("error") != "request_uri_not_supported" {
			t.Errorf("%s: got %v", uri, q)
		}
	}
	if called.Load() {
		t.Error("a request_uri was fetched")
	}
}

func TestPAR_UnknownIsNotNo(t *testing.T) {
	w := newWorld(t).serve()
	w.store.fail = "put pushed"
	wantUnavailable(t, w.push(request()))
	w.store.fail = ""
	uri := w.pushedURI(request())
	w.do(visit(uri))
	w.store.fail = "get"
	if got := w.do(visit(uri)); got.status != 503 || got.header.Get("Retry-After") == "" || strings.Contains(got.body, "10.1.2.3") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	// Whether it took effect or not: nobody gets two answers.
	for _, call := range []string{"consume", "revoke"} {
		w.store.fail = call
		var p *web.Problem
		if err := w.codes.Complete(t.Context(), w.started[0]); err == nil || errors.As(err, &p) {
			t.Errorf("%s fails: got %v", call, err)
		}
	}
	w.store.fail = ""
	wantAnswered(t, w.codes.Complete(t.Context(), w.started[0]))
}

func TestPAR_OfManyVisitsOneIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.do(visit(w.pushedURI(request())))
	var answered atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if w.codes.Complete(context.Background(), w.started[0]) == nil {
				answered.Add(1)
			}
		})
	}
	all.Wait()
	if answered.Load() != 1 {
		t.Errorf("%d visits were answered", answered.Load())
	}
	if err := w.codes.Complete(t.Context(), protocol.AuthRequest{ClientID: "library"}); err != nil {
		t.Errorf("a request that was not pushed: %v", err)
	}
}
