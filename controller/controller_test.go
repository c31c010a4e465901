package controller_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

const env = "production"

var overlay = argo.ApplicationSource{RepoURL: "https://git.example/shop.git", Path: "overlays/production", TargetRevision: "main"}

// migrate plays a whole sync whose migration succeeds.
func (c *cluster) migrate(a *argo.Application, r release, outcome migrations.Outcome, applied ...migrations.Version) {
	c.t.Helper()
	c.sync(a, r)
	pod := c.apply(a, r)
	c.hook(a, r, common.OperationRunning, "job.batch/"+r.job.Name+" created")
	c.exit(pod, migrations.ExitDone, r.report(env, outcome, applied...))
	c.finished(r)
	c.hook(a, r, common.OperationSucceeded, "Reached expected number of succeeded pods")
	c.end(a, common.OperationSucceeded)
}

// reject plays one whose migration fails for good.
func (c *cluster) reject(a *argo.Application, r release) {
	c.t.Helper()
	c.sync(a, r)
	pod := c.apply(a, r)
	c.exit(pod, migrations.ExitRejected, r.rejection(env))
	c.finished(r)
	c.hook(a, r, common.OperationFailed, "Container migrate for pod x/y failed with exit code 65 matching FailJob rule at index 1")
	c.end(a, common.OperationFailed)
}

// TestReleases follows three releases: one that succeeds, one that fails, and its correction.
func TestReleases(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	registry, health := prometheus.NewRegistry(), freeAddress(t)
	start(c, n, "one", func(o *controller.Options) { o.Metrics, o.HealthAddress = registry, health })
	a := c.application("orders", overlay)
	one, two, three := c.release(1, env), c.release(2, env), c.release(3, env)

	c.sync(a, one)
	pod := c.apply(a, one)
	n.expect("started@1")
	c.exit(pod, migrations.ExitDone, one.report(env, migrations.OutcomeSucceeded, "1"))
	n.expect("started@1", "succeeded@1") // before Argo CD knows it
	s := n.state(env)
	if r := s.Ready; r == nil || r.Version != "1" || r.Digest != one.digest || r.Evidence != events.EvidenceReport ||
		r.Application != c.apps+"/orders" || r.Revision != one.revision || s.LastAttempt.Applied[0] != "1" {
		t.Fatalf("state after success: %s", pretty(s))
	}
	c.hook(a, one, common.OperationSucceeded, "Reached expected number of succeeded pods")
	c.end(a, common.OperationSucceeded)

	c.reject(a, two)
	n.expect("started@1", "succeeded@1", "started@2", "failed@2")
	s = n.state(env)
	if s.Ready == nil || s.Ready.Version != "1" || s.LastAttempt.Outcome != events.OutcomeFailed || !s.LastAttempt.Failure.Permanent {
		t.Fatalf("state after failure: %s", pretty(s))
	}
	c.told(a, corev1.EventTypeWarning, "0002_step.sql:12:3: ", "drop the column first")

	measures(t, registry, "schemawave_schema_info version=1", 1)
	measures(t, registry, "schemawave_last_attempt_success", 0)

	c.migrate(a, three, migrations.OutcomeSucceeded, "2", "3")
	n.expect("started@1", "succeeded@1", "started@2", "failed@2", "started@3", "succeeded@3")
	c.told(a, corev1.EventTypeNormal, "production/orders is at 3")
	c.remain(three.job.Name)
	measures(t, registry, "schemawave_schema_info version=3", 1)
	measures(t, registry, "schemawave_last_attempt_success", 1)
	ready(t, health)
}

