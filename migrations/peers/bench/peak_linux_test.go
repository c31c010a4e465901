package main

import (
	"bytes"
	"os/exec"
	"runtime"
	"testing"
)

// The peak is the program's own, however much memory the one that starts it has.
func TestPeak(t *testing.T) {
	ours := bytes.Repeat([]byte("x"), 64<<20)
	small, err := peakOf(exec.Command("sleep", "0"))
	if err != nil || small < 100<<10 || small > 16<<20 {
		t.Errorf("sleep took %d bytes: %v", small, err)
	}
	large, err := peakOf(exec.Command("sh", "-c", `x=$(head -c 20000000 /dev/zero | tr '\0' x)`))
	if err != nil || large < 20000000 {
		t.Errorf("a shell with 20 MB took %d bytes: %v", large, err)
	}
	runtime.KeepAlive(ours)
	if _, err := peakOf(exec.Command("false")); err == nil {
		t.Error("a failure passed for a measurement")
	}
}
