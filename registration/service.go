package registration

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/outbound"
	"github.com/voussoir-id/voussoir/protocol"
)

// maxSectorFile bounds what is read at a sector_identifier_uri, in bytes.
const maxSectorFile = 64 << 10

// Config is what New needs; all but Loopback.
type Config struct {
	Endpoint string // where services register, such as https://id.example.org/register
	Store    Store
	Audit    Recorder
	Book     Book
	Fetch    *http.Client // of room outbound: for sector_identifier_uri
	Loopback bool         // http on loopback hosts is allowed, for development
	Now      func() time.Time
}

// Service registers services. Safe for concurrent use.
type Service struct{ cfg Config }

// New refuses a missing collaborator.
func New(cfg Config) (*Service, error) {
	if cfg.Endpoint == "" || cfg.Store == nil || cfg.Audit == nil || cfg.Book == nil || cfg.Fetch == nil || cfg.Now == nil {
		return nil, errors.New("registration: the endpoint, a store, an audit log, a book, an HTTP client or a clock is missing")
	}
	return &Service{cfg: cfg}, nil
}

// Open reports whether somebody may register now. Otherwise there is no endpoint.
func (s *Service) Open() bool { return len(s.cfg.Book.Tokens()) > 0 }

// Register makes a service of what its developer says (RFC 7591 section 3.1) and
// returns the client information response, with the only copies of its secret and
// its registration access token.
func (s *Service) Register(ctx context.Context, initial string, body map[string]json.RawMessage) ([]byte, error) {
	token, ok := s.initial(initial)
	if !ok {
		return nil, errToken()
	}
	m, err := Read(body, s.cfg.Loopback)
	if err != nil {
		return nil, err
	}
	access, now := newSecret(), s.cfg.Now().UTC().Truncate(time.Microsecond)
	r := Registration{ID: newID(), Initial: token.ID, Issued: now, Changed: now, Access: sha256.Sum256([]byte(access))}
	secret := r.mint(m)
	if r.Metadata, err = s.settled(ctx, r, m); err != nil {
		return nil, err
	}
	entry, err := s.cfg.Audit.Prepare(event(audit.ClientRegistered, r, ""))
	if err != nil {
		return nil, unavailable(err)
	}
	err = s.cfg.Book.Put(r, func() error { return s.cfg.Store.AddRegistration(ctx, r, token.Max, entry) })
	if errors.Is(err, ErrFull) {
		return nil, protocol.Fail(protocol.AccessDenied, err, "this token has registered as many clients as it may")
	}
	if err != nil {
		return nil, spoken(err)
	}
	return s.answer(r, secret, access)
}

// Read returns what a service has registered (RFC 7592 section 2.1). Its secret is
// not in the answer: we do not know it.
func (s *Service) Read(_ context.Context, id protocol.ClientID, access string) ([]byte, error) {
	r, ok := s.find(id, access)
	if !ok {
		return nil, errToken()
	}
	return s.answer(r, "", access)
}

// Update replaces all that a service has registered (RFC 7592 section 2.2). A new
// secret comes into being only when it had none and now needs one.
func (s *Service) Update(ctx context.Context, id protocol.ClientID, access string, body map[string]json.RawMessage) ([]byte, error) {
	r, ok := s.find(id, access)
	if !ok {
		return nil, errToken()
	}
	if err := r.mayReplace(body); err != nil {
		return nil, err
	}
	m, err := Read(body, s.cfg.Loopback)
	if err != nil {
		return nil, err
	}
	if was := r.metadata().Sector(); m["redirect_uris"] != nil && m.Sector() != was {
		// People would be strangers to the service from one day to the next.
		return nil, invalid("sector_identifier_uri", "the sector of a client cannot change: register another client")
	}
	secret := ""
	switch {
	case !m.hasSecret():
		r.Secret = nil
	case r.Secret == nil:
		secret = r.mint(m)
	}
	r.Changed = s.cfg.Now().UTC().Truncate(time.Microsecond)
	if r.Metadata, err = s.settled(ctx, r, m); err != nil {
		return nil, err
	}
	entry, err := s.cfg.Audit.Prepare(event(audit.ClientUpdated, r, ""))
	if err != nil {
		return nil, unavailable(err)
	}
	err = s.cfg.Book.Put(r, func() error { return s.cfg.Store.ReplaceRegistration(ctx, r, entry) })
	if errors.Is(err, ErrUnknown) {
		return nil, errToken() // removed in the meantime
	}
	if err != nil {
		return nil, spoken(err)
	}
	return s.answer(r, secret, access)
}

// Delete ends a service (RFC 7592 section 2.3): what it holds of codes and tokens is
// worth nothing from then on, since no client is there to use it.
func (s *Service) Delete(ctx context.Context, id protocol.ClientID, access string) error {
	r, ok := s.find(id, access)
	if !ok {
		return errToken()
	}
	entry, err := s.cfg.Audit.Prepare(event(audit.ClientDeleted, r, ""))
	if err != nil {
		return unavailable(err)
	}
	err = s.cfg.Book.Drop(id, func() error { return s.cfg.Store.RemoveRegistration(ctx, id, entry) })
	if errors.Is(err, ErrUnknown) {
		return errToken()
	}
	if err != nil {
		return spoken(err)
	}
	return nil
}

// Removed is the event of an operator's removing r.
func Removed(r Registration) audit.Event { return event(audit.ClientDeleted, r, "operator") }

func event(kind audit.Kind, r Registration, rule string) audit.Event {
	return audit.Event{Public: audit.Public{Kind: kind, Client: string(r.ID), Object: r.Initial, Rule: rule, Outcome: "ok"}}
}

