package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"

	"github.com/voussoir-id/voussoir/deploy"
)

var update = flag.Bool("update", false, "write the golden files anew")

const schemaFile = "../../../deploy/config.schema.json"

// makeSchema is in the tests and not in the program: the program prints the file.
func makeSchema(t *testing.T) []byte {
	t.Helper()
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[OneOrMore]():
				text := &jsonschema.Schema{Type: "string"}
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{text, {Type: "array", Items: text}}}
			case reflect.TypeFor[Raw]():
				return &jsonschema.Schema{Type: "object"}
			case reflect.TypeFor[Text]():
				return &jsonschema.Schema{Type: "object", MinProperties: new(uint64(1)), AdditionalProperties: &jsonschema.Schema{Type: "string"}}
			}
			return nil
		},
	}
	if err := r.AddGoComments("github.com/voussoir-id/voussoir/cmd/voussoir/config", ".", jsonschema.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	// The comment map is keyed by the path below the base.
	s := r.Reflect(&File{})
	s.ID = "https://github.com/voussoir-id/voussoir/deploy/config.schema.json"
	s.Title = "Voussoir configuration"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func TestSchema_IsTheOneOfTheTypes(t *testing.T) {
	got := makeSchema(t)
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, deploy.Schema) {
		t.Fatalf("%s is not what the types say; run go test -update here", schemaFile)
	}
}

func TestSchema_DescribesEveryField(t *testing.T) {
	var schema struct {
		Properties map[string]struct{ Description string }
		Defs       map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(deploy.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	// A reference to a group of keys is described on its type as well.
	for name, p := range schema.Properties {
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
	for def, d := range schema.Defs {
		for name, p := range d.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", def, name)
			}
		}
	}
}
