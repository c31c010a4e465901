package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
	init := os.Getenv(asInit) == "yes"
	end, err := child{path: "/bin/sh", args: []string{"sh", "-c", script, pids.Name()}, environ: os.Environ(), stdout: &out, stderr: os.Stderr, init: init}.run(context.Background())
	fmt.Printf("%d %v %s", end.status, err, out.String())
	if init {
		fmt.Println(leaveBehind())
	}
	return 0
}

// leaveBehind runs a child that ends before another process of its group, and returns what has become of that.
func leaveBehind() string {
	var out bytes.Buffer
	_, err := child{path: "/bin/sh", args: []string{"sh", "-c", "sleep 600 & echo $!"}, environ: os.Environ(), stdout: &out, stderr: os.Stderr, init: true}.run(context.Background())
	pid, parseErr := strconv.Atoi(strings.TrimSpace(out.String()))
	if err = errors.Join(err, parseErr); err != nil {
		return err.Error()
	}
	for range 100 {
		if zombie(pid) {
			return "killed"
		}
		time.Sleep(20 * time.Millisecond)
	}
	syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it is there
	return fmt.Sprintf("process %d was left behind", pid)
}

func TestProcessOneTakesLeaveOfOrphansAndKillsTheRest(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for init, want := range map[string]string{"yes": "7 <nil> killed", "no": "1 <nil> process"} { // the second shows that the first can fail
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), asInit+"="+init)
		out, err := c.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("as process 1: %s: %v: %s", init, err, out)
		}
	}
}

// asProcessOne has a program run as process 1 of a namespace, without a terminal, as in a container.
func asProcessOne() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setsid: true, Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
	}
}