// settled is the metadata that r will have, as JSON: checked as strictly as the
// configuration, and vouched for by its sector.
func (s *Service) settled(ctx context.Context, r Registration, m Metadata) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, errors.New("encode client metadata")
	}
	r.Metadata = body
	if m, err = s.cfg.Book.Check(r); err != nil {
		return nil, err
	}
	if m["sector_identifier_uri"] != nil {
		if err := s.vouched(ctx, m); err != nil {
			return nil, err
		}
	}
	return json.Marshal(m)
}

// vouched fetches the sector_identifier_uri, now and at no other time: its host must
// list all redirect URIs, or anybody could register into the sector of another
// service and know its people by the same subjects (OpenID Connect Registration
// section 5).
func (s *Service) vouched(ctx context.Context, m Metadata) error {
	const member = "sector_identifier_uri"
	answer, err := outbound.Get(ctx, s.cfg.Fetch, m.text(member), "application/json", maxSectorFile)
	if err != nil || answer.Status != http.StatusOK {
		return protocol.Fail(protocol.InvalidClientMetadata, err, member+": nothing could be fetched there")
	}
	if t, _, err := mime.ParseMediaType(answer.ContentType); err != nil || t != "application/json" {
		return invalid(member, "what is there is not application/json")
	}
	var listed []string
	if json.Unmarshal(answer.Body, &listed) != nil {
		return invalid(member, "what is there is not a JSON array of texts")
	}
	for _, uri := range m.list("redirect_uris") {
		if !slices.Contains(listed, uri) {
			return invalid(member, "a redirect URI is not in the list that is there")
		}
	}
	return nil
}

// initial finds an initial access token. It compares with all of them, whatever it
// finds, so that the time tells nothing.
func (s *Service) initial(presented string) (Token, bool) {
	digest, found, ok := sha256.Sum256([]byte(presented)), Token{}, false
	for _, t := range s.cfg.Book.Tokens() {
		if subtle.ConstantTimeCompare(t.SHA256[:], digest[:]) == 1 && presented != "" {
			found, ok = t, t.Expires.IsZero() || s.cfg.Now().Before(t.Expires)
		}
	}
	return found, ok
}

// find returns the registration that access manages. A client that is unknown and a
// token that is wrong are the same answer, after the same comparison.
func (s *Service) find(id protocol.ClientID, access string) (Registration, bool) {
	r, known := s.cfg.Book.Find(id)
	digest := sha256.Sum256([]byte(access))
	match := subtle.ConstantTimeCompare(r.Access[:], digest[:]) == 1
	return r, known && match && access != ""
}

// newID is random: it meets no other id, in the configuration or not.
func newID() protocol.ClientID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return protocol.ClientID(hex.EncodeToString(b[:]))
}

func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// mint gives r a secret if its method needs one, and returns the only copy.
func (r *Registration) mint(m Metadata) string {
	if !m.hasSecret() {
		return ""
	}
	secret := newSecret()
	digest := sha256.Sum256([]byte(secret))
	r.Secret = digest[:]
	return secret
}

func (r *Registration) metadata() Metadata {
	var m Metadata
	_ = json.Unmarshal(r.Metadata, &m) // we wrote it
	return m
}

// mayReplace checks the members that an update carries beside the metadata (RFC 7592
// section 2.2): its own client_id, its own secret if any, and none of those that only
// we can say.
func (r *Registration) mayReplace(body map[string]json.RawMessage) error {
	var id, secret string
	if json.Unmarshal(body["client_id"], &id) != nil || id != string(r.ID) {
		return protocol.Fail(protocol.InvalidRequest, nil, "client_id is missing, or another one")
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if body[name] != nil {
			return protocol.Fail(protocol.InvalidRequest, nil, name+" must not be sent")
		}
	}
	if body["client_secret"] == nil {
		return nil
	}
	err := json.Unmarshal(body["client_secret"], &secret)
	digest := sha256.Sum256([]byte(secret))
	if err != nil || r.Secret == nil || subtle.ConstantTimeCompare(r.Secret, digest[:]) != 1 {
		return protocol.Fail(protocol.InvalidRequest, nil, "client_secret is not the one that was issued")
	}
	return nil
}

// answer is the client information response (RFC 7591 section 3.2.1, RFC 7592
// section 3). secret is "" unless it is new.
func (s *Service) answer(r Registration, secret, access string) ([]byte, error) {
	m := r.metadata()
	m["client_id"] = encode(string(r.ID))
	m["client_id_issued_at"] = encode(r.Issued.Unix())
	m["registration_access_token"] = encode(access)
	m["registration_client_uri"] = encode(s.cfg.Endpoint + "/" + string(r.ID))
	if secret != "" {
		m["client_secret"] = encode(secret)
	}
	if r.Secret != nil {
		m["client_secret_expires_at"] = encode(int64(0)) // it does not expire
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, errors.New("encode client information") // the cause could quote a secret
	}
	return b.Bytes(), nil
}

// errToken is the answer to every token that is not the right one (RFC 6750 section
// 3.1, RFC 7592 section 2).
func errToken() *protocol.Error {
	return protocol.Fail(protocol.InvalidToken, errors.New("initial or registration access token unknown, expired or of another client"), "the access token is not valid")
}

// spoken leaves answers in the protocol's words alone; for the rest nobody knows.
func spoken(err error) error {
	if p, ok := errors.AsType[*protocol.Error](err); ok {
		return p
	}
	return unavailable(err)
}

func unavailable(err error) *protocol.Error {
	return protocol.Fail(protocol.TemporarilyUnavailable, fmt.Errorf("registration: %w", err), "try again in a few seconds")
}
