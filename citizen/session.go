package citizen

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
	"github.com/voussoir-id/voussoir/web"
)

// Cookies of the space. __Host-: nobody can plant one from a subdomain, from a path or
// without TLS.
const (
	startCookie   = "__Host-voussoir-me-start"
	sessionCookie = "__Host-voussoir-me"
)

const (
	sealCode    = "citizen/code"
	sealSession = "citizen/session"
	kindCode    = "citizen-code"
)

const maxCode = 2048 // characters

// proof is what a code says: who has signed in, and for which start.
type proof struct {
	ID      string
	Person  string
	SealKey []byte
	Start   string // base64url digest of the start cookie, the nonce of the request
	Issued  time.Time
}

// visitor is who a session belongs to.
type visitor struct {
	Person   identity.Person
	SignedIn time.Time
	id       login.SessionID
	digest   [32]byte
}

// signIn begins a visit of the broker itself. The nonce ties its answer to this browser.
func (s *Space) signIn(w http.ResponseWriter, r *http.Request) error {
	handle := random(32)
	started, err := s.Start(r.Context(), protocol.AuthRequest{
		ClientID: Client, RedirectURI: s.Issuer + PathReturn, ResponseMode: protocol.ModeQuery,
		Scopes: []protocol.Scope{protocol.OpenID}, Nonce: fingerprint(handle), State: fingerprint(handle),
	}, r.Header)
	if err != nil {
		var refused *protocol.Error
		if errors.As(err, &refused) { // no provider is there to sign in with
			return web.Fail(web.Unavailable, err)
		}
		return err
	}
	for _, c := range started.Cookies {
		http.SetCookie(w, c)
	}
	http.SetCookie(w, cookie(startCookie, handle, int(startTTL/time.Second)))
	seeOther(w, started.URL)
	return nil
}

// Code is the answer to a visit of the broker itself: it proves, once and for half a
// minute, that the person of g has signed in. It is worth something only in the browser
// that began.
func (s *Space) Code(g login.Grant) (string, error) {
	plain, err := json.Marshal(proof{ID: random(16), Person: g.Person, SealKey: g.SealKey, Start: g.Nonce, Issued: s.Now()})
	if err != nil {
		return "", errors.New("encode the proof of a sign-in")
	}
	sealed, err := s.Sealer.Seal(sealCode, nil, plain)
	if err != nil {
		return "", fmt.Errorf("seal the proof of a sign-in: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// comeBack begins a session under a new handle, whatever the browser had before: a handle
// that somebody planted is worth nothing (session fixation).
func (s *Space) comeBack(w http.ResponseWriter, r *http.Request) error {
	if r.FormValue("error") != "" { // she turned back
		seeOther(w, PathMe)
		return nil
	}
	p, ok := s.proven(r)
	if !ok {
		return web.Fail(web.FlowNotYours, nil)
	}
	first, err := s.Once.Consume(r.Context(), kindCode, p.ID, s.Now().Add(2*codeTTL), s.Now())
	if err != nil {
		return fmt.Errorf("use up the proof of a sign-in: %w", err)
	}
	if !first {
		return web.Fail(web.AlreadyAnswered, nil)
	}
	person, err := identity.ParsePersonID(p.Person)
	if err != nil {
		return errors.New("the proof of a sign-in names nobody")
	}
	if err := s.end(r.Context(), r); err != nil {
		return err
	}
	handle := random(32)
	v := visitor{Person: identity.Person{ID: person, SealKey: p.SealKey}, SignedIn: p.Issued, id: login.SessionID(random(16)), digest: sum(handle)}
	if err := s.put(r.Context(), v); err != nil {
		return err
	}
	http.SetCookie(w, cookie(startCookie, "", -1))
	http.SetCookie(w, cookie(sessionCookie, handle, 0))
	seeOther(w, PathMe)
	return nil
}

// proven opens the code of a request. false: it is none of ours, too old, or was not
// begun in this browser.
func (s *Space) proven(r *http.Request) (proof, bool) {
	var p proof
	code := r.FormValue("code")
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if len(code) > maxCode || err != nil {
		return p, false
	}
	plain, err := s.Sealer.Open(sealCode, nil, sealed)
	if err != nil || json.Unmarshal(plain, &p) != nil {
		return p, false
	}
	age := s.Now().Sub(p.Issued)
	if age < 0 || age > codeTTL || s.Barred(p.Person, p.Issued) {
		return p, false
	}
	for _, c := range r.CookiesNamed(startCookie) {
		if subtle.ConstantTimeCompare([]byte(fingerprint(c.Value)), []byte(p.Start)) == 1 {
			return p, true
		}
	}
	return p, false
}

func (s *Space) put(ctx context.Context, v visitor) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return errors.New("encode a session")
	}
	sealed, err := s.Sealer.Seal(sealSession, v.digest[:], plain)
	if err != nil {
		return fmt.Errorf("seal a session: %w", err)
	}
	err = s.Sessions.PutSession(ctx, login.Session{Digest: v.digest, ID: v.id, Sealed: sealed, Expires: v.SignedIn.Add(sessionTTL)})
	if err != nil {
		return fmt.Errorf("keep a session: %w", err)
	}
	return nil
}

// visitor is who is signed in, or nil. An error means that we do not know.
func (s *Space) visitor(r *http.Request) (*visitor, error) {
	for _, c := range r.CookiesNamed(sessionCookie) {
		digest := sum(c.Value)
		stored, err := s.Sessions.GetSession(r.Context(), digest, s.Now())
		if errors.Is(err, login.ErrNoSession) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("load a session: %w", err)
		}
		v := &visitor{id: stored.ID, digest: digest}
		plain, err := s.Sealer.Open(sealSession, digest[:], stored.Sealed)
		if err != nil || json.Unmarshal(plain, v) != nil {
			continue // made under a key that is gone: she signs in again
		}
		// Whoever was taken out of service, or has closed her record, is signed in nowhere.
		if !s.Now().Before(v.SignedIn.Add(sessionTTL)) || s.Barred(v.Person.ID.String(), v.SignedIn) {
			continue
		}
		return v, nil
	}
	return nil, nil
}

// recently reports whether a sign-in is new enough for a grave act.
func (s *Space) recently(v *visitor) bool { return s.Now().Sub(v.SignedIn) <= recent }

func (s *Space) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.end(r.Context(), r); err != nil {
		return err
	}
	http.SetCookie(w, cookie(sessionCookie, "", -1))
	seeOther(w, PathMe)
	return nil
}

// end ends the session of the browser, if it has one.
func (s *Space) end(ctx context.Context, r *http.Request) error {
	v, err := s.visitor(r)
	if err != nil || v == nil {
		return err
	}
	if _, err := s.Sessions.EndSession(ctx, v.digest, v.id, s.Now().Add(sessionTTL)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(b)
}

func sum(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func fingerprint(text string) string {
	d := sum(text)
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// cookie makes one of ours. Lax: the way back from a provider is a link from another site.
func cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
