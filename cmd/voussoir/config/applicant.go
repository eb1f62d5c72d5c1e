package config

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/unicode/norm"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// A service that registers by API is written down as an operator would write it in
// the file, and then read and checked by the same code as the file. So there is one
// set of rules, and a rule that is added to the file holds for both.

// Applicant is a service that wants to be registered, or was.
type Applicant struct {
	ID       protocol.ClientID
	Initial  string                     // id of its initial access token
	Metadata map[string]json.RawMessage // RFC 7591 section 2; texts, lists of texts, flags and key sets
	Secret   []byte                     // SHA-256 of its secret; nil: it has none
}

// ErrNoInitial: the initial access token of an applicant is not in the configuration.
var ErrNoInitial = errors.New("its initial access token is not in the configuration")

// ErrTaken: the configuration has a client of this id.
var ErrTaken = errors.New("its id is that of a client of the configuration")

// Admit makes a client of an applicant as if it stood in the file, and returns the
// metadata that has an effect. A *protocol.Error says in the words of RFC 7591 section
// 3.2.2 which member will not do, and quotes nothing of it.
func (l *Loaded) Admit(a Applicant) (*clients.Client, map[string]json.RawMessage, error) {
	i := slices.IndexFunc(l.file.Registration.Tokens, func(t InitialToken) bool { return t.ID == a.Initial })
	if i < 0 {
		return nil, nil, ErrNoInitial
	}
	if _, taken := l.Clients.Get(a.ID); taken {
		return nil, nil, ErrTaken
	}
	token, m := &l.file.Registration.Tokens[i], effective(a.Metadata)
	if method, _ := free(m["token_endpoint_auth_method"]).(string); public(method) && !token.PublicClients {
		return nil, nil, protocol.Fail(protocol.InvalidClientMetadata, nil, "token_endpoint_auth_method: this token registers no public clients")
	}
	if kind, said := free(m["application_type"]).(string); said && kind != "web" && slices.Contains(descriptive(), "application_type") {
		return nil, nil, protocol.Fail(protocol.InvalidClientMetadata, nil, "application_type: only web applications register here")
	}
	offline := token.offline(m)
	for {
		c := &checker{
			decoder: &decoder{at: map[string]position{"": {1, 1}}, bad: map[string]bool{}},
			f: &File{
				Development: l.file.Development, Issuer: l.file.Issuer, Providers: l.file.Providers, Policies: l.file.Policies,
				ClientCertificates: l.file.ClientCertificates, Clients: make([]Client, 1),
			},
		}
		if l.ClientCertificates != nil {
			c.at["client_certificates"] = position{1, 1}
		}
		c.value(written(a, m, token, offline), reflect.ValueOf(&c.f.Clients[0]).Elem(), "clients[0]", reflect.StructField{})
		defaults(c.f)
		c.client(0)
		mistakes := slices.DeleteFunc(c.problems, func(p Problem) bool { return p.Warning }) // in the order of finding: the first is the root
		if n := dropIdle(m, mistakes); n > 0 && n == len(mistakes) {
			continue // what was of no effect is gone
		}
		if len(mistakes) > 0 {
			return nil, nil, refusal(mistakes)
		}
		if err := l.within(token, &c.f.Clients[0]); err != nil {
			return nil, nil, err
		}
		return c.loadClient(&c.f.Clients[0]), m, nil
	}
}

// within holds a service to what its token allows.
func (l *Loaded) within(token *InitialToken, k *Client) error {
	for _, uri := range k.RedirectURIs {
		if !token.allows(uri) {
			return protocol.Fail(protocol.InvalidRedirectURI, nil, "redirect_uris: this token registers no redirect URI on this host")
		}
	}
	for _, uri := range k.PostLogoutRedirectURIs {
		if !token.allows(uri) {
			return protocol.Fail(protocol.InvalidClientMetadata, nil, "post_logout_redirect_uris: this token registers no redirect URI on this host")
		}
	}
	// People would take it for the other.
	for _, known := range l.file.Clients {
		for _, theirs := range known.Name {
			for _, name := range k.Name {
				if readsLike(name, theirs) {
					return protocol.Fail(protocol.InvalidClientMetadata, nil, "client_name: this is the name of another service")
				}
			}
		}
	}
	return nil
}

// readsLike reports whether two names differ in little that people read: in case,
// accents, spaces, points or what is not seen at all. Letters of another script that look the
// same it does not know.
func readsLike(a, b string) bool {
	letters := func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}
	return strings.Map(letters, norm.NFKD.String(a)) == strings.Map(letters, norm.NFKD.String(b))
}

// descriptive are the members that are kept and returned, and set no field of a client
// in the file.
func descriptive() []string {
	fields, _ := fieldsOf(reflect.TypeFor[Client]())
	return slices.DeleteFunc([]string{
		"response_types", "grant_types", "application_type", "subject_type", "contacts", "client_uri", "logo_uri", "policy_uri", "tos_uri",
		"sector_identifier_uri", "require_auth_time", "initiate_login_uri",
	}, func(member string) bool { _, known := fields[member]; return known })
}

// fieldOf is the field of a client in the file that a member sets.
func fieldOf(member string) string {
	switch member {
	case "scope":
		return "scopes"
	case "require_pushed_authorization_requests":
		return "require_par"
	}
	return member
}

