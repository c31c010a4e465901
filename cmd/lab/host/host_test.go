package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this test's binary be what Start and Run start: PID 1, its child, and a command that becomes another.
func TestMain(m *testing.M) {
	if os.Args[0] != "lab" {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case "init":
		err = Lab{Dir: os.Args[2]}.Init([]string{os.Args[2]}, "live", os.Args[2])
	case "live":
		_, err = os.NewFile(ReportFD, "report").WriteString("up\n")
		time.Sleep(time.Minute)
	case "become":
		err = Become(os.Args[3:])
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// start starts a lab without components in a temporary directory.
func start(t *testing.T) Lab {
	t.Helper()
	parent, err := os.MkdirTemp("", "lab-") // t.TempDir is too long a path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(parent) })
	l, err := At(filepath.Join(parent, "lab"))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := l.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.End(); err != nil {
			t.Error(err)
		}
	})
	report, err := l.Start(lock, false, "init", l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	if said, err := io.ReadAll(io.LimitReader(report, 3)); string(said) != "up\n" {
		log, _ := os.ReadFile(l.Path("logs", "lab.log"))
		t.Fatalf("said %q, %v; log %s", said, err, log)
	}
	return l
}

// run runs a shell script in the lab and returns its exit code and what it wrote.
func run(t *testing.T, l Lab, script string) (int, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	code, err := l.Run([]string{"sh", "-c", "exec >" + out + " 2>&1; " + script}, append(os.Environ(), "GREETING=hello"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return code, strings.TrimSpace(string(text))
}

func TestCommandsLiveInTheLab(t *testing.T) {
	l := start(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"hostname": Hostname,
		"ip -br address show lab0 | tr -s ' ' | cut -d' ' -f3":          NodeAddress + "/24",
		"cat /etc/resolv.conf":                                          "nameserver " + NodeAddress,
		"cat /proc/1/comm /proc/1/cmdline | tr '\\0' '\\n' | tail -n 3": "lab\ninit\n" + l.Dir,
		"echo $GREETING":             "hello",
		"pwd":                        here,
		"cat /proc/sys/kernel/panic": "10",
		"ls /run":                    "lab",
		"touch /etc/lab-was-here /var/lib/lab-was-here; ls /etc/lab-was-here": "/etc/lab-was-here",
		"ls " + l.Dir + "/pid": l.Dir + "/pid",
	} {
		if code, got := run(t, l, script); code != 0 || got != want {
			t.Errorf("%s: exit %d, %q, want %q", script, code, got, want)
		}
	}
	for _, path := range []string{"/etc/lab-was-here", "/var/lib/lab-was-here"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is on the machine", path)
		}
	}
}

func TestExitCodes(t *testing.T) {
	l := start(t)
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9} {
		if got, _ := run(t, l, script); got != want {
			t.Errorf("%s: %d, want %d", script, got, want)
		}
	}
}

func TestNothingIsReachableOutside(t *testing.T) {
	l := start(t)
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	port := outside.Addr().(*net.TCPAddr).Port
	if _, got := run(t, l, fmt.Sprintf("bash -c 'echo >/dev/tcp/127.0.0.1/%d'", port)); !strings.Contains(got, "refused") {
		t.Errorf("the machine's loopback: %q", got)
	}
	if _, got := run(t, l, "bash -c 'echo >/dev/tcp/192.0.2.1/80'"); !strings.Contains(got, "No route") && !strings.Contains(got, "unreachable") {
		t.Errorf("the world: %q", got)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	l := start(t)
	if code, got := run(t, l, "(sleep 0.1 &); sleep 0.3; grep -l 'State:.Z' /proc/[0-9]*/status"); got != "" {
		t.Errorf("zombies: %d %s", code, got)
	}
}

func TestEndLeavesNothing(t *testing.T) {
	l := start(t)
	if err := MakeCgroups(l.ID()); err != nil {
		t.Fatal(err)
	}
	// a process in the lab's cgroup, with a mount, that ignores polite requests
	code, got := run(t, l, "for f in "+cgroupRoot+"/*/"+l.ID()+"/cgroup.procs; do echo $$ >$f; done; mkdir "+l.Dir+"/m; "+
		"mount -t tmpfs none "+l.Dir+"/m; (trap '' TERM; sleep 61) & echo started")
	if code != 0 || got != "started" {
		t.Fatalf("%d %s", code, got)
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if left, err := filepath.Glob(cgroupRoot + "/*/" + l.ID()); len(left) > 0 || err != nil {
		t.Errorf("cgroups %v, %v", left, err)
	}
	if out, err := exec.Command("pgrep", "-f", "^sleep 61$").Output(); err == nil {
		t.Errorf("processes %s", out)
	}
	if err := l.Alive(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("alive: %v", err)
	}
}

func TestKilledLabIsNotRunningAndCanBeCleared(t *testing.T) {
	l := start(t)
	pid, err := l.pid()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Clear(); err != nil || l.Alive() != nil {
		t.Fatalf("clearing a running lab: %v, %v", err, l.Alive())
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); l.Alive() == nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if err := l.Alive(); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("alive: %v", err)
	}
	if _, err := l.Run([]string{"true"}, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("run: %v", err)
	}
	if err := l.Clear(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestOneLabPerDirectory(t *testing.T) {
	l := start(t)
	if _, err := l.Acquire(); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v", err)
	}
}

func TestRefusesADirectoryWithSomethingElse(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "thesis")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := At(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquire(); err == nil {
		t.Error("accepted")
	}
	if err := l.End(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestRefusesPathsThatSocketsDoNotFitBelow(t *testing.T) {
	if _, err := At("/" + strings.Repeat("x", 80)); err == nil {
		t.Error("accepted")
	}
}
