package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/audit"
	"github.com/voussoir-id/voussoir/cmd/voussoir/config"
	"github.com/voussoir-id/voussoir/keys"
	"github.com/voussoir-id/voussoir/store/sql"
)

// maxReceiptFile is how much of a receipt or checkpoint file is read, in bytes.
const maxReceiptFile = 1 << 20

func (p *program) audit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Verify, prove and export the audit log",
		Long: "audit reads the log of what the broker did, also while the broker runs, and changes nothing. See docs/audit.md\n" +
			"for what each check proves, and what only a checkpoint kept elsewhere can.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError("audit verify, audit prove, audit verify-receipt, audit export or audit keys")
		},
	}
	c.AddCommand(p.auditVerify(), p.auditProve(), p.auditVerifyReceipt(), p.auditExport(), p.auditKeys())
	return c
}

// auditLog is a log that a command reads.
type auditLog struct {
	origin    string
	records   *sql.Records
	keys      []keys.NoteKey
	witnesses []audit.WitnessKey
}

// withLog opens the records and reads the keys of a configuration.
func (p *program) withLog(ctx context.Context, file string, do func(*auditLog) error) error {
	return p.withRecords(ctx, file, func(c *config.Loaded, records *sql.Records, _ *audit.Log) error {
		ring, err := openRing(ctx, c, records, newEvents(p.err), p.now)
		if err != nil {
			return err
		}
		defer ring.Close()
		l := &auditLog{origin: audit.Origin(c.Issuer), records: records}
		for _, w := range c.Witnesses {
			l.witnesses = append(l.witnesses, w.Key)
		}
		if l.keys, err = ring.Notary(l.origin).Keys(); err != nil {
			return err
		}
		return do(l)
	})
}

func (p *program) auditVerify() *cobra.Command {
	c := &cobra.Command{
		Use: "verify --config FILE", Short: "Re-read the whole log and name the first entry that is wrong", Args: cobra.NoArgs,
		Long: "verify hashes every entry anew, holds it against the tree, and the tree against every checkpoint and the keys that\n" +
			"could sign it. It ends with 1 when anything is wrong, and names the first index that is in doubt.\n\n" +
			"A log that was cut, restored from an old copy or forked as a whole looks like a younger log: only a checkpoint\n" +
			"from before shows it. With --remember FILE the newest checkpoint is kept there, and the log is held against those\n" +
			"that are there already: keep FILE on another machine.",
	}
	file, asJSON := configFlag(c), c.Flags().Bool("json", false, "print the report as JSON")
	remember := c.Flags().String("remember", "", "hold the log against the checkpoints in `FILE`, and add the newest")
	since := c.Flags().StringArray("since", nil, "hold the log against the checkpoint in `FILE`, which must be there (may be repeated)")
	from := c.Flags().String("from-url", "", "verify what a broker shows to everybody at `URL`/audit, with --key in place of --config")
	ks := c.Flags().StringArray("key", nil, "a `KEY` of the log at --from-url (may be repeated)")
	witnesses := quorumFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		quorum, err := witnesses()
		if err != nil {
			return err
		}
		if *from != "" {
			return p.verifyRemote(cmd.Context(), *from, *ks, *remember, *since, quorum, *asJSON)
		}
		return p.withLog(cmd.Context(), *file, func(l *auditLog) error {
			if len(quorum.Keys) == 0 {
				quorum.Keys = l.witnesses
			}
			if err := enoughWitnesses(quorum); err != nil {
				return err
			}
			v := &audit.Verifier{Store: l.records, Origin: l.origin, Quorum: quorum, Progress: p.progress("entries")}
			for _, k := range l.keys {
				v.Keys = append(v.Keys, audit.VerifierKey{KID: k.KID, Verifier: k.Verifier})
			}
			var err error
			if v.Remembered, err = readCheckpoints(*remember, *since); err != nil {
				return err
			}
			start := p.now()
			report, err := v.Run(cmd.Context())
			if err != nil {
				return err
			}
			if err := p.sayReport(report, *asJSON, p.now().Sub(start)); err != nil {
				return err
			}
			if !report.OK() {
				return alreadySaid(exitFailure)
			}
			return rememberCheckpoint(*remember, report.Checkpoint)
		})
	}
	return c
}

