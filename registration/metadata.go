package registration

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/clients"
	"github.com/voussoir-id/voussoir/protocol"
)

// Limits of what a service may say about itself.
const (
	maxList  = 10   // entries of a list, such as redirect URIs
	maxValue = 2048 // bytes of a text
	maxKeys  = 16 << 10
)

// The grants that a service may have.
const (
	authorizationCode = "authorization_code"
	refreshToken      = "refresh_token"
)

// Metadata is what a service says of itself: members of RFC 7591 section 2 and of
// the specifications that add to it, by name, each of the type that it must have.
type Metadata map[string]json.RawMessage

// shape is the JSON type of a member.
type shape uint8

const (
	text shape = iota
	address
	flag
	list
	keySet
)

// shapes are the members that we understand. Any other is ignored (RFC 7591 section
// 2), and so is not in our answer. Members of which the configuration of this version
// knows nothing are dropped later, by Book.Check.
func shapes() map[string]shape {
	return map[string]shape{
		"redirect_uris": list, "response_types": list, "grant_types": list, "application_type": text, "scope": text,
		"contacts": list, "client_name": text, "client_uri": address, "logo_uri": address, "policy_uri": address, "tos_uri": address,
		"jwks_uri": text, "jwks": keySet, "sector_identifier_uri": address, "subject_type": text,
		"token_endpoint_auth_method": text, "token_endpoint_auth_signing_alg": text,
		"id_token_signed_response_alg": text, "id_token_encrypted_response_alg": text, "id_token_encrypted_response_enc": text,
		"userinfo_signed_response_alg": text, "userinfo_encrypted_response_alg": text, "userinfo_encrypted_response_enc": text,
		"request_object_signing_alg": text, "require_signed_request_object": flag,
		"require_pushed_authorization_requests": flag, "authorization_signed_response_alg": text,
		"require_auth_time": flag, "initiate_login_uri": address,
		"post_logout_redirect_uris": list, "frontchannel_logout_uri": text, "frontchannel_logout_session_required": flag,
		"backchannel_logout_uri": text, "backchannel_logout_session_required": flag,
		"dpop_bound_access_tokens": flag, "tls_client_certificate_bound_access_tokens": flag,
		"tls_client_auth_subject_dn": text, "tls_client_auth_san_dns": text, "tls_client_auth_san_uri": text,
		"tls_client_auth_san_ip": text, "tls_client_auth_san_email": text,
	}
}

// translated are the members that may come once per language, as client_name#fr
// (RFC 7591 section 2.2).
var translated = []string{"client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri"}

// languageTag is what we keep of the languages: those that pages can have.
var languageTag = regexp.MustCompile(`^[a-z]{2}$`)

// invalid names the member that will not do, and never what is in it.
func invalid(member, why string) *protocol.Error {
	return protocol.Fail(protocol.InvalidClientMetadata, nil, member+": "+why)
}

// Read takes from the members of a request those that we understand, with what we
// put in the place of those that are absent or that we answer differently. loopback
// allows http on loopback hosts, for development.
func Read(body map[string]json.RawMessage, loopback bool) (Metadata, error) {
	if v, ok := body["software_statement"]; ok && string(v) != "null" {
		// What it says would come before what stands beside it (RFC 7591 section 2.3):
		// without it another service would be registered than was meant.
		return nil, protocol.Fail(protocol.UnapprovedSoftwareStatement, nil, "software statements are not accepted here")
	}
	known, m := shapes(), Metadata{}
	for name, value := range body {
		base, tag, tagged := strings.Cut(name, "#")
		kind, ok := known[base]
		if !ok || string(value) == "null" || tagged && (!slices.Contains(translated, base) || !languageTag.MatchString(tag)) {
			continue
		}
		clean, err := shaped(base, kind, value, loopback)
		if err != nil {
			return nil, err
		}
		m[name] = clean
	}
	return m, m.settle()
}

