package login

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/consent"
	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/policies"
	"github.com/voussoir-id/voussoir/preferences"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// world is a broker with everything real but stores, pages, providers and the
// issuer, which are the small things below.
type world struct {
	t       testing.TB
	service *Service
	mux     *http.ServeMux
	stores  *stores
	tax     *idp // eidas2
	post    *idp // eidas1
	issuer  *issuer
	site    *site
	meter   meter

	mu     sync.Mutex
	barred map[string]time.Time // until when what each person began counts no more
	clock  time.Time
	policy *policies.Table
	dir    *federation.Directory
	civil  Civil
	notes  []slog.Attr // about providers
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC), mux: http.NewServeMux()}
	w.stores = &stores{flows: map[FlowID]Flow{}, sessions: map[[32]byte]Session{}, ended: map[SessionID]bool{}, once: map[string]bool{}, standing: map[string]*consent.Standing{}, people: map[[32]byte]identity.Person{}, confirmed: map[identity.PersonID]time.Time{}}
	w.tax, w.post = &idp{id: "tax", w: w}, &idp{id: "post", w: w}
	w.issuer, w.site = &issuer{w: w}, &site{}
	w.dir = federation.NewDirectory(w.tax.entry(protocol.EIDAS2), w.post.entry(protocol.EIDAS1))
	w.policy = policies.NewTable(library(), &policies.Policy{
		ID: "cityhall", Version: 1, Basis: policies.PublicTask, MinACR: protocol.EIDAS1, ConsentValidity: policies.Period{Years: 1},
		Purpose: protocol.Text{"en": "Register your child for school"},
		Claims:  []policies.ClaimRule{{Name: protocol.FamilyName, Required: true}, {Name: protocol.Email}},
	})
	set := clients.NewSet(
		&clients.Client{ID: "library", RedirectURIs: []string{"https://library.test/callback"}, Name: protocol.Text{"en": "City library"}, Sector: "library.test", Policy: "library"},
		&clients.Client{ID: "cityhall", RedirectURIs: []string{"https://cityhall.test/callback"}, Name: protocol.Text{"en": "City hall"}, Sector: "cityhall.test", Policy: "cityhall"},
		&clients.Client{ID: "app", Native: true, AuthMethod: clients.Public, RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb"}, Name: protocol.Text{"en": "App"}, Sector: "app.test", Policy: "library"},
		&clients.Client{ID: "alone", NoSingleSignOn: true, RedirectURIs: []string{"https://alone.test/callback"}, Name: protocol.Text{"en": "Vault"}, Sector: "alone.test", Policy: "cityhall"},
		&clients.Client{ID: "orphan", Sector: "orphan.test", Policy: "none"},
	)
	log, err := audit.New(audit.Config{Store: w.stores, Sealer: seals{}, Now: w.now})
	must(t, err)
	ledger, err := consent.New(consent.Config{Store: w.stores, Archive: struct{ consent.Archive }{}, Ender: struct{ consent.Ender }{}, Audit: log, Now: w.now})
	must(t, err)
	people, err := identity.NewPeople(identity.PeopleConfig{
		Store: w.stores, Deriver: deriver{}, Now: w.now, NewSealKey: func() ([]byte, error) { return []byte("wrapped"), nil },
	})
	must(t, err)
	w.service, err = New(Config{
		Flows: w.stores, Sessions: w.stores, Sealer: seals{}, People: people, Deriver: deriver{}, Consent: ledger, Audit: log,
		Policies:  func() *policies.Table { w.mu.Lock(); defer w.mu.Unlock(); return w.policy },
		Clients:   func() *clients.Set { return set },
		Civil:     func() Civil { w.mu.Lock(); defer w.mu.Unlock(); return w.civil },
		Directory: func() *federation.Directory { w.mu.Lock(); defer w.mu.Unlock(); return w.dir },
		Barred: func(person string, began time.Time) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return began.Before(w.barred[person])
		},
		Caution:     func(h http.Header) protocol.ACR { return protocol.ACR(h.Get("X-Caution")) },
		Preferences: w.stores, Once: w.stores,
		Health: func(protocol.ProviderID) federation.State { return federation.State{} },
		Issuer: w.issuer, Site: w.site, Note: w.note, Now: w.now, Meter: &w.meter,
	})
	must(t, err)
	w.service.Routes(w.mux)
	return w
}

