package oidc_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/federation"
)

const logoutHeader = `{"alg":"ES256","kid":"k1","typ":"logout+jwt"}`

// over is what an honest provider says when a session is over.
func (h *hostile) over() members {
	return members{
		"iss": h.URL, "aud": "voussoir", "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": "j-1",
		"sub": "subject-1", "sid": "sid-1", "events": members{"http://schemas.openid.net/event/backchannel-logout": members{}},
	}
}

func TestTold_AnHonestLogoutTokenSaysWhoseSessionIsOver_BackChannelLogout_2_4(t *testing.T) {
	h := newHostile(t)
	p := newProvider(t, h.config())
	for name, tt := range map[string]struct {
		change func(members)
		header string
		want   federation.Ended
	}{
		"sid and sub":   {func(members) {}, logoutHeader, federation.Ended{Subject: "subject-1", Sessions: []string{"sid-1"}}},
		"sid alone":     {func(c members) { delete(c, "sub") }, logoutHeader, federation.Ended{Sessions: []string{"sid-1"}}},
		"sub alone":     {func(c members) { delete(c, "sid") }, logoutHeader, federation.Ended{Subject: "subject-1"}},
		"without typ":   {func(members) {}, `{"alg":"ES256","kid":"k1"}`, federation.Ended{Subject: "subject-1", Sessions: []string{"sid-1"}}},
		"in a list":     {func(c members) { c["aud"] = []string{"voussoir"} }, logoutHeader, federation.Ended{Subject: "subject-1", Sessions: []string{"sid-1"}}},
		"another event": {func(c members) { c["events"].(members)["urn:x"] = members{} }, logoutHeader, federation.Ended{Subject: "subject-1", Sessions: []string{"sid-1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.over()
			tt.change(c)
			got, err := p.Told(t.Context(), signed(h.key, tt.header, marshal(c)))
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.At, want.ID, want.Until = time.Unix(now.Unix(), 0), "j-1", time.Unix(now.Unix(), 0).Add(2*time.Minute+11*time.Second)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("Told = %v, want %v", got, want)
			}
		})
	}
}

