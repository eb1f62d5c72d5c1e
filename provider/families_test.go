package provider

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However a family is used, a token is good if and only if it is the newest, nothing
// has ended the family, and neither time is over; and no access token of a family
// that has ended opens anything. It is the law that I5 asks for: one live successor.
func TestFamilies_OneLiveSuccessor(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		code := w.code(offline("keeper", w.p.Now().Add(180*day)))
		first := w.tokens(w.redeem(tokenForm(code), "keeper"))
		issued, access := []string{first.Refresh}, first.Access
		until, idle, codeKnown := w.p.Now().Add(180*day), w.p.Now().Add(30*day), w.p.Now().Add(90*time.Second)
		alive := true
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			now := w.p.Now()
			switch step := rapid.SampledFrom([]string{"newest", "newest", "newest", "any", "wait", "mistake", "other client", "revoke", "code"}).Draw(r, "step"); step {
			case "wait":
				w.advance(rapid.SampledFrom([]time.Duration{time.Second, day, 29 * day, 31 * day}).Draw(r, "for"))
			case "mistake":
				if got := w.refresh("keeper", issued[len(issued)-1], "scope", "openid birthdate"); got.status != 400 {
					r.Fatalf("a wider scope: %d", got.status)
				}
			case "other client":
				if got := w.refresh("keeper2", issued[len(issued)-1]); got.status != 400 {
					r.Fatalf("another client: %d", got.status)
				}
				alive = alive && !now.Before(idle)
			case "revoke":
				w.revoke("keeper", rapid.SampledFrom(issued).Draw(r, "token"))
				alive = alive && !now.Before(idle)
			case "code":
				w.redeem(tokenForm(code), "keeper")
				alive = alive && !now.Before(codeKnown)
			default:
				i := len(issued) - 1
				if step == "any" {
					i = rapid.IntRange(0, i).Draw(r, "token")
				}
				good := alive && i == len(issued)-1 && now.Before(idle) && now.Before(until)
				got := w.refresh("keeper", issued[i])
				if (got.status == http.StatusOK) != good {
					r.Fatalf("token %d of %d: %d %s, want it to be good: %t", i, len(issued), got.status, got.body, good)
				}
				if good {
					tk := w.tokens(got)
					issued, access = append(issued, tk.Refresh), tk.Access
					if idle = now.Add(30 * day); idle.After(until) {
						idle = until
					}
				}
				alive = alive && (i == len(issued)-1 || good || !now.Before(idle))
			}
			if !alive && w.userinfo(access).status != http.StatusUnauthorized {
				r.Fatal("an access token outlives its family")
			}
		}
	})
}

// FuzzRefreshToken: whatever a stranger sends as a refresh token is no token, and
// leaves that of somebody else alone.
func FuzzRefreshToken(f *testing.F) {
	w := newWorld(f)
	tk := w.signIn("constant")
	for _, s := range []string{"", tk.Refresh[1:], tk.Refresh[:86] + "A", tk.Refresh[43:] + tk.Refresh[:43], tk.Access + tk.Access, tk.ID, "%00", tk.Refresh + "="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w.t = t
		if s == tk.Refresh || isRefreshToken(s) && s[:handleLength] == tk.Refresh[:handleLength] {
			return
		}
		if got := w.refresh("constant", s); got.status != 400 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := w.refresh("constant", tk.Refresh); got.status != 200 {
			t.Errorf("the good one: %d %s", got.status, got.body)
		}
	})
}
