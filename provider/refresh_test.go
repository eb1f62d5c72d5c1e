package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// offline is a grant that says until when its service may come back.
func offline(client protocol.ClientID, until time.Time) func(*login.Grant) {
	return func(g *login.Grant) {
		g.Client, g.OfflineUntil = client, until
		g.Scopes = []protocol.Scope{"openid", "given_name", "email", "offline_access"}
		g.InIDToken = []protocol.Claim{protocol.Email}
	}
}

// tokensOf is a token answer.
type tokensOf struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
	Expires int64  `json:"expires_in"`
}

func (w *world) tokens(r reply) tokensOf {
	w.t.Helper()
	var tk tokensOf
	if err := json.Unmarshal([]byte(r.body), &tk); err != nil || r.status != http.StatusOK {
		w.t.Fatalf("got %d %s, want tokens", r.status, r.body)
	}
	return tk
}

// signIn redeems a code that comes with a refresh token.
func (w *world) signIn(client protocol.ClientID) tokensOf {
	w.t.Helper()
	return w.tokens(w.redeem(tokenForm(w.code(offline(client, w.p.Now().Add(180*day)))), string(client)))
}

func refreshForm(token string, changes ...string) url.Values {
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i < len(changes); i += 2 {
		f.Set(changes[i], changes[i+1])
	}
	return f
}

func (w *world) refresh(client, token string, changes ...string) reply {
	w.t.Helper()
	return w.redeem(refreshForm(token, changes...), client)
}

// wantGone checks that a token gets invalid_grant, and an access token nothing.
func (w *world) wantGone(client, token string, access ...string) {
	w.t.Helper()
	w.wantError(w.refresh(client, token), 400, "invalid_grant")
	for _, a := range access {
		if r := w.userinfo(a); r.status != 401 {
			w.t.Errorf("userinfo: %d %s, want 401", r.status, r.body)
		}
	}
}

func (w *world) wantError(r reply, status int, code string) {
	w.t.Helper()
	if r.status != status || r.json(w.t)["error"] != code {
		w.t.Errorf("got %d %s, want %d %s", r.status, r.body, status, code)
	}
}

func TestRefresh_NewTokensAndNothingOfTheIdentity_OIDC_12_2(t *testing.T) {
	w := newWorld(t)
	first := w.signIn("keeper")
	if !isRefreshToken(first.Refresh) || first.Scope != "openid given_name email offline_access" {
		t.Fatalf("refresh token of %d characters, scope %q", len(first.Refresh), first.Scope)
	}
	if body := w.userinfo(first.Access).body; !strings.Contains(body, canary) {
		t.Errorf("userinfo after the sign-in: %s", body)
	}
	w.advance(time.Hour)
	r := w.refresh("keeper", first.Refresh)
	again := w.tokens(r)
	if again.Refresh == first.Refresh || again.Access == first.Access || again.Scope != first.Scope || again.Expires != 60 {
		t.Errorf("got %s", r.body)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Error("a token response may be stored")
	}
	got := indent(t, claimsOf(t, again.ID))
	want := indent(t, fmt.Appendf(nil, `{"iss":%q,"sub":"pairwise-sub","aud":"keeper","exp":%d,"iat":%d,"auth_time":%d,"acr":"eidas2","at_hash":%q}`,
		issuer, w.p.Now().Add(time.Minute).Unix(), w.p.Now().Unix(), grant().AuthTime.Unix(), atHash("ES256", again.Access)))
	if got != want {
		t.Errorf("ID token %s, want %s", got, want)
	}
	if body := w.userinfo(again.Access).body; body != `{"sub":"pairwise-sub"}` {
		t.Errorf("userinfo after a refresh: %s, want the subject alone", body)
	}
	if kinds := w.audit.kinds(); kinds != "token.issued userinfo.served token.refreshed userinfo.served" {
		t.Errorf("on record: %s", kinds)
	}
	for _, e := range w.audit.events[2:] {
		if len(e.Public.Claims) != 0 || e.Personal.Person != testPerson || e.Personal.Grant != string(grant().ID) || e.Public.ACR != "eidas2" {
			t.Errorf("entry %+v", e)
		}
	}
	for _, f := range w.families.families {
		plain, err := w.keys.Open("grant/refresh", f.aad(), f.Sealed)
		if err != nil || strings.Contains(string(plain), "lodie") {
			t.Errorf("what rests: %s, %v", plain, err)
		}
	}
}

