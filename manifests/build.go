package manifests

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/schemawave/schemawave/migrations"
)

// Version is this release of Schemawave.
const Version = "0.1.0"

// RunnerImage is the image that rendered Jobs run, at this release.
const RunnerImage = "ghcr.io/schemawave/schemawave-runner:" + Version

// Annotations by which Argo CD is told what an object is (Argo CD, "Resource Hooks", "Sync Phases and Waves", "Sync
// Options", "Compare Options").
const (
	argoHook           = "argocd.argoproj.io/hook"
	argoHookDelete     = "argocd.argoproj.io/hook-delete-policy"
	argoWave           = "argocd.argoproj.io/sync-wave"
	argoSyncOptions    = "argocd.argoproj.io/sync-options"
	argoCompareOptions = "argocd.argoproj.io/compare-options"
)

// Input is everything a build depends on.
type Input struct {
	Migration SchemaMigration
	Set       migrations.Set    // the whole directory; what is newer than the target is left out
	Files     map[string][]byte // the content of the files that apply Set's migrations, by path
	Image     string            // of the runner; empty: RunnerImage
	Copies    []Copy            // ConfigMaps and Secrets to copy and to refer to in place of their originals
}

// Object is one rendered object.
type Object struct {
	Component Component
	Value     kubernetesObject // *batchv1.Job, *corev1.ConfigMap or *corev1.Secret
}

type kubernetesObject interface {
	metav1.Object
	runtime.Object
}

// Kind returns the object's kind.
func (o Object) Kind() string { return o.Value.GetObjectKind().GroupVersionKind().Kind }

// Build returns the objects that carry in.Migration through an Argo CD sync, in the order in which they are applied: the
// ConfigMaps with the SQL, the copies, the Job, the marker. Objects have no namespace: they live where their overlay does.
// An error about a field is a *FieldError.
func Build(in Input) ([]Object, error) {
	if errs := in.Migration.Validate(); len(errs) > 0 {
		return nil, errs[0]
	}
	b, err := newBuilder(in)
	if err != nil {
		return nil, err
	}
	sql, err := b.sqlConfigMaps()
	if err != nil {
		return nil, err
	}
	job, err := b.job(sql)
	if err != nil {
		return nil, err
	}
	objects := make([]Object, 0, len(sql)+len(in.Copies)+2)
	for _, c := range sql {
		objects = append(objects, Object{ComponentSQL, c.object})
	}
	for i, c := range in.Copies {
		name := fmt.Sprintf("%s-in-%d", b.base, i+1)
		objects = append(objects, Object{ComponentInput, b.copyOf(c, name)})
		rename(&job.Spec.Template.Spec, c.Reference, name)
	}
	return append(objects, Object{ComponentMigration, job}, Object{ComponentMarker, b.marker()}), nil
}

// builder holds what all objects of one migration share.
type builder struct {
	Input
	set           migrations.Set // up to the target
	base          string         // what all names begin with
	digest        string         // of set
	minCompatible migrations.Version
	bundled       bool // the files travel in bundles
}

// maxVersion is the longest version that leaves room for a database's name in ObjectName.
const maxVersion = 20

func newBuilder(in Input) (*builder, error) {
	b := &builder{Input: in}
	set, err := in.Set.Upto(string(in.Migration.Target))
	if err != nil {
		return nil, &FieldError{"spec.target", err.Error(), "name a version that the directory holds, or leave it out for the newest"}
	}
	b.set = set
	latest := b.set.Latest()
	switch {
	case latest == "":
		return nil, &FieldError{"spec.source.directory", "holds no migrations", "add the first one, for instance 0001_create_orders.sql"}
	case len(latest) > maxVersion:
		return nil, &FieldError{"spec.source.directory", fmt.Sprintf("version %s is too long for the names of Kubernetes objects", latest),
			fmt.Sprintf("use versions of at most %d characters", maxVersion)}
	}
	b.minCompatible = b.set.MinCompatible()
	if m := in.Migration.MinCompatible; m != "" {
		b.minCompatible = m
	}
	if b.minCompatible.Compare(latest) > 0 {
		return nil, &FieldError{"spec.minCompatible", fmt.Sprintf("%s is newer than %s, the version migrated to", b.minCompatible, latest),
			"name the oldest version whose readers still work, at most the one migrated to"}
	}
	if b.Image == "" {
		b.Image = RunnerImage
	}
	b.digest = b.set.Digest()
	b.base = ObjectName(in.Migration.Name, latest, b.digest)
	return b, nil
}

// meta returns the metadata of an object: labels, identity, and annotations in pairs of name and value.
func (b *builder) meta(name string, c Component, annotations ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Name:   name,
		Labels: b.labels(c),
		Annotations: map[string]string{
			AnnotationVersion: string(b.set.Latest()),
			AnnotationDigest:  b.digest,
		},
	}
	if b.minCompatible != "" {
		m.Annotations[AnnotationMinCompatible] = string(b.minCompatible)
	}
	for i := 0; i < len(annotations); i += 2 {
		m.Annotations[annotations[i]] = annotations[i+1]
	}
	return m
}

func (b *builder) labels(c Component) map[string]string {
	return map[string]string{
		LabelManagedBy:   ManagedBy,
		LabelDatabase:    b.Migration.Name,
		LabelEnvironment: b.Migration.Environment,
		LabelComponent:   string(c),
	}
}

// inputMeta is the metadata of what the Job needs: a hook itself, for plain objects do not exist yet at PreSync, and in the
// Job's own wave, within which Argo CD applies ConfigMaps and Secrets before Jobs, so that no second wave's pause is paid.
// It is deleted only once the operation has succeeded: a retry must not take it away from under the Job. Applied server-side,
// for client-side apply fails above 256 KiB, where its annotation no longer fits.
func (b *builder) inputMeta(name string, c Component) metav1.ObjectMeta {
	return b.meta(name, c,
		argoHook, "PreSync",
		argoHookDelete, "HookSucceeded",
		argoWave, strconv.Itoa(int(b.Migration.HookWave())),
		argoSyncOptions, "ServerSideApply=true")
}

// marker returns the plain object that changes with every new set of migrations, and with the tenants they go to. Argo CD
// leaves hooks out of its comparison, so without it a commit that brings nothing but a migration, or a tenant, would never be
// synced. It proves nothing: it is applied in syncs that skip hooks too.
//
// Its name, as the Job's, is that of the set alone. Each sync makes the Job anew, and it is its UID that tells one run from
// another: that the same set runs once more, for more tenants, is no other schema.
func (b *builder) marker() *corev1.ConfigMap {
	m := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: b.meta(b.base+MarkerSuffix, ComponentMarker, argoCompareOptions, "IgnoreExtraneous"),
		Data: map[string]string{
			"database":    b.Migration.Name,
			"environment": b.Migration.Environment,
			"version":     string(b.set.Latest()),
			"digest":      b.digest,
		},
	}
	if t := b.Migration.Tenants; t != nil && t.Query != "" {
		m.Data["tenantsQuery"] = t.Query
	} else if t != nil {
		m.Data["tenants"] = strings.Join(slices.Sorted(slices.Values(t.Names)), "\n")
	}
	return m
}
