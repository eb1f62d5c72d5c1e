package provider

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/identity"
	"github.com/voussoir-id/voussoir/login"
	"github.com/voussoir-id/voussoir/protocol"
)

// memory is GrantStore and OnceStore. fail makes the named call fail.
type memory struct {
	mu      sync.Mutex
	grants  map[Digest]StoredGrant
	once    map[string]bool
	revoked map[login.GrantID]bool
	gone    map[login.GrantID]bool // withdrawn
	fail    string
}

var errStore = errors.New("dial tcp 10.1.2.3:6379: connect: connection refused")

func (m *memory) failing(call string) error {
	if m.fail == call {
		return errStore
	}
	return nil
}

func (m *memory) PutGrant(_ context.Context, g StoredGrant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.grants[g.Digest] = g
	return m.failing("put " + string(g.Kind))
}

func (m *memory) GetGrant(_ context.Context, k GrantKind, d Digest, now time.Time) (StoredGrant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.grants[d]
	if !ok || g.Kind != k || m.revoked[g.Grant] || !now.Before(g.Expires) {
		return StoredGrant{}, cmp.Or(m.failing("get"), ErrNoGrant)
	}
	return g, m.failing("get")
}

func (m *memory) RevokeGrant(_ context.Context, id login.GrantID, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoked[id] = true
	return m.failing("revoke")
}

func (m *memory) WithdrawGrant(ctx context.Context, id login.GrantID, until time.Time) error {
	m.mu.Lock()
	if m.gone == nil {
		m.gone = map[login.GrantID]bool{}
	}
	m.gone[id] = true
	m.mu.Unlock()
	return m.RevokeGrant(ctx, id, until)
}

func (m *memory) Withdrawn(_ context.Context, id login.GrantID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone[id], m.failing("withdrawn")
}

func (m *memory) Consume(_ context.Context, kind, id string, _, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := !m.once[kind+" "+id]
	m.once[kind+" "+id] = true
	return first, m.failing("consume")
}

// memoryFamilies is RefreshStore; what it records goes to audit.
type memoryFamilies struct {
	mu       sync.Mutex
	families map[Digest]StoredFamily
	ended    map[login.GrantID]bool
	ends     map[protocol.ClientID]time.Time
	audit    *memoryAudit
	fail     string
}

func (m *memoryFamilies) failing(call string) error {
	if m.fail == call {
		return errStore
	}
	return nil
}

func (m *memoryFamilies) PutFamily(_ context.Context, f StoredFamily, granted time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.ends[f.Client]; m.ended[f.Grant] || ok && !granted.After(at) {
		return ErrFamilyEnded
	}
	m.families[f.Family] = f
	return m.failing("put")
}

func (m *memoryFamilies) GetFamily(_ context.Context, d Digest, now time.Time) (StoredFamily, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.families[d]
	if !ok || !now.Before(f.Expires) {
		return StoredFamily{}, cmp.Or(m.failing("get"), ErrNoFamily)
	}
	f.Ended = m.ended[f.Grant]
	return f, m.failing("get")
}

func (m *memoryFamilies) RotateFamily(_ context.Context, from Digest, next StoredFamily, now time.Time, e audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.families[next.Family]
	if !ok || f.Current != from || m.ended[f.Grant] || !now.Before(f.Expires) {
		return cmp.Or(m.failing("rotate"), ErrFamilyMoved)
	}
	if err := m.failing("rotate before"); err != nil {
		return err
	}
	m.families[next.Family] = next
	m.audit.put(e)
	return m.failing("rotate")
}

func (m *memoryFamilies) EndFamily(_ context.Context, id login.GrantID, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[id] = true
	return m.failing("end")
}

func (m *memoryFamilies) EndFamilies(_ context.Context, person identity.PersonID, client protocol.ClientID, now time.Time) ([]login.GrantID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends[client] = now // there is one person
	var out []login.GrantID
	for _, f := range m.families {
		if f.Person == person && f.Client == client {
			m.ended[f.Grant] = true
			out = append(out, f.Grant)
		}
	}
	return out, m.failing("end")
}

