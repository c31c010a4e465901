package manifests

import (
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GuardName is the container of a guard in which the runner asks.
const GuardName = "guard"

// guardWave is before all that says nothing of its wave, and after a team's own first things.
const guardWave = -1

// How long a guard may take: the runner, patient with a server that is just starting; and all of its Pods, pulled images and
// retries included. A Pod that cannot start, for want of a Secret, ends with it.
const (
	guardDeadline    = 2 * time.Minute
	guardJobDeadline = 10 * time.Minute
)

// guard returns the plain Job that asks the ledger whether the migration is there. It is part of a sync that leaves hooks out, and
// fails it before wave 0. In every sync it is made anew, for a Job cannot be changed and has to ask again; the one before is pruned
// last, so that it is still there if this one fails.
//
// It changes with the migrations and with the tenants, so Argo CD sees from it what it sees from a marker otherwise. It runs as the
// Job does, with what the team's patch says of that, for it connects to the same database: only what it does is another thing.
func (b *builder) guard(job *batchv1.Job) *batchv1.Job {
	g := job.DeepCopy()
	for _, k := range []string{argoHook, argoHookDelete} {
		delete(g.Annotations, k)
	}
	own := b.guardMeta(b.base+GuardSuffix, ComponentGuard, "Force=true,Replace=true,PruneLast=true")
	g.Name = own.Name
	maps.Copy(g.Labels, own.Labels)
	maps.Copy(g.Annotations, own.Annotations)
	g.Spec.Template.Labels[LabelComponent] = string(ComponentGuard)
	g.Spec.ActiveDeadlineSeconds = new(int64(guardJobDeadline / time.Second))
	for _, rule := range g.Spec.PodFailurePolicy.Rules {
		if rule.OnExitCodes != nil {
			rule.OnExitCodes.ContainerName = new(GuardName)
		}
	}
	pod := &g.Spec.Template.Spec
	pod.InitContainers = slices.DeleteFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == GateName })
	pod.Volumes = slices.DeleteFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == VolumeName })
	c := &pod.Containers[slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == ContainerName })]
	c.Name, c.Args = GuardName, b.guardArgs()
	c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == VolumeName })
	return g
}

// guardMeta is the metadata of what is plain and applied with the guard.
func (b *builder) guardMeta(name string, c Component, syncOptions string) metav1.ObjectMeta {
	return b.meta(name, c, argoWave, strconv.Itoa(guardWave), argoSyncOptions, syncOptions, argoCompareOptions, "IgnoreExtraneous")
}

// copyForGuard is a copy as the Job has one, but a plain object: a sync that leaves hooks out applies no copy for the Job, and the
// original may be of a later wave.
func (b *builder) copyForGuard(c Copy, name string) kubernetesObject {
	return copyOf(c, b.guardMeta(name, ComponentGuardInput, "ServerSideApply=true,PruneLast=true"))
}