func TestRefresh_OnlyWhereItWasAskedAllowedAndAgreed_OIDC_11(t *testing.T) {
	w := newWorld(t)
	until := w.p.Now().Add(day)
	for name, tt := range map[string]struct {
		client protocol.ClientID
		until  time.Time
		want   bool
	}{
		"agreed": {"keeper", until, true}, "not agreed": {"keeper", time.Time{}, false}, "a client that may not": {"library", until, false},
		"the time is over before it began": {"keeper", w.p.Now(), false},
	} {
		tk := w.tokens(w.redeem(tokenForm(w.code(offline(tt.client, tt.until), func(g *login.Grant) { g.ID = login.GrantID(name) })), string(tt.client)))
		if (tk.Refresh != "") != tt.want {
			t.Errorf("%s: refresh token %t, want %t", name, tk.Refresh != "", tt.want)
		}
	}
}

func TestAuthorize_OfflineAccessOfAClientThatMayNotIsIgnored_OIDC_11(t *testing.T) {
	w := newWorld(t)
	for client, want := range map[string]string{"library": "[openid email]", "keeper": "[openid offline_access email]", "narrow": "[openid email]"} {
		if r := w.do(get(PathAuthorize, request("client_id", client, "scope", "openid offline_access email offline_access"))); r.status != http.StatusSeeOther {
			t.Fatalf("%s: %d %s", client, r.status, r.body)
		}
		if got := fmt.Sprint(w.started[len(w.started)-1].Scopes); got != want {
			t.Errorf("%s: scopes %s, want %s", client, got, want)
		}
	}
}

func TestRefresh_AUsedTokenKillsTheFamily_RF01_RFC9700_4_14_2(t *testing.T) {
	w := newWorld(t)
	first := w.signIn("keeper")
	second := w.tokens(w.refresh("keeper", first.Refresh))
	third := w.tokens(w.refresh("keeper", second.Refresh))
	w.wantGone("keeper", first.Refresh, first.Access, second.Access, third.Access)
	w.wantGone("keeper", third.Refresh)
	if kinds := w.audit.kinds(); kinds != "token.issued token.refreshed token.refreshed refresh.reused" {
		t.Errorf("on record: %s", kinds)
	}
}

func TestRefresh_TwoHundredAtOnce_OneAnswerAndTheFamilyIsDead_RF02(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		first := w.tokens(w.redeem(tokenForm(w.code(offline("keeper", w.p.Now().Add(day)), func(g *login.Grant) { g.ID = login.GrantID(newHandle()) })), "keeper"))
		replies := make([]reply, 200)
		var all sync.WaitGroup
		for i := range replies {
			all.Go(func() { replies[i] = w.refresh("keeper", first.Refresh) })
		}
		all.Wait()
		var won []tokensOf
		for _, r := range replies {
			if r.status == http.StatusOK {
				won = append(won, w.tokens(r))
				continue
			}
			w.wantError(r, 400, "invalid_grant")
		}
		if len(won) != 1 {
			t.Fatalf("%d answers, want 1", len(won))
		}
		w.wantGone("keeper", won[0].Refresh, won[0].Access, first.Access)
	}
}

func TestRefresh_AClientThatKeepsItsToken_FAPI2(t *testing.T) {
	w := newWorld(t)
	first := w.signIn("constant")
	for range 5 {
		w.advance(29 * day)
		if again := w.tokens(w.refresh("constant", first.Refresh)); again.Refresh != first.Refresh {
			t.Fatal("the token was replaced")
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if r := w.refresh("constant", first.Refresh); r.status != http.StatusOK {
				t.Errorf("in parallel: %d %s", r.status, r.body)
			}
		})
	}
	all.Wait()
	r := post(PathToken, refreshForm(first.Refresh, "client_id", "constant"))
	w.wantError(w.do(r), 401, "invalid_client")
	w.advance(35*day + time.Hour)
	w.wantGone("constant", first.Refresh)
}

