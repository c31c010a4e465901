package kustomize

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/schemawave/schemawave/manifests"
)

// copyInputs looks for ConfigMaps and Secrets that a Job refers to and that the overlay itself creates, but only after the Job: at
// the first installation they do not exist yet when it runs. It adds copies of them to the inputs, to be applied before the
// Job, and reports whether there are any. How a name in the SchemaMigration became one in the overlay's output,
// with prefix and content hash, is read off the Job that kustomize has put the right names into.
//
// A Secret is copied as the overlay yields it, in plain text. That text has to be in git already: one that git ignores, or encrypts, is
// not brought there.
func (w *work) copyInputs(b built) (bool, error) {
	var problems Problems
	copied := false
	for i, d := range w.declarations {
		d.problems = &problems
		was, is, err := w.jobs(i, b)
		if err != nil {
			return false, err
		}
		before, after := manifests.References(was), manifests.References(is)
		if len(before) != len(after) {
			d.problems.add(w.kustomization.file, 0, "the overlay changes what the Job "+was.Name+" refers to", "change it by spec.job of the SchemaMigration instead")
			continue
		}
		for n, ref := range before {
			c, err := w.inOverlay(d, b, ref, after[n], is.Namespace)
			if err != nil {
				return false, err
			}
			if c != nil {
				w.inputs[i].Copies = append(w.inputs[i].Copies, *c)
				copied = true
			}
		}
	}
	return copied, problems.err()
}

// jobs returns the Job of the ith declaration as it was built and as the overlay yields it. Both are known to exist.
func (w *work) jobs(i int, b built) (was, is *batchv1.Job, err error) {
	for _, o := range w.objects[i] {
		if o.Component == manifests.ComponentMigration {
			was = o.Value.(*batchv1.Job)
		}
	}
	at := slices.IndexFunc(b, func(r *resource.Resource) bool { return isJob(r, was.Name) })
	is = &batchv1.Job{}
	return was, is, decode(b[at], is)
}

// isJob reports whether r is the Job of that name, whatever the overlay puts around it. The name of a guard begins with that of the
// migration's Job.
func isJob(r *resource.Resource, name string) bool {
	_, after, ok := strings.Cut(r.GetName(), name)
	return ok && r.GetKind() == "Job" && !strings.HasPrefix(after, manifests.GuardSuffix)
}

// generated reports whether r is of this renderer's own, as the SQL is, which no guard needs.
func generated(r *resource.Resource) bool {
	return r.GetLabels()[manifests.LabelManagedBy] == manifests.ManagedBy
}

// inOverlay returns a copy of what ref names, if the overlay creates it and it can be copied; nil if it is taken to exist.
func (w *work) inOverlay(d *declaration, b built, ref, final manifests.Reference, namespace string) (*manifests.Copy, error) {
	i := slices.IndexFunc(b, func(r *resource.Resource) bool {
		return r.GetKind() == ref.Kind && r.GetApiVersion() == "v1" && r.GetName() == final.Name && sameNamespace(r.GetNamespace(), namespace)
	})
	at := fieldOf(d.SchemaMigration, ref)
	if i < 0 {
		if maker := b.makerOf(ref, final, d.moment()); maker != nil {
			d.problems.add(d.file, d.line(at),
				fmt.Sprintf("%s: the Secret %s is made by the %s %s of this overlay, after the migration would need it", at, final.Name, maker.GetKind(), maker.GetName()),
				d.laterRemedy(maker.GetKind(), fmt.Sprintf("a wave before %d", d.HookWave())))
		}
		return nil, nil
	}
	if !d.moment().before(momentOf(b[i])) && !(d.Guard && ref.Kind != "ServiceAccount" && !generated(b[i])) {
		return nil, nil // within a wave, too, Argo CD applies it before the Job; but to a guard a hook may be gone again
	}
	if ref.Kind == "ServiceAccount" {
		d.problems.add(d.file, d.line(at), fmt.Sprintf("%s: the ServiceAccount %s of this overlay does not exist yet when the migration first runs", at, final.Name),
			d.laterRemedy(ref.Kind, fmt.Sprintf("wave %d or before", d.HookWave())))
		return nil, nil
	}
	if ref.Kind == "Secret" && !w.pass.Yield {
		hidden, err := w.hidden()
		if err != nil {
			return nil, err
		}
		if hidden != "" {
			d.problems.add(d.file, d.line(at),
				fmt.Sprintf("%s: a copy of the Secret %s of this overlay would bring it into git in plain text: %s", at, ref.Name, hidden),
				d.laterRemedy(ref.Kind, fmt.Sprintf("wave %d or before", d.HookWave())))
			return nil, nil
		}
	}
	return copyOf(ref, b[i])
}

func sameNamespace(a, b string) bool { return a == b || a == "" || b == "" }

// laterRemedy says what to do with an object that the overlay applies after the migration which needs it.
func (d *declaration) laterRemedy(kind, wave string) string {
	if d.Hook == manifests.HookSync {
		return fmt.Sprintf("create the %s outside of this Application, or annotate it with argocd.argoproj.io/sync-wave, %s, or give the migration a later one (spec.wave)", kind, wave)
	}
	return fmt.Sprintf("create the %s outside of this Application, or make it a PreSync hook of %s, or migrate in the Sync phase (hook: Sync)", kind, wave)
}

func copyOf(ref manifests.Reference, r *resource.Resource) (*manifests.Copy, error) {
	if ref.Kind == "Secret" {
		var s corev1.Secret
		if err := decode(r, &s); err != nil {
			return nil, err
		}
		return &manifests.Copy{Reference: ref, Type: s.Type, Data: s.StringData, BinaryData: s.Data}, nil
	}
	var c corev1.ConfigMap
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	return &manifests.Copy{Reference: ref, Data: c.Data, BinaryData: c.BinaryData}, nil
}

// fieldOf returns the field of a SchemaMigration that names an object.
func fieldOf(m manifests.SchemaMigration, ref manifests.Reference) string {
	names := func(s *corev1.EnvVarSource) bool {
		return s != nil && (ref.Kind == "Secret" && s.SecretKeyRef != nil && s.SecretKeyRef.Name == ref.Name ||
			ref.Kind == "ConfigMap" && s.ConfigMapKeyRef != nil && s.ConfigMapKeyRef.Name == ref.Name)
	}
	if names(m.Database.URLFrom) {
		return "spec.database.urlFrom"
	}
	for i, e := range m.Database.Env {
		if names(e.ValueFrom) {
			return fmt.Sprintf("spec.database.env[%d]", i)
		}
	}
	for i, e := range m.Database.EnvFrom {
		if ref.Kind == "Secret" && e.SecretRef != nil && e.SecretRef.Name == ref.Name ||
			ref.Kind == "ConfigMap" && e.ConfigMapRef != nil && e.ConfigMapRef.Name == ref.Name {
			return fmt.Sprintf("spec.database.envFrom[%d]", i)
		}
	}
	if ref.Name == manifests.BrokerName && len(m.Waits()) > 0 {
		return "spec.dependsOn"
	}
	return "spec.job"
}
