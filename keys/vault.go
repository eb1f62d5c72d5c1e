package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
)

// The key file is
//
//	"voussoir-keys/v1\n" ‖ salt (32) ‖ nonce (12) ‖ AES-256-GCM(contents)
//
// under HKDF-SHA-256(secret, salt), with all before the nonce authenticated. The
// salt is new with each write.
const (
	vaultMagic = "voussoir-keys/v1\n"
	vaultInfo  = "voussoir/key file/v1"
	saltSize   = 32
	minSecret  = 32
)

// vault is the encrypted file. Its user holds the lock.
type vault struct {
	file      string
	secret    []byte
	mustExist bool
}

// read returns the decrypted contents, nil when there is no file yet.
func (v vault) read() ([]byte, error) {
	data, err := readPrivate(v.file)
	if errors.Is(err, fs.ErrNotExist) && !v.mustExist {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	plain, err := decrypt(v.secret, data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", v.file, err)
	}
	return plain, nil
}

func (v vault) write(plain []byte) error {
	data, err := encrypt(v.secret, plain)
	if err != nil {
		return fmt.Errorf("key file %s: %w", v.file, err)
	}
	if err := replace(v.file, data); err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}

func encrypt(secret, plain []byte) ([]byte, error) {
	head := make([]byte, len(vaultMagic)+saltSize)
	rand.Read(head[copy(head, vaultMagic):])
	aead, err := vaultCipher(secret, head)
	if err != nil {
		return nil, err
	}
	return aead.Seal(head, nil, plain, head), nil
}

func decrypt(secret, data []byte) ([]byte, error) {
	size := len(vaultMagic) + saltSize
	if len(data) < size || string(data[:len(vaultMagic)]) != vaultMagic {
		return nil, errors.New("cut short, or not a key file of this version; left as it is, restore it from its backup")
	}
	head, sealed := data[:size], data[size:]
	aead, err := vaultCipher(secret, head)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, head)
	if err != nil {
		return nil, errors.New("cut short, altered, or encrypted with another secret; left as it is, check the secret or restore the file from its backup")
	}
	return plain, nil
}

func vaultCipher(secret, head []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, head[len(vaultMagic):], vaultInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