func TestLO_05_ALogoutTokenThatIsNoneEndsNothing(t *testing.T) {
	const events = "http://schemas.openid.net/event/backchannel-logout"
	claim := func(name string, value any) func(*hostile, members) string {
		return func(h *hostile, c members) string {
			if c[name] = value; value == nil {
				delete(c, name)
			}
			return signed(h.key, logoutHeader, marshal(c))
		}
	}
	header := func(header string) func(*hostile, members) string {
		return func(h *hostile, c members) string { return signed(h.key, header, marshal(c)) }
	}
	for name, token := range map[string]func(h *hostile, c members) string{
		"alg none": func(_ *hostile, c members) string {
			enc := base64.RawURLEncoding.EncodeToString
			return enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(marshal(c))) + "."
		},
		"another algorithm":           header(`{"alg":"RS256","kid":"k1"}`),
		"another kind of token":       header(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`),
		"a key of somebody else":      func(h *hostile, c members) string { return signed(h.stranger, logoutHeader, marshal(c)) },
		"altered":                     func(h *hostile, c members) string { return swapped(signed(h.key, logoutHeader, marshal(c)), `{}`) },
		"no token":                    func(*hostile, members) string { return "" },
		"too long":                    func(h *hostile, c members) string { return strings.Repeat("a", 17<<10) },
		"five parts, nothing agreed":  func(*hostile, members) string { return "a.b.c.d.e" },
		"another issuer":              claim("iss", "https://evil.test"),
		"no issuer":                   claim("iss", nil),
		"another audience":            claim("aud", "somebody"),
		"somebody beside us":          claim("aud", []string{"voussoir", "somebody"}),
		"no audience":                 claim("aud", nil),
		"no iat":                      claim("iat", nil),
		"issued long ago":             claim("iat", now.Add(-11*time.Minute).Unix()),
		"issued tomorrow":             claim("iat", now.Add(24*time.Hour).Unix()),
		"no exp":                      claim("exp", nil),
		"expired":                     claim("exp", now.Add(-time.Minute).Unix()),
		"valid for a year":            claim("exp", now.Add(365*24*time.Hour).Unix()),
		"no jti":                      claim("jti", nil),
		"jti is a number":             claim("jti", 7),
		"an empty jti":                claim("jti", ""),
		"no events":                   claim("events", nil),
		"events is a list":            claim("events", []string{events}),
		"another event":               claim("events", members{"urn:x": members{}}),
		"the event is no object":      claim("events", members{events: true}),
		"a nonce, as an ID token has": claim("nonce", "n"),
		"even an empty nonce":         claim("nonce", ""),
		"sub is a list":               claim("sub", []string{"subject-1"}),
		"an empty sid":                claim("sid", ""),
		"sid is null":                 claim("sid", []byte(nil)),
		"a sid that does not end":     claim("sid", strings.Repeat("s", 256)),
		"a claim that stands twice":   func(h *hostile, c members) string { return signed(h.key, logoutHeader, `{"iss":"x",`+marshal(c)[1:]) },
		"neither sub nor sid": func(h *hostile, c members) string {
			delete(c, "sub")
			return claim("sid", nil)(h, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			_, err := newProvider(t, h.config()).Told(t.Context(), token(h, h.over()))
			wantKind(t, err, federation.Invalid)
			if strings.Contains(err.Error(), "subject-1") || strings.Contains(err.Error(), "sid-1") {
				t.Error("the error names her")
			}
		})
	}
}

func TestLO_05_AnIDTokenIsNoLogoutTokenAndTheOtherWayRound(t *testing.T) {
	h := newHostile(t)
	var token string
	h.sign = func(c members) string { token = signed(h.key, honestHeader, marshal(c)); return token }
	p := newProvider(t, h.config())
	if _, err := h.signIn(t, p, request); err != nil {
		t.Fatal(err)
	}
	_, err := p.Told(t.Context(), token)
	wantKind(t, err, federation.Invalid)

	h.sign = func(c members) string {
		c["events"] = members{"http://schemas.openid.net/event/backchannel-logout": members{}}
		return signed(h.key, logoutHeader, marshal(c))
	}
	_, err = h.signIn(t, p, request)
	wantKind(t, err, federation.Invalid)
}

func TestLO_05_AFloodOfForgedLogoutTokensCostsFewFetches(t *testing.T) {
	h := newHostile(t)
	p := newProvider(t, h.config())
	for i := range 50 {
		_, err := p.Told(t.Context(), signed(h.stranger, fmt.Sprintf(`{"alg":"ES256","kid":"k%d"}`, i), marshal(h.over())))
		wantKind(t, err, federation.Invalid)
	}
	if got := h.count("/jwks"); got != 4 {
		t.Errorf("%d fetches of keys, want the first one and 3", got)
	}
	if got := h.count("/.well-known/openid-configuration"); got != 1 {
		t.Errorf("%d fetches of metadata, want 1", got)
	}
}

func TestTold_KeysThatCannotBeHadAreAnOutageAndNoVerdict(t *testing.T) {
	h := newHostile(t)
	h.jwks = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true }
	_, err := newProvider(t, h.config()).Told(t.Context(), signed(h.key, logoutHeader, marshal(h.over())))
	wantKind(t, err, federation.Unavailable)
}

func TestTold_AnEncryptedLogoutTokenIsOpened_BackChannelLogout_2_4(t *testing.T) {
	h, r := newHostile(t), ring(t)
	p := newProvider(t, encrypting(h, r))
	plain := signed(h.key, logoutHeader, marshal(h.over()))
	for name, token := range map[string]string{"encrypted": sealTo(t, r, plain), "in clear": plain} {
		if got, err := p.Told(t.Context(), token); err != nil || got.Subject != "subject-1" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	forged := sealTo(t, r, signed(h.stranger, logoutHeader, marshal(h.over())))
	_, err := p.Told(t.Context(), forged)
	wantKind(t, err, federation.Invalid)
}

func TestFinish_KeepsTheNamesThatALogoutTokenWillHave(t *testing.T) {
	for name, tt := range map[string]struct{ sid, want any }{
		"a sid": {"sid-1", "sid-1"}, "none": {nil, ""}, "one of another type": {7, ""}, "one that is too long": {strings.Repeat("s", 256), ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.idToken = func(c members) {
				if tt.sid != nil {
					c["sid"] = tt.sid
				}
			}
			login, err := h.attempt(t)
			if err != nil || login.Names.Subject != "subject-1" || login.Names.Session != tt.want {
				t.Errorf("Names = %v, %v", login.Names, err)
			}
		})
	}
}
