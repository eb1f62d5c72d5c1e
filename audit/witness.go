package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// witnessEvery is how often the witnesses are shown a checkpoint, if there is a
	// new one.
	witnessEvery = 10 * time.Second
	// witnessAnew is after which time they are asked about one that they know, so that
	// a quiet night is known to have been one.
	witnessAnew = 10 * time.Minute
	// witnessPatience is for how long the published checkpoint waits for a new one with
	// as many cosignatures. After it the log goes on without those that are missing.
	witnessPatience = time.Minute
	// witnessSkew is how far a witness's clock may be from ours. What is older may be
	// an answer from before that somebody kept.
	witnessSkew = 5 * time.Minute
	// maxWitnessAnswer is how long the signature lines may be, in bytes.
	maxWitnessAnswer = 16 << 10
)

// The outcomes of showing a witness a checkpoint.
const (
	WitnessSigned      = "ok"
	WitnessUnreachable = "unreachable" // no answer, or not one that can be read
	WitnessRefused     = "refused"     // it does not know the log or its key, or has a fault
	WitnessInvalid     = "invalid"     // what it sent is not its signature, or not a fresh one
	WitnessDisagrees   = "disagrees"   // it has seen another history than ours, or a longer one
)

// WitnessOutcomes lists them all.
func WitnessOutcomes() []string {
	return []string{WitnessSigned, WitnessUnreachable, WitnessRefused, WitnessInvalid, WitnessDisagrees}
}

// WitnessAnswer is what a witness answered.
type WitnessAnswer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Witness is one that is asked. Post sends the body of an add-checkpoint request
// (C2SP tlog-witness); it follows no redirect and is bounded in time and size.
type Witness struct {
	Key  WitnessKey
	Post func(ctx context.Context, body []byte) (WitnessAnswer, error)
}

// PublishStore is what Witnesses needs of a store. Safe for concurrent use.
type PublishStore interface {
	TreeStore
	// Published returns the checkpoint that everybody is shown, the zero one when that
	// is always the newest.
	Published(ctx context.Context) (Checkpoint, error)
	// Publish shows c to everybody from now on, unless one of a larger tree is shown.
	Publish(ctx context.Context, c Checkpoint) error
}

// WitnessesConfig is what NewWitnesses needs. All of it but the last two is required.
type WitnessesConfig struct {
	Store     PublishStore
	Witnesses []Witness
	Now       func() time.Time
	// Log receives what is wrong with a witness, or with the log by its word. Nil:
	// nobody is told.
	Log *slog.Logger
	// Heard hears what came of each request. It does not block. Nil: nobody is told.
	Heard func(witness, outcome string)
}

// Witnesses has the checkpoints cosigned, and publishes them. The tree grows without
// it, and nothing waits for a witness: one that is down, slow or hostile costs its
// cosignature. Safe for concurrent use, but for Run and Round.
type Witnesses struct {
	cfg  WitnessesConfig
	keys []WitnessKey

	asked time.Time // when the witnesses were last asked
	short time.Time // since when there have been fewer cosignatures than on the published checkpoint

	mu    sync.Mutex
	state []witnessState // of each
}

// witnessState is what is known of a witness.
type witnessState struct {
	size    int64 // of the last checkpoint that it signed, as far as we know
	last    time.Time
	outcome string
}