func library() *policies.Policy {
	return &policies.Policy{
		ID: "library", Version: 3, Basis: policies.Consent, MinACR: protocol.EIDAS1, ConsentValidity: policies.Period{Years: 1},
		Purpose: protocol.Text{"en": "Open your reader account"}, Retention: "P1Y",
		Claims: []policies.ClaimRule{{Name: protocol.GivenName, Required: true}, {Name: protocol.AgeOver16, Required: true}, {Name: protocol.Email}},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// note keeps what is noted of providers for the event line.
func (w *world) note(_ *http.Request, attrs ...slog.Attr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if attrs[0].Key == "provider" {
		w.notes = append(w.notes, attrs...)
	}
}

func (w *world) noted() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, a := range w.notes {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) reload(p *policies.Table, d *federation.Directory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p != nil {
		w.policy = p
	}
	if d != nil {
		w.dir = d
	}
}

// request is what the library asks for.
func request() protocol.AuthRequest {
	return protocol.AuthRequest{
		ClientID: "library", RedirectURI: "https://library.test/callback", ResponseMode: protocol.ModeQuery,
		Scopes: []protocol.Scope{"openid", "given_name", "age_over_16", "email"}, State: "library-state", Nonce: "n", CodeChallenge: "c",
	}
}

func cityhall() protocol.AuthRequest {
	r := request()
	r.ClientID, r.RedirectURI, r.State = "cityhall", "https://cityhall.test/callback", "cityhall-state"
	r.Scopes = []protocol.Scope{"openid", "family_name", "email"}
	return r
}

// alone is a service without single sign-on.
func alone() protocol.AuthRequest {
	r := cityhall()
	r.ClientID, r.RedirectURI, r.State = "alone", "https://alone.test/callback", "alone-state"
	return r
}

// alice is known to both providers, with one civil identity.
func alice() identity.Identity {
	return identity.Identity{
		Civil: true, Email: "alice@example.test", EmailVerified: true, AsOf: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC),
		Pivot: identity.Pivot{GivenName: "Alice", FamilyName: "Martin", Birthdate: "1990-05-17", Gender: "female", Birthplace: "75107", Birthcountry: "99100"},
	}
}

func bob() identity.Identity {
	b := alice()
	b.Pivot.GivenName, b.Pivot.Gender, b.Email = "Bob", "male", ""
	return b
}

// idp signs in whoever the code names.
type idp struct {
	id        protocol.ProviderID
	w         *world
	exchanges atomic.Int64
	down      atomic.Bool
	acr       protocol.ACR // "": its maximum
	max       protocol.ACR
	authTime  time.Time
	during    func()
	relays    bool
	invalid   *identity.InvalidError // its identities are refused
	dropped   []identity.Flaw        // or taken in part
	silent    bool                   // it sends no logout messages
	sid       string                 // of the next sign-in
	mu        sync.Mutex
	asked     []federation.Request
}

func (p *idp) entry(max protocol.ACR) federation.Entry {
	p.max = max
	return federation.Entry{Provider: p, Description: federation.Description{ID: p.id, Name: protocol.Text{"en": strings.ToUpper(string(p.id))}, MaxACR: max}}
}

func (p *idp) Start(_ context.Context, r federation.Request) (federation.Started, error) {
	if p.down.Load() {
		return federation.Started{}, &federation.Error{Provider: p.id, Kind: federation.Unavailable, Err: errors.New("down")}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r)
	return federation.Started{URL: "https://" + string(p.id) + ".test/authorize?state=" + r.State, Pending: []byte("pending " + r.State)}, nil
}

func (p *idp) Finish(ctx context.Context, r federation.Request, pending []byte, answer url.Values) (federation.Login, error) {
	p.exchanges.Add(1)
	if p.during != nil {
		p.during()
	}
	fail := func(k federation.Kind) (federation.Login, error) {
		return federation.Login{}, &federation.Error{Provider: p.id, Kind: k, Err: errors.New("no")}
	}
	if string(pending) != "pending "+r.State {
		return fail(federation.Invalid)
	}
	if ctx.Err() != nil {
		return fail(federation.Unavailable)
	}
	kinds := map[string]federation.Kind{
		"access_denied": federation.Cancelled, "server_error": federation.Unavailable, "unauthorized_client": federation.Refused,
		"unmet_authentication_requirements": federation.TooWeak,
	}
	if k, ok := kinds[answer.Get("error")]; ok {
		return fail(k)
	}
	if p.down.Load() {
		return fail(federation.Unavailable)
	}
	if p.invalid != nil {
		return federation.Login{}, &federation.Error{Provider: p.id, Kind: federation.BadIdentity, Err: p.invalid}
	}
	code := answer.Get("code") + answer.Get("SAMLResponse")
	who := map[string]func() identity.Identity{"alice": alice, "bob": bob}[code]
	if who == nil {
		return fail(federation.Invalid)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	acr, at := p.acr, p.authTime
	if acr == "" {
		acr = p.max
	}
	if at.IsZero() {
		at = p.w.now()
	}
	return federation.Login{Provider: p.id, Issuer: "https://" + string(p.id) + ".test", Subject: code, Identity: who(), ACR: acr, AuthTime: at, LogoutHint: "hint-" + code, Names: federation.Names{Subject: code, Session: p.sid}, Dropped: p.dropped}, nil
}

func (p *idp) Leave(_ context.Context, hint, returnTo, state string) (string, error) {
	switch {
	case p.down.Load():
		return "", &federation.Error{Provider: p.id, Kind: federation.Unavailable, Err: errors.New("down")}
	case !p.relays:
		return "", nil
	}
	return "https://" + string(p.id) + ".test/logout?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {returnTo}, "state": {state}}.Encode(), nil
}

// issuer hands out code-1, code-2, …
type issuer struct {
	w      *world
	mu     sync.Mutex
	grants []Grant
	pushed []string
	told   []Departure
	down   bool
}

func (i *issuer) Ended(_ context.Context, _ protocol.ClientID, ds []Departure) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return errors.New("queue is down")
	}
	i.told = append(i.told, ds...)
	return nil
}

