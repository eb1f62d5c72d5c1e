package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// paper is a token that signs with the digest itself.
type paper struct {
	mu   sync.Mutex
	keys []Key
	err  error
	hold chan struct{} // if not nil, Sign waits for it
}

func (p *paper) Keys(context.Context) ([]Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys, p.err
}

func (p *paper) Generate(_ context.Context, alg Alg) (Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := Key{Alg: alg, Public: []byte{byte(len(p.keys)), 1, 2, 3}}
	p.keys = append(p.keys, k)
	return k, p.err
}

func (p *paper) Sign(_ context.Context, _ Alg, id KeyID, digest [sha256.Size]byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold != nil {
		<-p.hold
	}
	if p.err != nil {
		return nil, p.err
	}
	for _, k := range p.keys {
		if k.ID() == id {
			return append([]byte("signed "), digest[:]...), nil
		}
	}
	return nil, ErrNoKey
}

func (p *paper) Destroy(_ context.Context, id KeyID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range p.keys {
		if k.ID() == id {
			p.keys = append(p.keys[:i:i], p.keys[i+1:]...)
			break
		}
	}
	return p.err
}

// desk is a server on a socket of its own.
type desk struct {
	socket string
	log    *bytes.Buffer
	stop   func() error // and wait
}

func serve(t *testing.T, socket string, token Token, uid uint32) *desk {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d, ended := &desk{socket: socket, log: &bytes.Buffer{}}, make(chan error, 1)
	log := slog.New(slog.NewJSONHandler(d.log, nil))
	go func() { ended <- Serve(ctx, l, ServerConfig{Token: token, UID: uid, Log: log, Now: time.Now}) }()
	d.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = d.stop() })
	return d
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func me() uint32 { return uint32(os.Geteuid()) }

