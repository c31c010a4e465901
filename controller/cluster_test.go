package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// patience bounds every wait for the cluster; a step takes some milliseconds, seconds on a busy machine.
const patience = 30 * time.Second

// cluster is a real API server with a real Job controller, and two namespaces of the test's own in it. There is no kubelet
// and no Argo CD: the test plays both, and writes what they write.
type cluster struct {
	t      testing.TB
	config *rest.Config
	client.Client
	apps, home string // namespaces of the Applications and of what they deploy
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("KUBECONFIG is not set; run: go run ./cmd/lab run --control-plane -- go test ./controller/...")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 200, 400
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, argo.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{t: t, config: config}
	c.install("application-crd.yaml", argo.ApplicationSchemaGroupVersionKind)
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	c.Client = api
	c.apps, c.home = c.namespace("argocd-"), c.namespace("shop-")
	return c
}

func (c *cluster) namespace(prefix string) string {
	c.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}}
	if err := c.Create(c.t.Context(), ns); err != nil {
		c.t.Fatal(err)
	}
	return ns.Name
}

// restrictedNamespace is one that takes Pods of the Pod Security standard "restricted" only.
func (c *cluster) restrictedNamespace() string {
	c.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if err := c.Create(c.t.Context(), ns); err != nil {
		c.t.Fatal(err)
	}
	within(c.t, "the service account of Pods", func() error {
		return c.Get(c.t.Context(), client.ObjectKey{Namespace: ns.Name, Name: "default"}, &corev1.ServiceAccount{})
	})
	return ns.Name
}

// install creates a CRD as Argo CD ships it, once for all tests.
func (c *cluster) install(file string, kind schema.GroupVersionKind) {
	c.t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v2").Output()
	if err != nil {
		c.t.Fatalf("find argo-cd: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "manifests/crds", file))
	if err != nil {
		c.t.Fatal(err)
	}
	var crd unstructured.Unstructured
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		c.t.Fatal(err)
	}
	api, err := client.New(c.config, client.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := api.Create(c.t.Context(), &crd); err != nil && !apierrors.IsAlreadyExists(err) {
		c.t.Fatal(err)
	}
	within(c.t, "the kind "+kind.Kind, func() error {
		_, err := api.RESTMapper().RESTMapping(kind.GroupKind(), "v1alpha1")
		if meta.IsNoMatchError(err) {
			return err
		}
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(kind)
		return api.List(c.t.Context(), &list, client.Limit(1))
	})
}

// within tries until try succeeds, and fails the test with its last error if it does not in time.
func within(t testing.TB, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// release is a migration set as the renderer gives it to Argo CD.
type release struct {
	version, digest string
	job             *batchv1.Job
	revision        string
}

// release renders the first n migrations of a directory; the revision stands for the commit.
func (c *cluster) release(n int, environment string) release {
	c.t.Helper()
	files := fstest.MapFS{}
	content := map[string][]byte{}
	for i := range n {
		name := fmt.Sprintf("%04d_step.sql", i+1)
		content[name] = fmt.Appendf(nil, "CREATE TABLE t%d (id bigint);\n", i+1)
		files[name] = &fstest.MapFile{Data: content[name]}
	}
	set, err := migrations.Load(files, migrations.LayoutAuto)
	if err != nil {
		c.t.Fatal(err)
	}
	objects, err := manifests.Build(manifests.Input{
		Migration: manifests.SchemaMigration{
			Name: "orders", Environment: environment, Source: manifests.Source{Directory: "migrations"},
			Database: manifests.Database{URLFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "orders-db"}, Key: "url"}}},
		},
		Set: set, Files: content,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, o := range objects {
		if j, ok := o.Value.(*batchv1.Job); ok {
			return release{
				version: j.Annotations[manifests.AnnotationVersion], digest: j.Annotations[manifests.AnnotationDigest], job: j,
				revision: strings.Repeat(fmt.Sprint(n%10), 40),
			}
		}
	}
	c.t.Fatal("no Job was rendered")
	return release{}
}

// application creates an Application that deploys to the test's namespace.
func (c *cluster) application(name string, source argo.ApplicationSource) *argo.Application {
	c.t.Helper()
	a := &argo.Application{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: name}}
	a.Spec = argo.ApplicationSpec{
		Project: "default", Source: &source,
		Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: c.home},
	}
	if err := c.Create(c.t.Context(), a); err != nil {
		c.t.Fatal(err)
	}
	return a
}

// status changes an Application's status, as Argo CD does: the CRD has no status subresource.
func (c *cluster) status(a *argo.Application, change func(*argo.ApplicationStatus)) {
	c.t.Helper()
	within(c.t, "status of "+a.Name, func() error {
		if err := c.Get(c.t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err
		}
		change(&a.Status)
		return c.Update(c.t.Context(), a)
	})
}

// sync begins an operation.
func (c *cluster) sync(a *argo.Application, r release) {
	c.t.Helper()
	c.status(a, func(s *argo.ApplicationStatus) {
		s.Sync = argo.SyncStatus{Status: argo.SyncStatusCodeOutOfSync, Revision: r.revision}
		s.Resources = []argo.ResourceStatus{{Version: "v1", Kind: "ConfigMap", Namespace: c.home, Name: r.job.Name + manifests.MarkerSuffix, Status: argo.SyncStatusCodeOutOfSync}}
		s.OperationState = &argo.OperationState{
			Operation: argo.Operation{Sync: &argo.SyncOperation{Revision: r.revision}},
			Phase:     common.OperationRunning, StartedAt: metav1.Now(),
		}
	})
}

