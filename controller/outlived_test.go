package controller

import (
	"math/rand/v2"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestASuccessThatARetryHidesIsTold: a Job succeeds, is deleted before its watch has shown it, and fails in a later try of its sync. Found
// by the simulator (seed 5384 of its schedules then).
func TestASuccessThatARetryHidesIsTold(t *testing.T) {
	w := newSimWorld(rand.New(rand.NewPCG(1, 1)))
	a, b := w.apps[0], newBroker(t)
	set := a.head().sets[0]
	o := modes["jobs"]
	r := newReplica(t, newShelf(t, o), o, b)
	w.clock = minute(1)
	a.begin(&simOperation{commit: simCommit{sha: a.head().sha, sets: []simSet{set}}, retries: 1})
	op := a.op
	show := func() {
		object := a.object.DeepCopyObject().(*argo.Application)
		r.deliver(delivery{object: object})
	}
	a.tick(rand.New(rand.NewPCG(1, 1))) // begun
	a.tick(rand.New(rand.NewPCG(1, 1))) // its tasks are known
	op.sayHook(set, "", "Succeeded", reached)
	show()
	op.sayHook(set, "", "Failed", backoff)
	show()
	ended := metav1.NewTime(minute(3))
	failed := &batchv1.Job{}
	w.makeJob(op, set).job.DeepCopyInto(failed)
	failed.UID = types.UID("retry")
	failed.Status = batchv1.JobStatus{StartTime: &ended, Conditions: []batchv1.JobCondition{
		{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: ended, Reason: batchv1.JobReasonBackoffLimitExceeded, Message: backoff},
	}}
	r.deliver(delivery{object: failed})
	if again := r.work(); len(again) > 0 {
		t.Errorf("passes fail: %v", again)
	}
	at := a.target(set)
	if s := b.slot(at.Environment, at.Database).state; s.Ready == nil || s.Ready.Version != set.version || s.LastAttempt.Run != "retry" {
		t.Errorf("state: %+v; history: %q", s, b.history())
	}
}
