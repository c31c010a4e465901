package controller_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// BenchmarkNotifications sets the controller beside Argo CD's own notifications controller, which is there to call a webhook when an
// Application has been synced. So many Applications are written so many times a second, once for each of the two, and what is
// measured is how long it takes from the API server's answer until NATS has stored the schema (p50-ms, p99-ms) or the webhook is called
// (notifications-…). The floor-… are of an informer that does nothing else, while the first was measured and while the second was.
//
// It needs the argocd command: go run ./cmd/lab run -- go test -run '^$' -bench Notifications -benchtime 1x ./controller
func BenchmarkNotifications(b *testing.B) {
	for _, c := range []struct{ applications, rate int }{{50, 2}, {200, 50}} {
		b.Run(fmt.Sprintf("%d-a-second", c.rate), func(b *testing.B) {
			for b.Loop() {
				benchmarkNotifications(b, c.applications, time.Second/time.Duration(c.rate))
			}
		})
	}
}

func benchmarkNotifications(b *testing.B, n int, pace time.Duration) {
	ctrl.SetLogger(logr.Discard())
	c, broker := newCluster(b), newNATS(b)
	w, hook := newWriter(c), newWebhook(b)
	apps := make([]*argo.Application, n)
	w.each(n, func(i int) error {
		apps[i] = w.application(i)
		apps[i].Annotations = map[string]string{"notifications.argoproj.io/subscribe.on-synced.sink": ""}
		apps[i].Status.ReconciledAt = reconciled()
		return w.Create(b.Context(), apps[i])
	})
	seen := w.watch()
	// tell writes a version into all Applications, one by one, and reports how long it took until those who listen heard of it.
	tell := func(version int, who map[string]*arrivals) {
		written := make([]time.Time, n)
		next := time.NewTicker(pace)
		defer next.Stop()
		var all sync.WaitGroup
		for i := range n {
			<-next.C
			all.Go(func() {
				w.tell(apps[i], i, version)
				written[i] = time.Now()
			})
		}
		all.Wait()
		for name, heard := range who {
			took := make([]float64, n)
			for i := range took {
				took[i] = max(0, heard.one(i, version).Sub(written[i]).Seconds())
			}
			slices.Sort(took)
			b.ReportMetric(1e3*took[n/2], name+"p50-ms")
			b.ReportMetric(1e3*took[n*99/100], name+"p99-ms")
		}
	}

	heard := listen(broker)
	p := launch(c.t, broker, build(b), applicationsOnly(c.apps))
	heard.all(n, 1)
	tell(2, map[string]*arrivals{"": heard, "floor-": seen})
	p.stop()

	stop := notifications(c, hook.url)
	hook.all(n, 2) // what it finds when it starts
	tell(3, map[string]*arrivals{"notifications-": hook.arrivals, "notifications-floor-": seen})
	stop()
}

// reconciled is when Argo CD has looked at an Application again after its sync, without which no notification is sent.
func reconciled() *metav1.Time {
	t := metav1.NewTime(time.Now().Add(time.Second))
	return &t
}

// tell writes that an Application is at a version, whoever else has changed it meanwhile.
func (w *writer) tell(a *argo.Application, i, version int) {
	var status argo.ApplicationStatus
	status.OperationState, status.ReconciledAt = w.operation(i, version), reconciled()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"operationState": status.OperationState, "reconciledAt": status.ReconciledAt}})
	if err == nil {
		err = w.Patch(w.b.Context(), &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: a.Name}}, client.RawPatch(types.MergePatchType, patch))
	}
	if err != nil {
		w.b.Error(err)
	}
}

// webhook is where notifications go.
type webhook struct {
	*arrivals
	url string
}

func newWebhook(b testing.TB) webhook {
	h := webhook{arrivals: &arrivals{b: b, at: map[string]time.Time{}}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n struct{ App, Revision string }
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			b.Error(err)
			return
		}
		h.came(n.App[len("app-"):], n.Revision[:1])
	}))
	b.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// notifications runs Argo CD's notifications controller, which tells the webhook of every sync that succeeded.
func notifications(c *cluster, url string) (stop func()) {
	c.t.Helper()
	argocd, err := exec.LookPath("argocd")
	if err != nil {
		c.t.Fatalf("%v; run: go run ./cmd/lab run -- go test -run '^$' -bench Notifications ./controller", err)
	}
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "argocd-notifications-cm"}, Data: map[string]string{
		"service.webhook.sink": "url: " + url,
		"trigger.on-synced":    "- when: app.status.operationState.phase in ['Succeeded']\n  oncePer: app.status.operationState.syncResult.revision\n  send: [synced]\n",
		"template.synced": "webhook:\n  sink:\n    method: POST\n" +
			"    body: '{\"app\": \"{{.app.metadata.name}}\", \"revision\": \"{{.app.status.operationState.syncResult.revision}}\"}'\n",
	}}
	for _, o := range []client.Object{settings,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "argocd-cm", Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "argocd-secret", Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "argocd-notifications-secret"}}} {
		if err := c.Create(c.t.Context(), o); err != nil {
			c.t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(argocd, "--kubeconfig", c.kubeconfig(c.apps), "--metrics-port", fmt.Sprint(port), "--loglevel", "error")
	cmd.Env = append(os.Environ(), "ARGOCD_BINARY_NAME=argocd-notifications")
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			c.t.Error(err)
		}
		cmd.Wait() //nolint:errcheck // how it ends is not ours to judge
	})
	c.t.Cleanup(stop)
	return stop
}

// kubeconfig is a copy of the one in use that works in a namespace; the notifications controller looks nowhere else for it.
func (c *cluster) kubeconfig(namespace string) (path string) {
	c.t.Helper()
	config, err := clientcmd.LoadFromFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		c.t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	path = filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// watch notes when an informer that does nothing else is shown a status.
func (w *writer) watch() *arrivals {
	a := &arrivals{b: w.b, at: map[string]time.Time{}}
	informers, err := cache.New(w.config, cache.Options{Scheme: w.Scheme(), DefaultNamespaces: map[string]cache.Config{w.apps: {}}})
	if err != nil {
		w.b.Fatal(err)
	}
	informer, err := informers.GetInformer(w.b.Context(), &argo.Application{}, cache.BlockUntilSynced(false))
	if err != nil {
		w.b.Fatal(err)
	}
	note := func(obj any) {
		if app, ok := obj.(*argo.Application); ok && app.Status.OperationState != nil {
			a.came(strings.TrimPrefix(app.Name, "app-"), app.Status.OperationState.Operation.Sync.Revision[:1])
		}
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(_, obj any) { note(obj) }}); err != nil {
		w.b.Fatal(err)
	}
	go informers.Start(w.b.Context()) //nolint:errcheck // it ends with the benchmark
	if !informers.WaitForCacheSync(w.b.Context()) {
		w.b.Fatal("the informer's cache does not fill")
	}
	return a
}