// hook records what Argo CD says of the Job in the operation.
func (c *cluster) hook(a *argo.Application, r release, phase common.OperationPhase, message string) {
	c.t.Helper()
	c.status(a, func(s *argo.ApplicationStatus) {
		s.OperationState.SyncResult = &argo.SyncOperationResult{Revision: r.revision, Resources: argo.ResourceResults{{
			Group: "batch", Version: "v1", Kind: "Job", Namespace: c.home, Name: r.job.Name,
			HookType: common.HookTypePreSync, SyncPhase: common.SyncPhasePreSync, HookPhase: phase, Message: message,
		}}}
	})
}

// end ends the operation.
func (c *cluster) end(a *argo.Application, phase common.OperationPhase) {
	c.t.Helper()
	c.status(a, func(s *argo.ApplicationStatus) {
		now := metav1.Now()
		s.OperationState.Phase, s.OperationState.FinishedAt = phase, &now
		if phase == common.OperationSucceeded {
			s.Sync.Status = argo.SyncStatusCodeSynced
			for i := range s.Resources {
				s.Resources[i].Status = argo.SyncStatusCodeSynced
			}
		}
	})
}

// apply creates the release's Job as Argo CD does, the hook of the sync before removed, and returns the Job controller's Pod.
func (c *cluster) apply(a *argo.Application, r release) *corev1.Pod {
	c.t.Helper()
	j := r.job.DeepCopy()
	j.Namespace = c.home
	j.Labels["app.kubernetes.io/instance"] = a.Name
	old := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, Name: j.Name}}
	if err := c.Delete(c.t.Context(), old, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
		c.t.Fatal(err)
	}
	within(c.t, "create job "+j.Name, func() error { return c.Create(c.t.Context(), j) })
	var pod corev1.Pod
	within(c.t, "a pod of job "+j.Name, func() error {
		var pods corev1.PodList
		if err := c.List(c.t.Context(), &pods, client.InNamespace(c.home), client.MatchingLabels{"batch.kubernetes.io/controller-uid": string(j.UID)}); err != nil {
			return err
		}
		if len(pods.Items) != 1 {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		pod = pods.Items[0]
		return nil
	})
	return &pod
}

// exit ends a Pod with an exit code and a report, as the kubelet does.
func (c *cluster) exit(p *corev1.Pod, code migrations.ExitCode, report *migrations.Report) {
	c.t.Helper()
	message := ""
	if report != nil {
		text, err := report.Encode()
		if err != nil {
			c.t.Fatal(err)
		}
		message = string(text)
	}
	now := metav1.Now()
	p.Status.Phase = corev1.PodSucceeded
	if code != migrations.ExitDone {
		p.Status.Phase = corev1.PodFailed
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: manifests.ContainerName, Image: "runner", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(code), Message: message, StartedAt: now, FinishedAt: now,
		}},
	}}
	if err := c.Status().Update(c.t.Context(), p); err != nil {
		c.t.Fatal(err)
	}
}

// finished waits until the Job controller has drawn its conclusion.
func (c *cluster) finished(r release) {
	c.t.Helper()
	within(c.t, "the end of job "+r.job.Name, func() error {
		var j batchv1.Job
		if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: c.home, Name: r.job.Name}, &j); err != nil {
			return err
		}
		for _, cond := range j.Status.Conditions {
			if cond.Type == batchv1.JobComplete || cond.Type == batchv1.JobFailed {
				return nil
			}
		}
		return fmt.Errorf("conditions are %+v", j.Status.Conditions)
	})
}

// report is what the runner says after a good run.
func (r release) report(environment string, outcome migrations.Outcome, applied ...migrations.Version) *migrations.Report {
	return &migrations.Report{
		Format: migrations.ReportFormat, Database: "orders", Environment: environment, Digest: r.digest,
		To: migrations.Version(r.version), Applied: applied, Count: len(applied), Run: "run",
		Started: time.Now().Add(-time.Second), Finished: time.Now(), Outcome: outcome,
	}
}

// rejection is what it says after a bad one.
func (r release) rejection(environment string) *migrations.Report {
	report := r.report(environment, migrations.OutcomeFailed)
	report.To = ""
	report.Failure = &migrations.Failure{
		Code: migrations.ExitRejected, Permanent: true, SQLState: "42701", File: "0002_step.sql", Line: 12, Column: 3,
		Message: `column "total" already exists`, Hint: "drop the column first, or write ADD COLUMN IF NOT EXISTS",
	}
	return report
}

// logs shows what a controller logs, if the test fails or is verbose.
func logs(t testing.TB, name string) *slog.Logger {
	var w io.Writer = &testWriter{t: t}
	return slog.New(slog.NewTextHandler(w, nil)).With("replica", name)
}

type testWriter struct{ t testing.TB }

func (w *testWriter) Write(p []byte) (int, error) {
	defer func() { _ = recover() }() // the test is over, and a goroutine of a library still logs
	w.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// pretty shows a value in a failure's message.
func pretty(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// background is a context that ends with the test and can be cancelled before.
func background(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}
