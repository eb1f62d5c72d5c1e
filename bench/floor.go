package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// work is the asymmetric cryptography that a login makes the broker do, whatever
// it is written in: P-256 signatures made and verified, messages encrypted.
type work struct{ Sign, Verify, Encrypt int }

// work of a login of this kind. Each verifies the provider's ID token and signs
// ours; then there are userinfo, the assertions at /par and /token, and the proofs
// at /token and /userinfo.
func (k kind) work() work {
	switch k {
	case jwt:
		return work{Sign: 2, Verify: 2}
	case fapi2:
		return work{Sign: 2, Verify: 5, Encrypt: 2}
	default:
		return work{Sign: 1, Verify: 1}
	}
}

// price is the CPU time of one operation on this machine, now.
type price struct{ Sign, Verify, Encrypt time.Duration }

func (p price) of(w work) time.Duration {
	return time.Duration(w.Sign)*p.Sign + time.Duration(w.Verify)*p.Verify + time.Duration(w.Encrypt)*p.Encrypt
}

// measurePrice takes about a second, in which nothing else should run.
func measurePrice() (price, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return price{}, err
	}
	to, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return price{}, err
	}
	digest := sha256.Sum256([]byte("a message"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return price{}, err
	}
	message := make([]byte, 600)
	return price{
		Sign:    cpuOf(func() { _, err = ecdsa.SignASN1(rand.Reader, key, digest[:]) }),
		Verify:  cpuOf(func() { ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) }),
		Encrypt: cpuOf(func() { err = encryptOnce(to.PublicKey(), message) }),
	}, err
}

// encryptOnce is ECDH-ES with A256GCM (RFC 7518 section 4.6) without its encoding.
func encryptOnce(to *ecdh.PublicKey, message []byte) error {
	once, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	shared, err := once.ECDH(to)
	if err != nil {
		return err
	}
	key := sha256.Sum256(shared)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	aead.Seal(nil, nil, message, nil)
	return nil
}

// cpuOf is the median CPU time of do, over 15 batches of about 20 ms.
func cpuOf(do func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := 1
	for ; n < 1<<20; n *= 2 {
		if batch(do, n) > 10*time.Millisecond {
			break
		}
	}
	all := make([]time.Duration, 15)
	for i := range all {
		all[i] = batch(do, n) / time.Duration(n)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// batch is the CPU time that this thread takes to do it n times.
func batch(do func(), n int) time.Duration {
	start := threadTime()
	for range n {
		do()
	}
	return threadTime() - start
}

func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD of getrusage(2)
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
