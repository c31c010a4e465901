package controller_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// migrate plays a whole sync to the far cluster.
func (f *far) migrate(a *argo.Application, r release, applied ...migrations.Version) {
	f.t.Helper()
	f.near.sync(a, r)
	pod := f.apply(a, r)
	f.near.hook(a, r, common.OperationRunning, "job.batch/"+r.job.Name+" created")
	f.exit(pod, migrations.ExitDone, r.report(env, migrations.OutcomeSucceeded, applied...))
	f.finished(r)
	f.near.hook(a, r, common.OperationSucceeded, "Reached expected number of succeeded pods")
	f.near.end(a, common.OperationSucceeded)
}

// log is what a controller logs, and shows.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	show *testWriter
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	return l.show.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// reachable waits until a cluster's metric has a value; -1 is that it is not there.
func reachable(t *testing.T, from prometheus.Gatherer, cluster string, want float64) {
	t.Helper()
	within(t, "reachability of "+cluster, func() error {
		families, err := from.Gather()
		if err != nil {
			return err
		}
		got := -1.0
		for _, f := range families {
			if f.GetName() != "schemawave_cluster_reachable" {
				continue
			}
			for _, m := range f.Metric {
				if m.Label[0].GetValue() == cluster {
					got = m.Gauge.GetValue()
				}
			}
		}
		if got != want {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// evidence fails the test if what is ready is not the version by that evidence.
func (n *nats) evidence(version string, want events.Evidence) events.State {
	n.t.Helper()
	s := n.state(env)
	if s.Ready == nil || s.Ready.Version != version || s.LastAttempt.Evidence != want {
		n.t.Fatalf("want %s by %s: %s", version, want, pretty(s))
	}
	return s
}

// TestFarCluster follows releases in another cluster: while it is read, while its API server is down, when it is back, and when its
// Secret is gone.
func TestFarCluster(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	f := newFar(c)
	f.grant("get", "list", "watch")
	registry, log := prometheus.NewRegistry(), &logged{show: &testWriter{t: t}}
	start(c, n, "one", func(o *controller.Options) {
		o.ClusterSecrets, o.Metrics, o.Log = c.apps, registry, slog.New(slog.NewTextHandler(log, nil))
	})
	s := c.secret("far", f.address+"/", f.token())
	reachable(t, registry, "far", 1)
	a := c.application("orders", overlay)
	c.deploy(a, "", "far")
	one, two, three, four, five := c.release(1, env), c.release(2, env), c.release(3, env), c.release(4, env), c.release(5, env)

	f.migrate(a, one, "1")
	n.expect("started@1", "succeeded@1")
	is := n.evidence("1", events.EvidenceReport)
	if at := is.LastAttempt; at.Applied[0] != "1" || at.Application != c.apps+"/orders" || at.Revision != one.revision || at.Finished.IsZero() {
		t.Errorf("the attempt: %s", pretty(is))
	}
	f.migrate(a, two, "2")
	n.expect("started@1", "succeeded@1", "started@2", "succeeded@2")
	within(t, "a refused deletion", func() error {
		if got := strings.Count(log.String(), "deleting them is forbidden"); got != 1 {
			return fmt.Errorf("told %d times", got)
		}
		return nil
	})

	look := controller.Options{Config: c.config, ApplicationNamespaces: []string{c.apps}, JobNamespaces: []string{c.home}}
	explains(t, look, a, n, "not looked for", 0)
	look.ClusterSecrets = c.apps
	explains(t, look, a, n, "", 2)
	f.down()
	explains(t, look, a, n, "connection refused", 0)
	reachable(t, registry, "far", 0)
	c.sync(a, three)
	c.hook(a, three, common.OperationSucceeded, "Reached expected number of succeeded pods")
	c.end(a, common.OperationSucceeded)
	n.expect("started@1", "succeeded@1", "started@2", "succeeded@2", "succeeded@3")
	n.evidence("3", events.EvidenceApplication)

	f.up()
	reachable(t, registry, "far", 1)
	f.migrate(a, four, "4")
	n.expect("started@1", "succeeded@1", "started@2", "succeeded@2", "succeeded@3", "started@4", "succeeded@4")
	n.evidence("4", events.EvidenceReport)

	if err := c.Delete(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	reachable(t, registry, "far", -1)
	f.migrate(a, five, "5")
	within(t, "the last release", func() error {
		if s := n.state(env); s.Ready.Version != "5" || s.LastAttempt.Evidence != events.EvidenceApplication {
			return fmt.Errorf("%s", pretty(s))
		}
		return nil
	})
	keepsSecret(t, log.String())
	if told := strings.Count(log.String(), "the Jobs of a cluster cannot be read"); told != 1 {
		t.Errorf("one outage was told %d times", told)
	}
}

// explains looks at an Application as schemawave explain does, and fails the test unless it is told so why Jobs cannot be read, or
// finds so many with a report.
func explains(t *testing.T, o controller.Options, a *argo.Application, n *nats, unread string, reports int) {
	t.Helper()
	e, err := controller.Explain(t.Context(), o, n.publisher(), client.ObjectKeyFromObject(a))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, d := range e.Databases {
		for _, j := range d.Jobs {
			if j.Report != nil {
				found++
			}
		}
	}
	if e.Cluster == "" || !strings.Contains(e.Unread, unread) || (unread == "") != (e.Unread == "") || found != reports {
		t.Errorf("want %d Jobs with a report, unread %q:\n%s", reports, unread, e)
	}
}

// TestSameNamesInTwoClusters lets Jobs of one name in the same namespace of two clusters end differently.
func TestSameNamesInTwoClusters(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	f := newFar(c)
	f.grant("get", "list", "watch", "delete")
	c.secret("far", f.address, f.token())
	registry := prometheus.NewRegistry()
	start(c, n, "one", func(o *controller.Options) { o.ClusterSecrets, o.Metrics = c.apps, registry })
	reachable(t, registry, "far", 1)
	near, away := c.application("near", overlay), c.application("away", overlay)
	c.deploy(away, f.address, "")
	one := c.release(1, env)

	c.reject(near, one)
	n.expect("started@1", "failed@1")
	far := c.release(1, "staging")
	if far.job.Name != one.job.Name {
		t.Fatalf("%s and %s", far.job.Name, one.job.Name)
	}
	c.sync(away, far)
	pod := f.apply(away, far)
	f.exit(pod, migrations.ExitDone, far.report("staging", migrations.OutcomeSucceeded, "1"))
	f.finished(far)
	within(t, "the far success", func() error {
		if s := n.state("staging"); s.Ready == nil || s.LastAttempt.Evidence != events.EvidenceReport || s.LastAttempt.Application != c.apps+"/away" {
			return fmt.Errorf("%s", pretty(s))
		}
		return nil
	})
	if s := n.state(env); s.Ready != nil || s.LastAttempt.Outcome != events.OutcomeFailed || s.LastAttempt.Application != c.apps+"/near" {
		t.Errorf("the near failure is mixed up: %s", pretty(s))
	}
}

// TestUnreadableClusters has Secrets that lead nowhere beside one that does.
func TestUnreadableClusters(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	f := newFar(c)
	f.grant("get", "list", "watch", "delete")
	wrong := f.token()
	wrong.CAData = []byte("-----BEGIN CERTIFICATE-----\nMIIBfake\n-----END CERTIFICATE-----\n")
	stranger := f.token()
	stranger.BearerToken = farToken + "-of-another"
	unknown := f.token()
	unknown.CAData = nil
	c.secret("away", "https://127.0.0.1:1", f.token())
	c.secret("distrusted", "https://127.0.0.1:"+strings.TrimPrefix(f.address, "https://127.0.0.1:")+"/unknown", unknown)
	c.secret("damaged", f.address+"/damaged", wrong)
	c.secret("denied", f.address+"/denied", stranger)
	c.secret("program", "https://127.0.0.1:2", argo.ClusterConfig{ExecProviderConfig: &argo.ExecProviderConfig{Command: "aws"}})
	c.secret("far", f.address, f.token())
	registry, log, health := prometheus.NewRegistry(), &logged{show: &testWriter{t: t}}, freeAddress(t)
	start(c, n, "one", func(o *controller.Options) {
		o.ClusterSecrets, o.Metrics, o.HealthAddress, o.Log = c.apps, registry, health, slog.New(slog.NewTextHandler(log, nil))
	})
	reachable(t, registry, "far", 1)
	ready(t, health)
	for name, remedy := range map[string]string{
		"away": "connection refused", "distrusted": "tlsClientConfig.caData", "damaged": "tlsClientConfig", "denied": "renew its credentials", "program": "execProviderConfig",
	} {
		reachable(t, registry, name, 0)
		within(t, "what is told of "+name, func() error {
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "cluster="+name+" ") && strings.Contains(line, remedy) {
					return nil
				}
			}
			return fmt.Errorf("nothing with %q", remedy)
		})
	}
	a := c.application("orders", overlay)
	c.deploy(a, "", "away")
	one := c.release(1, env)
	c.sync(a, one)
	c.hook(a, one, common.OperationSucceeded, "Reached expected number of succeeded pods")
	n.expect("succeeded@1")
	n.evidence("1", events.EvidenceApplication)
	keepsSecret(t, log.String())
}

// TestFarJobsAreCollected deletes a superseded Job in the cluster that it is in, and no other.
func TestFarJobsAreCollected(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	f := newFar(c)
	f.grant("get", "list", "watch", "delete")
	c.secret("far", f.address, f.token())
	registry, log := prometheus.NewRegistry(), &logged{show: &testWriter{t: t}}
	start(c, n, "one", func(o *controller.Options) {
		o.ClusterSecrets, o.Metrics, o.Log = c.apps, registry, slog.New(slog.NewTextHandler(log, nil))
	})
	reachable(t, registry, "far", 1)
	a := c.application("orders", overlay)
	c.deploy(a, f.address, "")
	one, two := c.release(1, env), c.release(2, env)
	twin := one.job.DeepCopy()
	twin.Namespace = c.home
	twin.Labels, twin.Spec.Template.Labels = map[string]string{"app": "another"}, nil
	if err := c.Create(t.Context(), twin); err != nil {
		t.Fatal(err)
	}
	f.migrate(a, one, "1")
	f.migrate(a, two, "2")
	f.remain(two.job.Name)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(twin), &batchv1.Job{}); err != nil {
		t.Errorf("the Job of that name in the other cluster: %v", err)
	}
	within(t, "what is told of it", func() error {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "deleted a superseded job") && strings.Contains(line, "cluster="+f.address+" ") && strings.Contains(line, "/"+one.job.Name+" ") {
				return nil
			}
		}
		return errors.New("not a word that says in which cluster")
	})
}

// TestSecretsAreRefused has no right to read Secrets: that is told once, and the controller works with Argo CD's word.
func TestSecretsAreRefused(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	user := c.restricted()
	jobs := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: c.home, Name: "watch"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"", "batch"}, Resources: []string{"pods", "jobs"}, Verbs: []string{"get", "list", "watch"}},
	}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.home, Name: "watch"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "watch"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "watcher"}},
	}
	for _, o := range []client.Object{jobs, binding} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	log, health := &logged{show: &testWriter{t: t}}, freeAddress(t)
	start(c, n, "one", func(o *controller.Options) {
		o.Config, o.ClusterSecrets, o.HealthAddress, o.Log = user, c.apps, health, slog.New(slog.NewTextHandler(log, nil))
	})
	a := c.application("orders", overlay)
	c.deploy(a, "https://127.0.0.1:1", "")
	one := c.release(1, env)
	c.sync(a, one)
	c.hook(a, one, common.OperationSucceeded, "Reached expected number of succeeded pods")
	n.expect("succeeded@1")
	n.evidence("1", events.EvidenceApplication)
	ready(t, health)
	if told := strings.Count(log.String(), "grant list and watch on secrets"); told != 1 {
		t.Errorf("the refusal was told %d times", told)
	}
}
