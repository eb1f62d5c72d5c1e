package journeys

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/voussoir-id/voussoir/signer"
)

// hsm is a SoftHSM2 token of its own, and the process that signs with it.
type hsm struct {
	t            *testing.T
	bin, module  string
	conf, socket string
	pin          string // file
	proc         *process
}

// newHSM makes a token; the signer does not run yet.
func newHSM(t *testing.T) *hsm {
	t.Helper()
	need(t, "softhsm2-util", "SoftHSM2")
	need(t, "gcc", "a C compiler (PKCS #11 needs cgo)")
	modules, err := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	if err != nil || len(modules) == 0 {
		modules = []string{"/usr/lib/softhsm/libsofthsm2.so"}
	}
	dir := t.TempDir()
	h := &hsm{t: t, bin: filepath.Join(dir, "voussoir-signer"), module: modules[0], conf: filepath.Join(dir, "softhsm2.conf"), pin: filepath.Join(dir, "pin")}
	run, err := os.MkdirTemp("", "hsm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	h.socket = filepath.Join(run, "signer.sock")
	tokens := filepath.Join(dir, "tokens")
	if err := errors.Join(os.Mkdir(tokens, 0o700), os.WriteFile(h.pin, []byte("12345678\n"), 0o600),
		os.WriteFile(h.conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command("softhsm2-util", "--init-token", "--free", "--label", "voussoir", "--pin", "12345678", "--so-pin", "87654321"),
		exec.Command("go", "build", "-C", "../cmd/voussoir-signer", "-o", h.bin, "."),
	} {
		cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+h.conf, "CGO_ENABLED=1")
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, msg)
		}
	}
	return h
}

// start starts the signer and waits until it answers.
func (h *hsm) start() {
	h.t.Helper()
	h.proc = launch(h.t, []string{"SOFTHSM2_CONF=" + h.conf}, "", h.bin,
		"-module", h.module, "-token-label", "voussoir", "-pin-file", h.pin, "-socket", h.socket)
	eventually(h.t, "the signer answers", func() bool { _, err := h.keys(); return err == nil })
}

// kill kills it where it stands.
func (h *hsm) kill() {
	_ = h.proc.cmd.Process.Signal(syscall.SIGKILL)
	<-h.proc.done
}

// keys is what the token holds.
func (h *hsm) keys() ([]signer.Key, error) {
	c, err := signer.NewClient(signer.ClientConfig{Socket: h.socket})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Keys(h.t.Context())
}

// behind restarts the broker of w on a new data folder, with its signing keys in h.
func (h *hsm) behind(w *faultWorld, tag string, env ...string) {
	h.t.Helper()
	w.proc.stop()
	if err := os.RemoveAll(w.data); err != nil {
		h.t.Fatal(err)
	}
	text := strings.Replace(w.config(), "providers:\n", "keys: { signer: { socket: "+h.socket+" } }\nproviders:\n", 1)
	text = strings.Replace(text, "sector: court.example,", "sector: court.example, id_token_signed_response_alg: PS256,", 1)
	w.write(text)
	w.proc = launch(h.t, env, w.broker+"/healthz", binary(h.t, tag), "serve", "--config", w.file)
}