// ready fails the test if the controller that serves its health at an address is not alive and ready.
func ready(t *testing.T, health string) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, err := http.Get("http://" + health + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// measures waits until a metric, "name" or "name version=V", has a value, and is there once.
func measures(t *testing.T, from prometheus.Gatherer, name string, want float64) {
	t.Helper()
	name, version, _ := strings.Cut(name, " version=")
	within(t, "metric "+name, func() error {
		families, err := from.Gather()
		if err != nil {
			return err
		}
		for _, f := range families {
			if f.GetName() != name {
				continue
			}
			if n := len(f.Metric); n != 1 {
				return fmt.Errorf("%d series", n)
			}
			m := f.Metric[0]
			for _, l := range m.Label {
				if version != "" && l.GetName() == "version" && l.GetValue() != version {
					return fmt.Errorf("version %s", l.GetValue())
				}
			}
			if got := m.Gauge.GetValue(); got != want {
				return fmt.Errorf("%v, want %v", got, want)
			}
			return nil
		}
		return errors.New("is not there")
	})
}

// told waits for a Kubernetes Event on the Application that holds all parts.
func (c *cluster) told(a *argo.Application, kind string, parts ...string) {
	c.t.Helper()
	within(c.t, "the event on the Application", func() error {
		var list corev1.EventList
		if err := c.List(c.t.Context(), &list, client.InNamespace(a.Namespace)); err != nil {
			return err
		}
	next:
		for _, e := range list.Items {
			if e.InvolvedObject.UID != a.UID || e.Type != kind {
				continue
			}
			for _, p := range parts {
				if !strings.Contains(e.Message, p) {
					continue next
				}
			}
			return nil
		}
		return fmt.Errorf("not among %d events", len(list.Items))
	})
}

// remain waits until these Jobs are all there are.
func (c *cluster) remain(names ...string) {
	c.t.Helper()
	within(c.t, "the Jobs that remain", func() error {
		var list batchv1.JobList
		if err := c.List(c.t.Context(), &list, client.InNamespace(c.home)); err != nil {
			return err
		}
		var got []string
		for _, j := range list.Items {
			got = append(got, j.Name)
		}
		if fmt.Sprint(got) != fmt.Sprint(names) {
			return fmt.Errorf("%v, want %v", got, names)
		}
		return nil
	})
}

// TestCurrent syncs the same release twice more: nothing new is said, unless something had gone wrong between.
func TestCurrent(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	start(c, n, "one", nil)
	a := c.application("orders", overlay)
	one := c.release(1, env)
	c.migrate(a, one, migrations.OutcomeSucceeded, "1")
	n.expect("started@1", "succeeded@1")
	before := n.state(env)
	c.migrate(a, one, migrations.OutcomeCurrent)
	n.expect("started@1", "succeeded@1")
	if after := n.state(env); after.LastAttempt.Run != before.LastAttempt.Run {
		t.Errorf("the state was published again: %s", pretty(after))
	}
	c.reject(a, one)
	n.expect("started@1", "succeeded@1", "failed@1")
	c.migrate(a, one, migrations.OutcomeCurrent)
	n.expect("started@1", "succeeded@1", "failed@1", "succeeded@1")
	if after := n.state(env); after.LastAttempt.Outcome != events.OutcomeSucceeded || after.Ready.Since != before.Ready.Since {
		t.Errorf("state after recovery: %s", pretty(after))
	}
}

// TestAway lets two releases end while no controller runs: they are told once, oldest first, and a restart tells nothing.
func TestAway(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	a := c.application("orders", overlay)
	one, two := c.release(1, env), c.release(2, env)
	c.migrate(a, one, migrations.OutcomeSucceeded, "1")
	c.reject(a, two)
	for range 3 {
		r := start(c, n, "one", nil)
		n.expect("succeeded@1", "failed@2")
		r.stop()
	}
	if s := n.state(env); s.Ready == nil || s.Ready.Version != "1" || s.Ready.Revision != "" && s.Ready.Revision != one.revision {
		t.Errorf("state: %s", pretty(s))
	}
}

// TestOutage stops NATS while a migration ends: the result is out once NATS is back.
func TestOutage(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	start(c, n, "one", nil)
	a := c.application("orders", overlay)
	one, two := c.release(1, env), c.release(2, env)
	c.migrate(a, one, migrations.OutcomeSucceeded, "1")
	n.expect("started@1", "succeeded@1")
	n.server.Stop()
	c.migrate(a, two, migrations.OutcomeSucceeded, "2")
	c.sync(a, two) // the next sync overwrites Argo CD's word
	time.Sleep(3 * time.Second)
	if err := n.server.Restart(); err != nil {
		t.Fatal(err)
	}
	n.expect("started@1", "succeeded@1", "succeeded@2")
	if s := n.state(env); s.Ready.Version != "2" {
		t.Errorf("state: %s", pretty(s))
	}
}

// TestLeaders runs two replicas: one publishes, and when it goes the other carries on without repeating it.
func TestLeaders(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	elect := func(name string) func(o *controller.Options) {
		return func(o *controller.Options) {
			o.LeaderElection = &controller.LeaderElection{
				Namespace: c.apps, Identity: "http://" + name + ":80/webhook",
				LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 500 * time.Millisecond,
			}
		}
	}
	first := start(c, n, "first", elect("first"))
	a := c.application("orders", overlay)
	one, two := c.release(1, env), c.release(2, env)
	c.migrate(a, one, migrations.OutcomeSucceeded, "1")
	within(t, "the first event", func() error {
		if h := n.history(); len(h) == 0 || h[len(h)-1] != "succeeded@1" {
			return fmt.Errorf("%q", h)
		}
		return nil
	})
	told := n.history() // with or without the start, as the election went
	second := start(c, n, "second", elect("second"))
	if l, err := second.Leader(t.Context()); l != "http://first:80/webhook" {
		t.Errorf("the leader is %q, %v", l, err)
	}
	first.stop()
	within(t, "a new leader", func() error {
		l, err := second.Leader(t.Context())
		if err == nil && l != "http://second:80/webhook" {
			err = fmt.Errorf("the leader is %q", l)
		}
		return err
	})
	c.migrate(a, two, migrations.OutcomeSucceeded, "2")
	within(t, "the second leader's event", func() error {
		h := n.history()
		if len(h) <= len(told) || h[len(h)-1] != "succeeded@2" {
			return fmt.Errorf("%q", h)
		}
		return nil
	})
	if h := strings.Join(n.history(), " "); strings.Count(h, "succeeded@1") != 1 || strings.Count(h, "succeeded@2") != 1 {
		t.Errorf("events: %s", h)
	}
}

// TestApplicationsOnly runs a controller that may read Applications and nothing else.
func TestApplicationsOnly(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	user := c.restricted()
	start(c, n, "one", func(o *controller.Options) {
		o.Config = user
		o.ApplicationsOnly, o.JobNamespaces = true, nil
	})
	a := c.application("orders", overlay)
	one, two := c.release(1, env), c.release(2, env)
	c.sync(a, one)
	c.hook(a, one, common.OperationRunning, "job.batch/x created")
	n2 := "started@1"
	n.expect(n2)
	c.hook(a, one, common.OperationSucceeded, "Reached expected number of succeeded pods")
	n.expect(n2, "succeeded@1") // while the operation goes on
	s := n.state(c.home)        // the environment is the namespace, for nobody said otherwise
	if r := s.Ready; r == nil || r.Evidence != events.EvidenceApplication || r.Revision != one.revision || !strings.HasPrefix(one.digest, r.Digest) {
		t.Fatalf("state: %s", pretty(s))
	}
	c.end(a, common.OperationSucceeded)
	c.sync(a, two)
	c.hook(a, two, common.OperationSucceeded, "Deleted") // terminated while it ran
	c.end(a, common.OperationFailed)
	n.expect(n2, "succeeded@1", "terminated@2")
	c.sync(a, two)
	c.hook(a, two, common.OperationFailed, "Job has reached the specified backoff limit")
	c.end(a, common.OperationFailed)
	n.expect(n2, "succeeded@1", "terminated@2", "failed@2")
	if s := n.state(c.home); s.Ready.Version != "1" || s.LastAttempt.Failure.Permanent {
		t.Errorf("state: %s", pretty(s))
	}
}

// restricted gives the rights of a controller that sees Applications only.
func (c *cluster) restricted() *rest.Config {
	c.t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "watch"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"argoproj.io"}, Resources: []string{"applications"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "watch"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "watch"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "watcher"}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := c.Create(c.t.Context(), o); err != nil {
			c.t.Fatal(err)
		}
	}
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "watcher", Groups: []string{"system:authenticated"}}
	return config
}

