package signer

import (
	"fmt"
	"net"
	"syscall"
)

// peerUID is the user of the process at the other end: for a server, who
// connected; for a client, who listens (under socket activation: root).
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("signer: ask who is there: %w", err)
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, fmt.Errorf("signer: ask who is there: %w", err)
	}
	return cred.Uid, nil
}