// readyz is the status and the text.
func (w *faultWorld) readyz() (int, string) {
	w.t.Helper()
	resp, err := w.library.http.Get(w.broker + "/readyz")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// signed signs camille in and verifies the ID token as a service does, with an
// independent library and the keys that are published. It returns the key's id.
func (w *faultWorld) signed(s *service, set oidc.KeySet, alg string) (kid string, err error) {
	w.t.Helper()
	c, r, p := w.upTo(s, "one", "camille", nil)
	if p.byID("consent-agree") != nil {
		p = c.pressUntil(p, "consent-agree", nil, s.back)
	}
	tk, err := s.redeem(w.t.Context(), p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Status != http.StatusOK {
		return "", errors.Join(err, errors.New("token answer: "+tk.Error))
	}
	v := oidc.NewVerifier(w.broker, set, &oidc.Config{ClientID: s.id, SupportedSigningAlgs: []string{alg}})
	token, err := v.Verify(w.t.Context(), tk.IDToken)
	if err != nil || token.Nonce != r.Nonce {
		return "", errors.Join(err, errors.New("the ID token does not verify"))
	}
	encoded, _, _ := strings.Cut(tk.IDToken, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	var header struct{ KID string }
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return "", errors.New("the ID token has no header")
	}
	return header.KID, nil
}

func (w *faultWorld) published() oidc.KeySet {
	return oidc.NewRemoteKeySet(context.Background(), w.broker+"/jwks")
}

// keyLines is what `voussoir keys list --json` says.
type keyLine struct{ KID, Alg, For, In, State string }

func (w *faultWorld) keyLines() []keyLine {
	w.t.Helper()
	out, err := exec.Command(binary(w.t, ""), "keys", "list", "--json", "--config", w.file).Output()
	var lines []keyLine
	if err != nil || json.Unmarshal(out, &lines) != nil {
		w.t.Fatalf("keys list: %v %s", err, out)
	}
	// The keys for checkpoints are in the file, whatever the signer is.
	return slices.DeleteFunc(lines, func(k keyLine) bool { return k.For == "checkpoints" })
}

func (w *faultWorld) voussoir(tag string, env []string, args ...string) (string, error) {
	cmd := exec.Command(binary(w.t, tag), append(args, "--config", w.file)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestHSM_ASignerThatComesLateDiesAndComesBack: the whole life of signing keys in a
// SoftHSM2 token, with the real broker and the real signer.
func TestHSM_ASignerThatComesLateDiesAndComesBack(t *testing.T) {
	h := newHSM(t)
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	h.behind(w, "")
	const notReady = "not ready: nothing can be signed"
	if status, text := w.readyz(); status != http.StatusServiceUnavailable || text != notReady {
		t.Fatalf("before the signer is there: %d %q", status, text)
	}

	h.start()
	eventually(t, "ready once the signer is there", func() bool { status, _ := w.readyz(); return status == http.StatusOK })
	set := w.published()
	first, err := w.signed(w.library, set, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.signed(w.court, set, "PS256"); err != nil {
		t.Fatalf("PS256: %v", err)
	}
	for _, k := range w.keyLines() {
		if k.In != "signer" {
			t.Errorf("key %+v is not in the token", k)
		}
	}

	// It dies between a citizen's consent and the service's question.
	c, r, p := w.upTo(w.library, "one", "camille", nil)
	if p.byID("consent-agree") != nil {
		p = c.pressUntil(p, "consent-agree", nil, w.library.back)
	}
	h.kill()
	if status, text := w.readyz(); status != http.StatusServiceUnavailable || text != notReady {
		eventually(t, "not ready", func() bool { status, text = w.readyz(); return text == notReady })
	}
	tk, err := w.library.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Status != http.StatusServiceUnavailable || tk.Error != "temporarily_unavailable" || tk.IDToken != "" {
		t.Errorf("token without a signer: %d %q, %v", tk.Status, tk.Error, err)
	}
	if resp, err := w.library.http.Get(w.broker + "/jwks"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the keys that are known are no longer published: %v", err)
	} else {
		_ = resp.Body.Close()
	}
	if out, err := w.voussoir("", nil, "keys", "rotate", "--early"); err == nil || !strings.Contains(out, "nothing was rotated") {
		t.Errorf("rotate without a signer: %v %s", err, out)
	}

	// Back again: at once, without a restart, and with the very code of before.
	h.start()
	if tk, err = w.library.redeem(t.Context(), p.URL.Query().Get("code"), r.Verifier); err != nil || tk.Status != http.StatusOK {
		t.Errorf("the same code when the signer is back: %d %q, %v", tk.Status, tk.Error, err)
	}
	if again, err := w.signed(w.library, set, "ES256"); err != nil || again != first {
		t.Errorf("signed by %s, %v; want %s", again, err, first)
	}
	w.hangs(h)
	w.rotates(h, first)
}

// hangs stops the signer without killing it: no request waits for long.
func (w *faultWorld) hangs(h *hsm) {
	c, r, p := w.upTo(w.library, "one", "camille", nil)
	if p.byID("consent-agree") != nil {
		p = c.pressUntil(p, "consent-agree", nil, w.library.back)
	}
	_ = h.proc.cmd.Process.Signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	tk, err := w.library.redeem(ctx, p.URL.Query().Get("code"), r.Verifier)
	if err != nil || tk.Error != "temporarily_unavailable" {
		w.t.Errorf("token while the signer hangs: %d %q, %v", tk.Status, tk.Error, err)
	}
	_ = h.proc.cmd.Process.Signal(syscall.SIGCONT)
	if _, err := w.signed(w.library, w.published(), "ES256"); err != nil {
		w.t.Errorf("after the pause: %v", err)
	}
}

// rotates shows a rotation and a revocation beside the running broker.
func (w *faultWorld) rotates(h *hsm, first string) {
	w.t.Helper()
	if out, err := w.voussoir("", nil, "keys", "rotate", "--early"); err != nil {
		w.t.Fatalf("rotate: %v %s", err, out)
	}
	set := w.published() // with the old key still in it, and the new one (the module's meaning of oidcc-server-rotate-keys)
	second, err := w.signed(w.library, set, "ES256")
	if err != nil || second == first {
		w.t.Errorf("after the rotation signed by %s, %v", second, err)
	}
	if !strings.Contains(w.jwks(), first) || !strings.Contains(w.jwks(), second) {
		w.t.Error("not both keys are published after a rotation")
	}
	if out, err := w.voussoir("", nil, "keys", "revoke", second); err != nil {
		w.t.Fatalf("revoke: %v %s", err, out)
	}
	third, err := w.signed(w.library, w.published(), "ES256")
	if err != nil || third == second {
		w.t.Errorf("after the revocation signed by %s, %v", third, err)
	}
	if strings.Contains(w.jwks(), second) {
		w.t.Error("a revoked key is published")
	}
	w.tokenAgrees(h)
}

func (w *faultWorld) jwks() string {
	w.t.Helper()
	resp, err := w.library.http.Get(w.broker + "/jwks")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// tokenAgrees: the token holds the keys that are active or next, and no other.
func (w *faultWorld) tokenAgrees(h *hsm) {
	w.t.Helper()
	want := 0
	for _, k := range w.keyLines() {
		live := k.State == "active" || k.State == "next"
		if live != (k.In == "signer") {
			w.t.Errorf("key %+v", k)
		}
		if live {
			want++
		}
	}
	have, err := h.keys()
	if err != nil || len(have) != want {
		w.t.Errorf("the token holds %d keys, want %d: %v", len(have), want, err)
	}
}

// TestHSM_RotationKilledAnywhere kills `voussoir keys rotate` between the token and
// the key file. Whoever comes next finds neither an orphan in the token nor a key
// that is nowhere.
func TestHSM_RotationKilledAnywhere(t *testing.T) {
	h := newHSM(t)
	h.start()
	w := newFaultWorld(t, sandboxed(t, linteau()), sandboxed(t, linteau()))
	h.behind(w, "")
	eventually(t, "ready", func() bool { status, _ := w.readyz(); return status == http.StatusOK })
	for _, place := range []string{"keys.after-generate", "keys.after-keep:3", "keys.after-destroy"} {
		if out, err := w.voussoir("failpoints", []string{"VOUSSOIR_FAILPOINT=" + place}, "keys", "rotate", "--early"); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: not killed: %v %s", place, err, out)
		}
		if _, err := w.signed(w.library, w.published(), "ES256"); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if out, err := w.voussoir("", nil, "keys", "rotate", "--early"); err != nil {
			t.Fatalf("%s: rotate again: %v %s", place, err, out)
		}
		w.tokenAgrees(h)
		if _, err := w.signed(w.library, w.published(), "ES256"); err != nil {
			t.Errorf("%s, rotated again: %v", place, err)
		}
	}
}
