package config

import (
	"bytes"
	"crypto/tls"
	"strings"
	"time"
)

// ClientCertificate is the certificate that we show to a provider.
type ClientCertificate struct {
	// CertFile is the certificate with those that lead to the authority, PEM, ours
	// first. Relative to this file; read again on SIGHUP.
	CertFile string `yaml:"cert_file" eg:"tls/tax.pem"`
	// KeyFile is its key, PEM, mode 0600 or 0400. Relative to this file; read again on
	// SIGHUP.
	KeyFile string `yaml:"key_file" eg:"secrets/tax.key"`
}

// byCertificate reports whether a certificate proves who we are to p.
func (p *Provider) byCertificate() bool {
	return strings.HasSuffix(p.TokenEndpointAuthMethod, "tls_client_auth")
}

// protection: what is encrypted, pushed or bound has to go together.
func (c *checker) protection(p *Provider, path string) {
	if at := path + ".userinfo.encrypted_response_alg"; p.UserInfo.EncryptedResponseAlg != "" && p.UserInfo.SignedResponseAlg == "" && c.ok(at) {
		c.add(at, "anyone can encrypt to our public key, so an encrypted answer proves nothing of itself", "signed_response_alg: ES256 beside it")
	}
	static := p.AuthorizationEndpoint != "" || p.TokenEndpoint != ""
	at := path + ".pushed_authorization_request_endpoint"
	c.uri(at, p.PushedAuthorizationRequestEndpoint)
	switch {
	case p.PushedAuthorizationRequestEndpoint != "" && !static:
		c.add(at, "the provider's metadata is discovered, and says this itself", "nothing: remove this line")
	case p.PushedAuthorizationRequestEndpoint != "" && p.PAR == "off":
		c.add(at, "requests are never pushed there, because of par: off", "par: auto, or remove this line")
	case p.PushedAuthorizationRequestEndpoint == "" && static && p.PAR == "require" && c.ok(path+".par"):
		c.add(path+".par", "requests must be pushed, and endpoints are given without the one for it", "pushed_authorization_request_endpoint: https://idp.example/par")
	}
	if at := path + ".dpop"; static && p.DPoP == "auto" && c.ok(at) {
		c.add(at, "no metadata is fetched that could say whether the provider can do it", "dpop: require, or off")
	}
	c.shownCertificate(p, path+".client_certificate")
	if p.byCertificate() && !c.has(path+".client_certificate") {
		c.add(path+".token_endpoint_auth_method", "there is no certificate to prove ourselves with", "client_certificate: { cert_file: tls/"+safe(p.ID)+".pem, key_file: secrets/"+safe(p.ID)+".key }")
	}
}

func (c *checker) shownCertificate(p *Provider, at string) {
	if !c.has(at) || !c.ok(at) {
		return
	}
	if p.ClientCertificate.CertFile == "" && c.ok(at+".cert_file") {
		c.add(at+".cert_file", "there is no certificate to show", "cert_file: tls/"+safe(p.ID)+".pem")
	}
	if p.ClientCertificate.KeyFile == "" && c.ok(at+".key_file") {
		c.add(at+".key_file", "there is no key to the certificate", "key_file: secrets/"+safe(p.ID)+".key")
	}
	if p.ClientCertificate.KeyFile != "" {
		c.secretFile(at+".key_file", p.ClientCertificate.KeyFile)
	}
}

// loadCertificate reads what shownCertificate has checked; nil: none.
func (c *checker) loadCertificate(p *Provider, at string) *tls.Certificate {
	k := p.ClientCertificate
	if k.CertFile == "" || k.KeyFile == "" || !c.ok(at) || !c.ok(at+".cert_file") || !c.ok(at+".key_file") {
		return nil
	}
	chain := c.readPEM(at+".cert_file", k.CertFile)
	key := c.secret(at+".key_file", k.KeyFile, "")
	if chain == nil || key == nil {
		return nil
	}
	if !bytes.Contains(chain, []byte("BEGIN CERTIFICATE")) {
		c.add(at+".cert_file", quote(k.CertFile)+" holds no certificate in PEM", "a file that begins with -----BEGIN CERTIFICATE-----")
		return nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil { // its text helps nobody
		c.add(at+".key_file", "the key and the certificate cannot be read, or do not belong together", "the key that the certificate was made with, and our own certificate first in cert_file")
		return nil
	}
	// Not a mistake: one provider's certificate must not keep the others from starting.
	if now := time.Now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		c.warn(at+".cert_file", "the certificate has expired or is not valid yet: the provider will refuse it", "a new one, then SIGHUP")
	}
	return &pair
}
