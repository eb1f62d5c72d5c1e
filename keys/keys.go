// Package keys is the only room that sees private keys and derivation secrets.
// It signs, derives, seals, rotates and publishes; it also reads the public keys
// of others (Remote). No key or secret ever leaves it, and none appears in an
// error or a log line.
package keys