func (i *issuer) IssueCode(_ context.Context, g Grant) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return "", errors.New("grant store is down")
	}
	if !i.w.stores.allows(g) {
		i.w.t.Errorf("a code for %s without a record of grant %s", g.Client, g.ID)
	}
	i.grants = append(i.grants, g)
	return fmt.Sprintf("code-%d", len(i.grants)), nil
}

// Complete answers a pushed request once.
func (i *issuer) Complete(_ context.Context, req protocol.AuthRequest) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if req.Pushed == "" {
		return nil
	}
	if slices.Contains(i.pushed, req.Pushed) {
		return web.Fail(web.AlreadyAnswered, nil)
	}
	i.pushed = append(i.pushed, req.Pushed)
	return nil
}

func (i *issuer) codes() []Grant {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.grants)
}

func (i *issuer) Answer(w http.ResponseWriter, _ *http.Request, req protocol.AuthRequest, a Answer) error {
	q := url.Values{"state": {req.State}}
	if a.Err != nil {
		q.Set("error", string(a.Err.Code))
	} else {
		q.Set("code", a.Code)
	}
	w.Header().Set("Location", req.RedirectURI+"?"+q.Encode())
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// site writes each page as JSON, errors as their code and the way back.
type site struct{}

func (*site) Page(_ string, h web.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := r.Header.Get("Sec-Fetch-Site"); r.Method == "POST" && s == "cross-site" {
			write(w, 403, "error", web.CrossSite)
			return
		}
		answerWith(h, w, r)
	})
}

