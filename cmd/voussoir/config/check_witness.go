package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/audit"
)

// Witness is somebody else who signs the checkpoints of the audit log.
type Witness struct {
	// Key is its name and key for Ed25519 cosignatures (C2SP tlog-cosignature), as it
	// publishes them: NAME+ID+KEY. Required.
	Key string `yaml:"key" jsonschema:"required" eg:"\"witness.example/w1+…\""`
	// URL is where checkpoints are submitted (its submission prefix, C2SP tlog-witness),
	// without /add-checkpoint; https, unless development: true. Required.
	URL string `yaml:"url" jsonschema:"required" eg:"https://witness.example"`
}

// LoadedWitness is a Witness whose key has been read.
type LoadedWitness struct {
	Key audit.WitnessKey
	URL string // of add-checkpoint
}

// maxWitnesses is the most witnesses that there can be: a checkpoint must not grow
// without end.
const maxWitnesses = 16

func (c *checker) witnesses() {
	const at = "audit.witnesses"
	all := c.f.Audit.Witnesses
	if len(all) > maxWitnesses {
		c.add(at, "there are 16 witnesses at most", "the 16 that matter to those who verify")
	}
	for i, w := range all {
		path := index(at, i)
		switch _, err := audit.ParseWitnessKey(w.Key); {
		case w.Key == "" && c.ok(path+".key"):
			c.add(path+".key", "the key of the witness is missing: whatever is sent in its name would be believed", "key: the line NAME+ID+KEY that the witness publishes")
		case err != nil && c.ok(path+".key"):
			c.add(path+".key", strings.TrimPrefix(err.Error(), "audit: "), "key: the line NAME+ID+KEY that the witness publishes")
		}
		c.uri(path+".url", w.URL)
		if u, err := url.Parse(w.URL); err == nil && c.sound(path+".url", w.URL) && strings.ContainsAny(w.URL, "?#") {
			c.add(path+".url", "the address of a witness has a query or a fragment", "url: "+u.Scheme+"://"+u.Host+u.Path)
		}
	}
	c.witnessTwice()
}

// witnessTwice finds a witness that would be counted as two.
func (c *checker) witnessTwice() {
	var before []audit.WitnessKey
	for i, w := range c.f.Audit.Witnesses {
		path := index("audit.witnesses", i) + ".key"
		key, err := audit.ParseWitnessKey(w.Key)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(before, key.Same) && c.ok(path) {
			c.add(path, "a witness of this name, or with this key, is there already", "another witness")
		}
		before = append(before, key)
	}
}

// loadWitnesses converts; mistakes are reported by the check.
func (c *checker) loadWitnesses() []LoadedWitness {
	var out []LoadedWitness
	for _, w := range c.f.Audit.Witnesses {
		if key, err := audit.ParseWitnessKey(w.Key); err == nil {
			out = append(out, LoadedWitness{key, strings.TrimSuffix(w.URL, "/") + "/add-checkpoint"})
		}
	}
	return out
}