func (p *program) sayReport(r *audit.Report, asJSON bool, took time.Duration) error {
	if asJSON {
		return p.printJSON(r)
	}
	if r.OK() {
		fmt.Fprintf(p.out, "the log %s holds: %d entries, root %s (%.1f s)\n", r.Origin, r.Size, r.Root, took.Seconds())
	} else {
		first := r.First()
		fmt.Fprintf(p.out, "the log %s is WRONG at index %d: %s\n", r.Origin, first.Index, first.What)
		for _, f := range r.Findings {
			fmt.Fprintf(p.out, "  index %d: %s\n", f.Index, f.What)
		}
	}
	if r.Witnessed != nil {
		fmt.Fprintf(p.out, "the checkpoint of %d entries is cosigned by %s\n", r.Witnessed.Size, signers(r.Witnessed.Cosignatures))
	}
	for _, n := range r.Notices {
		fmt.Fprintf(p.out, "  notice, index %d: %s\n", n.Index, n.What)
	}
	_, err := fmt.Fprintf(p.out, "%d entries wait for an index; of %d the personal part has reached the end of its time\n", r.Pending, r.Expired)
	return err
}

// progress tells how far something is, at most twice a second, on the error output.
func (p *program) progress(what string) func(done, total int64) {
	last := p.now()
	return func(done, total int64) {
		if now := p.now(); now.Sub(last) >= 500*time.Millisecond {
			last = now
			fmt.Fprintf(p.err, "%d of %d %s\n", done, total, what)
		}
	}
}

// separator stands between two checkpoints in a file that remembers them. No
// checkpoint has such a line.
const separator = "\n==\n"

// readCheckpoints reads those of remember, which need not be there, and of since.
func readCheckpoints(remember string, since []string) ([][]byte, error) {
	var out [][]byte
	for i, name := range append([]string{remember}, since...) {
		if name == "" {
			continue
		}
		b, err := readLimited(name)
		if i == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a checkpoint: %w", err)
		}
		out = append(out, bytes.Split(b, []byte(separator))...)
	}
	return out, nil
}

func readLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReceiptFile+1))
	if err == nil && len(b) > maxReceiptFile {
		err = fmt.Errorf("%s is too long", name)
	}
	return b, err
}

// remembered is how many checkpoints a file keeps: the first, and the newest.
const remembered = 100

// rememberCheckpoint adds the newest to a file, whole or not at all.
func rememberCheckpoint(name string, newest []byte) error {
	if name == "" || newest == nil {
		return nil
	}
	all, err := readCheckpoints(name, nil)
	if err != nil {
		return err
	}
	if len(all) > 0 && bytes.Equal(all[len(all)-1], newest) {
		return nil
	}
	if all = append(all, newest); len(all) > remembered {
		all = append(all[:1], all[2:]...)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".checkpoint-*")
	if err != nil {
		return fmt.Errorf("remember the checkpoint: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	_, err1 := f.Write(bytes.Join(all, []byte(separator)))
	if err := errors.Join(err1, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("remember the checkpoint: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("remember the checkpoint: %w", err)
	}
	return nil
}

func (p *program) auditProve() *cobra.Command {
	c := &cobra.Command{
		Use: "prove --config FILE ENTRY", Short: "Write the receipt of an entry: its place, its proof and a checkpoint", Args: oneEntry,
		Long: "prove writes a receipt (C2SP tlog-proof) that anybody can verify offline with audit verify-receipt and a key of\n" +
			"the log. It says what the entry says publicly, and nothing of the person.",
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := hex.DecodeString(args[0])
		if err != nil || len(id) != 16 {
			return usageError("an entry is named by 32 hex digits")
		}
		return p.withLog(cmd.Context(), *file, func(l *auditLog) error {
			tree, err := audit.NewTree(l.records)
			if err != nil {
				return err
			}
			proof, err := tree.Prove(cmd.Context(), [16]byte(id))
			if errors.Is(err, audit.ErrNotInTree) {
				return errors.New("there is no such entry, or it has no index yet (the running broker gives it one within a second)")
			}
			if err != nil {
				return err
			}
			_, err = p.out.Write(proof.Encode())
			return err
		})
	}
	return c
}

func oneEntry(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("name one entry: its id, as in audit export")
	}
	return nil
}

func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError("name one FILE: the receipt")
	}
	return nil
}

// receiptLine is what verify-receipt prints with --json.
type receiptLine struct {
	Valid  bool            `json:"valid"`
	Why    string          `json:"why,omitempty"`
	Log    string          `json:"log,omitempty"`
	Index  int64           `json:"index"`
	Size   int64           `json:"size,omitempty"`
	Entry  string          `json:"entry,omitempty"`
	Public json.RawMessage `json:"public,omitempty"`
	// Cosignatures are those of the witnesses that were named.
	Cosignatures []audit.Cosignature `json:"cosignatures,omitempty"`
}