// answerWith shows what h did.
func answerWith(h web.Handler, w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	var p *web.Problem
	switch {
	case err == nil:
	case errors.As(err, &p):
		back := ""
		if p.Back != nil {
			back = p.Back.URL
		}
		write(w, 400, "error", struct {
			Code web.Code
			Back string
		}{p.Code, back})
	default:
		write(w, 500, "error", "internal")
	}
}

func (*site) FormFromAnySite(_ string, limit int64, h web.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		answerWith(h, w, r)
	})
}

func write(w http.ResponseWriter, status int, page string, what any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{page: what})
}

func (*site) Choose(w http.ResponseWriter, _ *http.Request, p web.ChoosePage) error {
	write(w, 200, "choose", p)
	return nil
}

func (*site) Leave(w http.ResponseWriter, _ *http.Request, p web.LeavePage) error {
	write(w, 200, "leave", p)
	return nil
}

func (*site) Flaws(w http.ResponseWriter, _ *http.Request, p web.FlawsPage) error {
	write(w, 200, "flaws", p)
	return nil
}

func (*site) Consent(w http.ResponseWriter, _ *http.Request, p web.ConsentPage) error {
	write(w, 200, "consent", p)
	return nil
}

func (*site) Wait(w http.ResponseWriter, _ *http.Request, p web.WaitPage) error {
	write(w, 200, "wait", p)
	return nil
}

func (*site) Lang(*http.Request, []string) string { return "en" }

// seals binds what it seals to purpose and aad, and hides nothing.
type seals struct{}

func (seals) tag(purpose string, aad []byte) []byte {
	h := sha256.Sum256(append([]byte(purpose+"\x00"), aad...))
	return h[:]
}

func (s seals) Seal(purpose string, aad, plain []byte) ([]byte, error) {
	return append(s.tag(purpose, aad), plain...), nil
}

func (s seals) Open(purpose string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < 32 || !bytes.Equal(sealed[:32], s.tag(purpose, aad)) {
		return nil, errors.New("sealed for something else")
	}
	return sealed[32:], nil
}

func (s seals) SealUnder(_, aad, plain []byte) ([]byte, error) { return s.Seal("under", aad, plain) }

func (s seals) OpenUnder(_, aad, sealed []byte) ([]byte, error) { return s.Open("under", aad, sealed) }

type deriver struct{}

func (deriver) Derive(_ context.Context, label string, msg []byte) (out [32]byte, err error) {
	m := hmac.New(sha256.New, []byte(label))
	m.Write(msg)
	m.Sum(out[:0])
	return out, nil
}

// stores keeps everything in memory, by the contracts of the interfaces. Its nth
// call can be made to fail, before or after it took effect.
type stores struct {
	mu        sync.Mutex
	flows     map[FlowID]Flow
	sessions  map[[32]byte]Session
	joined    []Participant
	once      map[string]bool
	ended     map[SessionID]bool
	revoked   []GrantID
	people    map[[32]byte]identity.Person
	confirmed map[identity.PersonID]time.Time
	blocked   []preferences.Choice // by everybody

	blockedDown bool
	receipts    []consent.Receipt
	standing    map[string]*consent.Standing
	entries     []audit.Entry

	calls, failAt          int
	failAfter              bool
	withdrawn, recordsDown bool
	onAdvance              func() // called once, after an Advance took effect

	onParticipants func() // called with the lock held
}

var errDown = errors.New("store is down")

func (s *stores) do(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.calls == s.failAt && !s.failAfter {
		return errDown
	}
	err := f()
	if s.calls == s.failAt {
		return errDown
	}
	return err
}

