package runner

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// asInit is set in the environment of the test binary when it is to run a child as process 1 of a container does.
const asInit = "SCHEMAWAVE_TEST_INIT"

// becomeSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2): processes whose parents end become ours, as they do for process 1.
const becomeSubreaper = 36

// runAsInit runs a child that leaves orphans behind while it works, and counts those that nobody has taken leave of.
func runAsInit() int {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, becomeSubreaper, 1, 0); errno != 0 {
		fmt.Fprintln(os.Stderr, errno)
		return 1
	}
	var out bytes.Buffer
	// The orphans end at once; the child waits until they are neither running nor to be waited for.
	const script = `for i in 1 2 3 4 5; do (sleep 0.05 & echo $! >>"$0"); done
for pid in $(cat "$0"); do n=0; while test -d /proc/$pid; do n=$((n+1)); test $n -lt 100 || { echo "process $pid is still there"; exit 1; }; sleep 0.02; done; done; exit 7`
	pids, err := os.CreateTemp("", "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.Remove(pids.Name())
	end, err := child{path: "/bin/sh", args: []string{"sh", "-c", script, pids.Name()}, environ: os.Environ(), stdout: &out, stderr: os.Stderr, init: os.Getenv(asInit) == "yes"}.run(context.Background())
	fmt.Printf("%d %v %s", end.status, err, out.String())
	return 0
}

func TestProcessOneTakesLeaveOfOrphans(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for init, want := range map[string]string{"yes": "7 <nil> ", "no": "1 <nil> process"} { // the second shows that the first can fail
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), asInit+"="+init)
		out, err := c.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("as process 1: %s: %v: %s", init, err, out)
		}
	}
}
