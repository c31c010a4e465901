package kustomize_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/kustomize"
)

// estate is a repository of n overlays: for every ten a base of a Deployment, a Service and a generated ConfigMap; each with a
// namespace, an image, a patch, and migrations of its own. Every gated-th is annotated to wait for a schema, none if that is 0.
func estate(b *testing.B, n, gated int) (root string, all []string) {
	b.Helper()
	root = b.TempDir()
	files := map[string]string{".git/HEAD": ""}
	for i := range n {
		base, dir := fmt.Sprintf("apps/%03d/base", i/10), fmt.Sprintf("apps/%03d/overlays/%04d/", i/10, i)
		files[base+"/kustomization.yaml"] = "resources:\n- deployment.yaml\n- service.yaml\nconfigMapGenerator:\n- name: conf\n  literals: [a=b, c=d]\n"
		files[base+"/deployment.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\n  labels: {app: shop}\nspec:\n  selector:\n    matchLabels: {app: shop}\n  template:\n" +
			"    metadata:\n      labels: {app: shop}\n    spec:\n      containers:\n      - name: shop\n        image: registry.example.com/shop\n        envFrom:\n        - configMapRef: {name: conf}\n" +
			"        ports:\n        - containerPort: 8080\n        resources:\n          requests: {cpu: 100m, memory: 64Mi}\n"
		files[base+"/service.yaml"] = "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  selector: {app: shop}\n  ports:\n  - port: 80\n    targetPort: 8080\n"
		wait := ""
		if gated > 0 && i%gated == 0 {
			wait = "commonAnnotations:\n  schemawave.dev/wait-for: orders\n"
		}
		files[dir+"kustomization.yaml"] = fmt.Sprintf("namespace: shop-%d\nresources:\n- ../../base\nimages:\n- name: registry.example.com/shop\n  newTag: 1.4.%d\n%s"+
			"patches:\n- target: {kind: Deployment}\n  patch: |-\n    - op: add\n      path: /spec/replicas\n      value: 3\n", i, i, wait)
		files[dir+"orders.yaml"] = "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata:\n  name: orders\nspec:\n  source:\n    directory: migrations\n  database:\n    urlFrom:\n      secretKeyRef: {name: orders-db, key: url}\n"
		for m := range 3 {
			files[fmt.Sprintf("%smigrations/%04d_step.sql", dir, m+1)] = fmt.Sprintf("CREATE TABLE t%d_%d (id bigint PRIMARY KEY);\n", i, m)
		}
		all = append(all, filepath.Join(root, dir))
	}
	writeTree(b, root, files)
	return root, all
}

// renderAll renders overlays in one pass, writes what it is told to, and reports how many differ.
func renderAll(b *testing.B, root string, all []string, write bool) (changed int) {
	b.Helper()
	for result, err := range (&kustomize.Pass{Options: kustomize.Options{Root: root}}).All(context.Background(), all) {
		if err != nil {
			b.Fatal(err)
		}
		if result.Changed() {
			changed++
		}
		if write {
			if err := result.Write(); err != nil {
				b.Fatal(err)
			}
		}
	}
	return changed
}

// perOverlay measures f, which does something to n overlays.
func perOverlay(b *testing.B, n int, f func()) {
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n)/1000, "ms/overlay")
}