func TestRefresh_Expiry_RF05(t *testing.T) {
	for name, tt := range map[string]struct {
		used []time.Duration
		last time.Duration
		ok   bool
	}{
		"within the idle time":                {nil, 30*day - time.Second, true},
		"idle for too long":                   {nil, 30 * day, false},
		"used each month, up to the last day": {[]time.Duration{29 * day, 29 * day, 29 * day, 29 * day, 29 * day, 29 * day}, 6*day - time.Second, true},
		"used each month, beyond it":          {[]time.Duration{29 * day, 29 * day, 29 * day, 29 * day, 29 * day, 29 * day}, 6 * day, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tk := w.signIn("keeper")
			for _, d := range tt.used {
				w.advance(d)
				tk = w.tokens(w.refresh("keeper", tk.Refresh))
			}
			w.advance(tt.last)
			if !tt.ok {
				w.wantGone("keeper", tk.Refresh)
				return
			}
			last := w.tokens(w.refresh("keeper", tk.Refresh))
			if len(tt.used) > 0 && last.Expires != 1 {
				t.Errorf("an access token of %d s, want none beyond what she was told", last.Expires)
			}
		})
	}
}

// change replaces the registration of a client, as a reload does.
func (w *world) change(id protocol.ClientID, change func(*clients.Client)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := testClients()
	for _, c := range all {
		if c.ID == id {
			change(c)
		}
	}
	w.set = clients.NewSet(all...)
}

func TestRefresh_AClientThatMayNoLonger_RF05(t *testing.T) {
	w := newWorld(t)
	tk := w.signIn("keeper")
	w.change("keeper", func(c *clients.Client) { c.RefreshIdle, c.RefreshMax = 0, 0 })
	w.wantGone("keeper", tk.Refresh)
	w.change("keeper", func(*clients.Client) {})
	tk = w.tokens(w.refresh("keeper", tk.Refresh)) // nothing was lost by the mistake of an operator
	w.advance(10 * day)
	w.change("keeper", func(c *clients.Client) { c.RefreshMax = 9 * day })
	w.wantGone("keeper", tk.Refresh)
}

func TestRefresh_AnotherClientEndsTheFamily_RF05(t *testing.T) {
	w := newWorld(t)
	tk := w.signIn("keeper")
	w.wantGone("keeper2", tk.Refresh)
	w.wantGone("keeper", tk.Refresh, tk.Access)
	if kinds := w.audit.kinds(); kinds != "token.issued refresh.misused:client" {
		t.Errorf("on record: %s", kinds)
	}
	if log := w.logs.String(); !strings.Contains(log, "refresh token misused") || !strings.Contains(log, "alarm=true") || strings.Contains(log, tk.Refresh) {
		t.Errorf("log: %s", log)
	}
}

func TestRefresh_APublicClientsTokenIsBoundToItsKey_RFC9449_5(t *testing.T) {
	w := newWorld(t)
	public := &clients.Client{ID: "app", AuthMethod: clients.Public, RefreshIdle: day, RefreshMax: 10 * day, KeepRefreshToken: true}
	w.set = clients.NewSet(public)
	ctx, key := context.Background(), confirmation{JKT: "the first key"}
	token, err := w.p.offer(ctx, public, grant(offline("app", w.p.Now().Add(day))), key)
	if err != nil {
		t.Fatal(err)
	}
	use := func(bound confirmation) (*tokenAnswer, error) {
		return w.p.refresh(ctx, &exchange{client: public, form: refreshForm(string(token)), bound: bound})
	}
	for _, other := range []confirmation{{}, {JKT: "another"}, {JKT: "the first key", X5T: "x"}} {
		if _, err := use(other); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("with %v: %v, want invalid_grant", other, err)
		}
	}
	answer, err := use(key)
	if err != nil || answer.TokenType != "DPoP" || answer.RefreshToken == string(token) {
		t.Errorf("with its key: %v, %v; want a new token, although it may keep one", answer, err)
	}
}

func TestRefresh_AConfidentialClientMayChangeItsKey_RFC9449_5(t *testing.T) {
	w := newWorld(t)
	c, _ := w.set.Get("keeper")
	token, err := w.p.offer(t.Context(), c, grant(offline("keeper", w.p.Now().Add(day))), confirmation{JKT: "one"})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.p.refresh(t.Context(), &exchange{client: c, form: refreshForm(string(token)), bound: confirmation{JKT: "two"}})
	if err != nil || answer.TokenType != "DPoP" {
		t.Errorf("refresh = %v, %v", answer, err)
	}
}

