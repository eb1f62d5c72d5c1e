package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// listen makes the socket at path, or takes the one that systemd hands over.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	if path == "" {
		return handedOver()
	}
	if err := clear(ctx, path); err != nil {
		return nil, err
	}
	old := syscall.Umask(0o177) // the socket is never open to others, not for a moment
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("make the socket: %w", err)
	}
	return l, nil
}

// clear removes the socket of a signer that was killed; never one that answers,
// and never anything that is not a socket.
func clear(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is not a socket", path)
	}
	if c, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("another process answers on %s", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	return nil
}

// handedOver is the one socket of socket activation (sd_listen_fds(3)): the third
// file after the standard ones.
func handedOver() (*net.UnixListener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" {
		return nil, fmt.Errorf("%w: name a -socket, or start it by a systemd socket unit", errUsage)
	}
	f := os.NewFile(3, "socket")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over the socket: %w", err)
	}
	unix, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return nil, errors.New("the socket unit must say ListenStream= with a path")
	}
	unix.SetUnlinkOnClose(false) // it is systemd's
	return unix, nil
}

const maxPIN = 256

// readPIN reads the PIN from where the command line says. No error quotes it.
func readPIN(o options) (string, error) {
	if o.pinEnv != "" {
		pin := os.Getenv(o.pinEnv)
		if pin == "" {
			return "", fmt.Errorf("the environment variable %s is empty", o.pinEnv)
		}
		return pin, os.Unsetenv(o.pinEnv) // the token's library need not see it there
	}
	f, err := os.Open(o.pinFile)
	if err != nil {
		return "", fmt.Errorf("read the PIN: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read the PIN: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is open to others (mode %04o): run chmod 600 on it, and think about who has read it", o.pinFile, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPIN+1))
	if err != nil {
		return "", fmt.Errorf("read the PIN: %w", err)
	}
	pin := strings.TrimSuffix(string(text), "\n")
	if pin == "" || len(text) > maxPIN {
		return "", fmt.Errorf("%s does not hold a PIN", o.pinFile)
	}
	return pin, nil
}
