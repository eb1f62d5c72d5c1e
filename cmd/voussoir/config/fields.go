package config

import (
	"reflect"
	"strings"
)

// fieldsOf returns the keys of a struct, and their names in the order of the type.
func fieldsOf(t reflect.Type) (map[string]reflect.StructField, []string) {
	fields := map[string]reflect.StructField{}
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		fields[keyOf(f)] = f
		names = append(names, keyOf(f))
	}
	return fields, names
}

func keyOf(f reflect.StructField) string {
	if k := f.Tag.Get("yaml"); k != "" {
		return k
	}
	return f.Name
}

func required(f reflect.StructField) bool {
	for _, part := range strings.Split(f.Tag.Get("jsonschema"), ",") {
		if part == "required" {
			return true
		}
	}
	return false
}

// enumOf reads the same tag as the JSON Schema is made from.
func enumOf(f reflect.StructField) []string {
	var out []string
	for _, part := range strings.Split(f.Tag.Get("jsonschema"), ",") {
		if v, ok := strings.CutPrefix(part, "enum="); ok {
			out = append(out, v)
		}
	}
	return out
}

// instead is the field as it should be written.
func instead(f reflect.StructField) string {
	if f.Name == "" {
		return "issuer: https://id.example.org, and so on: see deploy/example.yaml"
	}
	if eg := f.Tag.Get("eg"); eg != "" {
		return keyOf(f) + ": " + eg
	}
	if f.Type != nil && f.Type.Kind() == reflect.Struct {
		_, names := fieldsOf(f.Type)
		return keyOf(f) + ": { " + names[0] + ": … }"
	}
	return keyOf(f) + ": \"…\""
}

// elsewhere says what to write for keys that people bring from other software.
var elsewhere = map[string]struct{ instead, covers string }{
	"Client.client_secret":      {"client_secret_sha256: \"64 hex digits, from: printf %s THE_SECRET | sha256sum\"", "client_secret_sha256"},
	"Client.secret":             {"client_secret_sha256: \"64 hex digits, from: printf %s THE_SECRET | sha256sum\"", "client_secret_sha256"},
	"Client.client_secret_file": {"client_secret_sha256: \"64 hex digits, from: sha256sum < THE_FILE\"", "client_secret_sha256"},
	"Client.client_id":          {"id: city-library", "id"},
	"Client.client_name":        {"name: { fr: \"Médiathèque\", en: \"City library\" }", "name"},
	"Client.grant_types":        {"nothing: the authorization code is the only grant", ""},
	"Client.response_types":     {"nothing: code is the only response type", ""},
	"Client.claims":             {"claims in its policy: only a policy says what may be released", ""},
	"Client.cors_origins":       {"allowed_origins: [https://app.example]", "allowed_origins"},
	"Client.public":             {"token_endpoint_auth_method: none", "token_endpoint_auth_method"},
	"Client.subject_type":       {"nothing: subjects are always pairwise, by sector", ""},
	"Provider.scope":            {"scopes: [openid, profile, birth, email]", "scopes"},
	"Provider.enabled":          {"nothing: a provider that is in the list is offered", ""},
	"Provider.verify":           {"nothing: signatures are always verified", ""},
	"File.secret":               {"keys: { secret_file: secrets/keys }", "keys"},
	"File.base_url":             {"issuer: https://id.example.org", "issuer"},
	"File.url":                  {"issuer: https://id.example.org", "issuer"},
	"File.port":                 {"listen: 127.0.0.1:8080", "listen"},
	"File.trusted_proxies":      {"client_certificates: { trusted_proxies: [10.0.0.7/32] }, or the same in suspicious_context; other forwarded headers are never believed", ""},
}