func (s *stores) List(context.Context, identity.PersonID) (out preferences.Providers, err error) {
	return out, s.do(func() error {
		out = preferences.NewProviders(s.blocked...)
		if s.blockedDown {
			return errDown
		}
		return nil
	})
}

func (s *stores) Create(_ context.Context, f Flow) error {
	return s.do(func() error { s.flows[f.ID] = f; return nil })
}

func (s *stores) Load(_ context.Context, id FlowID, now time.Time) (f Flow, err error) {
	return f, s.do(func() error {
		var ok bool
		if f, ok = s.flows[id]; !ok || !now.Before(f.Expires) {
			f = Flow{}
			return ErrNoFlow
		}
		return nil
	})
}

func (s *stores) Advance(ctx context.Context, from Stage, next Flow) error {
	return s.do(func() error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now, ok := s.flows[next.ID]
		if !ok || now.Stage != from || now.Revision != next.Revision-1 {
			return ErrStale
		}
		s.flows[next.ID] = next
		if s.onAdvance != nil {
			s.onAdvance()
			s.onAdvance = nil
		}
		return nil
	})
}

func (s *stores) PutSession(_ context.Context, x Session) error {
	return s.do(func() error {
		if s.ended[x.ID] {
			return ErrNoSession
		}
		s.sessions[x.Digest] = x
		return nil
	})
}

func (s *stores) Join(_ context.Context, p Participant) error {
	return s.do(func() error {
		if s.ended[p.Session] {
			return ErrNoSession
		}
		s.joined = append(s.joined, p)
		return nil
	})
}

func (s *stores) Participants(_ context.Context, id SessionID) (out []Participant, err error) {
	return out, s.do(func() error {
		for _, p := range s.joined {
			if p.Session == id {
				out = append(out, p)
			}
		}
		if s.onParticipants != nil {
			s.onParticipants()
		}
		return nil
	})
}

func (s *stores) EndSession(_ context.Context, d [32]byte, id SessionID, _ time.Time) (out []Participant, err error) {
	return out, s.do(func() error {
		s.ended[id] = true
		delete(s.sessions, d)
		rest := []Participant{}
		for _, p := range s.joined {
			if p.Session != id {
				rest = append(rest, p)
				continue
			}
			s.revoked = append(s.revoked, p.Grant)
			out = append(out, p)
		}
		s.joined = rest
		return nil
	})
}

func (s *stores) GetSession(_ context.Context, d [32]byte, now time.Time) (x Session, err error) {
	return x, s.do(func() error {
		var ok bool
		if x, ok = s.sessions[d]; !ok || !now.Before(x.Expires) || s.ended[x.ID] {
			return ErrNoSession
		}
		return nil
	})
}

func (s *stores) SessionsFrom(_ context.Context, u Upstream, limit int, now time.Time) (out []Session, err error) {
	return out, s.do(func() error {
		for _, x := range s.sessions {
			named := (u.Subject == nil || bytes.Equal(u.Subject, x.From.Subject)) && (u.Session == nil || bytes.Equal(u.Session, x.From.Session))
			if named && len(out) < limit && now.Before(x.Expires) && !s.ended[x.ID] {
				out = append(out, x)
			}
		}
		return nil
	})
}

func (s *stores) Consume(_ context.Context, kind, id string, until, now time.Time) (first bool, err error) {
	return first, s.do(func() error {
		if !until.After(now) {
			return errors.New("its time is over")
		}
		first = !s.once[kind+" "+id]
		s.once[kind+" "+id] = true
		return nil
	})
}

func (s *stores) DeleteSession(_ context.Context, d [32]byte) error {
	return s.do(func() error { delete(s.sessions, d); return nil })
}