// memoryAudit keeps events; fail makes the kind fail.
type memoryAudit struct {
	mu     sync.Mutex
	events []audit.Event
	fail   audit.Kind
	during map[audit.Kind]func() // what happens while an entry is written
}

func (a *memoryAudit) Append(_ context.Context, e ...audit.Event) (audit.Receipt, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e[0].Public.Kind == a.fail {
		return audit.Receipt{}, errStore
	}
	if do := a.during[e[0].Public.Kind]; do != nil {
		do()
	}
	a.events = append(a.events, e...)
	return audit.Receipt{}, nil
}

// Prepare hides the event in an entry that put understands.
func (a *memoryAudit) Prepare(e audit.Event) (audit.Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Public.Kind == a.fail {
		return audit.Entry{}, errStore
	}
	b, err := json.Marshal(e)
	return audit.Entry{Public: b}, err
}

func (a *memoryAudit) put(e audit.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var event audit.Event
	must(json.Unmarshal(e.Public, &event))
	a.events = append(a.events, event)
}

// kinds is what is on record, in order, with its rule.
func (a *memoryAudit) kinds() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, e := range a.events {
		out = append(out, strings.TrimRight(string(e.Public.Kind)+":"+e.Public.Rule, ":"))
	}
	return strings.Join(out, " ")
}

// testKeys signs and seals as keys.Ring does: the header is a constant, the JWS is
// put together by hand.
type testKeys struct {
	ec   *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
	jwks []byte
	aead cipher.AEAD
	fail bool

	cannot error // what CanSign says
}

var sharedKeys = sync.OnceValue(func() *testKeys {
	var err error
	k := &testKeys{}
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	block, err := aes.NewCipher(make([]byte, 32))
	must(err)
	k.aead, err = cipher.NewGCM(block)
	must(err)
	k.jwks, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: k.ec.Public(), KeyID: "kid-ES256", Algorithm: "ES256", Use: "sig"},
		{Key: k.ed.Public(), KeyID: "kid-EdDSA", Algorithm: "EdDSA", Use: "sig"},
	}})
	must(err)
	return k
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (k *testKeys) Sign(_ context.Context, alg, typ string, payload []byte) (string, error) {
	if k.fail {
		return "", errors.New("no such key")
	}
	signed := base64.RawURLEncoding.AppendEncode(nil, []byte(`{"alg":"`+alg+`","kid":"kid-`+alg+`","typ":"`+typ+`"}`))
	signed = base64.RawURLEncoding.AppendEncode(append(signed, '.'), payload)
	var signature []byte
	switch alg {
	case "ES256":
		sum := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, k.ec, sum[:])
		if err != nil {
			return "", err
		}
		signature = make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	case "EdDSA":
		signature = ed25519.Sign(k.ed, signed)
	default:
		return "", errors.New("no such key")
	}
	return string(base64.RawURLEncoding.AppendEncode(append(signed, '.'), signature)), nil
}

func (k *testKeys) Derive(_ context.Context, label string, msg []byte) ([32]byte, error) {
	if k.fail {
		return [32]byte{}, errors.New("no such key")
	}
	return sha256.Sum256(append([]byte(label+"\x00"), msg...)), nil
}

func (k *testKeys) CanSign(context.Context, string) error { return k.cannot }

func (k *testKeys) JWKS() ([]byte, string) { return k.jwks, "jwks-1" }

func (k *testKeys) Seal(purpose string, aad, plaintext []byte) ([]byte, error) {
	nonce := make([]byte, 12)
	_, _ = rand.Read(nonce)
	return k.aead.Seal(nonce, nonce, plaintext, append([]byte(purpose+"\x00"), aad...)), nil
}

func (k *testKeys) Open(purpose string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < 12 {
		return nil, errors.New("too short")
	}
	return k.aead.Open(nil, sealed[:12], sealed[12:], append([]byte(purpose+"\x00"), aad...))
}

// clientKey is the key of the client "jwt".
var clientKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return k
})

func clientJWKS() json.RawMessage {
	public := jose.JSONWebKey{Key: clientKey().Public(), KeyID: "c1", Algorithm: "ES256", Use: "sig"}
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	must(err)
	return b
}

// lockedBuffer collects the first MiB of log lines.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		return len(p), nil
	}
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
