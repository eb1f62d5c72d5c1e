package sql

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/voussoir-id/voussoir/audit"
)

// strictWitness is a witness as C2SP tlog-witness has it, of one log.
type strictWitness struct {
	name    string
	private ed25519.PrivateKey
	log     string // the log's key
	now     func() time.Time
	size    int64
	root    tlog.Hash
	spoil   func(a audit.WitnessAnswer) audit.WitnessAnswer // a hostile one; nil: honest
	asked   int
}

func newStrictWitness(w *treeWorld, name, log string) *strictWitness {
	seed := sha256.Sum256([]byte(name))
	return &strictWitness{name: name, private: ed25519.NewKeyFromSeed(seed[:]), log: log, now: w.clock}
}

func (s *strictWitness) material() []byte {
	return append([]byte{4}, s.private.Public().(ed25519.PublicKey)...)
}

func (s *strictWitness) id() []byte {
	sum := sha256.Sum256(append([]byte(s.name+"\n"), s.material()...))
	return sum[:4]
}

func (s *strictWitness) key(t testing.TB) audit.WitnessKey {
	t.Helper()
	k, err := audit.ParseWitnessKey(fmt.Sprintf("%s+%x+%s", s.name, s.id(), base64.StdEncoding.EncodeToString(s.material())))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *strictWitness) post(_ context.Context, body []byte) (audit.WitnessAnswer, error) {
	s.asked++
	a := s.addCheckpoint(body)
	if s.spoil != nil {
		a = s.spoil(a)
	}
	return a, nil
}

func (s *strictWitness) addCheckpoint(body []byte) audit.WitnessAnswer {
	head, signed, _ := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	text, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || strconv.FormatInt(old, 10) != text || len(lines) > 64 {
		return audit.WitnessAnswer{Status: 400}
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return audit.WitnessAnswer{Status: 400}
		}
		proof = append(proof, h)
	}
	c, _, err := audit.OpenCheckpoint([]byte(signed), treeOrigin, s.log)
	if err != nil {
		return audit.WitnessAnswer{Status: 403}
	}
	switch {
	case old > c.Size:
		return audit.WitnessAnswer{Status: 400}
	case old != s.size:
		return audit.WitnessAnswer{Status: 409, ContentType: "text/x.tlog.size", Body: []byte(strconv.FormatInt(s.size, 10) + "\n")}
	case old == c.Size && c.Root != s.root:
		return audit.WitnessAnswer{Status: 409}
	case old == 0 && len(proof) > 0, old > 0 && old < c.Size && tlog.CheckTree(proof, c.Size, tlog.Hash(c.Root), old, s.root) != nil:
		return audit.WitnessAnswer{Status: 422}
	}
	s.size, s.root = c.Size, c.Root
	n, err := note.Open([]byte(signed), note.VerifierList(must1(note.NewVerifier(s.log))))
	if err != nil {
		return audit.WitnessAnswer{Status: 403}
	}
	return audit.WitnessAnswer{Status: 200, Body: []byte(s.sign(n.Text, s.now()))}
}

func must1(v note.Verifier, err error) note.Verifier {
	if err != nil {
		panic(err)
	}
	return v
}

func (s *strictWitness) sign(text string, at time.Time) string {
	sig := ed25519.Sign(s.private, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)))
	b := append(binary.BigEndian.AppendUint64(append([]byte{}, s.id()...), uint64(at.Unix())), sig...)
	return "— " + s.name + " " + base64.StdEncoding.EncodeToString(b) + "\n"
}

