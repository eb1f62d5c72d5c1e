package journeys

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/voussoir-id/voussoir/sandbox"
)

// The broker's secret at the providers of a faultWorld.
const upstreamSecret = "a-secret-of-the-broker-at-the-provider-01234567"

// faultWorld is a broker with two providers and two services of different
// sectors, whose configuration a test rewrites.
type faultWorld struct {
	t              *testing.T
	broker         string
	file, data     string
	proc           *process
	library, court *service
}

// faultConfig has one word per line that a test replaces.
const faultConfig = `
issuer: http://localhost:{port}
listen: 127.0.0.1:{port}
development: true
data: {data}
providers:
  - id: one
    name: { en: "Provider one" }
    issuer: {one}
    client_id: voussoir
    client_secret: ` + upstreamSecret + `
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas2, default: eidas1 }
    civil_identity: true
  - id: two
    name: { en: "Provider two" }
    issuer: {two}
    client_id: voussoir
    client_secret: ` + upstreamSecret + `
    scopes: [openid, profile, birth, email]
    id_token_signed_response_alg: ES256
    userinfo: { fetch: true }
    acr: { max: eidas2, default: eidas1 }
    civil_identity: true
clients:
  - { id: library, name: { en: "Library" }, redirect_uris: ["http://127.0.0.1:1/callback"], client_secret_sha256: "{digest}", sector: library.example, policy: reader }
  - { id: court, name: { en: "Court" }, redirect_uris: ["http://127.0.0.1:1/callback"], client_secret_sha256: "{digest}", sector: court.example, policy: reader }
policies:
  - id: reader
    version: 1
    purpose: { en: "Open your account" }
    legal_basis: consent
    retention: P1Y
    claims:
      - { name: given_name, required: true }
    consent_validity: P1Y
`

// newFaultWorld starts a broker; one and two make its providers, given the
// redirect URI that the broker will use there.
func newFaultWorld(t *testing.T, one, two func(redirect string) (issuer string)) *faultWorld {
	t.Helper()
	whole(t)
	port, dir := ports(t), t.TempDir()
	w := &faultWorld{t: t, broker: fmt.Sprintf("http://localhost:%d", port), file: filepath.Join(dir, "voussoir.yaml"), data: filepath.Join(dir, "data")}
	w.library, w.court = newService(t, w.broker, "library"), newService(t, w.broker, "court")
	w.write(strings.NewReplacer("{port}", strconv.Itoa(port), "{data}", w.data, "{digest}", sha256hex(serviceSecret),
		"{one}", one(w.broker+"/callback/one"), "{two}", two(w.broker+"/callback/two")).Replace(faultConfig))
	w.proc = launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.file)
	return w
}

