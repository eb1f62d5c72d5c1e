// Package deploy holds what an operator starts from: example configurations and
// the JSON Schema of the configuration file (for editors). It is data only; the
// types and their rules are in cmd/voussoir/config.
package deploy

import _ "embed"

// Demo is the configuration of "voussoir demo" on its usual ports, for an
// operator to read and to begin with.
//
//go:embed demo.yaml
var Demo []byte

// Example shows every field with a comment.
//
//go:embed example.yaml
var Example []byte

// Schema is the JSON Schema of the configuration file, made from the types in
// cmd/voussoir/config by its tests (go test -update).
//
//go:embed config.schema.json
var Schema []byte
