module github.com/voussoir-id/voussoir/cmd/voussoir-signer

go 1.26.0

require (
	github.com/ThalesGroup/crypto11 v1.6.2
	github.com/voussoir-id/voussoir v0.0.0
)

require (
	github.com/miekg/pkcs11 v1.1.2 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/thales-e-security/pool v0.0.2 // indirect
)

// Of our own code it has the room signer only, which has no dependencies.
replace github.com/voussoir-id/voussoir => ../..
