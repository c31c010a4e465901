package kustomize

import (
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/schemawave/schemawave/manifests"
)

// verify holds what the overlay yields against what was put into it. A namespace, a namePrefix, a nameSuffix, more labels,
// another image are the overlay's good right; what the Job is recognised by, and how it runs, is not.
func (w *work) verify(b built) error {
	var problems Problems
	for i, objects := range w.objects {
		v := verifier{built: b, report: func(what string) {
			problems.add(w.kustomization.file, 0, fmt.Sprintf("%s:%d: %s", w.declarations[i].file, w.declarations[i].line(""), what),
				"exempt the objects with the label "+manifests.LabelManagedBy+": "+manifests.ManagedBy+" from what changes them")
		}}
		v.all(objects)
		if job := v.prefix + nameOfJob(objects) + v.suffix; !sameName(job, nameOfJob(objects)) {
			problems.add(w.kustomization.file, 0, fmt.Sprintf("%s:%d: the overlay renames the Job to %s, which does not tell whose it is",
				w.declarations[i].file, w.declarations[i].line(""), job), "let namePrefix be without schema-, and let nameSuffix begin with a hyphen and a letter")
		}
	}
	return problems.err()
}

// hooks are the annotations that take an object out of the Sync phase (Argo CD, "Resource Hooks" and "Helm Hooks").
var hooks = []string{"argocd.argoproj.io/hook", "helm.sh/hook"}

// verifier checks the objects of one declaration.
type verifier struct {
	built
	report         func(what string)
	prefix, suffix string
}

func nameOfJob(objects []manifests.Object) string {
	return objects[slices.IndexFunc(objects, func(o manifests.Object) bool { return o.Component == manifests.ComponentMigration })].Value.GetName()
}

// sameName reports whether a name with a prefix and a suffix tells what it tells without them.
func sameName(renamed, name string) bool {
	got, _ := manifests.ParseName(renamed)
	want, _ := manifests.ParseName(name)
	return got == want
}

func (v *verifier) all(objects []manifests.Object) {
	if !v.affixes(nameOfJob(objects)) {
		return
	}
	for _, o := range objects {
		name := v.prefix + o.Value.GetName() + v.suffix
		r := v.find(o.Kind(), name)
		if r == nil {
			v.report(fmt.Sprintf("the overlay removes or renames %s %s", o.Kind(), o.Value.GetName()))
			continue
		}
		v.same(o, "label", o.Value.GetLabels(), r.GetLabels())
		v.same(o, "annotation", o.Value.GetAnnotations(), r.GetAnnotations())
		for _, hook := range hooks {
			if r.GetAnnotations()[hook] != "" && o.Value.GetAnnotations()[hook] == "" {
				v.report(fmt.Sprintf("the overlay makes a hook of %s %s, by the annotation %s", o.Kind(), o.Value.GetName(), hook))
			}
		}
		if err := v.content(o, r); err != nil {
			v.report(err.Error())
		}
	}
}

// affixes finds the overlay's prefix and suffix by the Job, which must be there once.
func (v *verifier) affixes(job string) bool {
	n := 0
	for _, r := range v.built {
		if isJob(r, job) {
			v.prefix, v.suffix, _ = strings.Cut(r.GetName(), job)
			n++
		}
	}
	if n != 1 {
		v.report(fmt.Sprintf("the overlay yields the Job %s %d times", job, n))
	}
	return n == 1
}

func (v *verifier) same(o manifests.Object, what string, want, have map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if have[k] != want[k] {
			v.report(fmt.Sprintf("the overlay changes the %s %s of %s %s from %q to %q", what, k, o.Kind(), o.Value.GetName(), want[k], have[k]))
		}
	}
}