// NewWitnesses refuses a missing collaborator.
func NewWitnesses(cfg WitnessesConfig) (*Witnesses, error) {
	if cfg.Store == nil || cfg.Now == nil {
		return nil, errors.New("audit: witnesses need a store and a clock")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Witnesses{cfg: cfg, state: make([]witnessState, len(cfg.Witnesses))}
	for _, one := range cfg.Witnesses {
		if one.Key.key == nil || one.Post == nil {
			return nil, errors.New("audit: a witness needs a key and a way to it")
		}
		w.keys = append(w.keys, one.Key)
	}
	return w, nil
}

// Begin publishes the newest checkpoint when the published one is far behind, or
// there is none: before anybody is shown anything, so that what is shown never goes
// back.
func (w *Witnesses) Begin(ctx context.Context) error {
	published, err := w.cfg.Store.Published(ctx)
	if err != nil {
		return err
	}
	for i, k := range w.keys {
		if c := Cosignatures(published.Note, []WitnessKey{k}); len(c) == 1 {
			w.state[i].size, w.state[i].last = published.Size, c[0].Time
		}
	}
	newest, err := w.cfg.Store.LastCheckpoint(ctx)
	if err != nil || newest.Size == published.Size || published.Size > 0 && newest.Time.Sub(published.Time) < witnessPatience {
		return err
	}
	return w.cfg.Store.Publish(ctx, newest)
}

// Run shows the witnesses a checkpoint every ten seconds until ctx ends, and returns
// nil.
func (w *Witnesses) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failed := false
	for {
		err := w.Round(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			w.cfg.Log.LogAttrs(ctx, slog.LevelError, "no checkpoint was shown to the witnesses", slog.Bool("alarm", true), slog.String("error", err.Error()))
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Round shows the witnesses the newest checkpoint, if it is time to, and publishes
// it with what they say.
func (w *Witnesses) Round(ctx context.Context) error {
	now := w.cfg.Now()
	if now.Sub(w.asked) < witnessEvery && now.After(w.asked) {
		return nil
	}
	newest, err := w.cfg.Store.LastCheckpoint(ctx)
	if err != nil {
		return err
	}
	published, err := w.cfg.Store.Published(ctx)
	if err != nil {
		return err
	}
	before := Cosignatures(published.Note, w.keys)
	if newest.Size == 0 || newest.Size == published.Size && len(before) == len(w.keys) && now.Sub(oldest(before)) < witnessAnew {
		return nil
	}
	w.asked = now
	got := w.askAll(ctx, newest)
	if newest.Size == published.Size {
		got = merged(w.keys, before, got)
	}
	if len(got) >= len(before) {
		w.short = time.Time{}
	} else if w.short.IsZero() {
		w.short = now
	}
	if !w.short.IsZero() && now.Sub(w.short) < witnessPatience {
		return nil
	}
	newest.Note = append(bytes.Clone(newest.Note), lines(got)...)
	return w.cfg.Store.Publish(ctx, newest)
}

func oldest(all []Cosignature) time.Time {
	var first time.Time
	for i, c := range all {
		if i == 0 || c.Time.Before(first) {
			first = c.Time
		}
	}
	return first
}

// merged takes the newer cosignature of each witness.
func merged(keys []WitnessKey, before, got []Cosignature) []Cosignature {
	by := map[string]Cosignature{}
	for _, c := range before {
		by[c.Witness] = c
	}
	for _, c := range got {
		by[c.Witness] = c
	}
	var out []Cosignature
	for _, k := range keys {
		if c, ok := by[k.name]; ok {
			out = append(out, c)
		}
	}
	return out
}

func lines(all []Cosignature) string {
	var out strings.Builder
	for _, c := range all {
		out.WriteString(c.line)
	}
	return out.String()
}

// askAll asks every witness at once and returns the cosignatures that hold.
func (w *Witnesses) askAll(ctx context.Context, c Checkpoint) []Cosignature {
	answers := make([]*Cosignature, len(w.cfg.Witnesses))
	var group sync.WaitGroup
	for i := range w.cfg.Witnesses {
		group.Go(func() { answers[i] = w.ask(ctx, i, c) })
	}
	group.Wait()
	var out []Cosignature
	for _, a := range answers {
		if a != nil {
			out = append(out, *a)
		}
	}
	return out
}

// witnessFault is why there is no cosignature.
type witnessFault struct{ outcome, what string }

func (f *witnessFault) Error() string { return f.what }

func fault(outcome, format string, args ...any) error {
	return &witnessFault{outcome, fmt.Sprintf(format, args...)}
}

// ask has one witness sign c, and says what came of it.
func (w *Witnesses) ask(ctx context.Context, i int, c Checkpoint) *Cosignature {
	one := w.cfg.Witnesses[i]
	signed, err := w.add(ctx, i, c)
	if ctx.Err() != nil {
		return nil // the broker stops
	}
	outcome, what := WitnessSigned, ""
	if err != nil {
		outcome, what = WitnessUnreachable, err.Error()
		if f, ok := errors.AsType[*witnessFault](err); ok {
			outcome = f.outcome
		}
	}
	w.mu.Lock()
	before := w.state[i].outcome
	w.state[i].outcome = outcome
	if err == nil {
		w.state[i].size, w.state[i].last = c.Size, signed.Time
	}
	w.mu.Unlock()
	if w.cfg.Heard != nil {
		w.cfg.Heard(one.Key.name, outcome)
	}
	name := slog.String("witness", one.Key.name)
	switch {
	case outcome == before:
	case err == nil:
		w.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "a witness cosigns", name, slog.Int64("size", c.Size))
	default:
		w.cfg.Log.LogAttrs(ctx, slog.LevelError, "a witness does not cosign", name, slog.Bool("alarm", outcome == WitnessDisagrees || outcome == WitnessInvalid),
			slog.String("outcome", outcome), slog.Int64("size", c.Size), slog.String("error", what))
	}
	if err != nil {
		return nil
	}
	return &signed
}

// add is add-checkpoint of C2SP tlog-witness. The witness has the last word on which
// size it has seen; it is asked once more with that, and no further.
func (w *Witnesses) add(ctx context.Context, i int, c Checkpoint) (Cosignature, error) {
	one := w.cfg.Witnesses[i]
	w.mu.Lock()
	old := w.state[i].size
	w.mu.Unlock()
	if old > c.Size {
		old = 0 // our own memory is of another tree; it says where it is
	}
	for again := false; ; again = true {
		body, err := w.request(ctx, old, c)
		if err != nil {
			return Cosignature{}, fmt.Errorf("prove to a witness: %w", err)
		}
		answer, err := one.Post(ctx, body)
		if err != nil {
			return Cosignature{}, err
		}
		seen, conflict := sizeSeen(answer)
		switch {
		case answer.Status == 200:
			return w.signature(one.Key, c, answer.Body)
		case conflict && seen > c.Size:
			return Cosignature{}, w.ahead(ctx, i, seen)
		case conflict && seen != old && !again:
			old = seen
		case conflict:
			return Cosignature{}, fault(WitnessRefused, "it contradicts itself about the size that it has seen")
		case answer.Status == 409:
			return Cosignature{}, fault(WitnessDisagrees, "it has signed another tree of the size %d: the log was forked, or the witness is wrong", c.Size)
		case answer.Status == 422:
			return Cosignature{}, fault(WitnessDisagrees, "by what it signed at size %d the log was forked or changed, or the witness is wrong", old)
		case answer.Status == 404:
			return Cosignature{}, fault(WitnessRefused, "it does not know this log (404)")
		case answer.Status == 403:
			return Cosignature{}, fault(WitnessRefused, "it does not know the key of this log (403): tell its operator of a rotation before it")
		default:
			return Cosignature{}, fault(WitnessRefused, "it answers with status %d", answer.Status)
		}
	}
}

// ahead judges a witness that has seen more than we wanted to show it.
func (w *Witnesses) ahead(ctx context.Context, i int, seen int64) error {
	last, err := w.cfg.Store.LastCheckpoint(ctx)
	if err != nil {
		return err
	}
	if seen > last.Size {
		return fault(WitnessDisagrees, "it has seen %d entries and the log has %d: the log was cut, or an older copy was restored, or the witness is wrong", seen, last.Size)
	}
	w.mu.Lock()
	w.state[i].size = seen // another process of ours was faster
	w.mu.Unlock()
	return fault(WitnessRefused, "it has seen a newer checkpoint already")
}

// sizeSeen reads the answer of a witness that has seen another size than was said.
func sizeSeen(a WitnessAnswer) (int64, bool) {
	if a.Status != 409 || a.ContentType != "text/x.tlog.size" || len(a.Body) > 20 {
		return 0, false
	}
	text, ok := strings.CutSuffix(string(a.Body), "\n")
	n, err := strconv.ParseInt(text, 10, 64)
	return n, ok && err == nil && n >= 0 && strconv.FormatInt(n, 10) == text
}

// request is the body of add-checkpoint: the size that the witness has seen, the
// proof that c goes on from there (RFC 6962 section 2.1.2), and c.
func (w *Witnesses) request(ctx context.Context, old int64, c Checkpoint) ([]byte, error) {
	var b strings.Builder
	b.WriteString("old " + strconv.FormatInt(old, 10) + "\n")
	if old > 0 {
		proof, err := tlog.ProveTree(c.Size, old, reader(func(level int, n int64) ([]byte, error) {
			return w.cfg.Store.Tile(ctx, level, n)
		}))
		if err != nil {
			return nil, err
		}
		for _, h := range proof {
			b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
	}
	b.WriteString("\n")
	b.Write(c.Note)
	return []byte(b.String()), nil
}

// signature reads the lines that a witness answered with, and keeps its own.
func (w *Witnesses) signature(key WitnessKey, c Checkpoint, body []byte) (Cosignature, error) {
	if len(body) > maxWitnessAnswer {
		return Cosignature{}, fault(WitnessInvalid, "its answer is too long")
	}
	// A blank line would begin another note, over which the rest could be a signature.
	if strings.HasPrefix(string(body), "\n") || strings.Contains(string(body), "\n\n") {
		return Cosignature{}, fault(WitnessInvalid, "its answer is not made of signature lines")
	}
	got := Cosignatures(append(bytes.Clone(c.Note), body...), []WitnessKey{key})
	if len(got) != 1 {
		return Cosignature{}, fault(WitnessInvalid, "its answer is not its signature of this checkpoint")
	}
	if off := w.cfg.Now().Sub(got[0].Time).Abs(); off > witnessSkew {
		return Cosignature{}, fault(WitnessInvalid, "its signature is of a time %s from now: its clock is wrong, or the answer was kept from before", off.Truncate(time.Second))
	}
	return got[0], nil
}

// WitnessState is when a witness last signed; zero: not that we know.
type WitnessState struct {
	Name string
	Last time.Time
}

// States returns the state of each witness.
func (w *Witnesses) States() []WitnessState {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]WitnessState, len(w.state))
	for i, s := range w.state {
		out[i] = WitnessState{w.keys[i].name, s.last}
	}
	return out
}
