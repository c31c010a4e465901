package environment

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// monorepo is a repository with n overlays of real kustomizations and migrations.
func monorepo(n int) map[string]string {
	files := map[string]string{
		"base/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- deployment.yaml\n- service.yaml\n",
		"base/deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  selector: {matchLabels: {app: app}}\n" +
			"  template:\n    metadata: {labels: {app: app}}\n    spec:\n      containers:\n      - {name: app, image: registry.example.com/app:1}\n",
		"base/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec:\n  selector: {app: app}\n  ports: [{port: 80}]\n",
	}
	for i := range n {
		dir := fmt.Sprintf("teams/t%02d/s%04d", i%40, i)
		files[dir+"/overlay/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: production\nresources:\n- ../../../../base\n" +
			"configMapGenerator:\n- name: settings\n  literals: [a=b]\n"
		files[dir+"/overlay/schemamigration.yaml"] = fmt.Sprintf("apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata:\n  name: s%04d\n"+
			"  annotations: {config.kubernetes.io/local-config: \"true\"}\nspec:\n  source: {directory: ../migrations}\n  database:\n    urlFrom: {secretKeyRef: {name: db, key: url}}\n", i)
		for m := range 3 {
			files[fmt.Sprintf("%s/migrations/%04d_step.sql", dir, m+1)] = fmt.Sprintf("CREATE TABLE t%d_%d (id bigint PRIMARY KEY);\n", i, m)
		}
	}
	return files
}

// BenchmarkMonorepo measures a pass over 2,000 overlays: the first one, which renders all; the one after a push that
// touches one overlay; one that finds nothing; and a new leader's first, which renders all and finds nothing to change.
//
// Processor time is reported beside the clock's, which on a busy machine says little.
func BenchmarkMonorepo(b *testing.B) {
	const n = 2000
	h := newHost(b)
	p := h.repository("env", monorepo(n))
	w := start(b, real, h.url("env")).only()
	b.Run("first", func(b *testing.B) {
		defer processorTime(b)()
		for range b.N {
			if w.done.IsZero() {
				rep := pass(b, w, Pushed)
				b.ReportMetric(float64(len(rep.Rendered)), "overlays")
			}
		}
	})
	p.pull()
	step := 0
	b.Run("one-touched", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			step++
			p.commit("step", map[string]string{fmt.Sprintf("teams/t07/s0007/migrations/%04d_more.sql", 10+step): fmt.Sprintf("CREATE TABLE more%d (id int);\n", step)})
			p.push()
			b.StartTimer()
			report := processorTime(b)
			rep := pass(b, w, Pushed)
			report()
			b.StopTimer()
			equal(b, "rendered", rep.Rendered, []string{"teams/t07/s0007/overlay"})
			p.pull()
			b.StartTimer()
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		defer processorTime(b)()
		for range b.N {
			pass(b, w, Unchanged)
		}
	})
	b.Run("new-leader", func(b *testing.B) {
		defer processorTime(b)()
		for range b.N {
			pass(b, start(b, real, h.url("env")).only(), Current)
		}
	})
	var size int64
	_ = filepath.WalkDir(filepath.Join(w.dir, "git"), func(_ string, d os.DirEntry, err error) error {
		if info, e := d.Info(); err == nil && e == nil {
			size += info.Size()
		}
		return nil
	})
	b.Logf("clone on disk: %d MiB in %d packs", size>>20, w.clone.packs)
}

// processorTime measures this process, without git on the host's side, until the function it returns is called.
func processorTime(b *testing.B) (report func()) {
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	began := used()
	return func() { b.ReportMetric(float64((used() - began).Milliseconds()), "cpu-ms") }
}

// BenchmarkWebhookToPush measures from the delivery of a webhook until the rendered commit is pushed, in a repository of
// 2,000 overlays of which one was touched, and the most memory that the process ever held, the first pass over all of them
// included.
func BenchmarkWebhookToPush(b *testing.B) {
	h := newHost(b)
	p := h.repository("env", monorepo(2000))
	pushed := make(chan Report, 10)
	c := start(b, func(o *Options) {
		real(o)
		o.Logger = nil
		o.Report = func(rep Report) { pushed <- rep }
	}, h.url("env"))
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	hook := c.Webhook()
	body := []byte(`{"ref":"refs/heads/main","repository":{"clone_url":"` + h.url("env") + `"}}`)
	if rep := <-pushed; rep.Result != Pushed {
		b.Fatal(rep.Err)
	}
	var took []time.Duration
	step := 0
	for b.Loop() {
		b.StopTimer()
		step++
		p.pull()
		p.commit("step", map[string]string{fmt.Sprintf("teams/t07/s0007/migrations/%04d_more.sql", 10+step): fmt.Sprintf("CREATE TABLE more%d (id int);\n", step)})
		p.push()
		time.Sleep(2 * minPause) // people do not push four times a second
		b.StartTimer()
		began := time.Now()
		r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
		r.Header = header("X-GitHub-Event", "push", "Content-Type", "application/json")
		hook.ServeHTTP(httptest.NewRecorder(), r)
		rep := <-pushed
		took = append(took, time.Since(began))
		if rep.Result != Pushed || len(rep.Rendered) != 1 {
			b.Fatalf("%s of %v: %v", rep.Result, rep.Rendered, rep.Err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "max-ms")
	b.ReportMetric(float64(peakMemory(b)>>20), "peak-MiB")
}

// peakMemory is the most resident memory this process ever had.
func peakMemory(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		b.Fatal(err)
	}
	return kib << 10
}
