package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds of a connection.
const (
	idleTimeout   = 5 * time.Minute // between two requests
	frameTimeout  = 2 * time.Second // for the rest of a frame that has begun, and to write an answer
	maxConns      = 64
	failuresInRow = 5
)

// ErrToken is what Serve ends with when the token has failed several times in a
// row: a fresh process opens it anew.
var ErrToken = errors.New("signer: the token does not work")

// ServerConfig is what Serve needs.
type ServerConfig struct {
	Token Token
	// UID is the only user whose processes are answered.
	UID uint32
	Log *slog.Logger // key ids and outcomes, nothing else
	Now func() time.Time
}

// server serves one listener.
type server struct {
	ServerConfig
	end      context.CancelCauseFunc
	failures atomic.Int32 // of the token, in a row

	mu    sync.Mutex // guards conns
	conns map[*net.UnixConn]bool
}

// Serve answers until ctx ends (nil) or the token is broken (ErrToken). It closes
// the listener, and waits for answers under way.
func Serve(ctx context.Context, l *net.UnixListener, cfg ServerConfig) error {
	if cfg.Token == nil || cfg.Log == nil || cfg.Now == nil {
		return errors.New("signer: a server needs a token, a log and a clock")
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s := &server{ServerConfig: cfg, end: end, conns: map[*net.UnixConn]bool{}}
	defer context.AfterFunc(ctx, func() { _ = l.Close(); s.hurry() })()
	var under sync.WaitGroup
	defer under.Wait()
	defer s.hurry()
	for {
		c, err := l.AcceptUnix()
		if ctx.Err() != nil {
			if cause := context.Cause(ctx); errors.Is(cause, ErrToken) {
				return cause
			}
			return nil
		}
		if err != nil {
			_ = l.Close()
			return fmt.Errorf("signer: accept: %w", err)
		}
		if !s.admit(ctx, c) {
			_ = c.Close()
			continue
		}
		under.Go(func() {
			defer s.leave(c)
			s.converse(ctx, c)
		})
	}
}

// admit checks who is there and whether there is room.
func (s *server) admit(ctx context.Context, c *net.UnixConn) bool {
	uid, err := peerUID(c)
	if err != nil || uid != s.UID {
		s.Log.LogAttrs(ctx, slog.LevelError, "connection refused: another user",
			slog.Bool("alarm", true), slog.Uint64("uid", uint64(uid)))
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxConns {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "connection refused: too many")
		return false
	}
	s.conns[c] = true
	return true
}

func (s *server) leave(c *net.UnixConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

// hurry ends the wait for requests that have not begun.
func (s *server) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// converse answers the requests of one connection, one after the other.
func (s *server) converse(ctx context.Context, c *net.UnixConn) {
	for ctx.Err() == nil {
		if err := c.SetReadDeadline(s.Now().Add(idleTimeout)); err != nil {
			return
		}
		if ctx.Err() != nil { // hurry may have come before the line above
			return
		}
		frame, err := readFrame(c, maxRequest, func() error { return c.SetReadDeadline(s.Now().Add(frameTimeout)) })
		var req request
		if err == nil {
			req, err = parseRequest(frame)
		}
		if err != nil && !errors.Is(err, errMalformed) {
			return // gone
		}
		code, result := statusMalformed, []byte(nil)
		if err == nil {
			code, result = s.answer(ctx, req)
		}
		if c.SetWriteDeadline(s.Now().Add(frameTimeout)) != nil ||
			writeFrame(c, append([]byte{wireVersion, byte(code)}, result...)) != nil || code == statusMalformed {
			return
		}
	}
}

// answer asks the token. What is under way is finished when the server ends.
func (s *server) answer(ctx context.Context, req request) (status, []byte) {
	ctx = context.WithoutCancel(ctx)
	result, id, err := s.ask(ctx, req)
	code := statusOK
	switch {
	case err == nil:
	case errors.Is(err, ErrNoKey):
		code = statusNoKey
	case errors.Is(err, ErrRefused):
		code = statusRefused
	default:
		code = statusFailed
	}
	if code != statusFailed {
		s.failures.Store(0)
	} else if s.failures.Add(1) >= failuresInRow {
		s.end(fmt.Errorf("%w: %d failures in a row", ErrToken, failuresInRow))
	}
	s.note(ctx, req, id, code, err)
	return code, result
}

func (s *server) ask(ctx context.Context, req request) (result []byte, id KeyID, err error) {
	if (req.op == opSign || req.op == opGenerate) && req.alg.String() == "" {
		return nil, req.id, ErrRefused
	}
	switch req.op {
	case opList:
		ks, err := s.Token.Keys(ctx)
		if err != nil {
			return nil, id, err
		}
		result, err = encodeKeys(ks)
		return result, id, err
	case opGenerate:
		k, err := s.Token.Generate(ctx, req.alg)
		if err != nil {
			return nil, id, err
		}
		result, err = encodeKeys([]Key{k})
		return result, k.ID(), err
	case opSign:
		result, err = s.Token.Sign(ctx, req.alg, req.id, req.digest)
		return result, req.id, err
	case opDestroy:
		return nil, req.id, s.Token.Destroy(ctx, req.id)
	}
	return nil, id, ErrRefused
}

// note writes what happened: signatures that worked are too many for a log.
func (s *server) note(ctx context.Context, req request, id KeyID, code status, err error) {
	attrs := []slog.Attr{slog.String("key", id.String())}
	switch {
	case code != statusOK:
		what := map[operation]string{opList: "list", opSign: "sign", opGenerate: "generate", opDestroy: "destroy"}[req.op]
		s.Log.LogAttrs(ctx, slog.LevelError, "not done", append(attrs, slog.String("what", what), slog.String("error", err.Error()))...)
	case req.op == opGenerate:
		s.Log.LogAttrs(ctx, slog.LevelInfo, "key generated", append(attrs, slog.String("alg", req.alg.String()))...)
	case req.op == opDestroy:
		s.Log.LogAttrs(ctx, slog.LevelInfo, "key destroyed", attrs...)
	}
}