// settable are the fields of a client in the file that a service may fill in itself,
// by their names here. Every other one is for the operator to decide.
func settable() []string {
	return []string{
		"redirect_uris", "post_logout_redirect_uris", "application_type", "scopes", "jwks", "jwks_uri",
		"token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "require_par",
		"request_object_signing_alg", "require_signed_request_object", "authorization_signed_response_alg",
		"dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", "tls_client_auth_subject_dn",
		"tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email",
		"id_token_signed_response_alg", "id_token_encrypted_response_alg", "id_token_encrypted_response_enc",
		"userinfo_signed_response_alg", "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc",
		"frontchannel_logout_uri", "backchannel_logout_uri",
	}
}

// effective is metadata without the members that this version does nothing with (RFC
// 7591 section 2: they are ignored).
func effective(metadata map[string]json.RawMessage) map[string]json.RawMessage {
	fields, _ := fieldsOf(reflect.TypeFor[Client]())
	out := maps.Clone(metadata)
	maps.DeleteFunc(out, func(name string, _ json.RawMessage) bool {
		base, _, _ := strings.Cut(name, "#")
		_, known := fields[fieldOf(name)]
		return base != "client_name" && !slices.Contains(descriptive(), base) && (!known || !slices.Contains(settable(), fieldOf(name)))
	})
	return out
}

// dropIdle deletes the members that a client has no use for, and returns how many of
// the mistakes those were.
func dropIdle(m map[string]json.RawMessage, mistakes Problems) (n int) {
	for _, p := range mistakes {
		name := memberOf(p)
		if _, there := m[name]; p.idle && there {
			n++
		}
	}
	if n < len(mistakes) {
		return 0
	}
	for _, p := range mistakes {
		delete(m, memberOf(p))
	}
	return n
}

// memberOf is the member of the metadata that a problem is about.
func memberOf(p Problem) string {
	key, _, _ := strings.Cut(strings.TrimPrefix(p.Path, "clients[0]."), ".")
	key, _, _ = strings.Cut(key, "[")
	switch key {
	case "name":
		return "client_name"
	case "scopes":
		return "scope"
	case "require_par":
		return "require_pushed_authorization_requests"
	case "sector":
		return "sector_identifier_uri"
	}
	return key
}

// values are what a problem may quote of a file. A registration's answer and the log
// hold none.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

func refusal(mistakes Problems) *protocol.Error {
	p := mistakes[max(0, slices.IndexFunc(mistakes, func(p Problem) bool { return !p.idle }))]
	member, code := memberOf(p), protocol.InvalidClientMetadata
	if member == "redirect_uris" {
		code = protocol.InvalidRedirectURI
	}
	what := strings.Join(strings.Fields(values.ReplaceAllString(p.What, "the value")), " ")
	return protocol.Fail(code, nil, member+": "+what)
}

// written is an applicant as an entry of the file.
func written(a Applicant, m map[string]json.RawMessage, token *InitialToken, offline map[string]any) *yaml.Node {
	entry := map[string]any{"id": string(a.ID), "policy": token.Policy, "name": named(m, token)}
	pkce := token.RequirePKCE
	if method, _ := free(m["token_endpoint_auth_method"]).(string); public(method) {
		pkce = nil // an exception for those that have a secret
	}
	for key, v := range map[string]*bool{"require_pkce": pkce, "require_nonce": token.RequireNonce, "require_state": token.RequireState} {
		if v != nil {
			entry[key] = *v
		}
	}
	if token.ExceptionReason != "" {
		entry["exception_reason"] = token.ExceptionReason
	}
	if offline != nil {
		entry["refresh_tokens"] = offline
	}
	if a.Secret != nil {
		entry["client_secret_sha256"] = hex.EncodeToString(a.Secret)
	}
	for name, raw := range m {
		v := free(raw)
		switch {
		case slices.Contains(descriptive(), untagged(name)) || untagged(name) == "client_name":
			if name == "sector_identifier_uri" {
				uri, _ := v.(string)
				entry["sector"] = clients.Sector([]string{uri})
			}
			continue
		case name == "scope":
			var words []any
			text, _ := v.(string)
			for _, s := range strings.Fields(text) {
				words = append(words, s)
			}
			v = words
		}
		entry[fieldOf(name)] = v
	}
	return nodeOf(entry)
}

// named is what people read: the name in each language that the service gave, its
// name without a language in the others, and the name of the organisation that has
// the token when it gave none.
func named(m map[string]json.RawMessage, token *InitialToken) map[string]any {
	out := map[string]any{}
	for lang, text := range token.Name {
		out[lang] = text
	}
	if plain, ok := m["client_name"]; ok {
		out = map[string]any{"fr": free(plain), "en": free(plain)}
	}
	for name, raw := range m {
		if base, lang, tagged := strings.Cut(name, "#"); tagged && base == "client_name" {
			out[lang] = free(raw)
		}
	}
	return out
}

func untagged(name string) string {
	base, _, _ := strings.Cut(name, "#")
	return base
}

// free reads JSON that was checked to be sound; numbers stay as they were written.
func free(raw json.RawMessage) (v any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	_ = d.Decode(&v) // its syntax was checked when it came
	return v
}

// nodeOf is a value as the file's parser would have read it.
func nodeOf(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, nodeOf(key), nodeOf(v[key]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range v {
			n.Content = append(n.Content, nodeOf(e))
		}
		return n
	case bool:
		text := "false"
		if v {
			text = "true"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: text}
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v.String()}
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
}
