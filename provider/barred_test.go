package provider

import (
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/login"
)

// bar has nothing count that this person began until a time.
func (w *world) bar(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.barred = map[string]time.Time{testPerson: until}
}

func TestBlockedPerson_TheCodeIsWorthNothing_RF05(t *testing.T) {
	w := newWorld(t).serve()
	code := w.code()
	w.bar(w.now.Add(time.Hour))
	w.wantError(w.redeem(tokenForm(code)), 400, "invalid_grant")
	w.bar(time.Time{})
	w.wantError(w.redeem(tokenForm(code)), 400, "invalid_grant") // it was used
}

func TestBlockedPerson_TheAccessTokenOpensNothing_RS06(t *testing.T) {
	w := newWorld(t).serve()
	token := w.accessToken()
	w.bar(w.now.Add(time.Hour))
	wantError(t, w.userinfo(token), 401, "invalid_token")
	if got := w.introspect("library", token).body; got != `{"active":false}` {
		t.Errorf("introspection: %s", got)
	}
}

// After the restore what was out before stays dead, and what she begins then works.
func TestBlockedPerson_AfterTheRestoreOnlyWhatIsNewCounts(t *testing.T) {
	w := newWorld(t).serve()
	token := w.accessToken()
	w.advance(2 * time.Second)
	w.bar(w.now)
	wantError(t, w.userinfo(token), 401, "invalid_token")
	if got := w.userinfo(w.accessToken(func(g *login.Grant) { g.ID = "ffeeddccbbaa99887766554433221100" })); got.status != 200 {
		t.Errorf("a token of a new sign-in: %d %s", got.status, got.body)
	}
}

func TestBlockedPerson_TheRefreshTokenBuysNothing_RF05(t *testing.T) {
	w := newWorld(t).serve()
	first := w.signIn("keeper")
	w.bar(w.now.Add(time.Hour))
	w.wantError(w.refresh("keeper", first.Refresh), 400, "invalid_grant")
	if got := w.introspect("keeper", first.Refresh).body; got != `{"active":false}` {
		t.Errorf("introspection: %s", got)
	}
}
