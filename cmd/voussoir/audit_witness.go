package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/voussoir-id/voussoir/audit"
)

// quorumFlags adds --witness and --quorum, and returns what reads them.
func quorumFlags(c *cobra.Command) func() (audit.Quorum, error) {
	ks := c.Flags().StringArray("witness", nil, "the `KEY` of a witness, whose cosignature is shown (may be repeated)")
	need := c.Flags().Int("quorum", 0, "how `MANY` of the witnesses must have cosigned")
	return func() (audit.Quorum, error) {
		q := audit.Quorum{Need: *need}
		for _, text := range *ks {
			k, err := audit.ParseWitnessKey(text)
			if err != nil {
				return q, usageError(strings.TrimPrefix(err.Error(), "audit: "))
			}
			for _, other := range q.Keys {
				if other.Same(k) {
					return q, usageError("the witness " + k.Name() + " is named twice")
				}
			}
			q.Keys = append(q.Keys, k)
		}
		return q, nil
	}
}

// enoughWitnesses refuses a quorum that nothing can meet.
func enoughWitnesses(q audit.Quorum) error {
	if q.Need < 0 || q.Need > len(q.Keys) {
		return usageError(fmt.Sprintf("--quorum %d of %d witnesses cannot be: name them with --witness KEY", q.Need, len(q.Keys)))
	}
	return nil
}

// signers lists cosignatures for people.
func signers(all []audit.Cosignature) string {
	if len(all) == 0 {
		return "no witness"
	}
	out := make([]string, len(all))
	for i, c := range all {
		out[i] = c.Witness + " at " + c.Time.Format(time.RFC3339)
	}
	return strings.Join(out, ", ")
}

func (p *program) sayReceipt(line receiptLine, witnesses bool) error {
	if !line.Valid {
		_, err := fmt.Fprintf(p.out, "the receipt does NOT hold: %s\n", line.Why)
		return err
	}
	fmt.Fprintf(p.out, "the receipt holds: entry %s is number %d of the log %s, which had %d entries\n%s\n", line.Entry, line.Index, line.Log, line.Size, line.Public)
	if !witnesses {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "its checkpoint is cosigned by %s\n", signers(line.Cosignatures))
	return err
}
