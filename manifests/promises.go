package manifests

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// keepsPromises refuses patches that break how a Job is recognised, judged and kept by the controller and by Argo CD.
func keepsPromises(was, is *batchv1.Job) error {
	const owned = "belongs to the renderer"
	meta := "spec.job.metadata."
	if is.APIVersion != was.APIVersion || is.Kind != was.Kind {
		return &FieldError{"spec.job.kind", owned, "leave apiVersion and kind out"}
	}
	if is.Name != was.Name || is.Namespace != "" || is.GenerateName != "" {
		return &FieldError{meta + "name", owned, "leave name, generateName and namespace out: the overlay's namePrefix, nameSuffix and namespace apply"}
	}
	for _, k := range slices.Sorted(maps.Keys(was.Labels)) {
		if is.Labels[k] != was.Labels[k] || is.Spec.Template.Labels[k] != was.Spec.Template.Labels[k] {
			return &FieldError{meta + "labels", k + " " + owned, "leave it out"}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(was.Annotations)) {
		if is.Annotations[k] != was.Annotations[k] {
			return &FieldError{meta + "annotations", k + " " + owned, "leave it out; the wave is set by spec.wave"}
		}
	}
	if !reflect.DeepEqual(is.Spec.PodFailurePolicy, was.Spec.PodFailurePolicy) {
		return &FieldError{"spec.job.spec.podFailurePolicy", owned, "leave it out: it follows from the runner's exit codes"}
	}
	if is.Spec.TTLSecondsAfterFinished != nil {
		return &FieldError{"spec.job.spec.ttlSecondsAfterFinished", "lets the Job vanish before Argo CD has seen its end, and the sync would wait for ever",
			"leave it out: the controller deletes finished Jobs"}
	}
	if is.Spec.Suspend != nil && *is.Spec.Suspend {
		return &FieldError{"spec.job.spec.suspend", "keeps the Job from running, and the sync would wait for ever", "leave it out"}
	}
	pod := is.Spec.Template.Spec
	if pod.RestartPolicy != corev1.RestartPolicyNever {
		return &FieldError{"spec.job.spec.template.spec.restartPolicy", "podFailurePolicy needs Never", "leave it out"}
	}
	if !slices.ContainsFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == ContainerName }) {
		return &FieldError{"spec.job.spec.template.spec.containers", "removes the container " + ContainerName, "keep it: its exit code is the migration's"}
	}
	for _, init := range []struct{ name, remedy string }{
		{InstallerName, "keep it: it brings the runner"},
		{GateName, "keep it, or take what it waits for out of spec.dependsOn"},
	} {
		named := func(c corev1.Container) bool { return c.Name == init.name }
		if slices.ContainsFunc(was.Spec.Template.Spec.InitContainers, named) && !slices.ContainsFunc(pod.InitContainers, named) {
			return &FieldError{"spec.job.spec.template.spec.initContainers", "removes the initContainer " + init.name, init.remedy}
		}
	}
	return noPasswords(pod)
}

// noPasswords refuses literals that a patch brings in, as Validate does those of spec.database.
func noPasswords(pod corev1.PodSpec) error {
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		if i := slices.IndexFunc(c.Env, holdsPassword); i >= 0 {
			return &FieldError{"spec.job.spec.template.spec", fmt.Sprintf("a password in plain text in %s of container %s", c.Env[i].Name, c.Name),
				"keep it in a Secret and use valueFrom: {secretKeyRef: …}"}
		}
	}
	return nil
}
