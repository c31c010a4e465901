package controller_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the controller as it is shipped, in a process of its own.
type program struct {
	t       testing.TB
	cmd     *exec.Cmd
	metrics string // address
}

// build compiles the program and returns its path.
func build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schemawave")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/schemawave/schemawave/cmd/schemawave").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// applicationsOnly has the program see nothing but the Applications of a namespace.
func applicationsOnly(namespace string) string {
	return fmt.Sprintf("namespaces: [%s], applicationsOnly: true", namespace)
}

// launch starts the program with an Argo CD that is configured so.
func launch(t testing.TB, n *nats, path, argocd string) *program {
	t.Helper()
	metrics, config := free(t), filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf("nats: {url: %q}\nargocd: {%s}\nlisten: {metrics: %q, health: \"127.0.0.1:0\"}\n", n.server.URL(), argocd, metrics)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return spawn(t, exec.Command(path, "controller", "--config", config), metrics)
}

// spawn starts a program that serves its metrics at an address.
func spawn(t testing.TB, cmd *exec.Cmd, metrics string) *program {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: cmd, metrics: metrics}
	t.Cleanup(p.stop)
	return p
}

// free is an address at which nothing listened a moment ago.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func (p *program) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the controller ends with %v", err)
	}
}

// metric reads the value of one of the program's metrics, labels included in its name; NaN if it is not there.
func (p *program) metric(name string) float64 {
	p.t.Helper()
	answer, err := http.Get("http://" + p.metrics + "/metrics")
	if err != nil {
		return math.NaN() // it is just starting
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	return math.NaN()
}

// idle waits until every one of n databases has been looked at and no more are to be.
func (p *program) idle(n int) {
	p.t.Helper()
	for range 120 {
		if p.metric(`controller_runtime_reconcile_total{controller="schemawave",result="success"}`) >= float64(n) && p.metric(`workqueue_depth{controller="schemawave",name="schemawave"}`) == 0 {
			return
		}
		time.Sleep(time.Second)
	}
	p.t.Fatal("the controller does not come to rest")
}

// settle waits until the program has come to rest.
func (p *program) settle() {
	p.t.Helper()
	const little = 20 * time.Millisecond // in half a second
	before := p.processor()
	for range 600 {
		time.Sleep(500 * time.Millisecond)
		now := p.processor()
		if now-before <= little {
			return
		}
		before = now
	}
	p.t.Fatal("the program does not come to rest")
}

// processor is the processor time that the program has used.
func (p *program) processor() time.Duration { return processor(p.t, p.cmd.Process.Pid) }

// processor is the processor time that a process has used (Linux, proc_pid_stat(5): utime and stime, in hundredths of a second).
func processor(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// memory reads one of the sizes in /proc/PID/status, in bytes (Linux, proc(5): VmRSS, what is resident; VmHWM, the most that was).
func (p *program) memory(size string) float64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, size+":"); ok {
			v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v * 1024
		}
	}
	p.t.Fatalf("no %s in the status of the process", size)
	return 0
}