func client(t *testing.T, socket string) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{Socket: socket, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientAndServer(t *testing.T) {
	token := &paper{}
	d := serve(t, socketPath(t), token, me())
	c := client(t, d.socket)
	made, err := c.Generate(t.Context(), PS256)
	if err != nil {
		t.Fatal(err)
	}
	if ks, err := c.Keys(t.Context()); err != nil || !reflect.DeepEqual(ks, []Key{made}) || made.Alg != PS256 {
		t.Errorf("Keys = %v, %v; made %v", ks, err, made)
	}
	digest := sha256.Sum256([]byte("x"))
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if sig, err := c.Sign(t.Context(), PS256, made.ID(), digest); err != nil || string(sig) != "signed "+string(digest[:]) {
				t.Errorf("Sign = %q, %v", sig, err)
			}
		})
	}
	wg.Wait()
	if _, err := c.Sign(t.Context(), PS256, KeyID{1}, digest); !errors.Is(err, ErrNoKey) {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := c.Sign(t.Context(), 9, made.ID(), digest); !errors.Is(err, ErrRefused) {
		t.Errorf("an unknown algorithm: %v", err)
	}
	if _, err := c.Generate(t.Context(), 0); !errors.Is(err, ErrRefused) {
		t.Errorf("a key for no algorithm: %v", err)
	}
	if err := errors.Join(c.Destroy(t.Context(), made.ID()), c.Destroy(t.Context(), made.ID())); err != nil {
		t.Error(err)
	}
	if ks, err := c.Keys(t.Context()); err != nil || len(ks) != 0 {
		t.Errorf("after Destroy: %v, %v", ks, err)
	}
	if err := d.stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServer_AnswersItsOneUserOnly(t *testing.T) {
	d := serve(t, socketPath(t), &paper{}, me()+1)
	if ks, err := client(t, d.socket).Keys(t.Context()); !errors.Is(err, ErrUnavailable) || ks != nil {
		t.Errorf("another user was answered: %v, %v", ks, err)
	}
	_ = d.stop()
	if !strings.Contains(d.log.String(), `"alarm":true`) {
		t.Errorf("no alarm: %s", d.log)
	}
}

func TestClient_FindsTheSignerAgain(t *testing.T) {
	socket, token := socketPath(t), &paper{}
	c := client(t, socket)
	if _, err := c.Keys(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody is there yet: %v", err)
	}
	for range 3 {
		d := serve(t, socket, token, me())
		var wg sync.WaitGroup
		for range 10 { // several connections are left behind
			wg.Go(func() {
				if _, err := c.Keys(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Keys(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("it is gone: %v", err)
		}
	}
}

// A token that hangs costs a caller its deadline and nothing more.
func TestClient_NobodyWaitsLongerThanTheDeadline(t *testing.T) {
	token := &paper{hold: make(chan struct{})}
	d := serve(t, socketPath(t), token, me())
	c := client(t, d.socket)
	var wg sync.WaitGroup
	for range 3 * defaultConns {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := c.Sign(ctx, ES256, KeyID{}, [32]byte{}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Sign: %v", err)
			}
		})
	}
	wg.Wait()
	close(token.hold)
}

func TestServer_EndsWhenItsTokenDoesNotWork(t *testing.T) {
	d := serve(t, socketPath(t), &paper{err: errors.New("CKR_DEVICE_REMOVED")}, me())
	c := client(t, d.socket)
	for range failuresInRow {
		if _, err := c.Keys(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("Keys: %v", err)
		}
	}
	if err := d.stop(); !errors.Is(err, ErrToken) {
		t.Errorf("Serve = %v, want ErrToken", err)
	}
}

func TestServer_RefusesWhatIsMalformed(t *testing.T) {
	d := serve(t, socketPath(t), &paper{}, me())
	frame := func(b ...byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	for name, b := range map[string][]byte{
		"nothing in it":          frame(),
		"another version":        frame(2, byte(opList)),
		"an unknown operation":   frame(1, 99),
		"a byte too many":        frame(1, byte(opList), 0),
		"a digest too short":     frame(append([]byte{1, byte(opSign), 1}, make([]byte, 63)...)...),
		"longer than a request":  frame(append([]byte{1, byte(opSign), 1}, make([]byte, 65)...)...),
		"64 KiB":                 frame(make([]byte, maxAnswer)...),
		"HTTP":                   []byte("GET / HTTP/1.1\r\n\r\n"),
		"an id without its keys": frame(1, byte(opDestroy)),
	} {
		conn, err := net.Dial("unix", d.socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(b) // the server may hang up before it has read it all
		answer, _ := io.ReadAll(conn)
		if !bytes.HasPrefix(answer, frame(1, byte(statusMalformed))) && len(answer) > 0 {
			t.Errorf("%s: answer %x", name, answer)
		}
		_ = conn.Close()
	}
	if _, err := client(t, d.socket).Keys(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// An answer of a process that is not ours must not harm the broker.
func TestClient_RefusesAStrangeAnswer(t *testing.T) {
	for name, answer := range map[string][]byte{
		"empty": {}, "another version": {2, 0}, "an unknown status": {1, 77},
		"more keys than said": {1, 0, 0, 1, 0, 0}, "fewer keys than said": {1, 0, 2, 1, 0, 0},
		"a key longer than the answer": {1, 0, 1, 1, 2, 0}, "an unknown algorithm": {1, 0, 1, 9, 0, 0}, "no count": {1, 0},
	} {
		socket := socketPath(t)
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = readFrame(conn, maxRequest, nil)
				_ = writeFrame(conn, answer)
				_ = conn.Close()
			}
		}()
		if ks, err := client(t, socket).Keys(t.Context()); !errors.Is(err, ErrUnavailable) || ks != nil {
			t.Errorf("%s: %v, %v", name, ks, err)
		}
		_ = l.Close()
	}
}

func TestAlg_NamesAreThoseOfRFC7518_3_1(t *testing.T) {
	for _, name := range []string{"ES256", "PS256", "RS256"} {
		if a, ok := ParseAlg(name); !ok || a.String() != name {
			t.Errorf("ParseAlg(%s) = %v, %v", name, a, ok)
		}
	}
	for _, name := range []string{"", "none", "EdDSA", "es256"} {
		if _, ok := ParseAlg(name); ok {
			t.Errorf("ParseAlg(%q) is ours", name)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(request{op: opSign, alg: ES256, id: KeyID{1}, digest: [32]byte{2}}.encode())
	f.Add(request{op: opList}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRequest(b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("%x became %x", b, r.encode())
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte{1, 1, 0, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		ks, err := parseKeys(b)
		if err != nil {
			return
		}
		if again, err := encodeKeys(ks); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x became %x, %v", b, again, err)
		}
	})
}