func (s *stores) Resolve(_ context.Context, alias [32]byte, candidate identity.Person, _ time.Time) (p identity.Person, err error) {
	return p, s.do(func() error {
		if _, ok := s.people[alias]; !ok {
			s.people[alias] = candidate
		}
		p = s.people[alias]
		return nil
	})
}

func (s *stores) JoinAliases(_ context.Context, a, b [32]byte, candidate identity.Person, _ time.Time) (p identity.Person, err error) {
	return p, s.do(func() error {
		first, knownA := s.people[a]
		second, knownB := s.people[b]
		switch {
		case knownA && knownB && first.ID != second.ID:
			return identity.ErrAmbiguous
		case knownA:
			p = first
		case knownB:
			p = second
		default:
			p = candidate
		}
		s.people[a], s.people[b] = p, p
		return nil
	})
}

func (s *stores) Confirm(_ context.Context, id identity.PersonID, at time.Time) error {
	return s.do(func() error { s.confirmed[id] = at; return nil })
}

func (s *stores) Confirmed(_ context.Context, alias [32]byte) (at time.Time, err error) {
	return at, s.do(func() error { at = s.confirmed[s.people[alias].ID]; return nil })
}

func (s *stores) Unconfirm(_ context.Context, alias [32]byte) error {
	return s.do(func() error { delete(s.confirmed, s.people[alias].ID); return nil })
}

func (s *stores) AppendEntries(_ context.Context, e ...audit.Entry) error {
	return s.do(func() error { s.entries = append(s.entries, e...); return nil })
}

func (s *stores) Record(ctx context.Context, r consent.Receipt, st *consent.Standing, e audit.Entry, _ ...consent.Ended) error {
	return s.do(func() error {
		if s.recordsDown || ctx.Err() != nil {
			return errDown
		}
		if r.Act == consent.Reused && s.withdrawn {
			return consent.ErrMoved
		}
		s.receipts, s.entries = append(s.receipts, r), append(s.entries, e)
		if st != nil {
			s.standing[st.Person.String()+string(st.Client)] = st
		}
		return nil
	})
}

func (s *stores) Standing(_ context.Context, p identity.PersonID, c protocol.ClientID, now time.Time) (st *consent.Standing, err error) {
	return st, s.do(func() error {
		if st = s.standing[p.String()+string(c)]; st != nil && !now.Before(st.Until) {
			st = nil
		}
		return nil
	})
}

// allows reports whether a grant is on record: a receipt with its id, the same
// claims, and the receipt's audit entry.
func (s *stores) allows(g Grant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.receipts {
		if r.Grant == string(g.ID) && r.Client == g.Client && slices.Equal(sorted(r.Released), g.Released.Names()) {
			return slices.ContainsFunc(s.entries, func(e audit.Entry) bool { return e.ID == r.Audit })
		}
	}
	return false
}

func sorted(claims []protocol.Claim) []protocol.Claim {
	var out []protocol.Claim
	for _, c := range protocol.Claims() {
		if slices.Contains(claims, c) {
			out = append(out, c)
		}
	}
	return out
}

func (s *stores) record() []consent.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.receipts)
}

// trail is the audit log as "kind outcome rule claims".
func (s *stores) trail(t testing.TB) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.entries {
		var p audit.Public
		must(t, json.Unmarshal(e.Public, &p))
		out = append(out, strings.TrimSpace(strings.Join([]string{string(p.Kind), p.Outcome, p.Rule, strings.Join(p.Claims, ",")}, " ")))
	}
	return out
}

// browser keeps cookies, in the order in which it got them, and follows redirects
// only when told to.
type browser struct {
	w    *world
	mu   sync.Mutex
	jar  []*http.Cookie
	flow FlowID

	caution protocol.ACR // a proxy warns of its requests
}

func (w *world) browser() *browser { return &browser{w: w} }

func (b *browser) header() http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &http.Request{Header: http.Header{}}
	for _, c := range b.jar {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	r.Header.Set("X-Caution", string(b.caution))
	return r.Header
}

