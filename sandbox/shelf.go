package sandbox

import (
	"sync"
	"time"
)

// shelf keeps values for ttl under random handles, of which it stores only the
// digest, and never more than limit of them: when it is full the oldest gives
// way, so that a flood costs memory to nobody. Safe for concurrent use.
type shelf[T any] struct {
	ttl   time.Duration
	limit int

	mu    sync.Mutex // guards what follows
	items map[[32]byte]shelved[T]
	order [][32]byte // oldest first; may name items that were taken
}

type shelved[T any] struct {
	value   T
	expires time.Time
}

func newShelf[T any](ttl time.Duration, limit int) *shelf[T] {
	return &shelf[T]{ttl: ttl, limit: limit, items: make(map[[32]byte]shelved[T])}
}

// put stores v and returns its handle.
func (s *shelf[T]) put(v T, now time.Time) string {
	handle := newHandle()
	s.keep(handle, v, now)
	return handle
}

// keep stores v under a handle that was given out before.
func (s *shelf[T]) keep(handle string, v T, now time.Time) {
	d := digest(handle)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	s.items[d] = shelved[T]{value: v, expires: now.Add(s.ttl)}
	s.order = append(s.order, d)
}

// get returns what is stored under handle, or false.
func (s *shelf[T]) get(handle string, now time.Time) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live(digest(handle), now)
}

// take returns what is stored under handle and forgets it: of concurrent calls
// one succeeds.
func (s *shelf[T]) take(handle string, now time.Time) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := digest(handle)
	v, ok := s.live(d, now)
	delete(s.items, d)
	return v, ok
}

// live is called with mu held.
func (s *shelf[T]) live(d [32]byte, now time.Time) (T, bool) {
	it, ok := s.items[d]
	if !ok || !now.Before(it.expires) {
		var none T
		return none, false
	}
	return it.value, true
}

// sweep drops from the front what has expired or was taken, and makes room for
// one more. It is called with mu held.
func (s *shelf[T]) sweep(now time.Time) {
	for len(s.order) > 0 {
		it, ok := s.items[s.order[0]]
		if ok && now.Before(it.expires) && len(s.items) < s.limit {
			return
		}
		delete(s.items, s.order[0])
		s.order = s.order[1:]
	}
}
