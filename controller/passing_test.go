package controller

import (
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestNothingIsLostWithoutBroker replays a recording in which Argo CD deletes two failed Jobs and makes them anew, while
// no answer comes from the broker: once one does, every attempt is told.
func TestNothingIsLostWithoutBroker(t *testing.T) {
	for mode, want := range map[string][]string{
		"jobs":         {"succeeded 20260101000000", "failed 20260102000000", "failed 20260102000000", "failed 20260102000000"},
		"applications": {"succeeded 20260101000000", "failed 20260102000000"}, // Argo CD tells retries apart by nothing
	} {
		t.Run(mode, func(t *testing.T) {
			o, b := modes[mode], newBroker(t)
			b.fail = func() bool { return true }
			r := newReplica(t, newShelf(t, o), o, b)
			for _, d := range recording(t, "b-exit65-retry5") {
				r.deliver(d)
				r.work()
			}
			b.fail = func() bool { return false }
			if failed := r.work(); len(failed) > 0 {
				t.Fatalf("passes fail: %v", failed)
			}
			var got []string
			for _, e := range b.log {
				got = append(got, string(e.Predicate)+" "+e.Attempt.Version)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if n := len(r.watch.of); n != 0 {
				t.Errorf("captures of %d databases are kept", n)
			}
		})
	}
}

// TestQuiet: passes over a world that did not change publish nothing, and do not even try.
func TestQuiet(t *testing.T) {
	for mode, o := range modes {
		for _, name := range recordings(t) {
			b := newBroker(t)
			r := newReplica(t, newShelf(t, o), o, b)
			for _, d := range recording(t, name) {
				r.deliver(d)
			}
			r.work()
			before := b.calls
			r.start()
			r.work()
			r.start()
			r.work()
			if b.calls != before {
				t.Errorf("%s, %s: %d calls too many", mode, name, b.calls-before)
			}
		}
	}
}

// TestDepartedPod: a report counts although its Pod is gone before the Job's end is seen.
func TestDepartedPod(t *testing.T) {
	o, b := modes["jobs"], newBroker(t)
	r := newReplica(t, newShelf(t, o), o, b)
	labels := map[string]string{
		manifests.LabelManagedBy: manifests.ManagedBy, manifests.LabelDatabase: "orders", manifests.LabelEnvironment: "production",
		manifests.LabelComponent: string(manifests.ComponentMigration),
	}
	started := metav1.NewTime(minute(1))
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: manifests.ObjectName("orders", "1", digest("1")), UID: "job", Labels: labels, CreationTimestamp: started,
		Annotations: map[string]string{manifests.AnnotationVersion: "1", manifests.AnnotationDigest: digest("1")},
	}, Status: batchv1.JobStatus{StartTime: &started, Active: 1}}
	report, err := migrations.Report{
		Format: migrations.ReportFormat, Database: "orders", Environment: "production", Digest: digest("1"), To: "1",
		Applied: []migrations.Version{"1"}, Outcome: migrations.OutcomeSucceeded,
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "pod", UID: "pod", Labels: labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))},
	}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(report), FinishedAt: started}},
	}}}}
	done := j.DeepCopy()
	done.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: started}}
	for _, d := range []delivery{{object: j}, {object: p}, {object: p, deleted: true}, {object: done}} {
		r.deliver(d)
		r.work()
	}
	s := b.slot("production", "orders").state
	if s.Ready == nil || s.Ready.Evidence != events.EvidenceReport || strings.Join(s.LastAttempt.Applied, "") != "1" {
		t.Errorf("state: %+v", s)
	}
}

