package controller_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/go-logr/logr"
	natsgo "github.com/nats-io/nats.go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// BenchmarkApplications runs the controller's program, which here sees Applications only, on a real API server with so many of them, each
// with thirty resources and a database of its own, and a real NATS server:
//
//   - first-start-s: from its start until every Application's ready schema is stored by NATS, where NATS has none of them;
//   - restart-s: from its start until what one of them proved while no controller ran is stored, where NATS has all others;
//   - peak-MB, first-peak-MB: the most memory that the process has had after the restart and after the first start;
//   - KB/app: its memory when it has come to rest, less that of one without Applications, over the number of Applications;
//   - idle-%: processor time over half a minute in which nothing happens, of one processor;
//   - p50-ms, p99-ms: from the API server's answer to a status that proves a migration until NATS has stored that, of 1,000
//     Applications, written one after the other, at most 100 in a second;
//   - burst-p50-ms, burst-p99-ms: the same of 1,000 written at once, by 16 writers; burst-s: all that time;
//   - cpu-ms/fact, api-cpu-ms/fact: processor time of the controller's and of the API server's process for each of them.
//
// The bare-… are the same, after the controller has ended, for the bare publisher. All of it shares the machine: the API server, NATS,
// the writers and the one program or the other, each in a process of its own.
func BenchmarkApplications(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				benchmarkApplications(b, n)
			}
		})
	}
}

func benchmarkApplications(b *testing.B, n int) {
	ctrl.SetLogger(logr.Discard())
	path := build(b)
	c, broker := newCluster(b), startNATS(b, natstest.Options{Process: true})
	w := newWriter(c)
	apps := make([]*argo.Application, n)
	w.each(n, func(i int) error {
		apps[i] = w.application(i)
		return w.Create(b.Context(), apps[i])
	})
	heard := listen(broker)
	const rest = 30 * time.Second

	p := launch(c.t, broker, path, applicationsOnly(c.home)) // where no Applications are
	time.Sleep(rest)
	base := p.memory("VmRSS")
	p.stop()

	began := time.Now()
	p = launch(c.t, broker, path, applicationsOnly(c.apps))
	heard.all(n, 1)
	b.ReportMetric(time.Since(began).Seconds(), "first-start-s")
	p.idle(n)
	b.ReportMetric(p.memory("VmHWM")/1e6, "first-peak-MB")
	p.stop()

	w.prove(apps[n/2], 2)
	began = time.Now()
	p = launch(c.t, broker, path, applicationsOnly(c.apps))
	heard.one(n/2, 2)
	b.ReportMetric(time.Since(began).Seconds(), "restart-s")

	p.idle(n)
	b.ReportMetric(p.memory("VmHWM")/1e6, "peak-MB")
	used := p.metric("process_cpu_seconds_total")
	time.Sleep(rest)
	b.ReportMetric(100*(p.metric("process_cpu_seconds_total")-used)/rest.Seconds(), "idle-%")
	b.ReportMetric((p.memory("VmRSS")-base)/float64(n)/1e3, "KB/app")

	measure(b, "", p, w, heard, apps, 3)
	p.stop()
	p = launchBare(b, broker, c.apps)
	w.prove(apps[0], 5)
	heard.one(0, 5) // it has seen them all
	p.settle()
	measure(b, "bare-", p, w, heard, apps, 6)
	p.stop()
}

// measure writes two versions of 1,000 Applications, one after the other and at once, and reports when they are heard of.
func measure(b *testing.B, who string, p *program, w *writer, heard *arrivals, apps []*argo.Application, version int) {
	const many = 1000
	report := func(name string, version int, written []time.Time) {
		took := make([]float64, many)
		for i := range took {
			took[i] = max(0, heard.one(i, version).Sub(written[i]).Seconds())
		}
		slices.Sort(took)
		b.ReportMetric(1e3*took[len(took)/2], who+name+"p50-ms")
		b.ReportMetric(1e3*took[len(took)*99/100], who+name+"p99-ms")
	}
	written := make([]time.Time, many)
	next := time.NewTicker(10 * time.Millisecond)
	for i := range many {
		<-next.C
		w.prove(apps[i], version)
		written[i] = time.Now()
	}
	next.Stop()
	report("", version, written)
	p.settle()
	began, used, server := time.Now(), p.processor(), apiServer(b)
	w.each(many, func(i int) error {
		w.prove(apps[i], version+1)
		written[i] = time.Now()
		return nil
	})
	b.ReportMetric(time.Since(began).Seconds(), who+"burst-s")
	report("burst-", version+1, written)
	p.settle()
	b.ReportMetric(1e3*(p.processor()-used).Seconds()/many, who+"cpu-ms/fact")
	b.ReportMetric(1e3*(apiServer(b)-server).Seconds()/many, who+"api-cpu-ms/fact")
}

// apiServer is the processor time of the API server, if it is on this machine.
func apiServer(t testing.TB) (used time.Duration) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		name, err := os.ReadFile(dir + "/cmdline")
		if pid, _ := strconv.Atoi(filepath.Base(dir)); err == nil && strings.Contains(string(name), "kube-apiserver\x00") {
			used += processor(t, pid)
		}
	}
	return used
}

