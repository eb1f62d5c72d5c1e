//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// state is the armed place and how often it is still passed before it kills.
var state struct {
	sync.Mutex
	once sync.Once
	name string
	left int
}

// Here kills the process with SIGKILL at the place that VOUSSOIR_FAILPOINT
// names; "place:3" kills at the third time.
func Here(name string) {
	state.once.Do(func() {
		place, count, _ := strings.Cut(os.Getenv("VOUSSOIR_FAILPOINT"), ":")
		state.name, state.left = place, 1
		if n, err := strconv.Atoi(count); err == nil && n > 0 {
			state.left = n
		}
	})
	if name != state.name {
		return
	}
	state.Lock()
	defer state.Unlock() // never reached by the one that kills
	if state.left--; state.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing after this line may run while the signal is on its way
	}
}