func (w *treeWorld) witnessed(t testing.TB, heard *string, all ...*strictWitness) *audit.Witnesses {
	t.Helper()
	cfg := audit.WitnessesConfig{Store: w.records, Now: w.clock, Heard: func(_, outcome string) { *heard = outcome }}
	for _, s := range all {
		cfg.Witnesses = append(cfg.Witnesses, audit.Witness{Key: s.key(t), Post: s.post})
	}
	ws, err := audit.NewWitnesses(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func (w *treeWorld) round(t testing.TB, ws *audit.Witnesses) audit.Checkpoint {
	t.Helper()
	w.visit(t, "library")
	w.now = w.now.Add(11 * time.Second)
	w.sequence(t)
	if err := ws.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := w.records.Published(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWitness_CosignsEachCheckpointThatGoesOn_C2SPTlogWitness: growing, and again
// after the broker has forgotten what the witness saw.
func TestWitness_CosignsEachCheckpointThatGoesOn_C2SPTlogWitness(t *testing.T) {
	w := newTreeWorld(t, t.TempDir())
	_, log := w.keys(t)
	s, heard := newStrictWitness(w, "witness.test/one", log), ""
	ws := w.witnessed(t, &heard, s)
	for i := range 30 {
		if i == 15 {
			ws = w.witnessed(t, &heard, s) // a restart, without Begin: it learns the size by a 409
		}
		c := w.round(t, ws)
		if got := audit.Cosignatures(c.Note, []audit.WitnessKey{s.key(t)}); heard != "ok" || len(got) != 1 || s.size != c.Size || got[0].Time.Unix() != w.now.Unix() {
			t.Fatalf("round %d: %s, cosignatures %v of size %d, the witness is at %d", i, heard, got, c.Size, s.size)
		}
	}
	all, _ := w.keys(t)
	r, err := (&audit.Verifier{Store: w.records, Origin: treeOrigin, Keys: all, Quorum: audit.Quorum{Keys: []audit.WitnessKey{s.key(t)}, Need: 1}}).Run(t.Context())
	if err != nil || !r.OK() {
		t.Errorf("verification with a quorum: %v, %v", err, r)
	}
}

// TestWitness_AHostileOneCostsItsCosignatureOnly: nothing of it is kept.
func TestWitness_AHostileOneCostsItsCosignatureOnly(t *testing.T) {
	var kept audit.WitnessAnswer
	for name, c := range map[string]struct {
		spoil func(*strictWitness) func(audit.WitnessAnswer) audit.WitnessAnswer
		want  string
	}{
		"a signature that was changed": {func(s *strictWitness) func(audit.WitnessAnswer) audit.WitnessAnswer {
			return func(a audit.WitnessAnswer) audit.WitnessAnswer {
				a.Body = []byte(strings.Replace(string(a.Body), "A", "B", 3))
				return a
			}
		}, audit.WitnessInvalid},
		"an answer from before": {func(*strictWitness) func(audit.WitnessAnswer) audit.WitnessAnswer {
			return func(a audit.WitnessAnswer) audit.WitnessAnswer {
				if kept.Status == 0 {
					kept = a
				}
				return kept
			}
		}, audit.WitnessInvalid},
		"a size that we never had": {func(*strictWitness) func(audit.WitnessAnswer) audit.WitnessAnswer {
			return func(audit.WitnessAnswer) audit.WitnessAnswer {
				return audit.WitnessAnswer{Status: 409, ContentType: "text/x.tlog.size", Body: []byte("99999999\n")}
			}
		}, audit.WitnessDisagrees},
		"an answer that is too long": {func(*strictWitness) func(audit.WitnessAnswer) audit.WitnessAnswer {
			return func(a audit.WitnessAnswer) audit.WitnessAnswer {
				if a.Status == 200 {
					a.Body = []byte(strings.Repeat(string(a.Body), 500))
				}
				return a
			}
		}, audit.WitnessInvalid},
		"a redirect": {func(*strictWitness) func(audit.WitnessAnswer) audit.WitnessAnswer {
			return func(audit.WitnessAnswer) audit.WitnessAnswer { return audit.WitnessAnswer{Status: 307} }
		}, audit.WitnessRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTreeWorld(t, t.TempDir())
			_, log := w.keys(t)
			s, heard := newStrictWitness(w, "witness.test/bad", log), ""
			s.spoil = c.spoil(s)
			ws := w.witnessed(t, &heard, s)
			w.round(t, ws)
			got := w.round(t, ws)
			if n := len(audit.Cosignatures(got.Note, []audit.WitnessKey{s.key(t)})); heard != c.want || n != 0 && name != "an answer from before" {
				t.Errorf("outcome %s with %d cosignatures, want %s and none", heard, n, c.want)
			}
		})
	}
}

// expiringStore runs retention when the first leaves are read.
type expiringStore struct {
	*Records
	once func()
}

func (s *expiringStore) Leaves(ctx context.Context, from, to int64, each func(*audit.Leaf) error) error {
	if do := s.once; do != nil {
		s.once = nil
		do()
	}
	return s.Records.Leaves(ctx, from, to, each)
}

// TestVerify_RetentionBesideItIsNoAlarm: it announces after the checkpoint that is
// being verified. The same loss without the word is found.
func TestVerify_RetentionBesideItIsNoAlarm(t *testing.T) {
	for _, announced := range []bool{true, false} {
		w := newTreeWorld(t, t.TempDir())
		for range 5 {
			w.visit(t, "library")
		}
		upTo := w.sequence(t).Size
		r := w.verify(t, &expiringStore{w.records, func() {
			if announced {
				if _, err := w.log.Append(t.Context(), audit.Event{Public: audit.ExpiryOf(upTo)}); err != nil {
					t.Error(err)
				}
				w.sequence(t)
			}
			if _, err := w.records.Expire(t.Context(), upTo); err != nil {
				t.Error(err)
			}
		}})
		if r.OK() != announced {
			t.Errorf("announced %t: findings %v", announced, r.Findings)
		}
	}
}