// content compares the SQL, the copies, and what the Job does.
func (v *verifier) content(o manifests.Object, r *resource.Resource) error {
	changed := func(what string) {
		v.report(fmt.Sprintf("the overlay changes %s of %s %s", what, o.Kind(), o.Value.GetName()))
	}
	switch want := o.Value.(type) {
	case *corev1.ConfigMap:
		if !maps.Equal(want.Data, r.GetDataMap()) || !maps.Equal(base64Of(want.BinaryData), r.GetBinaryDataMap()) {
			changed("the data")
		}
	case *corev1.Secret:
		var have corev1.Secret
		if err := decode(r, &have); err != nil {
			return err
		}
		if !maps.Equal(want.StringData, have.StringData) || !reflect.DeepEqual(want.Data, have.Data) {
			changed("the data")
		}
	case *batchv1.Job:
		var have batchv1.Job
		if err := decode(r, &have); err != nil {
			return err
		}
		for _, what := range v.jobChanges(o.Component, want, &have) {
			changed(what)
		}
	}
	return nil
}

// base64Of returns binary data as it stands in YAML.
func base64Of(data map[string][]byte) map[string]string {
	out := map[string]string{}
	for k, v := range data {
		out[k] = base64.StdEncoding.EncodeToString(v)
	}
	return out
}

// jobChanges lists what differs that must not.
func (v *verifier) jobChanges(c manifests.Component, want, have *batchv1.Job) []string {
	container := manifests.ContainerName
	if c == manifests.ComponentGuard {
		container = manifests.GuardName
	}
	var changes []string
	check := func(what string, same bool) {
		if !same {
			changes = append(changes, what)
		}
	}
	check("podFailurePolicy", reflect.DeepEqual(want.Spec.PodFailurePolicy, have.Spec.PodFailurePolicy))
	check("ttlSecondsAfterFinished", have.Spec.TTLSecondsAfterFinished == nil)
	check("suspend", have.Spec.Suspend == nil || !*have.Spec.Suspend)
	w, h := want.Spec.Template, have.Spec.Template
	check("restartPolicy", w.Spec.RestartPolicy == h.Spec.RestartPolicy)
	for _, k := range slices.Sorted(maps.Keys(want.Labels)) {
		check("the Pod's label "+k, w.Labels[k] == h.Labels[k])
	}
	if !has(h.Spec.Containers, container) {
		return append(changes, "the container "+container)
	}
	was, is := containerOf(want, container), containerOf(have, container)
	check("the command", slices.Equal(was.Command, is.Command) && slices.Equal(was.Args, is.Args) && was.WorkingDir == is.WorkingDir)
	check("the volumes", v.carries(w.Spec, h.Spec))
	check("the initContainer "+manifests.InstallerName, !has(w.Spec.InitContainers, manifests.InstallerName) || has(h.Spec.InitContainers, manifests.InstallerName))
	check("the initContainer "+manifests.GateName, slices.Equal(gateArgs(w.Spec), gateArgs(h.Spec)))
	return changes
}

func has(all []corev1.Container, name string) bool {
	return slices.ContainsFunc(all, func(c corev1.Container) bool { return c.Name == name })
}

// gateArgs returns what the Pod's gate is told to wait for; nil if there is none.
func gateArgs(pod corev1.PodSpec) []string {
	i := slices.IndexFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == manifests.GateName })
	if i < 0 {
		return nil
	}
	return slices.Concat(pod.InitContainers[i].Command, pod.InitContainers[i].Args)
}

// carries reports whether the Pod still has every volume, and mounts every ConfigMap with SQL, under its new name.
func (v *verifier) carries(want, have corev1.PodSpec) bool {
	mounted := func(p corev1.PodSpec) []string {
		var names []string
		for _, vol := range p.Volumes {
			if vol.Name != manifests.VolumeName || vol.Projected == nil {
				continue
			}
			for _, s := range vol.Projected.Sources {
				if s.ConfigMap != nil {
					names = append(names, s.ConfigMap.Name)
				}
			}
		}
		return names
	}
	for _, vol := range want.Volumes {
		if !slices.ContainsFunc(have.Volumes, func(h corev1.Volume) bool { return h.Name == vol.Name }) {
			return false
		}
	}
	names := mounted(want)
	for i := range names {
		names[i] = v.prefix + names[i] + v.suffix
	}
	return slices.Equal(names, mounted(have))
}
