package keys

import (
	"crypto/aes"
	"crypto/cipher"
)

// xaes is XAES-256-GCM (c2sp.org/XAES-256-GCM): AES-256-GCM under a key of its
// own for each message, made of the first half of a 24 byte nonce. Plain AES-GCM
// with random nonces is safe for 2³² messages under one key, which a busy broker
// seals in weeks; this is for 2⁸⁰. Safe for concurrent use.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC subkey (NIST SP 800-38B section 6.1)
}

const (
	xaesKeySize   = 32
	xaesNonceSize = 24
	xaesOverhead  = 16
)

func newXAES(key []byte) (*xaes, error) {
	if len(key) != xaesKeySize {
		return nil, aes.KeySizeError(len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	carry := x.k1[0] >> 7
	for i := range x.k1[:aes.BlockSize-1] {
		x.k1[i] = x.k1[i]<<1 | x.k1[i+1]>>7
	}
	x.k1[aes.BlockSize-1] = x.k1[aes.BlockSize-1]<<1 ^ carry*0x87
	return x, nil
}

// message returns the cipher for the one message with this nonce.
func (x *xaes) message(nonce []byte) (cipher.AEAD, error) {
	var key [xaesKeySize]byte
	for i := range 2 {
		half := key[i*aes.BlockSize:][:aes.BlockSize]
		copy(half, []byte{0, byte(i + 1), 'X', 0})
		copy(half[4:], nonce[:12])
		for j := range half {
			half[j] ^= x.k1[j]
		}
		x.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (x *xaes) seal(dst, nonce, plaintext, aad []byte) ([]byte, error) {
	aead, err := x.message(nonce)
	if err != nil {
		return nil, err
	}
	return aead.Seal(dst, nonce[12:], plaintext, aad), nil
}

func (x *xaes) open(nonce, ciphertext, aad []byte) ([]byte, error) {
	aead, err := x.message(nonce)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nonce[12:], ciphertext, aad)
}
