package journeys

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	store "github.com/voussoir-id/voussoir/store/sql"
)

const offlineScope = libraryScope + " offline_access"

// post sends a form with the service's credentials.
func (s *service) post(ctx context.Context, path string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.broker+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	return req, nil
}

// refresh uses a refresh token. The error is a failed connection.
func (s *service) refresh(ctx context.Context, token string) (tk tokens, err error) {
	req, err := s.post(ctx, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
	if err != nil {
		return tk, err
	}
	tk.Status, err = s.json(req, &tk)
	sing("access token", tk.AccessToken)
	sing("refresh token", tk.RefreshToken)
	sing("ID token", tk.IDToken)
	return tk, err
}

// mustRefresh wants an answer, whatever it says.
func (s *service) mustRefresh(token string) tokens {
	s.t.Helper()
	tk, err := s.refresh(s.t.Context(), token)
	if err != nil {
		s.t.Fatal(err)
	}
	return tk
}

// wantOver checks that a refresh token is refused and an access token opens nothing.
func (s *service) wantOver(refreshToken, accessToken string) {
	s.t.Helper()
	if tk := s.mustRefresh(refreshToken); tk.Status != 400 || tk.Error != "invalid_grant" {
		s.t.Errorf("refresh: %d %s, want invalid_grant", tk.Status, tk.Error)
	}
	if status, _, err := s.userinfo(s.t.Context(), accessToken); err != nil || status != http.StatusUnauthorized {
		s.t.Errorf("userinfo: %d %v, want 401", status, err)
	}
}

// offline is the registration of a client that may come back.
func offline(config, how string) string {
	return strings.Replace(config, "    policy: library\n", "    policy: library\n    refresh_tokens: "+how+"\n", 1)
}

// TestInterop_OpenIDClientComesBackAfterTheBrokerWasKilled_OIDC_12 is the whole story
// with somebody else's library: she agrees to it, the broker is killed and started
// again, and the service comes back without her.
func TestInterop_OpenIDClientComesBackAfterTheBrokerWasKilled_OIDC_12(t *testing.T) {
	need(t, "node_modules/openid-client/package.json", "openid-client")
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	for name, tt := range map[string]struct {
		how      string
		replaced bool
		auth     string
		env      []string
	}{
		"with rotation":                {"{ max: P180D }", true, secretAuth("client_secret_basic"), nil},
		"without rotation":             {`{ max: P180D, rotation: false, reason: "FAPI 2.0" }`, false, secretAuth("client_secret_basic"), nil},
		"an app with a key of its own": {"{ max: P180D }", true, "    token_endpoint_auth_method: none", []string{"AUTH=none", "DPOP=ES256"}},
	} {
		t.Run(name, func(t *testing.T) {
			port, idp, own, dir := ports(t), ports(t), ports(t), t.TempDir()
			service := fmt.Sprintf("http://127.0.0.1:%d", own)
			const secret = "a-secret-of-the-broker-at-the-provider-01234567"
			broker, file := fmt.Sprintf("http://localhost:%d", port), filepath.Join(dir, "voussoir.yaml")
			text := offline(interopConfig(t, idp, secret, service+"/callback", tt.auth), tt.how)
			text = strings.NewReplacer("{port}", fmt.Sprint(port), "{data}", filepath.Join(dir, "data")).Replace(text)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			start := func() *process { return launch(t, nil, broker+"/readyz", binary(t, ""), "serve", "--config", file) }
			p := start()
			launch(t, []string{fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + secret, "REDIRECT_URI=" + broker + "/callback/upstream"},
				fmt.Sprintf("http://127.0.0.1:%d/.well-known/openid-configuration", idp), node(t), "counterparts/oidc-provider.mjs")
			launch(t, append([]string{
				fmt.Sprintf("PORT=%d", own), "ISSUER=" + broker, "CLIENT_ID=library", "CLIENT_SECRET=" + serviceSecret, "SCOPE=" + offlineScope,
			}, tt.env...), service+"/ready", node(t), "counterparts/openid-client.mjs")
			c := newCitizen(t)
			first := decode(t, passThrough(c, service+"/start", nil))
			wantMinimal(t, first.UserInfo, false)
			for range 3 {
				if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				<-p.done
				p = start()
				for range 2 {
					again := decode(t, c.get(service+"/come-back"))
					if again.Replaced != tt.replaced {
						t.Errorf("another refresh token: %t, want %t", again.Replaced, tt.replaced)
					}
					for _, claim := range []string{"sub", "acr", "auth_time", "iss", "aud"} {
						if fmt.Sprint(again.Claims[claim]) != fmt.Sprint(first.Claims[claim]) {
							t.Errorf("%s = %v, was %v", claim, again.Claims[claim], first.Claims[claim])
						}
					}
					if len(again.UserInfo) != 1 || again.UserInfo["sub"] != first.Claims["sub"] {
						t.Errorf("userinfo = %v, want the subject alone", again.UserInfo)
					}
				}
			}
		})
	}
}

// refreshWorld is a crash world whose service may come back.
func refreshWorld(t *testing.T) *crashWorld {
	t.Helper()
	w := newCrashWorld(t, 1)
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(offline(string(text), "{ max: P180D }")), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// signInOffline signs the one person in; the tokens are zero when the broker died
// before it answered.
func (w *crashWorld) signInOffline() (code string, r request, tk tokens) {
	w.t.Helper()
	r = w.service.start(offlineScope, nil)
	code = w.service.signIn(newCitizen(w.t), r, "upstream", "person-0")
	tk, _ = w.service.redeem(w.t.Context(), code, r.Verifier)
	return code, r, tk
}

// refreshPlaces are where a broker dies with a refresh token in hand. before: no token
// has been given out yet; again: the same token is good after the crash; reuse: it
// dies while it ends the family.
var refreshPlaces = []struct {
	place                string
	before, again, reuse bool
}{
	{place: "refresh.before-put", before: true},
	{place: "refresh.after-put", before: true},
	{place: "refresh.before-rotate", again: true},
	{place: "refresh.after-rotate"},
	{place: "refresh.before-answer"},
	{place: "refresh.after-end", reuse: true},
}

// TestCrash_RefreshTokens_RFC9700_4_14 kills the broker around each durable step of a
// family. Nothing is good twice, nothing was issued without its entry, and what was
// ended stays so.
func TestCrash_RefreshTokens_RFC9700_4_14(t *testing.T) {
	whole(t)
	binary(t, "failpoints")
	for _, tt := range refreshPlaces {
		t.Run(tt.place, func(t *testing.T) {
			t.Parallel()
			w := refreshWorld(t)
			answered := 0
			for range 3 {
				p := w.start(tt.place)
				code, r, tk := w.signInOffline()
				last := tk
				if !tt.before {
					answered++
					again, err := w.service.refresh(t.Context(), tk.RefreshToken)
					if tt.reuse && (err != nil || again.Status != 200) {
						t.Fatalf("refresh: %d %v", again.Status, err)
					}
					if tt.reuse {
						answered++
						last = again
						_, err = w.service.refresh(t.Context(), tk.RefreshToken)
					}
					if err == nil {
						t.Errorf("an answer of a broker that should have died at %s", tt.place)
					}
				}
				if !p.ended() {
					t.Errorf("the broker did not die at %s", tt.place)
				}
				p.stop()
				p = w.start("")
				switch {
				case tt.before:
					if retry, err := w.service.redeem(t.Context(), code, r.Verifier); err != nil || retry.Status != 400 {
						t.Errorf("the same code again: %d %v", retry.Status, err)
					}
				case tt.again:
					answered++
					if again := w.service.mustRefresh(tk.RefreshToken); again.Status != 200 {
						t.Errorf("the same token after the crash: %d %s", again.Status, again.Error)
					}
				default:
					w.service.wantOver(tk.RefreshToken, tk.AccessToken)
					w.service.wantOver(last.RefreshToken, last.AccessToken)
				}
				if _, _, next := w.signInOffline(); next.Status != 200 || w.service.mustRefresh(next.RefreshToken).Status != 200 {
					t.Error("she cannot sign in again, or the service cannot come back")
				}
				answered += 2
				p.stop()
			}
			w.issuedOnRecord(answered)
		})
	}
}

// issuedOnRecord compares the log with how often outsiders got tokens.
func (w *crashWorld) issuedOnRecord(answered int) {
	w.t.Helper()
	records, err := store.OpenRecords(w.t.Context(), store.Config{Dir: filepath.Join(w.dir, "data"), Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = records.Close() }()
	entries, err := records.Entries(w.t.Context(), 0, 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	issued, offline := 0, 0
	for _, e := range entries {
		var pub audit.Public
		if err := json.Unmarshal(e.Public, &pub); err != nil {
			w.t.Fatal(err)
		}
		if pub.Kind == audit.TokenIssued || pub.Kind == audit.TokenRefreshed {
			issued++
		}
		if pub.Kind == audit.ConsentGiven && !pub.OfflineUntil.IsZero() {
			offline++
		}
	}
	if issued < answered || offline == 0 {
		w.t.Errorf("%d entries for %d answers, %d consents to come back", issued, answered, offline)
	}
}

// TestAttack_RefreshTokenRaces_RF02_RF04 plays the races against the real stores.
func TestAttack_RefreshTokenRaces_RF02_RF04(t *testing.T) {
	w := refreshWorld(t)
	w.start("")
	for range 5 {
		_, _, tk := w.signInOffline()
		var all sync.WaitGroup
		answers := make([]tokens, 200)
		for i := range answers {
			all.Go(func() {
				var err error
				if answers[i], err = w.service.refresh(t.Context(), tk.RefreshToken); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		var won []tokens
		for _, a := range answers {
			if a.Status == 200 {
				won = append(won, a)
			} else if a.Error != "invalid_grant" {
				t.Errorf("%d %s, want invalid_grant", a.Status, a.Error)
			}
		}
		if len(won) != 1 {
			t.Fatalf("%d answers, want 1", len(won))
		}
		w.service.wantOver(won[0].RefreshToken, won[0].AccessToken)
	}
	for range 40 {
		_, _, tk := w.signInOffline()
		var again tokens
		var all sync.WaitGroup
		all.Go(func() { again = w.service.mustRefresh(tk.RefreshToken) })
		all.Go(func() {
			req, err := w.service.post(t.Context(), "/revoke", url.Values{"token": {tk.RefreshToken}})
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := w.service.http.Do(req)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("revoke: %v", err)
				return
			}
			_ = resp.Body.Close()
		})
		all.Wait()
		if again.Status == 200 {
			w.service.wantOver(again.RefreshToken, again.AccessToken)
		}
		w.service.wantOver(tk.RefreshToken, tk.AccessToken)
	}
}

// TestRefresh_NothingOfTheIdentityIsDurable looks for a person's name in what a
// service may use for half a year.
func TestRefresh_NothingOfTheIdentityIsDurable(t *testing.T) {
	w := refreshWorld(t)
	p := w.start("")
	_, _, tk := w.signInOffline()
	again := w.service.mustRefresh(tk.RefreshToken)
	if status, claims, err := w.service.userinfo(t.Context(), again.AccessToken); err != nil || status != 200 || len(claims) != 1 || claims["sub"] == "" {
		t.Errorf("userinfo: %d %v %v, want the subject alone", status, claims, err)
	}
	p.stop()
	for _, name := range []string{"records.db", "records.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(w.dir, "data", name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, value := range []string{"Camille", "camille@mail.example", tk.RefreshToken, again.RefreshToken} {
			if strings.Contains(string(raw), value) {
				t.Errorf("%s holds what should not rest", name)
			}
		}
	}
}