func (p *program) auditVerifyReceipt() *cobra.Command {
	c := &cobra.Command{
		Use: "verify-receipt --log NAME --key KEY FILE", Short: "Verify a receipt, offline", Args: oneFile,
		Long: "verify-receipt needs the receipt (as JSON, as a JWT or as a bare proof), the name of the log (the broker's address without https://, then /audit) and a\n" +
			"key of it, as voussoir audit keys and /audit/keys show it: nothing else, and no network. It ends with 1 when the\n" +
			"receipt does not hold.",
	}
	log := c.Flags().String("log", "", "the `NAME` of the log, such as id.example.org/audit")
	ks := c.Flags().StringArray("key", nil, "a `KEY` of the log (may be repeated)")
	asJSON := c.Flags().Bool("json", false, "print the outcome as JSON")
	witnesses := quorumFlags(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		if *log == "" || len(*ks) == 0 {
			return usageError("--log NAME and --key KEY are missing: which log, and how its checkpoints are verified")
		}
		quorum, err := witnesses()
		if err == nil {
			err = enoughWitnesses(quorum)
		}
		if err != nil {
			return err
		}
		b, err := readLimited(args[0])
		if err != nil {
			return fmt.Errorf("read the receipt: %w", err)
		}
		line := checkReceipt(b, *log, *ks, quorum)
		if *asJSON {
			err = p.printJSON(line)
		} else {
			err = p.sayReceipt(line, len(quorum.Keys) > 0)
		}
		if err == nil && !line.Valid {
			err = alreadySaid(exitFailure)
		}
		return err
	}
	return c
}

func checkReceipt(b []byte, origin string, ks []string, quorum audit.Quorum) receiptLine {
	doc, inside, isDocument, err := readDocument(b)
	if isDocument {
		b = inside
	}
	var proof audit.Proof
	if err == nil {
		proof, err = audit.ParseProof(b)
	}
	var checkpoint audit.Checkpoint
	if err == nil {
		checkpoint, err = proof.Verify(origin, ks...)
	}
	if err == nil && isDocument {
		err = agrees(doc, proof.Statement)
	}
	if err != nil {
		return receiptLine{Why: err.Error()}
	}
	found, err := quorum.Met(proof.Checkpoint)
	if err != nil {
		return receiptLine{Why: err.Error(), Cosignatures: found}
	}
	return receiptLine{
		Valid: true, Cosignatures: found, Log: origin, Index: proof.Index, Size: checkpoint.Size,
		Entry: hex.EncodeToString(proof.Statement.ID[:]), Public: json.RawMessage(proof.Statement.Public),
	}
}

// exportLine is one entry of an export, without anything personal.
type exportLine struct {
	Index      int64           `json:"index"`
	ID         string          `json:"id"`
	Version    int             `json:"version"`
	Public     json.RawMessage `json:"public"`
	Commitment string          `json:"commitment"` // base64
	Leaf       string          `json:"leaf"`       // base64
}

func (p *program) auditExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export --config FILE", Short: "Write every entry as a line of JSON, and the checkpoint at the end", Args: cobra.NoArgs,
		Long: "export writes what is in the tree: one JSON object a line, without the personal parts, and at the end the checkpoint\n" +
			"that signs it. Each line has what its leaf hash is made of (docs/audit.md).",
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withLog(cmd.Context(), *file, func(l *auditLog) error {
			last, err := l.records.LastCheckpoint(cmd.Context())
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(p.out, 64<<10)
			enc, progress := json.NewEncoder(out), p.progress("entries")
			enc.SetEscapeHTML(false)
			const step = 1000
			for from := int64(0); from < last.Size; from += step {
				err := l.records.Leaves(cmd.Context(), from, min(from+step, last.Size), func(l *audit.Leaf) error {
					s, b64 := l.Statement(), base64.StdEncoding
					leaf := s.LeafHash()
					return enc.Encode(exportLine{l.Index, hex.EncodeToString(l.ID[:]), int(s.Version), s.Public, b64.EncodeToString(s.Commitment[:]), b64.EncodeToString(leaf[:])})
				})
				if err != nil {
					return err
				}
				progress(min(from+step, last.Size), last.Size)
			}
			err = enc.Encode(struct {
				Checkpoint string `json:"checkpoint"`
			}{string(last.Note)})
			return errors.Join(err, out.Flush())
		})
	}
	return c
}

func (p *program) auditKeys() *cobra.Command {
	c := &cobra.Command{
		Use: "keys --config FILE", Short: "List the keys with which checkpoints are verified", Args: cobra.NoArgs,
		Long: "keys prints one key a line, as anyone who verifies the log needs it (C2SP signed-note), then its id in the log and its\n" +
			"state. Publish them where the log is not: on paper, in a gazette, at the auditors'.",
	}
	file := configFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withLog(cmd.Context(), *file, func(l *auditLog) error {
			_, err := io.WriteString(p.out, keyLines(l.keys))
			return err
		})
	}
	return c
}