func TestRefresh_AMistakeCostsNobodyASignIn_RFC6749_6(t *testing.T) {
	w := newWorld(t)
	resources := []string{"https://api.example/v1", "https://tax.example/"}
	tk := w.tokens(w.redeem(tokenForm(w.code(offline("constant", w.p.Now().Add(day)), func(g *login.Grant) { g.Audience = resources })), "constant"))
	for _, tt := range []struct {
		name, parameter, value string
		status                 int
		code                   string
	}{
		{"a wider scope", "scope", "openid birthdate", 400, "invalid_scope"},
		{"an unknown scope", "scope", "openid nonsense", 400, "invalid_scope"},
		{"another resource", "resource", "https://else.example/", 400, "invalid_target"},
		{"no token", "refresh_token", "", 400, "invalid_request"},
		{"half a token", "refresh_token", tk.Refresh[:43], 400, "invalid_grant"},
		{"a guess", "refresh_token", strings.Repeat("A", 86), 400, "invalid_grant"},
		{"an ID token", "refresh_token", tk.ID, 400, "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.wantError(w.refresh("constant", tk.Refresh, tt.parameter, tt.value), tt.status, tt.code)
		})
	}
	w.wantError(w.redeem(refreshForm(tk.Refresh), "nobody"), 401, "invalid_client")
	if again := w.tokens(w.refresh("constant", tk.Refresh)); again.Scope != tk.Scope {
		t.Errorf("scope %q, want %q", again.Scope, tk.Scope)
	}
}

func TestRefresh_ScopeAndResourceAreNarrowedForOneAccessTokenOnly_RFC6749_6_RFC8707_2_2(t *testing.T) {
	w := newWorld(t)
	resources := []string{"https://api.example/v1", "https://tax.example/"}
	tk := w.tokens(w.redeem(tokenForm(w.code(offline("constant", w.p.Now().Add(day)), func(g *login.Grant) { g.Audience = resources })), "constant"))
	narrow := w.tokens(w.refresh("constant", tk.Refresh, "scope", "email", "resource", "https://tax.example/"))
	if narrow.Scope != "openid email" {
		t.Errorf("scope %q", narrow.Scope)
	}
	var a access
	if _, err := loadGrant(t.Context(), w.codes, AccessGrant, narrow.Access, &a); err != nil || fmt.Sprint(a.Audience) != "[https://tax.example/]" {
		t.Errorf("audience %v, %v", a.Audience, err)
	}
	whole := w.tokens(w.refresh("constant", narrow.Refresh))
	if _, err := loadGrant(t.Context(), w.codes, AccessGrant, whole.Access, &a); err != nil || len(a.Audience) != 2 || whole.Scope != tk.Scope {
		t.Errorf("after it: audience %v, scope %q, %v", a.Audience, whole.Scope, err)
	}
}

func TestIntrospect_AfterARefreshADataProviderLearnsNoClaim(t *testing.T) {
	w := newWorld(t)
	again := w.tokens(w.refresh("keeper", w.signIn("keeper").Refresh))
	r := post(PathIntrospect, url.Values{"token": {again.Access}, "client_id": {"tax-api"}, "client_secret": {secret}})
	got := w.do(r).json(t)
	if got["active"] != true || got["scope"] != "email" || got["sub"] == "" || got["sub"] == "pairwise-sub" || got["email"] != nil {
		t.Errorf("the data provider saw %v", got)
	}
}

func TestToken_CodeUsedTwiceKillsTheFamily_RFC6749_4_1_2(t *testing.T) {
	w := newWorld(t)
	code := w.code(offline("keeper", w.p.Now().Add(day)))
	tk := w.tokens(w.redeem(tokenForm(code), "keeper"))
	again := w.tokens(w.refresh("keeper", tk.Refresh))
	w.wantError(w.redeem(tokenForm(code), "keeper"), 400, "invalid_grant")
	w.wantGone("keeper", again.Refresh, tk.Access, again.Access)
}

func TestToken_CodeUsedTwiceAtOnceLeavesNoFamily_RFC6749_4_1_2(t *testing.T) {
	w := newWorld(t)
	for range 100 {
		code := w.code(offline("keeper", w.p.Now().Add(day)), func(g *login.Grant) { g.ID = login.GrantID(newHandle()) })
		replies := make([]reply, 4)
		var all sync.WaitGroup
		for i := range replies {
			all.Go(func() { replies[i] = w.redeem(tokenForm(code), "keeper") })
		}
		all.Wait()
		for _, r := range replies {
			if r.status == http.StatusOK {
				tk := w.tokens(r)
				w.wantGone("keeper", tk.Refresh, tk.Access)
			}
		}
	}
}

