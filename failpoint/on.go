//go:build failpoints

package failpoint

import (
	"os"
	"syscall"
)

// Here kills the process with SIGKILL when VOUSSOIR_FAILPOINT names this place.
func Here(name string) {
	if os.Getenv("VOUSSOIR_FAILPOINT") == name {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing after this line may run while the signal is on its way
	}
}