// TestRefresh asks for a look at git, of the Applications concerned and no others.
func TestRefresh(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	r := start(c, n, "one", nil)
	with := func(change func(*argo.ApplicationSource)) argo.ApplicationSource {
		s := overlay
		change(&s)
		return s
	}
	same := c.application("same", overlay)
	above := c.application("above", with(func(s *argo.ApplicationSource) {
		s.Path, s.TargetRevision, s.RepoURL = "overlays", "HEAD", "git@git.example:shop"
	}))
	hydrated := c.application("hydrated", argo.ApplicationSource{})
	hydrated.Spec.Source, hydrated.Spec.SourceHydrator = nil, &argo.SourceHydrator{
		DrySource:  argo.DrySource{RepoURL: overlay.RepoURL, Path: overlay.Path, TargetRevision: overlay.TargetRevision},
		SyncSource: argo.SyncSource{TargetBranch: "environments/production", Path: "production"},
	}
	if err := c.Update(t.Context(), hydrated); err != nil {
		t.Fatal(err)
	}
	others := []*argo.Application{
		c.application("beside", with(func(s *argo.ApplicationSource) { s.Path = "overlays/prod" })),
		c.application("branch", with(func(s *argo.ApplicationSource) { s.TargetRevision = "next" })),
		c.application("elsewhere", with(func(s *argo.ApplicationSource) { s.RepoURL = "https://git.example/other.git" })),
	}
	within(t, "refresh", func() error { // the cache may still be filling
		asked, err := r.Refresher().Refresh(t.Context(), "ssh://git@git.example:2222/shop.git", "main", []string{"overlays/production/"})
		if err == nil && asked != 3 {
			err = fmt.Errorf("%d applications", asked)
		}
		return err
	})
	asks := func(a *argo.Application, of string) string {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			t.Fatal(err)
		}
		return a.Annotations[of]
	}
	for _, a := range []*argo.Application{same, above, hydrated} {
		if got := asks(a, argo.AnnotationKeyRefresh); got != "normal" {
			t.Errorf("%s: %q", a.Name, got)
		}
		if got, want := asks(a, argo.AnnotationKeyHydrate) == "normal", a == hydrated; got != want {
			t.Errorf("%s is asked to be hydrated: %t", a.Name, got)
		}
	}
	for _, a := range others {
		if got := asks(a, argo.AnnotationKeyRefresh); got != "" {
			t.Errorf("%s was asked for a refresh", a.Name)
		}
	}

	for phase, want := range map[argo.HydrateOperationPhase]string{
		argo.HydrateOperationPhaseHydrating: "hydrated: another commit is being hydrated", argo.HydrateOperationPhaseHydrated: "", argo.HydrateOperationPhaseFailed: "",
	} {
		asks(hydrated, argo.AnnotationKeyHydrate)
		hydrated.Annotations = nil
		hydrated.Status.SourceHydrator.CurrentOperation = &argo.HydrateOperation{Phase: phase, StartedAt: metav1.Now()}
		if err := c.Update(t.Context(), hydrated); err != nil {
			t.Fatal(err)
		}
		asked, err := r.Refresher().Refresh(t.Context(), overlay.RepoURL, "main", []string{"overlays/production/"})
		if asked != 3 || want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("while its hydration is %s, %d are asked: %v", phase, asked, err)
		}
		if got := asks(hydrated, argo.AnnotationKeyHydrate); got != "normal" {
			t.Errorf("while its hydration is %s, it is not asked", phase)
		}
	}
}