// inParallel does something to each overlay, on as many processors as a render.
func inParallel(b *testing.B, all []string, f func(overlay string) error) {
	var g errgroup.Group
	g.SetLimit(2)
	for _, overlay := range all {
		g.Go(func() error { return f(overlay) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRender renders overlays that are up to date, and such that have nothing generated yet, beside what building the same
// overlays takes, in process and with the command (of 20 at most), and beside the floor of encoding objects like theirs.
func BenchmarkRender(b *testing.B) {
	for _, n := range []int{1, 100, 2000} {
		root, all := estate(b, n, 0)
		b.Run(fmt.Sprintf("fresh/%d", n), func(b *testing.B) {
			perOverlay(b, n, func() {
				if renderAll(b, root, all, false) != n {
					b.Fatal("not all changed")
				}
			})
		})
		renderAll(b, root, all, true)
		b.Run(fmt.Sprintf("up-to-date/%d", n), func(b *testing.B) {
			perOverlay(b, n, func() {
				if renderAll(b, root, all, false) != 0 {
					b.Fatal("changed")
				}
			})
		})
		b.Run(fmt.Sprintf("krusty/%d", n), func(b *testing.B) {
			perOverlay(b, n, func() {
				inParallel(b, all, func(overlay string) error {
					_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
					return err
				})
			})
		})
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			perOverlay(b, n, func() { inParallel(b, all, func(string) error { return encodeOverlay() }) })
		})
		b.Run(fmt.Sprintf("command/%d", n), func(b *testing.B) {
			command, some := kustomizeCommand(b, "kustomize"), all[:min(n, 20)]
			perOverlay(b, len(some), func() {
				for _, overlay := range some {
					if out, err := exec.Command(command, "build", overlay).CombinedOutput(); err != nil {
						b.Fatal(err, string(out))
					}
				}
			})
		})
	}
}

// encodeOverlay encodes objects of the kinds that an overlay yields, as plainly as they are.
func encodeOverlay() error {
	for _, o := range []any{&appsv1.Deployment{}, &corev1.Service{}, &corev1.ConfigMap{}, &corev1.ConfigMap{}, &corev1.ConfigMap{}, &batchv1.Job{}} {
		if _, err := yaml.Marshal(o); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkGated renders overlays of which every tenth has workloads that wait: those are always built, without their gates and
// with them.
func BenchmarkGated(b *testing.B) {
	root, all := estate(b, 2000, 10)
	renderAll(b, root, all, true)
	perOverlay(b, len(all), func() {
		if renderAll(b, root, all, false) != 0 {
			b.Fatal("changed")
		}
	})
}

// BenchmarkWaiting renders overlays of which each waits for the one before: who waits for whom is read once.
func BenchmarkWaiting(b *testing.B) {
	for _, n := range []int{200, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			root, all := estate(b, n, 0)
			files := map[string]string{}
			for i := 1; i < n; i++ {
				files[strings.TrimPrefix(all[i], root)+"/orders.yaml"] = "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata:\n  name: orders\nspec:\n" +
					fmt.Sprintf("  dependsOn: [shop-%d/orders]\n", i/2) + "  source:\n    directory: migrations\n  database:\n    urlFrom:\n      secretKeyRef: {name: orders-db, key: url}\n"
			}
			writeTree(b, root, files)
			renderAll(b, root, all, true)
			perOverlay(b, n, func() {
				if renderAll(b, root, all, false) != 0 {
					b.Fatal("changed")
				}
			})
		})
	}
}

// BenchmarkResources renders one overlay of many resources that is up to date.
func BenchmarkResources(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			root, all := estate(b, 1, 0)
			renderAll(b, root, all, true) // a build of 10,000 resources takes kustomize longer than a benchmark may
			var services bytes.Buffer
			for i := range n {
				fmt.Fprintf(&services, "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: shop-%d\nspec:\n  selector: {app: shop}\n  ports:\n  - port: 80\n    targetPort: 8080\n", i)
			}
			writeTree(b, root, map[string]string{"apps/000/base/service.yaml": services.String()})
			b.ReportAllocs()
			for b.Loop() {
				if renderAll(b, root, all, false) != 0 {
					b.Fatal("changed")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/resource")
		})
	}
}

// BenchmarkProcess runs the program itself: its start, and the render of overlays that are fresh and then up to date, with the
// most memory that it had.
func BenchmarkProcess(b *testing.B) {
	program := filepath.Join(b.TempDir(), "schemawave")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "../cmd/schemawave").CombinedOutput(); err != nil {
		b.Fatal(err, string(out))
	}
	run := func(b *testing.B, before func(), args ...string) {
		var peak int64
		var used time.Duration
		for b.Loop() {
			b.StopTimer()
			before()
			b.StartTimer()
			c := exec.Command(program, args...)
			if out, err := c.Output(); err != nil {
				b.Fatal(err, string(out))
			}
			peak = max(peak, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			used += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		}
		b.ReportMetric(float64(peak)/1024, "peak-MiB")
		b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
	}
	b.Run("start", func(b *testing.B) { run(b, func() {}, "--version") })
	for _, n := range []int{1, 100, 2000} {
		_, all := estate(b, n, 0)
		b.Run(fmt.Sprintf("fresh/%d", n), func(b *testing.B) {
			run(b, func() {
				for _, overlay := range all {
					if err := os.RemoveAll(filepath.Join(overlay, "schemawave")); err != nil {
						b.Fatal(err)
					}
				}
			}, append([]string{"render"}, all...)...)
		})
		b.Run(fmt.Sprintf("up-to-date/%d", n), func(b *testing.B) {
			run(b, func() {}, append([]string{"render", "--check"}, all...)...)
		})
	}
}
