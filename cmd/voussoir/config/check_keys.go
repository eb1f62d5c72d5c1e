package config

import (
	"path/filepath"
	"strings"
)

// maxSocket is the longest path that the kernel takes for a socket, in bytes.
const maxSocket = 107

// signer checks where the signing keys are to be.
func (c *checker) signer() {
	const path = "keys.signer.socket"
	socket := c.f.Keys.Signer.Socket
	if !c.has("keys.signer") || !c.ok("keys.signer") || !c.ok(path) {
		return
	}
	switch {
	case socket == "":
		c.add("keys.signer", "the signer has no socket", "signer: { socket: /run/voussoir/signer.sock }")
	case !filepath.IsAbs(socket) || filepath.Clean(socket) != socket || strings.ContainsRune(socket, 0):
		c.add(path, quote(socket)+" is not the absolute path of a socket", "socket: /run/voussoir/signer.sock")
	case len(socket) > maxSocket:
		c.add(path, "the path is longer than 107 bytes, which no socket can have", "socket: /run/voussoir/signer.sock")
	}
	const what, instead = "a signer has no EdDSA keys, and the signing keys are to be in one", "ES256"
	for i, k := range c.f.Clients {
		at := index("clients", i)
		for key, alg := range map[string]string{
			".id_token_signed_response_alg": k.IDTokenSignedResponseAlg, ".userinfo_signed_response_alg": k.UserInfoSignedResponseAlg,
			".authorization_signed_response_alg": k.AuthorizationSignedResponseAlg,
		} {
			if alg == "EdDSA" && c.ok(at+key) {
				c.add(at+key, what, key[1:]+": "+instead)
			}
		}
	}
	for i, d := range c.f.DataProviders {
		if at := index("data_providers", i) + ".introspection_signed_response_alg"; d.IntrospectionSignedResponseAlg == "EdDSA" && c.ok(at) {
			c.add(at, what, "introspection_signed_response_alg: "+instead)
		}
	}
}
