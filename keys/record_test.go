package keys

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/voussoir-id/voussoir/audit"
)

// notebook is an audit log that can fail.
type notebook struct {
	err  error
	seen []string
}

func (n *notebook) Append(_ context.Context, events ...audit.Event) (audit.Receipt, error) {
	if n.err != nil {
		return audit.Receipt{}, n.err
	}
	for _, e := range events {
		n.seen = append(n.seen, string(e.Public.Kind)+" "+e.Public.Object+" "+e.Public.Outcome)
	}
	return audit.Receipt{}, nil
}

func TestAudit_EveryKeyEventIsRecordedOnce(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	active, next := kid(t, r, "ES256", Active), kid(t, r, "ES256", Next)

	broken := &notebook{err: errors.New("disk full")}
	if err := r.AuditTo(t.Context(), broken); !errors.Is(err, broken.err) {
		t.Fatalf("AuditTo: %v", err)
	}
	if err := r.Revoke(t.Context(), active); !errors.Is(err, broken.err) {
		t.Fatalf("Revoke: %v", err)
	}
	if kid(t, r, "ES256", Active) != next {
		t.Error("a revocation must be in force even though it could not be recorded")
	}
	r.Close() // and the process dies

	r = open(t, cfg)
	log := &notebook{}
	if err := r.AuditTo(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	third := kid(t, r, "ES256", Next)
	if err := errors.Join(r.Rotate(t.Context(), ForServices, "ES256"), r.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"key.generated derivation ok", "key.generated sealing ok", "key.generated " + active + " ok", "key.generated " + next + " ok",
		"key.revoked " + active + " ok", "key.rotated " + next + " ok", "key.generated " + third + " ok",
		"key.rotated " + third + " ok", "key.generated " + kid(t, r, "ES256", Next) + " ok",
	}
	if !slices.Equal(log.seen, want) {
		t.Errorf("recorded %q, want %q", log.seen, want)
	}
}

// The real log seals its entries with the ring that it records.
func TestAudit_WithTheRealLog(t *testing.T) {
	cfg, _ := shelf(t)
	r := open(t, cfg)
	store := &entries{}
	log, err := audit.New(audit.Config{Store: store, Sealer: r, Now: cfg.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.AuditTo(t.Context(), log); err != nil || len(*store) != 4 {
		t.Fatalf("%d entries, %v", len(*store), err)
	}
	for _, e := range *store {
		if p, err := log.Open(e, nil); err != nil || p != (audit.Personal{}) || !audit.VerifyLeaf(e) {
			t.Errorf("entry %s: %+v, %v", e.Public, p, err)
		}
	}
}

type entries []audit.Entry

func (s *entries) AppendEntries(_ context.Context, e ...audit.Entry) error {
	*s = append(*s, e...)
	return nil
}
