package journeys

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/sandbox"
	store "github.com/voussoir-id/voussoir/store/sql"
)

// places is every point at which the broker is killed, and how often it is
// passed before it dies ("the third commit of the records").
var places = []string{
	"start.after-create", "pick.after-advance",
	"callback.after-consume", "registry.after-answer", "registry.after-confirm", "callback.after-finish", "callback.after-advance",
	"consent.after-advance", "consent.after-record", "code.before-put", "code.after-put",
	"consent.after-code", "consent.after-done",
	"token.before-consume", "token.after-consume", "token.after-audit", "token.before-answer",
	"userinfo.before-audit", "userinfo.after-audit",
	"records.before-commit:2", "records.after-commit:2", "records.before-commit:3", "records.after-commit:3",
	"records.before-commit:9", "records.after-commit:9", "records.before-commit:4", "records.after-commit:4",
	"records.before-commit:5", "records.after-commit:5", "records.before-commit:6", "records.after-commit:6",
	"records.before-commit:10", "records.after-commit:10", "records.before-commit:11", "records.after-commit:11",
	"records.before-commit:7", "records.after-commit:7", "records.before-commit:8", "records.after-commit:8",
}

// crashWorld is one data folder that survives many brokers.
type crashWorld struct {
	t       *testing.T
	port    int
	config  string
	dir     string
	broker  string
	service *service
	// what was acknowledged to somebody outside
	consents, tokens, disclosures int
}

// TestCrash_KilledBetweenAnyTwoSteps kills the broker at each place, starts it
// again on the same data and checks what outsiders were promised: a consent that
// was acknowledged is remembered, nothing was issued or disclosed without its
// audit entry, and no code is accepted twice. VOUSSOIR_CRASH_RUNS sets how often
// each place is tried (20).
func TestCrash_KilledBetweenAnyTwoSteps(t *testing.T) {
	whole(t)
	runs := 20
	if n, err := strconv.Atoi(os.Getenv("VOUSSOIR_CRASH_RUNS")); err == nil && n > 0 {
		runs = n
	}
	binary(t, "failpoints")
	for _, place := range places {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			w := newCrashWorld(t, runs)
			w.start("").stop() // the first start makes the keys: commits of its own
			died := 0
			for i := range runs {
				if w.once(place, fmt.Sprintf("person-%d", i)) {
					died++
				}
			}
			if died != runs {
				t.Errorf("the broker died in %d of %d runs: the place is not where the test thinks", died, runs)
			}
			w.audit()
		})
	}
}

