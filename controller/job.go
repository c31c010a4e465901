package controller

import (
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// What Argo CD writes on the objects it applies (its documentation, "Resource Tracking" and "Resource Hooks").
const (
	annotationTracking = "argocd.argoproj.io/tracking-id" // <application>:<group>/<kind>:<namespace>/<name>
	annotationHook     = "argocd.argoproj.io/hook"
	labelInstance      = "app.kubernetes.io/instance"
)

// jobTarget says whose schema a Job migrates, by its labels. It reports false for a Job that is not a migration: a guard
// only asks, and proves nothing.
func jobTarget(o metav1.Object) (target, bool) {
	l := o.GetLabels()
	t := target{Environment: l[manifests.LabelEnvironment], Database: l[manifests.LabelDatabase]}
	if l[manifests.LabelManagedBy] != manifests.ManagedBy || t.Environment == "" || t.Database == "" {
		return target{}, false
	}
	if c := l[manifests.LabelComponent]; c != "" {
		return t, c == string(manifests.ComponentMigration)
	}
	_, ok := migrationName(o.GetName())
	return t, ok
}

// migrationName reads the name of a migration Job and reports false for all others, those of markers and guards included.
func migrationName(name string) (manifests.Name, bool) {
	n, ok := manifests.ParseName(name)
	if !ok || n.Marker || n.Guard {
		return manifests.Name{}, false
	}
	return n, true
}

// newJob reads a Job of a cluster. Its Pods are still to be added.
func newJob(cluster string, j *batchv1.Job) job {
	out := job{
		Cluster: cluster, Key: types.NamespacedName{Namespace: j.Namespace, Name: j.Name}, UID: j.UID,
		Version:       migrations.Version(j.Annotations[manifests.AnnotationVersion]),
		Digest:        j.Annotations[manifests.AnnotationDigest],
		MinCompatible: migrations.Version(j.Annotations[manifests.AnnotationMinCompatible]),
		Hook:          j.Annotations[annotationHook] != "",
		Instance:      instance(j),
		Created:       j.CreationTimestamp.UTC(),
		Deleting:      j.DeletionTimestamp != nil,
	}
	if j.Status.StartTime != nil {
		out.Started = j.Status.StartTime.UTC()
		out.Phase = jobRunning
	}
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			out.apply(c, j.Status.CompletionTime)
		}
	}
	return out
}

func (j *job) apply(c batchv1.JobCondition, completed *metav1.Time) {
	switch c.Type {
	case batchv1.JobComplete:
		j.Phase, j.Ended = jobComplete, c.LastTransitionTime.UTC()
		if completed != nil {
			j.Ended = completed.UTC()
		}
	case batchv1.JobFailed:
		j.Phase, j.Ended, j.Reason, j.Message = jobFailed, c.LastTransitionTime.UTC(), c.Reason, c.Message
	case batchv1.JobSuspended:
		j.Phase = jobPending
	case batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget:
		if !j.finished() {
			j.Phase = jobEnding
		}
	}
}

// instance names the Application that applied o, as <name> or <namespace>_<name>.
func instance(o metav1.Object) string {
	if name, _, ok := strings.Cut(o.GetAnnotations()[annotationTracking], ":"); ok {
		return name
	}
	return o.GetLabels()[labelInstance]
}

// newPod reads a Pod. The report is taken from whichever container left one: its format tells it from any other text.
func newPod(p *corev1.Pod) pod {
	out := pod{
		UID:       p.UID,
		Ended:     p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed,
		Succeeded: p.Status.Phase == corev1.PodSucceeded,
		Deleting:  p.DeletionTimestamp != nil,
	}
	for _, c := range p.Status.ContainerStatuses {
		t := c.State.Terminated
		if t == nil {
			continue
		}
		if at := t.FinishedAt.UTC(); at.After(out.EndedAt) {
			out.EndedAt = at
		}
		if r, err := migrations.DecodeReport([]byte(t.Message)); err == nil {
			out.Report = &r
		}
	}
	return out
}

// owner is the UID of the Job that made the Pod, or empty.
func owner(p *corev1.Pod) types.UID {
	if o := metav1.GetControllerOf(p); o != nil && o.Kind == "Job" {
		return o.UID
	}
	return ""
}

// report returns what the Pods left behind: of a complete Job the report of a Pod that succeeded, else that of the Pod
// that ended last. It is nil if there is none.
func (j job) report() *migrations.Report {
	var newest *migrations.Report
	var at time.Time
	for _, p := range j.Pods {
		if p.Report == nil || !p.Ended || j.Phase == jobComplete && !p.Succeeded {
			continue
		}
		if newest == nil || p.EndedAt.After(at) {
			newest, at = p.Report, p.EndedAt
		}
	}
	return newest
}

// awaitsPods reports whether a Pod that the Job's outcome rests on is seen, but not yet its end: the Job's end was
// delivered first, and the report is on its way.
func (j job) awaitsPods() bool {
	if j.Gone {
		return false
	}
	awaits := false
	for _, p := range j.Pods {
		if j.Phase == jobComplete && p.Succeeded {
			return false
		}
		awaits = awaits || !p.Ended && !p.Deleting
	}
	return awaits
}

// podTarget is that of the Pod's Job; empty if the Pod belongs to no migration. A guard's reports are for people.
func podTarget(p *corev1.Pod) target {
	if owner(p) == "" || p.Labels[manifests.LabelComponent] == string(manifests.ComponentGuard) {
		return target{}
	}
	return target{Environment: p.Labels[manifests.LabelEnvironment], Database: p.Labels[manifests.LabelDatabase]}
}
