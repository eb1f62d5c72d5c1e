package config

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"strings"

	"github.com/voussoir-id/voussoir/federation/saml"
	"github.com/voussoir-id/voussoir/protocol"
)

const maxMetadata = 256 << 10 // bytes

// SAMLProvider is a SAML provider, complete but for Keys, Once, Client, Check, Now
// and Log. Position is its place among all providers.
type SAMLProvider struct {
	saml.Config
	Position int
}

// needed reports a key that the protocol of a provider requires.
func (c *checker) needed(path, instead string) {
	if !c.has(path) && c.ok(path) {
		c.add(path, "this is missing, and required", instead)
	}
}

// notSAML: settings that would be silently ignored would be believed.
func (c *checker) notSAML(path string) {
	if c.has(path+".saml") && c.ok(path+".saml") {
		c.add(path+".saml", "this is for SAML providers, and the provider speaks OpenID Connect", "protocol: saml, or remove it")
	}
}

// oidcOnly are the keys of a provider that mean nothing with SAML.
func oidcOnly() []string {
	return []string{
		"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "client_id", "client_secret",
		"client_secret_file", "client_secret_env", "token_endpoint_auth_method", "private_key_jwt", "scopes",
		"id_token_signed_response_alg", "userinfo", "iss_parameter", "acr.default",
	}
}

func (c *checker) samlProvider(p *Provider, path string) {
	for _, key := range oidcOnly() {
		if at := path + "." + key; c.has(at) && c.ok(at) {
			c.add(at, "this is for OpenID Connect, and the provider speaks SAML", "nothing: remove this line")
		}
	}
	if at := path + ".issuer"; c.sound(at, p.Issuer) && (len(p.Issuer) > 1024 || badScope(p.Issuer)) {
		c.add(at, "this cannot be an entity ID", "issuer: the entityID of its metadata, letter by letter")
	}
	c.empty(path+".issuer", p.Issuer, "issuer: https://idp.example/metadata")
	c.levels(p, path)
	if at := path + ".acr.map"; c.has(path+".acr") && len(p.ACR.Map) == 0 && c.ok(at) && c.ok(path+".acr") {
		c.add(at, "without it no sign-in there is worth anything", "map: { \"urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport\": eidas1 }")
	}
	c.renamed(p, path)
	c.addressParts(p, path)
	c.identity(p, path)
	c.samlMetadata(&p.SAML, path+".saml")
	if at := path + ".saml.subject_attribute"; c.has(at) && c.ok(at) && (p.SAML.SubjectAttribute == "" || badScope(p.SAML.SubjectAttribute)) {
		c.add(at, "this cannot be the name of an attribute", "its Name, such as urn:oasis:names:tc:SAML:attribute:pairwise-id, or remove the line")
	}
	if at := path + ".saml.cbc_exception_reason"; c.has(at) && c.ok(at) && len(strings.TrimSpace(p.SAML.CBCExceptionReason)) < 10 {
		c.add(at, "this is no reason", "why this provider cannot do better and until when, or remove the line")
	}
	if at := path + ".claims"; p.CivilIdentity && len(c.samlAttributes(p)) == 0 && c.ok(at) {
		c.add(at, "a civil identity is expected, and no attribute is mapped to a claim", "claims: { given_name: \"urn:oid:2.5.4.42\", … }, or a preset")
	}
}

// samlMetadata: from one place, and pinned.
func (c *checker) samlMetadata(s *ProviderSAML, path string) {
	c.uri(path+".metadata_url", s.MetadataURL)
	file, url := c.has(path+".metadata_file"), c.has(path+".metadata_url")
	switch {
	case !c.ok(path) || !c.ok(path+".metadata_file") || !c.ok(path+".metadata_url"):
	case file && url:
		c.add(path+".metadata_url", "the metadata has two places", "metadata_file or metadata_url, one of them")
	case !file && !url:
		c.add(path+".metadata_file", "there is no metadata, so nobody can tell who signs", "metadata_file: metadata/provider.xml, or metadata_url with metadata_certificate_file")
	}
	at := path + ".metadata_certificate_file"
	switch pinned := c.has(at); {
	case !c.ok(at):
	case url && !pinned:
		c.add(at, "metadata from an address is believed only if it is signed, and no certificate is pinned", "metadata_certificate_file: metadata/federation.pem")
	case pinned && !url:
		c.add(at, "a certificate is pinned for metadata that is not fetched", "metadata_url beside it, or remove it")
	}
}