func TestRevoke_OfOneTokenEndsThatSignIn_RFC7009_2_1(t *testing.T) {
	for name, pick := range map[string]func(first, second tokensOf) string{
		"the refresh token":      func(_, second tokensOf) string { return second.Refresh },
		"one that was used":      func(first, _ tokensOf) string { return first.Refresh },
		"the access token":       func(_, second tokensOf) string { return second.Access },
		"the first access token": func(first, _ tokensOf) string { return first.Access },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.signIn("keeper")
			second := w.tokens(w.refresh("keeper", first.Refresh))
			other := post(PathRevoke, url.Values{"token": {pick(first, second)}})
			basic(other, "keeper2", secret)
			if r := w.do(other); r.status != 200 || r.body != "" {
				t.Errorf("by another client: %d %s", r.status, r.body)
			}
			if r := w.userinfo(second.Access); r.status != 200 {
				t.Fatalf("another client revoked it: %d", r.status)
			}
			if r := w.revoke("keeper", pick(first, second)); r.status != 200 {
				t.Fatalf("revoke: %d %s", r.status, r.body)
			}
			w.wantGone("keeper", second.Refresh, first.Access, second.Access)
		})
	}
}

func TestRevoke_RacingRefresh_NothingIssuedSurvivesIts200_RF04(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		first := w.tokens(w.redeem(tokenForm(w.code(offline("keeper", w.p.Now().Add(day)), func(g *login.Grant) { g.ID = login.GrantID(newHandle()) })), "keeper"))
		given := []string{first.Refresh, first.Access}[i%2]
		var refreshed reply
		var all sync.WaitGroup
		all.Go(func() { refreshed = w.refresh("keeper", first.Refresh) })
		all.Go(func() {
			if r := w.revoke("keeper", given); r.status != 200 {
				t.Errorf("revoke: %d %s", r.status, r.body)
			}
		})
		all.Wait()
		if refreshed.status == http.StatusOK {
			tk := w.tokens(refreshed)
			w.wantGone("keeper", tk.Refresh, tk.Access)
		}
		w.wantGone("keeper", first.Refresh, first.Access)
	}
}

func TestIntrospect_RefreshTokenForItsOwnClientOnly_RFC7662(t *testing.T) {
	w := newWorld(t)
	first := w.signIn("keeper")
	ask := func(client, token string) map[string]any {
		r := post(PathIntrospect, url.Values{"token": {token}})
		basic(r, client, secret)
		if client == "tax-api" {
			r = post(PathIntrospect, url.Values{"token": {token}, "client_id": {client}, "client_secret": {secret}})
		}
		return w.do(r).json(t)
	}
	want := map[string]any{
		"active": true, "iss": issuer, "client_id": "keeper", "scope": first.Scope, "exp": float64(w.p.Now().Add(30 * day).Unix()),
	}
	if got := ask("keeper", first.Refresh); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	second := w.tokens(w.refresh("keeper", first.Refresh))
	for name, got := range map[string]map[string]any{
		"another client": ask("keeper2", second.Refresh), "a data provider": ask("tax-api", second.Refresh), "a used one": ask("keeper", first.Refresh),
	} {
		if fmt.Sprint(got) != "map[active:false]" {
			t.Errorf("%s: %v", name, got)
		}
	}
	w.tokens(w.refresh("keeper", second.Refresh)) // having asked about a used one has ended nothing
}

func TestRefresh_ARefreshTokenIsNoAccessToken_RS02(t *testing.T) {
	w := newWorld(t)
	tk := w.signIn("keeper")
	if r := w.userinfo(tk.Refresh); r.status != 401 {
		t.Errorf("userinfo: %d", r.status)
	}
	w.wantGone("keeper", tk.Access+tk.Access)
	w.tokens(w.refresh("keeper", tk.Refresh))
}

func TestEndFamilies_WhenSheWithdraws_RF05(t *testing.T) {
	w := newWorld(t)
	tk := w.signIn("keeper")
	person, err := identity.ParsePersonID(testPerson)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.codes.EndFamilies(t.Context(), person, "keeper2"); err != nil {
		t.Fatal(err)
	}
	tk = w.tokens(w.refresh("keeper", tk.Refresh))
	for _, fails := range []string{"end", ""} {
		w.families.fail = fails
		if err := w.codes.EndFamilies(t.Context(), person, "keeper"); (err != nil) != (fails != "") {
			t.Errorf("EndFamilies = %v", err)
		}
	}
	w.wantGone("keeper", tk.Refresh, tk.Access)
}