func (b *browser) keep(set []*http.Cookie) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range set {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			b.w.t.Errorf("cookie %s is not as FB-09 wants it: %+v", c.Name, c)
		}
		at := slices.IndexFunc(b.jar, func(o *http.Cookie) bool { return o.Name == c.Name })
		switch {
		case c.MaxAge < 0 && at >= 0:
			b.jar = slices.Delete(b.jar, at, at+1)
		case c.MaxAge < 0:
		case at >= 0:
			b.jar[at] = c
		default:
			b.jar = append(b.jar, c)
		}
	}
}

func (b *browser) cookie(name string) string {
	for _, c := range named(b.header(), name) {
		return c.Value
	}
	return ""
}

// reply is an answer in the words of a test.
type reply struct {
	Status  int
	To      string // Location
	Choose  *web.ChoosePage
	Consent *web.ConsentPage
	Leave   *web.LeavePage
	Flaws   *web.FlawsPage
	Wait    *web.WaitPage
	Error   *struct {
		Code web.Code
		Back string
	}
}

func (r reply) code() string {
	u, err := url.Parse(r.To)
	if err != nil {
		return ""
	}
	return u.Query().Get("code")
}

func (b *browser) send(r *http.Request) reply {
	for _, c := range cookies(b.header()) {
		r.AddCookie(c)
	}
	r.Header.Set("X-Caution", string(b.caution))
	rec := httptest.NewRecorder()
	b.w.mux.ServeHTTP(rec, r)
	b.keep(rec.Result().Cookies())
	out := reply{Status: rec.Code, To: rec.Header().Get("Location")}
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			b.w.t.Fatalf("%s %s: %v: %s", r.Method, r.URL.Path, err, rec.Body)
		}
	}
	return out
}

func (b *browser) get(target string) reply {
	return b.send(httptest.NewRequest("GET", target, nil))
}

func (b *browser) post(target string, form url.Values) reply {
	r := httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(r)
}

// start presses the service's button.
func (b *browser) start(req protocol.AuthRequest) (string, error) {
	b.w.t.Helper()
	started, err := b.w.service.Start(context.Background(), req, b.header())
	if err != nil {
		return "", err
	}
	b.keep(started.Cookies)
	name, _ := strings.CutPrefix(started.Cookies[0].Name, flowCookiePrefix)
	b.flow = FlowID(name)
	return started.URL, nil
}

func (b *browser) mustStart(req protocol.AuthRequest) string {
	b.w.t.Helper()
	to, err := b.start(req)
	must(b.w.t, err)
	return to
}

func (b *browser) choice() string { return choicePath(b.flow) }

// pick chooses a provider and returns the state that went there.
func (b *browser) pick(id string) string {
	b.w.t.Helper()
	r := b.post(b.choice()+"/provider", url.Values{"provider": {id}})
	return stateIn(b.w.t, r.To)
}

func stateIn(t testing.TB, location string) string {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || u.Query().Get("state") == "" {
		t.Fatalf("not on the way to a provider: %q", location)
	}
	return u.Query().Get("state")
}

// signIn comes back from a provider as somebody.
func (b *browser) signIn(provider, state, who string) reply {
	return b.get("/callback/" + provider + "?" + url.Values{"state": {state}, "code": {who}}.Encode())
}

// identify goes from the button to the question.
func (b *browser) identify(req protocol.AuthRequest, provider, who string) reply {
	b.w.t.Helper()
	b.mustStart(req)
	return b.signIn(provider, b.pick(provider), who)
}

func (b *browser) agree(ticked ...string) reply {
	b.w.t.Helper()
	page := b.get(b.choice() + "/consent")
	if page.Consent == nil {
		b.w.t.Fatalf("no question: %+v", page)
	}
	return b.post(page.Consent.Action, url.Values{"answer": {"agree"}, "claim": ticked})
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want)
	if g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}
