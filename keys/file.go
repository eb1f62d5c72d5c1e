package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxFile is far more than any key or secret file has.
const maxFile = 1 << 20

// LoadOrCreateSecret reads the secret for Config.Secret from path, and makes a
// random one of 32 bytes if there is no such file. The file holds 64 hexadecimal
// digits (as openssl rand -hex 32 writes them), mode 0600. Keep a copy: without
// it the key file is lost.
func LoadOrCreateSecret(path string) (secret []byte, err error) {
	err = withLock(path, func() error {
		text, err := readPrivate(path)
		if errors.Is(err, fs.ErrNotExist) {
			secret = make([]byte, minSecret)
			rand.Read(secret)
			return replace(path, []byte(hex.EncodeToString(secret)+"\n"))
		}
		if err != nil {
			return err
		}
		if n := len(text); n > 0 && text[n-1] == '\n' {
			text = text[:n-1]
		}
		secret, err = hex.DecodeString(string(text))
		if err != nil || len(secret) != minSecret { // the cause would quote a digit of it
			return fmt.Errorf("%s does not hold 64 hexadecimal digits", path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("secret file: %w", err)
	}
	return secret, nil
}

// withLock calls do while this process alone holds path.lock, and waits for its
// turn. The kernel drops the lock of a process that dies. The lock file stays: a
// process that removed it could let two others in at once.
func withLock(path string, do func() error) error {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EINTR) { // the runtime's own signals
			return fmt.Errorf("lock %s.lock: %w", path, err)
		}
	}
}

// readPrivate reads a file that nobody but its owner may read or write.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o): run chmod 600 on it, and think about who has read it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is too large", path)
	}
	return data, err
}

// replace puts data in the place of path, all of it or none, mode 0600, and
// durable when it returns nil. The caller holds the lock.
func replace(path string, data []byte) error {
	temp := path + ".tmp" // one that a crash left behind was never in force
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(temp, data); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync() // else a power cut can undo the rename
}

func writeSynced(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