func TestEndFamilies_ACodeThatIsOnItsWayBeginsNothing_RF05(t *testing.T) {
	w := newWorld(t)
	code := w.code(offline("keeper", w.p.Now().Add(day)))
	person, err := identity.ParsePersonID(testPerson)
	if err != nil {
		t.Fatal(err)
	}
	w.advance(time.Second)
	if err := w.codes.EndFamilies(t.Context(), person, "keeper"); err != nil {
		t.Fatal(err)
	}
	w.wantError(w.redeem(tokenForm(code), "keeper"), 400, "invalid_grant")
	w.advance(time.Second)
	again := w.code(offline("keeper", w.p.Now().Add(day)), func(g *login.Grant) { g.ID = "another" })
	if tk := w.tokens(w.redeem(tokenForm(again), "keeper")); tk.Refresh == "" {
		t.Error("she has agreed anew, and nothing begins")
	}
}

func TestRefresh_UnknownIsNotNo_Z10(t *testing.T) {
	for _, tt := range []struct {
		name, store string
		grants      string
		kind        audit.Kind
		keys        bool
		after       int // status of the same token once all works again
	}{
		{name: "the store cannot be read", store: "get", after: 200},
		{name: "the rotation fails", store: "rotate before", after: 200},
		{name: "the rotation took effect and nobody was told", store: "rotate", after: 400},
		{name: "the audit log", kind: audit.TokenRefreshed, after: 200},
		{name: "the access token cannot be kept", grants: "put access", after: 200},
		{name: "the keys", keys: true, after: 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.keys = &testKeys{}
			*w.keys = *sharedKeys()
			w.p.Keys = w.keys
			tk := w.signIn("keeper")
			w.families.fail, w.store.fail, w.audit.fail, w.keys.fail = tt.store, tt.grants, tt.kind, tt.keys
			w.wantError(w.refresh("keeper", tk.Refresh), 503, "temporarily_unavailable")
			w.families.fail, w.store.fail, w.audit.fail, w.keys.fail = "", "", "", false
			if r := w.refresh("keeper", tk.Refresh); r.status != tt.after {
				t.Errorf("afterwards %d %s, want %d", r.status, r.body, tt.after)
			}
		})
	}
}

func TestRefresh_WhatCannotBeEndedOrRecordedIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name, store, grants string
		kind                audit.Kind
	}{{name: "the family", store: "end"}, {name: "the access tokens", grants: "revoke"}, {name: "the record", kind: audit.RefreshReused}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			first := w.signIn("keeper")
			second := w.tokens(w.refresh("keeper", first.Refresh))
			w.families.fail, w.store.fail, w.audit.fail = tt.store, tt.grants, tt.kind
			w.wantError(w.refresh("keeper", first.Refresh), 503, "temporarily_unavailable")
			w.families.fail, w.store.fail, w.audit.fail = "", "", ""
			w.wantGone("keeper", first.Refresh, first.Access, second.Access)
			w.wantGone("keeper", second.Refresh)
			if !strings.HasSuffix(w.audit.kinds(), "refresh.reused") {
				t.Errorf("on record: %s", w.audit.kinds())
			}
		})
	}
}

func TestRefresh_WhoCanWriteToTheStoreCannotMakeATokenGood(t *testing.T) {
	w := newWorld(t)
	tk := w.signIn("keeper")
	forged := refreshToken(tk.Refresh).next()
	for d, f := range w.families.families {
		f.Current = w.codes.digest(string(forged))
		w.families.families[d] = f
	}
	w.wantError(w.refresh("keeper", string(forged)), 503, "temporarily_unavailable")
}

// Logging out at a service ends what it may do while she is away. Another service
// keeps what she agreed to there (OpenID Connect Back-Channel Logout section 2.7).
func TestRefresh_LogoutAtTheServiceEndsIt_LO07(t *testing.T) {
	w := newWorld(t)
	until := w.p.Now().Add(180 * day)
	first := w.signIn("keeper")
	gone := func(asked protocol.ClientID) {
		t.Helper()
		if err := w.codes.Ended(t.Context(), asked, []login.Departure{{Client: "keeper", Grant: grant().ID, OfflineUntil: until}}); err != nil {
			t.Fatal(err)
		}
	}
	gone("library")
	second := w.tokens(w.refresh("keeper", first.Refresh))
	gone("keeper")
	w.wantGone("keeper", second.Refresh, second.Access)
}
