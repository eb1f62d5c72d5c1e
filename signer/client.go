package signer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// How long a question may take, and how many may be under way.
const (
	defaultTimeout  = 2 * time.Second
	generateTimeout = 30 * time.Second // RSA in a small token
	defaultConns    = 16
)

// ClientConfig is what NewClient needs.
type ClientConfig struct {
	// Socket is the path of the signer's socket. Whoever listens there must be this
	// process's own user or root (who listens for a service that systemd starts).
	Socket string
	// Timeout bounds a question, waiting for a connection included. Default 2 s;
	// making a key has 30 s.
	Timeout time.Duration
}

// Client is the token at the other end of a socket. Nobody needs to listen there
// when it is made: it connects when it is asked, and again after the signer was
// gone. Safe for concurrent use.
type Client struct {
	ClientConfig
	slots chan struct{} // one for each question under way

	mu     sync.Mutex // guards what follows
	idle   []*net.UnixConn
	closed bool
}

// NewClient connects to nobody yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Socket == "" || cfg.Timeout < 0 {
		return nil, errors.New("signer: a client needs a socket")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Client{ClientConfig: cfg, slots: make(chan struct{}, defaultConns)}, nil
}

// Close drops the connections that nobody uses; those in use end with their question.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.idle {
		_ = conn.Close()
	}
	c.idle = nil
}

// Keys implements Token.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	result, err := c.call(ctx, c.Timeout, request{op: opList})
	if err != nil {
		return nil, err
	}
	ks, err := parseKeys(result)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ks, nil
}

// Generate implements Token. After an error a key may have been made all the
// same: Keys shows it.
func (c *Client) Generate(ctx context.Context, alg Alg) (Key, error) {
	result, err := c.call(ctx, generateTimeout, request{op: opGenerate, alg: alg})
	if err != nil {
		return Key{}, err
	}
	ks, err := parseKeys(result)
	if err != nil || len(ks) != 1 || ks[0].Alg != alg {
		return Key{}, fmt.Errorf("%w: not the key that was asked for", ErrUnavailable)
	}
	return ks[0], nil
}

// Sign implements Token. Whether the signature is good is for the caller to see.
func (c *Client) Sign(ctx context.Context, alg Alg, id KeyID, digest [sha256.Size]byte) ([]byte, error) {
	return c.call(ctx, c.Timeout, request{op: opSign, alg: alg, id: id, digest: digest})
}

// Destroy implements Token.
func (c *Client) Destroy(ctx context.Context, id KeyID) error {
	_, err := c.call(ctx, c.Timeout, request{op: opDestroy, id: id})
	return err
}

// call asks one question within timeout. A connection from before a restart of
// the signer is replaced once; a key is never asked for twice.
func (c *Client) call(ctx context.Context, timeout time.Duration, req request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: too many questions at once: %w", ErrUnavailable, ctx.Err())
	}
	conn := c.takeIdle()
	if conn != nil && req.op != opGenerate {
		if answer, err := c.exchange(ctx, conn, req); err == nil {
			return verdict(answer)
		}
		conn = nil // closed by exchange
	}
	if conn == nil {
		var err error
		if conn, err = c.dial(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	answer, err := c.exchange(ctx, conn, req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return verdict(answer)
}

func (c *Client) takeIdle() *net.UnixConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	conn := c.idle[n-1]
	c.idle = c.idle[:n-1]
	return conn
}

func (c *Client) dial(ctx context.Context) (*net.UnixConn, error) {
	reached, err := new(net.Dialer).DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, err
	}
	conn, ok := reached.(*net.UnixConn)
	if !ok {
		_ = reached.Close()
		return nil, errors.New("not a Unix socket")
	}
	uid, err := peerUID(conn)
	if err == nil && uid != 0 && int64(uid) != int64(os.Geteuid()) {
		// Its keys would be published as ours.
		err = fmt.Errorf("user %d listens there, who is neither root nor this user", uid)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// exchange sends a request and reads its answer. The connection goes back among
// the idle ones if nothing is left on it, else it is closed.
func (c *Client) exchange(ctx context.Context, conn *net.UnixConn, req request) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	var answer []byte
	err := writeFrame(conn, req.encode())
	if err == nil {
		answer, err = readFrame(conn, maxAnswer, nil)
	}
	if err == nil && (len(answer) < 2 || answer[0] != wireVersion) {
		err = errMalformed
	}
	if cause := ctx.Err(); err != nil && cause != nil {
		err = cause
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !stop() || err != nil || c.closed {
		_ = conn.Close()
	} else {
		c.idle = append(c.idle, conn)
	}
	return answer, err
}

// verdict is the result of an answer, or why there is none.
func verdict(answer []byte) ([]byte, error) {
	switch status(answer[1]) {
	case statusOK:
		return answer[2:], nil
	case statusNoKey:
		return nil, ErrNoKey
	case statusRefused:
		return nil, ErrRefused
	case statusFailed:
		return nil, fmt.Errorf("%w: its token does not work", ErrUnavailable)
	}
	return nil, fmt.Errorf("%w: it does not understand us", ErrUnavailable)
}
