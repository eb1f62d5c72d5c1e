package saml

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/beevik/etree"
)

// MediaType is that of metadata (SAML metadata appendix A).
const MediaType = "application/samlmetadata+xml"

// Metadata is our own metadata for this provider: who we are to it, where it may
// send people back, the keys that sign our requests, now and next, and the one that
// it encrypts to. It is not signed: the provider's operator gets it from us under
// TLS, or by hand.
func (p *Provider) Metadata(ctx context.Context) ([]byte, error) {
	certificates, err := p.cfg.Keys.SAMLCertificates(ctx)
	if err != nil {
		return nil, fmt.Errorf("metadata for provider %s: %w", p.cfg.ID, err)
	}
	doc := etree.NewDocument()
	root := doc.CreateElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", nsMetadata)
	root.CreateAttr("xmlns:ds", nsSignature)
	root.CreateAttr("entityID", p.cfg.OurEntityID)
	role := root.CreateElement("md:SPSSODescriptor")
	role.CreateAttr("AuthnRequestsSigned", "true")
	role.CreateAttr("WantAssertionsSigned", "true")
	role.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for _, der := range certificates.Signing {
		keyDescriptor(role, "signing", der)
	}
	encryption := keyDescriptor(role, "encryption", certificates.Encryption)
	for _, name := range []string{nsEncrypt11 + "aes256-gcm", nsEncrypt11 + "aes128-gcm", nsEncrypt + "rsa-oaep-mgf1p"} {
		encryption.CreateElement("md:EncryptionMethod").CreateAttr("Algorithm", name)
	}
	if p.cfg.SubjectAttribute == "" && !p.cfg.Schema.Civil {
		role.CreateElement("md:NameIDFormat").SetText(formatPersistent)
	}
	acs := role.CreateElement("md:AssertionConsumerService")
	acs.CreateAttr("Binding", bindingPost)
	acs.CreateAttr("Location", p.cfg.ACS)
	acs.CreateAttr("index", "0")
	acs.CreateAttr("isDefault", "true")
	doc.Indent(2)
	return doc.WriteToBytes()
}

func keyDescriptor(role *etree.Element, use string, der []byte) *etree.Element {
	d := role.CreateElement("md:KeyDescriptor")
	d.CreateAttr("use", use)
	d.CreateElement("ds:KeyInfo").CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").
		SetText(base64.StdEncoding.EncodeToString(der))
	return d
}
