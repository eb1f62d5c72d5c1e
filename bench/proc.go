package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/PID/stat: 1/sysconf(_SC_CLK_TCK), which is 10 ms
// on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is the user and system time that a process has used, in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

// parseStat reads utime and stime, fields 14 and 15 of proc_pid_stat(5). The
// second field is the command's name and may hold spaces and parentheses.
func parseStat(stat string) (time.Duration, error) {
	i := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[i+1:])
	if i < 0 || len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is not as in proc(5)")
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, errors.New("/proc/PID/stat is not as in proc(5)")
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// peakMemory is the largest resident size that a process has had, in bytes.
func peakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseHWM(string(b))
}

// parseHWM reads VmHWM of proc_pid_status(5).
func parseHWM(status string) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0, errors.New("VmHWM in /proc/PID/status is not a number of kB")
		}
		return kb << 10, nil
	}
	return 0, errors.New("/proc/PID/status has no VmHWM")
}
