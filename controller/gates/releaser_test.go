package gates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
	"github.com/schemawave/schemawave/manifests"
)

// patience bounds every wait; a step takes some milliseconds, seconds on a busy machine.
const patience = 30 * time.Second

// other is a gate of somebody else's.
const other = "example.com/quota"

// world is a real API server with a namespace of the test's own, and a real NATS server.
type world struct {
	*testing.T
	client.Client
	config    *rest.Config
	namespace string
	server    *natstest.Server
	nc        *nats.Conn // the test's own
}

func newWorld(t *testing.T, o natstest.Options) *world {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG is not set; run: go run ./cmd/lab run --control-plane -- go test ./controller/...")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	fast := rest.CopyConfig(config)
	fast.QPS = -1
	w := &world{T: t, config: config}
	if w.Client, err = client.New(fast, client.Options{}); err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "gates-"}}
	if err := w.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w.namespace = ns.Name
	w.within("the service account of Pods", func() error {
		return w.Get(t.Context(), client.ObjectKey{Namespace: ns.Name, Name: "default"}, &corev1.ServiceAccount{})
	})
	if w.server, err = natstest.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.server.Close(); err != nil {
			t.Error(err)
		}
	})
	w.nc = w.connect("admin")
	streams, err := jetstream.NewStreams(w.nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := streams.Ensure(t.Context(), jetstream.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// within tries until try succeeds, and fails the test with its last error if it does not in time.
func (w *world) within(what string, try func() error) {
	w.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	w.Fatalf("%s: %v", what, err)
}

func (w *world) connect(user string) *nats.Conn {
	w.Helper()
	url := strings.Replace(w.server.URL(), "nats://", "nats://"+user+":x@", 1)
	nc, err := jetstream.Connect(w.Context(), jetstream.Options{URL: url, Retry: true})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(nc.Close)
	return nc
}

// running is a Releaser at work.
type running struct {
	nc      *nats.Conn // its own
	metrics *prometheus.Registry
	stop    func()
}

// start runs a Releaser in the test's namespace.
func (w *world) start(user string) *running {
	w.Helper()
	r := &running{nc: w.connect(user), metrics: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(w.Output(), nil))
	releaser, err := New(Options{Config: w.config, Waiter: jetstream.NewWaiter(r.nc), Namespaces: []string{w.namespace}, Metrics: r.metrics, Log: log})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	done := make(chan error, 1)
	go func() { done <- releaser.Run(ctx) }()
	r.stop = func() {
		if cancel == nil {
			return
		}
		cancel()
		cancel = nil
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
	w.Cleanup(r.stop)
	return r
}

// wants holds the metrics to how many Pods wait and how many were released.
func (w *world) wants(r *running, waiting, released int) {
	w.Helper()
	want := map[string]float64{"schemawave_gate_pods": float64(waiting)}
	if released > 0 {
		want["schemawave_gate_releases_total ok"] = float64(released)
	}
	w.within("metrics", func() error {
		if got := r.read(); !maps.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// read returns the metrics by their names and the values of their labels.
func (r *running) read() map[string]float64 {
	families, err := r.metrics.Gather()
	if err != nil {
		return nil
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

// pod creates one that waits as the annotation says, as its workload's controller would.
func (w *world) pod(annotation string, before ...string) *corev1.Pod {
	w.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.namespace, GenerateName: "web-",
		Labels: map[string]string{"app": "web", manifests.LabelGated: manifests.Gated}, Annotations: map[string]string{manifests.AnnotationGate: annotation},
	}}
	for _, name := range append(before, manifests.SchedulingGate) {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
	}
	p.Spec.Containers = []corev1.Container{{Name: "web", Image: "registry.example.com/web"}}
	if err := w.Create(w.Context(), p); err != nil {
		w.Fatal(err)
	}
	return p
}

// publish makes a database's state, which the test changes.
func (w *world) publish(database string, change func(*events.State)) {
	w.Helper()
	p, err := jetstream.NewPublisher(w.nc)
	if err != nil {
		w.Fatal(err)
	}
	s, revision, err := p.State(w.Context(), "production", database, "")
	if err != nil {
		w.Fatal(err)
	}
	change(&s)
	if _, err := p.PublishState(w.Context(), s, revision, fmt.Sprint(database, revision)); err != nil {
		w.Fatal(err)
	}
}

func ready(version, minCompatible string) func(*events.State) {
	return func(s *events.State) {
		s.LastAttempt = nil
		s.Ready = &events.Ready{
			Version: version, MinCompatible: minCompatible, Digest: "sha256:" + strings.Repeat("0", 64), Evidence: events.EvidenceJob, Since: time.Now().UTC(),
		}
	}
}

func failed(version string) func(*events.State) {
	return func(s *events.State) {
		s.LastAttempt = &events.Attempt{
			Outcome: events.OutcomeFailed, Version: version, Digest: "sha256:" + strings.Repeat("1", 64), Evidence: events.EvidenceReport, Run: "run",
			Started: time.Now().UTC(), Finished: time.Now().UTC(), Failure: &events.Failure{Permanent: true, Message: "no such table"},
		}
	}
}

// gates lists those of a Pod, and whether it still has the label.
func (w *world) gates(p *corev1.Pod) []string {
	w.Helper()
	var now corev1.Pod
	if err := w.Get(w.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, g := range now.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	if now.Labels[manifests.LabelGated] != "" {
		names = append(names, "label")
	}
	if now.Labels["app"] != "web" {
		w.Errorf("its own label is gone: %v", now.Labels)
	}
	return names
}

func (w *world) released(p *corev1.Pod, left ...string) {
	w.Helper()
	w.within("released", func() error {
		if got := w.gates(p); !slices.Equal(got, left) {
			return fmt.Errorf("gates %q, want %q", got, left)
		}
		return nil
	})
}

// waits wants a Pod not to be released, however long it is watched: it has been looked at when it is told so.
func (w *world) waits(p *corev1.Pod, told ...string) {
	w.Helper()
	w.told(p, told...)
	time.Sleep(200 * time.Millisecond)
	if got := w.gates(p); !slices.Contains(got, manifests.SchedulingGate) {
		w.Fatalf("released: it has the gates %q", got)
	}
	w.told(p, told...)
}

// told wants exactly these Events on a Pod, "reason: text" each, once each.
func (w *world) told(p *corev1.Pod, want ...string) {
	w.Helper()
	w.within("events", func() error {
		var list corev1.EventList
		if err := w.List(w.Context(), &list, client.InNamespace(w.namespace), client.MatchingFields{"involvedObject.name": p.Name}); err != nil {
			return err
		}
		var got []string
		for _, e := range list.Items {
			got = append(got, fmt.Sprintf("%s: %s", e.Reason, e.Message))
			if e.Count > 1 {
				w.Errorf("told %d times: %s", e.Count, e.Message)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("events %q, want %q", got, want)
		}
		return nil
	})
}

// watches waits until that many subjects are subscribed to by a Releaser, besides the inbox of its requests, and checks that the
// stream has no consumer.
func (w *world) watches(r *running, want int) {
	w.Helper()
	w.within("watches", func() error {
		if got := r.nc.NumSubscriptions() - 1; got != want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
	j, err := js.New(w.nc)
	if err != nil {
		w.Fatal(err)
	}
	stream, err := j.Stream(w.Context(), events.StateStream)
	if err != nil {
		w.Fatal(err)
	}
	if n := stream.CachedInfo().State.Consumers; n != 0 {
		w.Errorf("%d consumers on %s", n, events.StateStream)
	}
}

// TestGateReleased holds a Pod back until what it waits for is published, and no longer; other gates stay, wherever they stand.
func TestGateReleased(t *testing.T) {
	w := newWorld(t, natstest.Options{})
	r := w.start("user")
	old, late := w.pod("production/orders@1"), w.pod("production/orders@2", other)
	both := w.pod("production/orders@1, production/stock@1")
	const first, second = "SchemaNotReady: production/orders has no proven migration yet", "SchemaNotReady: production/orders is at 1, not yet at 2"
	stock := "production/stock has no proven migration yet"
	w.waits(old, first)
	w.waits(late, first)
	w.waits(both, first+"; "+stock)
	w.wants(r, 3, 0)
	w.watches(r, 2)

	w.publish("orders", ready("1", ""))
	w.released(old)
	w.waits(late, first, second)
	w.waits(both, first+"; "+stock, "SchemaNotReady: "+stock)
	w.wants(r, 2, 1)

	w.publish("stock", ready("1", ""))
	w.released(both)
	w.publish("orders", ready("2", ""))
	w.released(late, other)
	w.told(late, first, second, "SchemaReady: production/orders is at 2")
	w.wants(r, 0, 3)
	w.watches(r, 0)

	w.released(w.pod("production/orders@2")) // one that comes later
	w.wants(r, 0, 4)
}

// TestGateKept never releases what cannot be read, nor what has failed or left the reader behind, and tells each once.
func TestGateKept(t *testing.T) {
	w := newWorld(t, natstest.Options{})
	w.publish("orders", ready("1", ""))
	w.publish("orders", failed("2"))
	w.publish("stock", ready("9", "5"))
	r := w.start("user")
	malformed := w.pod("orders@2")
	w.waits(malformed, `SchemaGateMalformed: annotation schemawave.dev/gate: target "orders@2" has 1 names: want environment/database[/tenant][@version], as in production/orders@20261122093000; `+
		"name what to wait for on the workload, environment/database[@version], with commas between several: this Pod is never released")
	broken := w.pod("production/orders@2")
	failure := "MigrationFailed: production/orders is at 1, not yet at 2, and the last attempt at 2 failed for good: no such table"
	w.waits(broken, failure)
	old := w.pod("production/stock@4")
	w.waits(old, "SchemaIncompatible: production/stock is at 9 and serves readers of 5 or newer, not of 4: update the reader")
	w.wants(r, 3, 0)
	w.publish("stock", ready("10", "5"))
	w.publish("orders", ready("2", "")) // it is tried again
	w.released(broken)
	w.told(broken, failure, "SchemaReady: production/orders is at 2")
	w.wants(r, 2, 1)
	for _, p := range []*corev1.Pod{old, malformed} {
		if err := w.Delete(t.Context(), p, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	w.wants(r, 0, 1)
	w.watches(r, 0)
}

// TestGateRestart finds the Pods that waited while nobody looked.
func TestGateRestart(t *testing.T) {
	w := newWorld(t, natstest.Options{})
	r := w.start("user")
	before := w.pod("production/orders@1")
	w.waits(before, "SchemaNotReady: production/orders has no proven migration yet")
	r.stop()
	meanwhile := w.pod("production/orders@1")
	w.publish("orders", ready("1", ""))
	time.Sleep(200 * time.Millisecond)
	for _, p := range []*corev1.Pod{before, meanwhile} {
		if got := w.gates(p); len(got) == 0 {
			t.Fatal("released by nobody")
		}
	}
	r = w.start("user")
	w.released(before)
	w.released(meanwhile)
	w.wants(r, 0, 2)
}

// TestGateOutage releases nothing while NATS is away, tells so, and goes on when it is back.
func TestGateOutage(t *testing.T) {
	w := newWorld(t, natstest.Options{})
	w.publish("orders", ready("1", ""))
	r := w.start("user")
	w.server.Stop()
	p := w.pod("production/orders@1")
	w.within("told", func() error {
		var list corev1.EventList
		if err := w.List(t.Context(), &list, client.InNamespace(w.namespace), client.MatchingFields{"involvedObject.name": p.Name}); err != nil {
			return err
		}
		if len(list.Items) == 0 || list.Items[0].Reason != reasonUnknown {
			return fmt.Errorf("events %v", list.Items)
		}
		return nil
	})
	if got := w.gates(p); len(got) != 2 {
		t.Fatalf("released without NATS: %q", got)
	}
	if err := w.server.Restart(); err != nil {
		t.Fatal(err)
	}
	w.released(p)
	w.wants(r, 0, 1)
}

// TestGatePermissions needs no more than a waiter may, and tells of a refusal.
func TestGatePermissions(t *testing.T) {
	subjects := func(p jetstream.Permissions) string {
		quoted := func(all []string) string { return `["` + strings.Join(all, `", "`) + `"]` }
		return "permissions: {publish: " + quoted(p.Publish) + ", subscribe: " + quoted(p.Subscribe) + "}"
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	config := fmt.Sprintf("authorization {users: [{user: admin, password: x}, {user: waiter, password: x, %s}, {user: stranger, password: x, %s}]}\n",
		subjects(jetstream.WaiterPermissions("production", "")), subjects(jetstream.WaiterPermissions("staging", "")))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, natstest.Options{Config: path})
	w.publish("orders", ready("1", ""))
	stranger := w.start("stranger")
	p := w.pod("production/orders@1")
	w.waits(p, "SchemaUnknown: nothing is known of production/orders@1: nats denies to subscribe to schema.live.v1.production.orders: grant it to this user, or use another")
	stranger.stop()
	w.start("waiter")
	w.released(p)
}

// TestGateRights releases nothing with the rights of the default installation, says so, and goes on once the component is added.
func TestGateRights(t *testing.T) {
	w := newWorld(t, natstest.Options{})
	w.grant("../../manifests/install")
	w.publish("orders", ready("1", ""))
	w.config = rest.CopyConfig(w.config)
	w.config.Impersonate.UserName = "system:serviceaccount:schemawave:schemawave"
	r := w.start("user")
	p := w.pod("production/orders@1")
	denied := fmt.Sprintf(`SchemaGateNotRemoved: release pod %s/%s: pods %q is forbidden: User %q cannot patch resource "pods" in API group "" in the namespace %q`,
		w.namespace, p.Name, p.Name, w.config.Impersonate.UserName, w.namespace)
	w.waits(p, denied)
	w.grant("../../manifests/install/gates")
	w.released(p)
	w.told(p, denied, "SchemaReady: production/orders is at 1")
	w.within("the metrics", func() error {
		if got := r.read()["schemawave_gate_releases_total error"]; got == 0 {
			return errors.New("no release has failed")
		}
		return nil
	})
}

// grant binds the roles of a kustomization, as an installation does.
func (w *world) grant(dir string) {
	w.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		w.Fatal(err)
	}
	for _, o := range objects.Resources() {
		if o.GetGvk().Group != "rbac.authorization.k8s.io" || !strings.HasPrefix(o.GetKind(), "ClusterRole") {
			continue
		}
		m, err := o.Map()
		if err != nil {
			w.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: m}
		if err := w.Create(w.Context(), u); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() {
			if err := w.Delete(context.WithoutCancel(w.Context()), u); err != nil {
				w.Error(err)
			}
		})
	}
}

// TestGateConflict releases a Pod that has changed since it was seen, or leaves it alone where it is another one by now.
func TestGateConflict(t *testing.T) {
	w := newWorld(t, natstest.Options{})
	tries := 0
	counted := tried{w.Client, &tries}
	for why, change := range map[string]func(*corev1.Pod){
		"its gate stands elsewhere": func(p *corev1.Pod) { p.Spec.SchedulingGates = p.Spec.SchedulingGates[1:] },
		"it is annotated":           func(p *corev1.Pod) { p.Annotations["example.com/note"] = "new" },
	} {
		seen := w.pod("production/orders@1", other)
		now := seen.DeepCopy()
		change(now)
		if err := w.Update(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		tries = 0
		if done, err := release(t.Context(), counted, seen); !done || err != nil || tries != 2 {
			t.Fatalf("%s: released: %t, %v, in %d tries", why, done, err, tries)
		}
		if done, err := release(t.Context(), counted, seen); done || err != nil || tries != 3 {
			t.Errorf("%s: once more: %t, %v, in %d tries", why, done, err, tries)
		}
		if got := w.gates(seen); slices.Contains(got, manifests.SchedulingGate) || len(got) != len(now.Spec.SchedulingGates)-1 {
			t.Errorf("%s: it has the gates %q", why, got)
		}
	}
	namesake := w.pod("production/orders@1")
	was := namesake.DeepCopy()
	was.UID, was.ResourceVersion = "another", "1"
	if done, err := release(t.Context(), counted, was); done || err != nil {
		t.Errorf("a namesake is released: %t, %v", done, err)
	}
	w.released(namesake, manifests.SchedulingGate, "label")
	if err := w.Delete(t.Context(), namesake, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	if done, err := release(t.Context(), counted, namesake); done || err != nil {
		t.Errorf("one that is gone: %t, %v", done, err)
	}
}

// tried counts the patches.
type tried struct {
	client.Client
	n *int
}

func (c tried) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	*c.n++
	return c.Client.Patch(ctx, obj, patch, opts...)
}

// TestGateCrowd releases two hundred Pods by one message, which one watch hears for all of them.
func TestGateCrowd(t *testing.T) {
	const crowd = 200
	w := newWorld(t, natstest.Options{})
	r := w.start("user")
	for range crowd {
		w.pod("production/orders@1")
	}
	w.wants(r, crowd, 0)
	w.watches(r, 1)
	list := func() (waiting int, err error) {
		var pods corev1.PodList
		err = w.List(t.Context(), &pods, client.InNamespace(w.namespace), client.HasLabels{manifests.LabelGated})
		return len(pods.Items), err
	}
	if n, err := list(); n != crowd {
		t.Fatalf("%d Pods wait (%v)", n, err)
	}
	published := time.Now()
	w.publish("orders", ready("1", ""))
	w.within("all are released", func() error {
		n, err := list()
		if n > 0 {
			err = errors.Join(err, fmt.Errorf("%d wait", n))
		}
		return err
	})
	t.Logf("%d Pods released within %s of the publish", crowd, time.Since(published).Round(time.Millisecond))
	w.wants(r, 0, crowd)
	w.watches(r, 0)
}
