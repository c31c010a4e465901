package manifests

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
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
	Set       migrations.Set    // of a directory, the whole of it; what is newer than the target is left out
	Files     map[string][]byte // the content of the files that apply Set's migrations, by path
	Image     string            // of the runner; empty: RunnerImage
	Resolved  string            // what the overlay makes of the source's image; empty: it stays as it is declared
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
// ConfigMaps with the SQL of a directory, the copies, the Job; and where that is a hook, the marker or, in its place, the guard with
// copies of its own. Objects have no namespace: they live where their overlay does. An error about a field is a *FieldError.
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
	var guard *batchv1.Job
	if in.Migration.Guard {
		guard = b.guard(job) // before the Job refers to copies of its own
	}
	objects := make([]Object, 0, len(sql)+len(in.Copies)+2)
	for _, c := range sql {
		objects = append(objects, Object{ComponentSQL, c.object})
	}
	for i, c := range in.Copies {
		name := fmt.Sprintf("%s-in-%d", b.base, i+1)
		objects = append(objects, Object{ComponentInput, copyOf(c, b.inputMeta(name, ComponentInput))})
		rename(&job.Spec.Template.Spec, c.Reference, name)
	}
	objects = append(objects, Object{ComponentMigration, job})
	switch {
	case guard != nil:
		objects = append(objects, b.guarded(guard)...)
	case in.Migration.Hook != HookSync: // there the Job itself is a plain object that changes
		objects = append(objects, Object{ComponentMarker, b.marker()})
	}
	for _, o := range objects {
		if j, ok := o.Value.(*batchv1.Job); ok {
			if err := fits(j); err != nil {
				return nil, err
			}
		}
	}
	return objects, nil
}

// guarded returns the guard, and before it the copies that it refers to. Their names stay, whatever the digest: a guard that is synced
// without them has those of the sync before.
func (b *builder) guarded(guard *batchv1.Job) []Object {
	var objects []Object
	refs := References(guard)
	for i, c := range b.Copies {
		if slices.Contains(refs, c.Reference) {
			name := fmt.Sprintf("schema-%s%s-in-%d", b.Migration.Name, GuardSuffix, i+1)
			objects = append(objects, Object{ComponentGuardInput, b.copyForGuard(c, name)})
			rename(&guard.Spec.Template.Spec, c.Reference, name)
		}
	}
	return append(objects, Object{ComponentGuard, guard})
}

// builder holds what all objects of one migration share.
type builder struct {
	Input
	set           migrations.Set // of a directory, up to the target
	base          string         // what all names begin with
	version       string         // empty if nobody knows before the Job has run
	digest        string         // of set, or of the image and what is done with it
	minCompatible migrations.Version
	bundled       bool // the files travel in bundles
}

// maxVersion is the longest version that leaves room for a database's name in ObjectName.
const maxVersion = 20

func newBuilder(in Input) (*builder, error) {
	b := &builder{Input: in, minCompatible: in.Migration.MinCompatible}
	if b.Image == "" {
		b.Image = RunnerImage
	}
	source := in.Migration.Source
	what := source.kind()
	if what != kindDirectory {
		if b.Resolved == "" {
			b.Resolved = source.ImageName()
		}
		var err error
		if b.digest, err = source.digest(b.Resolved, in.Migration.Target); err != nil {
			return nil, err
		}
	} else {
		if err := b.directory(); err != nil {
			return nil, err
		}
		b.version, b.digest = string(b.set.Latest()), b.set.Digest()
		what = b.version
	}
	b.base = ObjectName(in.Migration.Name, what, b.digest)
	return b, nil
}

// directory takes the migrations up to the target.
func (b *builder) directory() error {
	var err error
	if b.set, err = b.Set.Upto(string(b.Migration.Target)); err != nil {
		return &FieldError{"spec.target", err.Error(), "name a version that the directory holds, or leave it out for the newest"}
	}
	latest := b.set.Latest()
	switch {
	case latest == "":
		return &FieldError{"spec.source.directory", "holds no migrations", "add the first one, for instance 0001_create_orders.sql"}
	case len(latest) > maxVersion:
		return &FieldError{"spec.source.directory", fmt.Sprintf("version %s is too long for the names of Kubernetes objects", latest),
			fmt.Sprintf("use versions of at most %d characters", maxVersion)}
	}
	if b.minCompatible == "" {
		b.minCompatible = b.set.MinCompatible()
	}
	if b.minCompatible.Compare(latest) > 0 {
		return &FieldError{"spec.minCompatible", fmt.Sprintf("%s is newer than %s, the version migrated to", b.minCompatible, latest),
			"name the oldest version whose readers still work, at most the one migrated to"}
	}
	return nil
}

// meta returns the metadata of an object: labels, identity, and annotations in pairs of name and value.
func (b *builder) meta(name string, c Component, annotations ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Name:        name,
		Labels:      b.labels(c),
		Annotations: map[string]string{AnnotationDigest: b.digest},
	}
	if b.version != "" {
		m.Annotations[AnnotationVersion] = b.version
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

// inputMeta is the metadata of what the Job needs.
func (b *builder) inputMeta(name string, c Component) metav1.ObjectMeta {
	return b.meta(name, c, b.inputAnnotations()...)
}

// marker returns the plain object that changes with every new set of migrations, and with the tenants they go to. Argo CD
// leaves hooks out of its comparison, so without it a commit that brings nothing but a migration, or a tenant, would never be
// synced. It proves nothing: it is applied in syncs that skip hooks too.
//
// Its name, as the Job's, is that of the set alone. Each sync makes the Job anew, and it is its UID that tells one run from
// another: that the same set runs once more, for more tenants, is no other schema.
func (b *builder) marker() *corev1.ConfigMap {
	data := map[string]string{"database": b.Migration.Name, "environment": b.Migration.Environment, "digest": b.digest}
	if b.version != "" {
		data["version"] = b.version
	}
	if b.Resolved != "" {
		data["image"] = b.Resolved // for people: the digest is made from it
	}
	if t := b.Migration.Tenants; t != nil && t.Query != "" {
		data["tenantsQuery"] = t.Query
	} else if t != nil {
		data["tenants"] = strings.Join(slices.Sorted(slices.Values(t.Names)), "\n")
	}
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: b.meta(b.base+MarkerSuffix, ComponentMarker, argoCompareOptions, "IgnoreExtraneous"),
		Data:       data,
	}
}