func newCrashWorld(t *testing.T, people int) *crashWorld {
	w := &crashWorld{t: t, port: ports(t), dir: t.TempDir()}
	w.broker = fmt.Sprintf("http://localhost:%d", w.port)
	w.service = newService(t, w.broker, "library")
	crowd := make([]sandbox.Identity, people)
	for i := range crowd {
		crowd[i] = sandbox.Identity{
			ID: fmt.Sprintf("person-%d", i), GivenName: "Camille " + letters(i), FamilyName: "Linteau", Birthdate: "1984-06-21",
			Gender: "female", Birthplace: "69123", Birthcountry: "99100", Email: "camille@mail.example", EmailVerified: true,
		}
	}
	const secret = "a-secret-of-the-broker-at-the-provider-01234567"
	issuer := provider(t, secret, crowd, func() string { return w.broker + "/callback/upstream" })
	port, err := strconv.Atoi(issuer[strings.LastIndex(issuer, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	// A second provider, which nobody takes, so that there is a choice page.
	text := interopConfig(t, port, secret, w.service.redirect, secretAuth("client_secret_basic"))
	text = strings.NewReplacer("{port}", fmt.Sprint(w.port), "{data}", filepath.Join(w.dir, "data")).Replace(text)
	text = strings.Replace(text, "providers:\n", `providers:
  - id: other
    name: { en: "Other" }
    issuer: http://127.0.0.1:1
    client_id: voussoir
    client_secret: a-secret-that-nobody-will-ever-ask-for
    scopes: [openid]
    id_token_signed_response_alg: ES256
    acr: { max: eidas1 }
`, 1)
	// A registry that mends everybody's birth date: two spellings, one person.
	text = "registry: { url: " + mendingRegistry(t) + " }\n" + text
	w.config = filepath.Join(w.dir, "voussoir.yaml")
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// mendingRegistry corrects the birth date of everybody, and returns its address.
func mendingRegistry(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who map[string]string
		if r.Method != http.MethodPost || r.URL.RawQuery != "" || json.NewDecoder(r.Body).Decode(&who) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		who["birthdate"] = "1984-06-22"
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"outcome": "corrected", "identity": who})
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/check"
}

// letters spells i, because a name has no digits.
func letters(i int) string { return string([]rune{'A' + rune(i/26), 'a' + rune(i%26)}) }

// start starts a broker on the world's data; place may be "".
func (w *crashWorld) start(place string) *process {
	w.t.Helper()
	return launch(w.t, []string{"VOUSSOIR_FAILPOINT=" + place}, w.broker+"/healthz", binary(w.t, "failpoints"), "serve", "--config", w.config)
}

// once lets one person sign in at a broker that dies at place, restarts it, and
// lets her go on from wherever she was. It reports whether the broker died.
func (w *crashWorld) once(place, identity string) bool {
	p := w.start(place)
	c := newCitizen(w.t)
	before := w.visit(c, identity)
	died := p.ended()
	p.stop()
	if before.code != "" {
		w.consents++
	}
	p = w.start("")
	defer p.stop()
	w.afterCrash(before, identity)
	return died
}

// outcome is how far a visit came.
type outcome struct {
	request request
	code    string // the service holds a code
	asked   bool   // the consent page was shown
	tokens  int    // successful redemptions of the code
}

// visit is a whole sign-in; it stops wherever the broker no longer answers.
func (w *crashWorld) visit(c *citizen, identity string) outcome {
	return w.visitFrom(c, identity, w.service.start("openid given_name age_over_16 email", nil))
}

// visitFrom is a sign-in from a request that was made before.
func (w *crashWorld) visitFrom(c *citizen, identity string, r request) (o outcome) {
	o.request = r
	at := attempt(func() *page { return c.visit(http.MethodGet, o.request.URL, nil, "", w.service.back) })
	if at != nil && at.byID("provider-upstream") != nil {
		at = attempt(func() *page { return c.pressUntil(at, "provider-upstream", nil, w.service.back) })
	}
	if at != nil && at.byID("identity-"+identity) != nil {
		at = attempt(func() *page { return c.pressUntil(at, "identity-"+identity, nil, w.service.back) })
	}
	if at != nil && at.byID("consent-agree") != nil {
		o.asked = true
		at = attempt(func() *page { return c.pressUntil(at, "consent-agree", nil, w.service.back) })
	}
	if at == nil || !w.service.back(at.URL) {
		return o
	}
	if o.code = at.URL.Query().Get("code"); o.code == "" {
		return o
	}
	w.finish(&o)
	return o
}

// finish redeems the code and asks for the claims.
func (w *crashWorld) finish(o *outcome) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	tk, err := w.service.redeem(ctx, o.code, o.request.Verifier)
	if err != nil || tk.Status != http.StatusOK {
		return
	}
	o.tokens++
	w.tokens++
	if status, _, err := w.service.userinfo(ctx, tk.AccessToken); err == nil && status == http.StatusOK {
		w.disclosures++
	}
}

// afterCrash checks the promises on the restarted broker.
func (w *crashWorld) afterCrash(before outcome, identity string) {
	w.t.Helper()
	again := before
	if before.code != "" {
		for range 2 {
			w.finish(&again)
		}
		if again.tokens > 1 {
			w.t.Errorf("%s: one code was accepted %d times", identity, again.tokens)
		}
	}
	now := w.visit(newCitizen(w.t), identity)
	if now.code == "" || now.tokens != 1 {
		w.t.Errorf("%s cannot sign in after the crash", identity)
	}
	if before.code != "" && now.asked {
		w.t.Errorf("%s is asked again: an acknowledged consent was lost", identity)
	}
	if now.asked {
		w.consents++
	}
}

// audit compares the log with what outsiders were given.
func (w *crashWorld) audit() {
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
	kinds := map[audit.Kind]int{}
	for _, e := range entries {
		var pub audit.Public
		if err := json.Unmarshal(e.Public, &pub); err != nil {
			w.t.Fatal(err)
		}
		kinds[pub.Kind]++
	}
	for kind, promised := range map[audit.Kind]int{
		audit.ConsentGiven: w.consents, audit.TokenIssued: w.tokens, audit.UserInfoServed: w.disclosures,
	} {
		if kinds[kind] < promised {
			w.t.Errorf("%d entries %s for %d that outsiders saw", kinds[kind], kind, promised)
		}
	}
	if kinds[audit.TokenIssued] == 0 || kinds[audit.ConsentGiven] == 0 {
		w.t.Errorf("the log has no consents or no tokens: %v", kinds)
	}
}

// attempt runs a step of a citizen; a broker that does not answer ends it with nil.
func attempt(step func() *page) (p *page) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(unreachable); !ok {
				panic(r)
			}
			p = nil
		}
	}()
	return step()
}