func (w *faultWorld) write(config string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *faultWorld) config() string {
	w.t.Helper()
	b, err := os.ReadFile(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// reload sends SIGHUP and waits until the broker has said says once more.
func (w *faultWorld) reload(says string) {
	w.t.Helper()
	before := strings.Count(w.proc.out.String(), says)
	_ = w.proc.cmd.Process.Signal(syscall.SIGHUP)
	eventually(w.t, "the broker says "+says, func() bool { return strings.Count(w.proc.out.String(), says) > before })
}

// eventually waits for something that the system promises soon.
func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !true(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// upTo lets a new citizen sign in at a provider as somebody, until the consent
// page or wherever else it leads.
func (w *faultWorld) upTo(s *service, provider, identity string, extra url.Values) (*citizen, request, *page) {
	c, r := newCitizen(w.t), s.start("openid given_name", extra)
	p := c.visit(http.MethodGet, r.URL, nil, "", s.back)
	p = c.pressUntil(p, "provider-"+provider, nil, s.back)
	if p.byID("identity-"+identity) == nil {
		return c, r, p // the provider could not be reached
	}
	return c, r, c.pressUntil(p, "identity-"+identity, nil, s.back)
}

// signIn is a whole sign-in; it returns what userinfo says.
func (w *faultWorld) signIn(s *service, provider, identity string) map[string]any {
	w.t.Helper()
	c, r, p := w.upTo(s, provider, identity, nil)
	if p.byID("consent-agree") != nil {
		p = c.pressUntil(p, "consent-agree", nil, s.back)
	}
	tk, err := s.redeem(w.t.Context(), p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Status != http.StatusOK {
		w.t.Fatalf("%s at %s: token answer %d %s, %v (page %s %q)", identity, provider, tk.Status, tk.Error, err, p.URL.Path, p.errorCode())
	}
	status, claims, err := s.userinfo(w.t.Context(), tk.AccessToken)
	if err != nil || status != http.StatusOK {
		w.t.Fatalf("userinfo: %d, %v", status, err)
	}
	return claims
}

// sandboxed is a provider in the test's process that knows people.
func sandboxed(t *testing.T, people []sandbox.Identity) func(string) string {
	return func(redirect string) string {
		return provider(t, upstreamSecret, people, func() string { return redirect })
	}
}

func linteau() []sandbox.Identity {
	return []sandbox.Identity{{
		ID: "camille", GivenName: "Camille", FamilyName: "Linteau", Birthdate: "1984-06-21",
		Gender: "female", Birthplace: "69123", Birthcountry: "99100",
	}}
}

// respell writes a name as another register might: in capitals, decomposed, with
// another apostrophe, with spaces for hyphens.
func respell(r *rand.Rand, name string) string {
	if r.IntN(2) == 0 {
		name = strings.ToUpper(name)
	}
	if r.IntN(2) == 0 {
		name = norm.NFD.String(name)
	}
	if r.IntN(2) == 0 {
		name = strings.NewReplacer("'", "’", "-", " ").Replace(name)
	}
	return name
}

// TestSubjects_OnePersonThroughTwoProviders: the same subject at one service,
// unlinkable at two (OpenID Connect Core section 8.1), however the two providers
// write her name; and nobody shares a subject with anybody else.
func TestSubjects_OnePersonThroughTwoProviders(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	given := []string{"Anaïs", "Anais", "Jean-Éloi", "D'Arcy", "Œdipe", "Łucja"}
	family := []string{"L'Hébert", "Lhebert", "Ndiaye-Müller"}
	var one, two []sandbox.Identity
	for i := range 12 {
		p := sandbox.Identity{
			ID: fmt.Sprintf("person-%d", i), GivenName: given[i%len(given)], FamilyName: family[i%len(family)],
			Birthdate: fmt.Sprintf("19%02d-0%d-1%d", 50+r.IntN(3), 1+i/6, r.IntN(3)), Gender: []string{"female", "male"}[r.IntN(2)],
			Birthplace: "69123", Birthcountry: "99100",
		}
		q := p
		q.GivenName, q.FamilyName = respell(r, p.GivenName), respell(r, p.FamilyName)
		one, two = append(one, p), append(two, q)
	}
	w := newFaultWorld(t, sandboxed(t, one), sandboxed(t, two))
	seen := map[any]string{}
	for _, p := range one {
		for _, s := range []*service{w.library, w.court} {
			a, b := w.signIn(s, "one", p.ID)["sub"], w.signIn(s, "two", p.ID)["sub"]
			if a != b {
				t.Errorf("%s is %v through one provider and %v through the other", p.ID, a, b)
			}
			if other := seen[a]; other != "" || a == nil {
				t.Errorf("%s at %s has the subject of %s", p.ID, s.id, other)
			}
			seen[a] = p.ID + " at " + s.id
		}
	}
}

// TestLevel_SaidByNobodyIsNotReached: npm's oidc-provider says no acr at all.
// Asked for eidas2, it is not believed to have reached it: she is told so on the
// choice page, and the service gets a refusal and no code.
func TestLevel_SaidByNobodyIsNotReached(t *testing.T) {
	need(t, "node_modules/oidc-provider/package.json", "oidc-provider")
	idp := ports(t)
	w := newFaultWorld(t, func(redirect string) string {
		env := []string{fmt.Sprintf("PORT=%d", idp), "CLIENT_ID=voussoir", "CLIENT_SECRET=" + upstreamSecret, "REDIRECT_URI=" + redirect}
		issuer := fmt.Sprintf("http://127.0.0.1:%d", idp)
		launch(t, env, issuer+"/.well-known/openid-configuration", node(t), "counterparts/oidc-provider.mjs")
		return issuer
	}, sandboxed(t, linteau()))
	c := newCitizen(t)
	r := w.library.start("openid given_name", url.Values{"acr_values": {"eidas2"}})
	p := c.visit(http.MethodGet, r.URL, nil, "", w.library.back)
	p = c.press(p, "provider-one", nil)
	if got := p.URL.Hostname(); got != "127.0.0.1" {
		t.Fatalf("not at the provider but at %s%s", p.URL.Host, p.URL.Path)
	}
	p = c.submit(p, url.Values{"login": {"camille"}, "password": {"any"}})
	for range 3 {
		if strings.Contains(p.URL.Path, "/interaction/") {
			p = c.submit(p, nil)
		}
	}
	if p.byID("consent-agree") != nil || p.byID("provider-one") == nil || !strings.Contains(p.Body, "Provider one") || !strings.Contains(p.Body, `role="alert"`) {
		t.Fatalf("no choice page with a notice but %s (%d %q)\n%s", p.URL.Path, p.Status, p.errorCode(), tail(p.Body, 1500))
	}
	p = c.pressUntil(p, "cancel", nil, w.library.back)
	q := p.URL.Query()
	if !w.library.back(p.URL) || q.Get("error") != "unmet_authentication_requirements" || q.Has("code") || q.Get("state") != r.State {
		t.Errorf("the service got error %q, code %v", q.Get("error"), q.Has("code"))
	}
}

// TestRecords_UnwritableIsNeverNo: while nobody can write to the records, a good
// code is not invalid but the answer 503 (unknown is not no); afterwards it
// redeems, once.
func TestRecords_UnwritableIsNeverNo(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	c, r, p := w.upTo(w.library, "one", "camille", nil)
	code := c.pressUntil(p, "consent-agree", nil, w.library.back).URL.Query().Get("code")

	release := w.lockRecords()
	tk, err := w.library.redeem(t.Context(), code, r.Verifier)
	if err != nil || tk.Status != http.StatusServiceUnavailable || tk.Error != "temporarily_unavailable" {
		t.Errorf("token while the records are locked: %d %q, %v; want 503 temporarily_unavailable", tk.Status, tk.Error, err)
	}
	if resp, err := w.library.http.Get(w.broker + "/.well-known/openid-configuration"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("discovery while the records are locked: %v", err)
	} else {
		_ = resp.Body.Close()
	}
	release()

	if tk, err = w.library.redeem(t.Context(), code, r.Verifier); err != nil || tk.Status != http.StatusOK {
		t.Errorf("token afterwards: %d %q, %v; want 200", tk.Status, tk.Error, err)
	}
	if tk, err = w.library.redeem(t.Context(), code, r.Verifier); err != nil || tk.Error != "invalid_grant" {
		t.Errorf("the second use: %d %q, %v; want invalid_grant", tk.Status, tk.Error, err)
	}
}

// lockRecords takes SQLite's write lock on the records (WAL_WRITE_LOCK, byte 120
// of the index), as a process that hangs in a transaction would.
func (w *faultWorld) lockRecords() (release func()) {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(w.data, "records.db-shm"), os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 120, Len: 1}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLKW, &lock); err != nil {
		w.t.Fatal(err)
	}
	return func() { _ = f.Close() }
}

// hanging is sandboxed with a token endpoint that never answers.
func hanging(t *testing.T, people []sandbox.Identity, asked, gone chan<- struct{}) func(string) string {
	return func(redirect string) string {
		return providerBehind(t, upstreamSecret, people, func() string { return redirect }, func(inner http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != "/token" {
					inner.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the broker has gone
				asked <- struct{}{}
				<-r.Context().Done()
				gone <- struct{}{}
			})
		})
	}
}

// TestProvider_ThatHangsHurtsNoOther: thirty people wait for a provider whose
// token endpoint hangs. Meanwhile others sign in through another; then all thirty
// are told, and the broker has closed its connections to it.
func TestProvider_ThatHangsHurtsNoOther(t *testing.T) {
	const crowd = 30
	asked, gone := make(chan struct{}, crowd), make(chan struct{}, crowd)
	w := newFaultWorld(t, hanging(t, linteau(), asked, gone), sandboxed(t, linteau()))
	w.signIn(w.library, "two", "camille")
	pages := make(chan *page, crowd)
	for range crowd {
		go func() {
			var p *page
			defer func() { pages <- p }()
			_, _, p = w.upTo(w.library, "one", "camille", nil)
		}()
	}
	for range crowd {
		<-asked
	}
	w.signIn(w.court, "two", "camille")
	if len(pages) == crowd {
		t.Error("the sign-in through the other provider waited for the provider that hangs")
	}
	for range crowd {
		if p := <-pages; p == nil || p.byID("provider-one") == nil || !strings.Contains(p.Body, `role="alert"`) {
			t.Errorf("no choice page with a notice but %+v", p)
		}
	}
	for range crowd {
		<-gone
	}
}

// TestReload_SwitchesOffInTheMiddleOfASignIn: a provider or a service that is
// removed while people are on their way gets and gives nothing any more (MX-07);
// a file with a mistake changes nothing.
func TestReload_SwitchesOffInTheMiddleOfASignIn(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	whole := w.config()
	without := func(from, to string) string {
		head, rest, _ := strings.Cut(whole, from)
		_, foot, _ := strings.Cut(rest, to)
		return head + to + foot
	}
	atProvider := func(s *service, id string) (*citizen, *page) {
		c, r := newCitizen(t), s.start("openid given_name", nil)
		return c, c.pressUntil(c.visit(http.MethodGet, r.URL, nil, "", s.back), "provider-"+id, nil, s.back)
	}

	c, p := atProvider(w.library, "one")
	w.write(strings.Replace(whole, "policy: reader", "policy: raeder", 1))
	w.reload("not reloaded")
	if p = c.pressUntil(p, "identity-camille", nil, w.library.back); p.byID("consent-agree") == nil {
		t.Errorf("after a reload with a mistake: %s (%d %q), want the consent page", p.URL.Path, p.Status, p.errorCode())
	}

	c, p = atProvider(w.library, "one")
	onConsent, _, asked := w.upTo(w.library, "one", "camille", nil)
	w.write(without("  - id: one\n", "  - id: two\n"))
	w.reload("configuration reloaded")
	if p = c.pressUntil(p, "identity-camille", nil, w.library.back); p.errorCode() != "provider_unknown" {
		t.Errorf("an answer of a provider that was removed: %s (%d %q), want provider_unknown", p.URL.Path, p.Status, p.errorCode())
	}
	if p = onConsent.pressUntil(asked, "consent-agree", nil, w.library.back); p.byID("provider-two") == nil || p.byID("provider-one") != nil {
		t.Errorf("agreeing to what a removed provider said leads to %s (%d %q), want the choice", p.URL.Path, p.Status, p.errorCode())
	}
	w.write(whole)
	w.reload("configuration reloaded")

	c, p = atProvider(w.court, "one")
	issued, r, _ := w.upTo(w.court, "two", "camille", nil)
	code := issued.pressUntil(issued.get(w.broker+"/login/"+flowID(t, issued)), "consent-agree", nil, w.court.back).URL.Query().Get("code")
	if code == "" {
		t.Fatal("no code")
	}
	w.write(without("  - { id: court", "policies:"))
	w.reload("configuration reloaded")
	if p = c.pressUntil(p, "identity-camille", nil, w.court.back); w.court.back(p.URL) || p.byID("consent-agree") != nil {
		t.Errorf("a service that was removed still gets answers: %s", p.URL.Path)
	}
	if tk, err := w.court.redeem(t.Context(), code, r.Verifier); err != nil || tk.Status != http.StatusUnauthorized || tk.Error != "invalid_client" {
		t.Errorf("a removed service redeems: %d %q, %v; want 401 invalid_client", tk.Status, tk.Error, err)
	}
}

// TestReload_UnderLoadCostsNobodyASignIn: a storm of SIGHUPs and key rotations.
func TestReload_UnderLoadCostsNobodyASignIn(t *testing.T) {
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Add(1)
	go func() {
		defer storm.Done()
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_ = w.proc.cmd.Process.Signal(syscall.SIGHUP)
			}
		}
	}()
	var crowd sync.WaitGroup
	for i := range 8 {
		crowd.Add(1)
		go func() {
			defer crowd.Done()
			for range 5 {
				w.signIn([]*service{w.library, w.court}[i%2], []string{"one", "two"}[i/2%2], "camille")
			}
		}()
	}
	crowd.Wait()
	close(stop)
	storm.Wait()
}

// TestFirstStart_KilledAnywhereStartsAgain kills the very first start at its nth
// write, flush or rename, and its successor must need nobody's help. Needs strace.
func TestFirstStart_KilledAnywhereStartsAgain(t *testing.T) {
	whole(t)
	if exec.Command("strace", "-o", os.DevNull, "true").Run() != nil {
		t.Skip("strace is not there or may not trace")
	}
	for n := 1; n <= 33; n += 4 {
		w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
		w.proc.stop()
		if err := os.RemoveAll(w.data); err != nil {
			t.Fatal(err)
		}
		inject := fmt.Sprintf("inject=fsync,fdatasync,rename,renameat,pwrite64,ftruncate:signal=SIGKILL:when=%d", n)
		first := launch(t, nil, "", "strace", "-f", "-o", os.DevNull, "-e", inject, binary(t, ""), "serve", "--config", w.file)
		eventually(t, "the first start dies", first.ended)
		w.proc = launch(t, nil, w.broker+"/readyz", binary(t, ""), "serve", "--config", w.file)
		if w.signIn(w.library, "one", "camille")["sub"] == nil {
			t.Errorf("killed at %d: no subject", n)
		}
		w.proc.stop()
	}
}