// TestVersionUnknown: the Job of an image that is complete makes nothing ready until some report tells its version.
func TestVersionUnknown(t *testing.T) {
	o, b := modes["jobs"], newBroker(t)
	r := newReplica(t, newShelf(t, o), o, b)
	shown := func() float64 { return scrape(t, r, "schemawave_version_unknown", target{"production", "orders"}) }
	ended := metav1.NewTime(minute(1))
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: manifests.ObjectName("orders", "image", digest("7")), UID: "job", CreationTimestamp: ended,
		Labels: map[string]string{
			manifests.LabelManagedBy: manifests.ManagedBy, manifests.LabelDatabase: "orders", manifests.LabelEnvironment: "production",
			manifests.LabelComponent: string(manifests.ComponentMigration),
		},
		Annotations: map[string]string{manifests.AnnotationDigest: digest("7")},
	}, Status: batchv1.JobStatus{StartTime: &ended, Conditions: []batchv1.JobCondition{
		{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: ended},
	}}}
	r.deliver(delivery{object: j})
	r.work()
	if s := b.slot("production", "orders").state; s.Ready != nil || s.LastAttempt != nil || len(b.log) != 0 || shown() != 1 {
		t.Errorf("without a report: %+v, %d events, metric %v", s, len(b.log), shown())
	}
	report, err := migrations.Report{
		Format: migrations.ReportFormat, Database: "orders", Environment: "production", Digest: digest("7"), To: "7", Outcome: migrations.OutcomeCurrent,
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again := j.DeepCopy()
	again.UID = "again"
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "pod", UID: "pod", Labels: j.Labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(again, batchv1.SchemeGroupVersion.WithKind("Job"))},
	}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(report), FinishedAt: ended}},
	}}}}
	r.deliver(delivery{object: p})
	r.deliver(delivery{object: again})
	r.work()
	if s := b.slot("production", "orders").state; s.Ready == nil || s.Ready.Version != "7" || s.Ready.Evidence != events.EvidenceReport || shown() != 0 {
		t.Errorf("with a report: %+v, metric %v", s, shown())
	}
}

// TestVersionUnknownIsTold: people are told once of a run that succeeded at no version, with the remedy that its report names.
func TestVersionUnknownIsTold(t *testing.T) {
	o, b := modes["jobs"], newBroker(t)
	r := newReplica(t, newShelf(t, o), o, b)
	told := make(chan string, 10)
	r.rec.people.recorder = &record.FakeRecorder{Events: told}
	r.deliver(delivery{object: &argo.Application{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "shop"},
		Spec:       argo.ApplicationSpec{Destination: argo.ApplicationDestination{Server: "https://kubernetes.default.svc", Namespace: "shop"}},
	}})
	report, err := migrations.Report{
		Format: migrations.ReportFormat, Database: "orders", Environment: "production", Digest: digest("7"), Outcome: migrations.OutcomeSucceeded,
		Tool: &migrations.ToolRun{History: "alembic", To: "ae1027a6acf0", Hint: "begin each id with a number"},
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	run := func(uid string, minutes int) {
		ended := metav1.NewTime(minute(minutes))
		j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: manifests.ObjectName("orders", "image", digest("7")), CreationTimestamp: ended,
			Labels: map[string]string{
				manifests.LabelManagedBy: manifests.ManagedBy, manifests.LabelDatabase: "orders", manifests.LabelEnvironment: "production",
				manifests.LabelComponent: string(manifests.ComponentMigration), labelInstance: "shop",
			},
			Annotations: map[string]string{manifests.AnnotationDigest: digest("7")},
		}, Status: batchv1.JobStatus{StartTime: &ended, Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: ended},
		}}}
		j.UID = types.UID(uid)
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "pod-" + uid, UID: types.UID("pod-" + uid), Labels: j.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))},
		}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(report), FinishedAt: ended}},
		}}}}
		r.deliver(delivery{object: p})
		r.deliver(delivery{object: j})
		r.work()
		r.start()
		r.work()
	}
	for i, uid := range []string{"first", "second"} {
		run(uid, i+1)
		if len(told) != 1 {
			t.Fatalf("the %s run was told %d times", uid, len(told))
		}
		if e := <-told; !strings.HasPrefix(e, "Warning MigrationVersionUnknown nothing is ready of production/orders: ") || !strings.HasSuffix(e, "; begin each id with a number") {
			t.Errorf("the %s run: %s", uid, e)
		}
	}
	if s := b.slot("production", "orders").state; s.Ready != nil {
		t.Errorf("ready at no version: %+v", s.Ready)
	}
}
