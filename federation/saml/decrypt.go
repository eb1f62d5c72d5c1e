package saml

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"

	"github.com/beevik/etree"

	"github.com/voussoir-id/voussoir/federation"
	"github.com/voussoir-id/voussoir/keys"
)

// content is how an assertion is encrypted.
type content struct {
	size int // of the key, in bytes
	open func(key, sealed []byte) ([]byte, error)
	// altered: nobody can tell from the ciphertext that it was altered. Whoever
	// answers differently for bad padding, be it by a microsecond, can then be made to
	// decrypt (XML Encryption 1.1 section 6.1.5, Jager and Somorovsky 2011). So CBC is
	// opened only where the operator wants it, and only under a signature of the
	// response that was verified before: then nobody but the provider can ask.
	altered bool
}

func contents() map[string]content {
	return map[string]content{
		nsEncrypt11 + "aes128-gcm": {16, openGCM, false}, nsEncrypt11 + "aes192-gcm": {24, openGCM, false}, nsEncrypt11 + "aes256-gcm": {32, openGCM, false},
		nsEncrypt + "aes128-cbc": {16, openCBC, true}, nsEncrypt + "aes192-cbc": {24, openCBC, true}, nsEncrypt + "aes256-cbc": {32, openCBC, true},
	}
}

// decrypt opens an EncryptedAssertion and parses what is inside, as strictly as
// what is outside. It proves nothing: whoever knows our certificate can encrypt.
// whole is the verified response around it, nil if that is not signed.
func (p *Provider) decrypt(ctx context.Context, el *etree.Element, whole *signed) (*etree.Element, error) {
	if err := only(el, nsEncrypt+" EncryptedData", nsEncrypt+" EncryptedKey"); err != nil {
		return nil, p.because(federation.ReasonDecryption, err)
	}
	data, err := one(el, nsEncrypt, "EncryptedData")
	if err != nil {
		return nil, p.because(federation.ReasonDecryption, err)
	}
	how, ok := contents()[algorithm(data)]
	if !ok || how.altered && (!p.cfg.AllowCBC || whole == nil) {
		return nil, p.because(federation.ReasonDecryption, errors.New("assertion is not encrypted with AES-GCM, or with CBC where that is allowed and the response signed"))
	}
	wrapped, o, err := transported(el, data)
	if err != nil {
		return nil, p.because(federation.ReasonDecryption, err)
	}
	key, err := p.cfg.Keys.UnwrapSAMLKey(ctx, wrapped, o)
	if errors.Is(err, keys.ErrSealed) {
		return nil, p.because(federation.ReasonDecryption, errors.New("assertion is not encrypted to a key of ours"))
	}
	if err != nil {
		return nil, err // nobody knows what is inside
	}
	sealed, err := cipherValue(data)
	if err != nil {
		return nil, p.because(federation.ReasonDecryption, err)
	}
	if len(key) != how.size {
		return nil, p.because(federation.ReasonDecryption, errOpen)
	}
	plain, err := how.open(key, sealed)
	if err != nil {
		return nil, p.because(federation.ReasonDecryption, err)
	}
	root, err := parse(plain)
	if err != nil {
		return nil, p.because(federation.ReasonDecryption, err)
	}
	return root, nil
}

func algorithm(el *etree.Element) string {
	m, err := one(el, nsEncrypt, "EncryptionMethod")
	if err != nil {
		return ""
	}
	name, _ := attr(m, "Algorithm")
	return name
}

// transported finds the one content key, beside the data or in its KeyInfo.
func transported(el, data *etree.Element) ([]byte, keys.OAEP, error) {
	found := children(el, nsEncrypt, "EncryptedKey")
	for _, info := range children(data, nsSignature, "KeyInfo") {
		found = append(found, children(info, nsEncrypt, "EncryptedKey")...)
	}
	if len(found) != 1 {
		return nil, keys.OAEP{}, errors.New("assertion has not exactly one encrypted key")
	}
	o, err := oaep(found[0])
	if err != nil {
		return nil, keys.OAEP{}, err
	}
	wrapped, err := cipherValue(found[0])
	return wrapped, o, err
}

// oaep reads the parameters of the key transport. RSA with PKCS #1 v1.5 padding is
// refused (Bleichenbacher's attack).
func oaep(el *etree.Element) (keys.OAEP, error) {
	const (
		mgfSHA1 = nsEncrypt11 + "mgf1sha1"
		mgf256  = nsEncrypt11 + "mgf1sha256"
	)
	name := algorithm(el)
	if name != nsEncrypt+"rsa-oaep-mgf1p" && name != nsEncrypt11+"rsa-oaep" {
		return keys.OAEP{}, errors.New("key is not transported with RSA-OAEP")
	}
	m, err := one(el, nsEncrypt, "EncryptionMethod")
	if err != nil {
		return keys.OAEP{}, err
	}
	if err := only(m, nsSignature+" DigestMethod", nsEncrypt11+" MGF"); err != nil {
		return keys.OAEP{}, err
	}
	var o keys.OAEP
	for _, d := range children(m, nsSignature, "DigestMethod") {
		switch d, _ := attr(d, "Algorithm"); d {
		case nsEncrypt + "sha256":
			o.SHA256 = true
		case nsSignature + "sha1":
		default:
			return keys.OAEP{}, errors.New("digest of RSA-OAEP is not one that we know")
		}
	}
	for _, g := range children(m, nsEncrypt11, "MGF") {
		switch g, _ := attr(g, "Algorithm"); {
		case g == mgf256 && name == nsEncrypt11+"rsa-oaep":
			o.MGFSHA256 = true
		case g != mgfSHA1:
			return keys.OAEP{}, errors.New("mask function of RSA-OAEP is not one that we know")
		}
	}
	return o, nil
}

func cipherValue(el *etree.Element) ([]byte, error) {
	data, err := one(el, nsEncrypt, "CipherData")
	if err != nil {
		return nil, err
	}
	if err := only(data, nsEncrypt+" CipherValue"); err != nil { // a CipherReference would be fetched
		return nil, err
	}
	value, err := one(data, nsEncrypt, "CipherValue")
	if err != nil {
		return nil, err
	}
	return decoded(value)
}

var errOpen = errors.New("assertion cannot be decrypted")

// openGCM decrypts nonce ‖ ciphertext ‖ tag (XML Encryption 1.1 section 5.2.4).
func openGCM(key, sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errOpen
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(sealed) < gcm.NonceSize() {
		return nil, errOpen
	}
	plain, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], nil)
	if err != nil {
		return nil, errOpen
	}
	return plain, nil
}

// openCBC decrypts IV ‖ ciphertext, whose last byte says how many are padding
// (XML Encryption 1.1 section 5.2.2).
func openCBC(key, sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return nil, errOpen
	}
	plain := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, sealed[:aes.BlockSize]).CryptBlocks(plain, sealed[aes.BlockSize:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, errOpen
	}
	return plain[:len(plain)-padding], nil
}
