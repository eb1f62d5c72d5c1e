package keys

import (
	"testing"
	"time"
)

func TestRefetches_SomeInARowAndThenOneAMinute(t *testing.T) {
	var f refetches
	now := time.Unix(1_800_000_000, 0)
	for i, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {0, true}, {time.Second, true}, {0, false}, {58 * time.Second, false}, // a second of it is still missing
		{time.Second, true}, {0, false}, {59 * time.Second, false}, {time.Second, true},
		{-time.Hour, false}, {time.Minute, true}, {0, false}, // a clock set back, and on again
		{time.Hour, true}, {0, true}, {0, true}, {0, false}, // no more than the burst is saved up
	} {
		now = now.Add(step.after)
		if got := f.take(now); got != step.want {
			t.Errorf("step %d, %s later: %v, want %v", i, step.after, got, step.want)
		}
	}
}