// writer plays an Argo CD of many Applications.
type writer struct {
	b testing.TB
	client.Client
	config     *rest.Config
	home, apps string
}

func newWriter(c *cluster) *writer {
	config := rest.CopyConfig(c.config)
	config.QPS = -1 // as many as the server takes
	api, err := client.New(config, client.Options{Scheme: c.Scheme()})
	if err != nil {
		c.t.Fatal(err)
	}
	return &writer{c.t, api, config, c.home, c.apps}
}

// each does something with the numbers below n, sixteen at a time.
func (w *writer) each(n int, do func(i int) error) {
	w.b.Helper()
	var all sync.WaitGroup
	for k := range 16 {
		all.Go(func() {
			for i := k; i < n; i += 16 {
				if err := do(i); err != nil {
					w.b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if w.b.Failed() {
		w.b.FailNow()
	}
}

func (w *writer) application(i int) *argo.Application {
	a := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: w.apps, Name: fmt.Sprintf("app-%05d", i)}}
	source := overlay
	a.Spec = argo.ApplicationSpec{
		Project: "default", Source: &source,
		Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: w.environment(i)},
	}
	for k := range 30 {
		a.Status.Resources = append(a.Status.Resources, argo.ResourceStatus{
			Group: "apps", Version: "v1", Kind: "Deployment", Namespace: w.environment(i), Name: fmt.Sprint("service-", k), Status: argo.SyncStatusCodeSynced,
			Health: &argo.HealthStatus{Status: "Healthy"},
		})
	}
	a.Status.OperationState = w.operation(i, 1)
	return a
}

// environment is unlike that of any other benchmark's Applications.
func (w *writer) environment(i int) string { return fmt.Sprintf("%s-%05d", w.home, i) }

// operation is a sync that succeeded with a migration to a version.
func (w *writer) operation(i, version int) *argo.OperationState {
	now, revision := metav1.Now(), strings.Repeat(fmt.Sprint(version), 40)
	s := &argo.OperationState{
		Operation: argo.Operation{Sync: &argo.SyncOperation{Revision: revision}}, Phase: common.OperationSucceeded, StartedAt: now, FinishedAt: &now,
		SyncResult: &argo.SyncOperationResult{Revision: revision, Resources: argo.ResourceResults{{
			Group: "batch", Version: "v1", Kind: "Job", Namespace: w.environment(i), Name: fmt.Sprintf("schema-orders-%d-%08x", version, version),
			HookType: common.HookTypePreSync, SyncPhase: common.SyncPhasePreSync, HookPhase: common.OperationSucceeded,
			Message: "Reached expected number of succeeded pods",
		}}},
	}
	for k := range 30 {
		s.SyncResult.Resources = append(s.SyncResult.Resources, &argo.ResourceResult{
			Group: "apps", Version: "v1", Kind: "Deployment", Namespace: w.environment(i), Name: fmt.Sprint("service-", k), Status: common.ResultCodeSynced,
			HookPhase: common.OperationRunning, SyncPhase: common.SyncPhaseSync, Message: fmt.Sprintf("deployment.apps/service-%d configured", k),
		})
	}
	return s
}

// prove writes that an Application is at a version.
func (w *writer) prove(a *argo.Application, version int) {
	var i int
	if _, err := fmt.Sscanf(a.Name, "app-%d", &i); err != nil {
		w.b.Error(err)
	}
	a.Status.OperationState = w.operation(i, version)
	if err := w.Update(w.b.Context(), a); err != nil {
		w.b.Error(err)
	}
}

// arrivals are when which version of which Application came.
type arrivals struct {
	b  testing.TB
	mu sync.Mutex
	at map[string]time.Time // "environment's number/version"
}

func (a *arrivals) came(i, version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if key := i + "/" + version; a.at[key].IsZero() {
		a.at[key] = time.Now()
	}
}

// one waits for a version of one Application.
func (a *arrivals) one(i, version int) time.Time {
	a.b.Helper()
	for range 60000 {
		a.mu.Lock()
		at := a.at[fmt.Sprintf("%05d/%d", i, version)]
		a.mu.Unlock()
		if !at.IsZero() {
			return at
		}
		time.Sleep(time.Millisecond)
	}
	a.b.Fatalf("version %d of Application %d does not come", version, i)
	return time.Time{}
}

// all waits for a version of all.
func (a *arrivals) all(n, version int) {
	a.b.Helper()
	for i := range n {
		a.one(i, version)
	}
}

// listen notes when NATS says that it has stored a state.
func listen(n *nats) *arrivals {
	a := &arrivals{b: n.t, at: map[string]time.Time{}}
	_, err := n.conn.Subscribe(events.AllLive, func(m *natsgo.Msg) {
		var s events.State
		if err := json.Unmarshal(m.Data, &s); err == nil && s.Ready != nil {
			a.came(s.Environment[strings.LastIndex(s.Environment, "-")+1:], s.Ready.Version)
		}
	})
	if err == nil {
		err = n.conn.Flush()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}
