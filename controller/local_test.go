package controller

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestLocalRunIsToldLikeAJob lets the same Job run in a cluster and outside of any, and wants the same states and events, ids
// included, but for the Application's name.
func TestLocalRunIsToldLikeAJob(t *testing.T) {
	j := renderedJob(t)
	began := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	report := migrations.Report{
		Format: migrations.ReportFormat, Database: "orders", Environment: "production", Digest: j.Annotations[manifests.AnnotationDigest],
		Target: "2", To: "2", Applied: []migrations.Version{"1", "2"}, Count: 2, MinCompatible: "1", Run: "of the ledger",
		Started: began, Finished: began.Add(3 * time.Second), Outcome: migrations.OutcomeSucceeded,
	}
	failed := report
	failed.To, failed.Applied, failed.Outcome, failed.MinCompatible = "1", []migrations.Version{"1"}, migrations.OutcomeFailed, ""
	failed.Failure = &migrations.Failure{
		Code: migrations.ExitRejected, Permanent: true, SQLState: "42701", File: "2_total.sql", Line: 3, Message: "column exists", Hint: "take it out",
	}
	for name, r := range map[string]migrations.Report{"succeeded": report, "failed": failed} {
		t.Run(name, func(t *testing.T) {
			inCluster, locally := newBroker(t), newBroker(t)
			runInCluster(t, inCluster, j, r)
			run := Local{Job: j, Name: "ada", Run: "one", Started: began}
			tellLocally(t, run, locally, nil)
			tellLocally(t, run, locally, &r)
			if len(locally.log) != 2 {
				t.Errorf("%d events are published, want that it began and how it ended", len(locally.log))
			}
			if application := locally.log[1].Attempt.Application; application != "local/ada" {
				t.Errorf("the application is %q", application)
			}
			if diff := cmp.Diff(unnamed(inCluster), unnamed(locally)); diff != "" {
				t.Errorf("a cluster tells (-) what is not told locally (+):\n%s", diff)
			}
			calls := locally.calls
			if told := tellLocally(t, run, locally, &r); len(told) > 0 || len(locally.log) != 2 || locally.calls > calls+1 {
				t.Errorf("told once more, it makes %d calls and %d events", locally.calls-calls, len(locally.log)-2)
			}
		})
	}
}

// TestLocalRunLeavesAClusterAlone: its NATS tells of another database of that name.
func TestLocalRunLeavesAClusterAlone(t *testing.T) {
	b := newBroker(t)
	b.slot("production", "orders").state.Ready = &events.Ready{Version: "1", Application: "argocd/orders"}
	_, _, err := Local{Job: renderedJob(t), Run: "one", Started: time.Now()}.Tell(t.Context(), b, nil)
	if elsewhere := (*ElsewhereError)(nil); !errors.As(err, &elsewhere) || elsewhere.Application != "argocd/orders" || b.calls != 0 {
		t.Errorf("%v, after %d calls", err, b.calls)
	}
}

func tellLocally(t *testing.T, l Local, b *broker, r *migrations.Report) []events.Event {
	t.Helper()
	told, _, err := l.Tell(t.Context(), b, r)
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// runInCluster shows a controller the Job as it runs and as it ends.
func runInCluster(t *testing.T, b *broker, rendered *batchv1.Job, r migrations.Report) {
	t.Helper()
	o := Options{PublishTimeout: time.Minute}
	c := newReplica(t, newShelf(t, o), o, b)
	j := rendered.DeepCopy()
	j.Namespace, j.UID, j.CreationTimestamp = "shop", types.UID("one"), metav1.NewTime(r.Started)
	j.Status.StartTime = &metav1.Time{Time: r.Started}
	c.deliver(delivery{object: j.DeepCopy()})
	c.work()
	message, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	end, kind, phase := metav1.NewTime(r.Finished), batchv1.JobComplete, corev1.PodSucceeded
	if r.Failure != nil {
		kind, phase = batchv1.JobFailed, corev1.PodFailed
	}
	c.deliver(delivery{object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pod", UID: "pod", Labels: j.Labels, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "batch/v1", Kind: "Job", Name: j.Name, UID: j.UID, Controller: new(true)},
		}},
		Status: corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: end, Message: string(message)}}},
		}},
	}})
	j.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: end}}
	c.deliver(delivery{object: j})
	if failed := c.work(); len(failed) > 0 {
		t.Fatal("the controller does not come to an end")
	}
}

// unnamed is all that is published, without the Application's name.
func unnamed(b *broker) any {
	type published struct {
		State  events.State
		ID     string
		Events []events.Event
	}
	at := b.slot("production", "orders")
	p := published{State: at.state, ID: at.id, Events: b.log}
	attempt := *p.State.LastAttempt
	attempt.Application = ""
	p.State.LastAttempt = &attempt
	p.State.Ready = unnamedReady(p.State.Ready)
	p.Events = nil
	for _, e := range b.log {
		a := *e.Attempt
		a.Application = ""
		e.Attempt, e.Ready = &a, unnamedReady(e.Ready)
		p.Events = append(p.Events, e)
	}
	return p
}

func unnamedReady(r *events.Ready) *events.Ready {
	if r == nil {
		return nil
	}
	copied := *r
	copied.Application = ""
	return &copied
}

// renderedJob is the Job of production/orders with two migrations.
func renderedJob(t *testing.T) *batchv1.Job {
	t.Helper()
	set, err := migrations.Load(fstest.MapFS{
		"1_orders.sql": {Data: []byte("CREATE TABLE orders ();")}, "2_total.sql": {Data: []byte("ALTER TABLE orders ADD total int;")},
	}, migrations.LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifests.Build(manifests.Input{
		Migration: manifests.SchemaMigration{Name: "orders", Environment: "production", Source: manifests.Source{Directory: "migrations"},
			Database: manifests.Database{Env: []corev1.EnvVar{{Name: "PGHOST", Value: "db"}}}},
		Set: set, Files: map[string][]byte{"1_orders.sql": nil, "2_total.sql": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if j, ok := o.Value.(*batchv1.Job); ok {
			return j
		}
	}
	t.Fatal("no Job is rendered")
	return nil
}