// shaped checks the type and the size of a member, and writes it anew.
func shaped(name string, kind shape, value json.RawMessage, loopback bool) (json.RawMessage, error) {
	switch kind {
	case flag:
		if s := string(value); s != "true" && s != "false" {
			return nil, invalid(name, "neither true nor false")
		}
		return slices.Clone(value), nil
	case keySet:
		if _, err := protocol.Object(value); err != nil || len(value) > maxKeys {
			return nil, invalid(name, "not a JSON Web Key Set, or a very large one")
		}
		return slices.Clone(value), nil
	case list:
		var all []string
		if json.Unmarshal(value, &all) != nil {
			return nil, invalid(name, "not a list of texts")
		}
		if len(all) > maxList {
			return nil, invalid(name, fmt.Sprintf("more than %d entries", maxList))
		}
		for _, s := range all {
			if s == "" || len(s) > maxValue {
				return nil, invalid(name, "an entry is empty or too long")
			}
		}
		return encode(all), nil
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return nil, invalid(name, "not a text")
	}
	if s == "" || len(s) > maxValue {
		return nil, invalid(name, "empty or too long")
	}
	if kind == address {
		if f := clients.CheckURL(s, loopback); f != nil {
			return nil, invalid(name, f.What)
		}
	}
	return encode(s), nil
}

// settle puts in what we do in place of what was left out, or that we do in one way
// only: the answer tells the service (RFC 7591 section 3.2.1).
func (m Metadata) settle() error {
	m.fill("token_endpoint_auth_method", "client_secret_basic")
	m.fill("id_token_signed_response_alg", "RS256") // OpenID Connect Registration section 2
	if m.text("token_endpoint_auth_method") == string(clients.PrivateKeyJWT) {
		m.fill("token_endpoint_auth_signing_alg", m.assertionAlg())
	}
	m.fill("application_type", "web")
	m.fill("subject_type", "pairwise")
	switch {
	case m.text("subject_type") != "pairwise":
		return invalid("subject_type", "subjects are always pairwise")
	case m["response_types"] != nil && !slices.Contains(m.list("response_types"), "code"):
		return invalid("response_types", "code is the only response type")
	case m["grant_types"] != nil && !slices.Contains(m.list("grant_types"), authorizationCode):
		return invalid("grant_types", "authorization_code is missing")
	}
	grants := []string{authorizationCode}
	if slices.Contains(m.list("grant_types"), refreshToken) {
		grants = append(grants, refreshToken) // the token of its operator decides
	}
	m["response_types"], m["grant_types"] = encode([]string{"code"}), encode(grants)
	if m["scope"] == nil {
		return nil
	}
	kept := []string{string(protocol.OpenID)}
	for _, s := range strings.Fields(m.text("scope")) {
		if slices.Contains(protocol.Scopes(), protocol.Scope(s)) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	m["scope"] = encode(strings.Join(kept, " "))
	return nil
}

func (m Metadata) fill(name, value string) {
	if m[name] == nil {
		m[name] = encode(value)
	}
}

// text is the value of a member, "" when it is absent.
func (m Metadata) text(name string) (s string) {
	_ = json.Unmarshal(m[name], &s) // its shape was checked
	return s
}

func (m Metadata) list(name string) (all []string) {
	_ = json.Unmarshal(m[name], &all) // its shape was checked
	return all
}

// Sector decides which services see the same subject for a person: the host of
// sector_identifier_uri, or that of the redirect URIs, or "" when these have several
// (OpenID Connect Core section 8.1).
func (m Metadata) Sector() string {
	if u, err := url.Parse(m.text("sector_identifier_uri")); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return clients.Sector(m.list("redirect_uris"))
}

// assertionAlg is the algorithm of client assertions when none was said, since we pin
// one: that of its first key, or RS256, the default of OpenID Connect.
func (m Metadata) assertionAlg() string {
	var set struct {
		Keys []struct{ Kty, Alg, Use string }
	}
	_ = json.Unmarshal(m["jwks"], &set) // whoever reads the keys says what is wrong with them
	for _, k := range set.Keys {
		switch {
		case k.Use == "enc":
		case slices.Contains([]string{"ES256", "EdDSA", "PS256", "RS256"}, k.Alg):
			return k.Alg
		case k.Kty == "EC":
			return "ES256"
		case k.Kty == "OKP":
			return "EdDSA"
		}
	}
	return "RS256"
}

// hasSecret reports whether the method of authentication uses a secret.
func (m Metadata) hasSecret() bool {
	method := m.text("token_endpoint_auth_method")
	return method == string(clients.SecretBasic) || method == string(clients.SecretPost)
}

// encode writes what always has a JSON form.
func encode[T string | []string | int64](v T) json.RawMessage {
	b, _ := json.Marshal(v) // cannot fail for these types
	return b
}