// TestToken_ParallelRedemptionsGiveOneSuccess_RFC6749_4_1_2: 200 at once, 100 codes.
func TestToken_ParallelRedemptionsGiveOneSuccess_RFC6749_4_1_2(t *testing.T) {
	whole(t)
	w := newCrashWorld(t, 1)
	launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.config)
	c := newCitizen(t)
	for round := range 100 {
		r := w.service.start("openid given_name age_over_16", nil)
		at := c.visit(http.MethodGet, r.URL, nil, "", w.service.back)
		if at.byID("provider-upstream") != nil {
			at = c.pressUntil(at, "provider-upstream", nil, w.service.back)
		}
		if at.byID("identity-person-0") != nil {
			at = c.pressUntil(at, "identity-person-0", nil, w.service.back)
		}
		if at.byID("consent-agree") != nil {
			at = c.pressUntil(at, "consent-agree", nil, w.service.back)
		}
		code := at.URL.Query().Get("code")
		if code == "" {
			t.Fatalf("round %d: no code at %s %s", round, at.URL.Path, at.errorCode())
		}
		answers := make(chan tokens)
		for range 200 {
			go func() {
				tk, err := w.service.redeem(t.Context(), code, r.Verifier)
				if err != nil {
					tk.Error = err.Error()
				}
				answers <- tk
			}()
		}
		won := 0
		for range 200 {
			switch tk := <-answers; {
			case tk.Status == http.StatusOK:
				won++
			case tk.Error != "invalid_grant":
				t.Errorf("round %d: %d %s, want invalid_grant", round, tk.Status, tk.Error)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d of 200 redemptions succeeded, want exactly 1", round, won)
		}
	}
}

// TestBinding_AnotherBrowserCannotFinishNorGetTheCode: an attacker starts a
// sign-in, the victim is to finish it, the attacker collects. Two cookie jars.
func TestBinding_AnotherBrowserCannotFinishNorGetTheCode(t *testing.T) {
	whole(t)
	w := newCrashWorld(t, 1)
	launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.config)
	attacker, victim := newCitizen(t), newCitizen(t)
	r := w.service.start("openid given_name age_over_16", nil)
	choice := attacker.visit(http.MethodGet, r.URL, nil, "", w.service.back)
	atProvider := attacker.press(choice, "provider-upstream", nil)

	// The victim signs in through the attacker's link at the provider: her browser
	// lacks the flow's cookie.
	stolen := victim.visit(http.MethodGet, atProvider.URL.String(), nil, "", w.service.back)
	got := victim.pressUntil(stolen, "identity-person-0", nil, w.service.back)
	if w.service.back(got.URL) || got.errorCode() != "flow_not_yours" {
		t.Fatalf("the victim came to %s (%d, %q)", got.URL.Path, got.Status, got.errorCode())
	}
	// The attacker asks for what the victim should have finished.
	flow := flowID(t, attacker)
	for _, path := range []string{"/login/" + flow, "/login/" + flow + "/consent"} {
		p := attacker.visit(http.MethodGet, w.broker+path, nil, "", w.service.back)
		if w.service.back(p.URL) && p.URL.Query().Get("code") != "" || p.byID("consent-agree") != nil {
			t.Errorf("the attacker got on with the victim's sign-in at %s", path)
		}
		if p := victim.get(w.broker + path); p.errorCode() != "flow_not_yours" {
			t.Errorf("a stranger sees the flow at %s: %d %q", path, p.Status, p.errorCode())
		}
	}
	p := victim.visit(http.MethodPost, w.broker+"/login/"+flow+"/consent", url.Values{"answer": {"agree"}}, w.broker, w.service.back)
	if p.errorCode() != "flow_not_yours" {
		t.Errorf("a stranger may answer: %d %q", p.Status, p.errorCode())
	}
}

// TestProvider_ThatIsStoppedIsNamedOnTheChoicePage: nothing answers at the other
// provider's address. She stays at the choice, is told which one it was, and can
// sign in with the one that works.
func TestProvider_ThatIsStoppedIsNamedOnTheChoicePage(t *testing.T) {
	whole(t)
	w := newCrashWorld(t, 1)
	launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.config)
	c := newCitizen(t)
	r := w.service.start("openid given_name age_over_16", nil)
	choice := c.visit(http.MethodGet, r.URL, nil, "", w.service.back)
	again := c.press(choice, "provider-other", nil)
	if again.Status != http.StatusOK || again.byID("provider-upstream") == nil || !strings.Contains(again.Body, "Other does not work right now") {
		t.Fatalf("she came to %s (%d, %q):\n%s", again.URL.Path, again.Status, again.errorCode(), tail(again.Body, 1500))
	}
	asked := c.press(c.press(again, "provider-upstream", nil), "identity-person-0", nil)
	if done := c.pressUntil(asked, "consent-agree", nil, w.service.back); done.URL.Query().Get("code") == "" {
		t.Errorf("no code after the other provider: %s %q", done.URL.Path, done.errorCode())
	}
}

// flowID is the flow of the citizen's newest flow cookie.
func flowID(t *testing.T, c *citizen) string {
	t.Helper()
	for name := range c.jar["localhost"] {
		if id, ok := strings.CutPrefix(name, "__Host-voussoir-flow-"); ok {
			return id
		}
	}
	t.Fatal("no flow cookie")
	return ""
}