// samlAttributes are its attributes with the claims that they become: those of the
// preset, but where the file says otherwise.
func (c *checker) samlAttributes(p *Provider) map[string]string {
	out := map[string]string{}
	for theirs, ours := range saml.Preset(p.SAML.Preset) {
		if _, renamed := p.Claims[ours]; !renamed {
			out[theirs] = ours
		}
	}
	for ours, theirs := range p.Claims {
		out[theirs] = ours
	}
	return out
}

func (c *checker) provideSAML(i int, hosts []string) SAMLProvider {
	p, path := &c.f.Providers[i], index("providers", i)
	base := c.f.Issuer + "/saml/" + p.ID
	out := SAMLProvider{Position: i, Config: saml.Config{
		ID: protocol.ProviderID(p.ID), Name: p.Name.text(), EntityID: p.Issuer,
		OurEntityID: base + "/metadata", ACS: base + "/acs", SLO: base + "/slo", Relay: p.Logout != "off",
		ACR:              saml.ACR{Max: protocol.ACR(p.ACR.Max), Map: map[string]protocol.ACR{}, Minimum: p.SAML.MinimumContext},
		Attributes:       c.samlAttributes(p),
		SubjectAttribute: p.SAML.SubjectAttribute, RequireEncryption: p.SAML.RequireEncryption,
		AllowCBC:     strings.TrimSpace(p.SAML.CBCExceptionReason) != "",
		ForeignHosts: foreignHosts(i, hosts), AllowHTTP: c.f.Development, MetadataURL: p.SAML.MetadataURL,
	}}
	out.Schema.Civil, out.Schema.Required, out.Schema.Optional = p.CivilIdentity, words[protocol.Claim](p.Identity.Required), c.optional(p, path)
	out.Schema.Latin, out.Schema.WholeDates = p.Identity.Letters == "latin", p.Identity.WholeBirthdates
	for _, class := range slices.Sorted(maps.Keys(p.ACR.Map)) {
		out.ACR.Map[class] = protocol.ACR(p.ACR.Map[class])
	}
	if p.SAML.MetadataFile != "" {
		out.Metadata = c.document(path+".saml.metadata_file", p.SAML.MetadataFile)
	}
	if p.SAML.MetadataCertificateFile != "" {
		at := path + ".saml.metadata_certificate_file"
		out.MetadataSigners = c.certificates(at, c.document(at, p.SAML.MetadataCertificateFile))
	}
	return out
}

// document reads a file that is no secret.
func (c *checker) document(path, file string) []byte {
	if !c.ok(path) {
		return nil
	}
	b, err := read(c.resolve(file), maxMetadata+1)
	if err != nil || len(b) == 0 || len(b) > maxMetadata {
		c.add(path, "the file "+quote(file)+" cannot be read, is empty or is far too large (relative to the configuration file)", "a file that the broker may read")
		return nil
	}
	return b
}

func (c *checker) certificates(path string, text []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if strings.Contains(block.Type, "PRIVATE") || err != nil {
			c.add(path, "the file holds something that is not a certificate", "only blocks that begin with -----BEGIN CERTIFICATE-----")
			return nil
		}
		out = append(out, cert)
	}
	if len(out) == 0 && c.ok(path) {
		c.add(path, "the file holds no certificate", "a PEM file: -----BEGIN CERTIFICATE----- …")
	}
	return out
}
