package controller

import (
	"context"
	"fmt"
	"maps"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
)

// cacheOptions say what is kept in memory: of each object only what is read here. The cached objects must therefore never
// be written back as a whole.
func (o Options) cacheOptions() cache.Options {
	byObject := map[client.Object]cache.ByObject{
		&argo.Application{}: {Namespaces: namespaces(o.ApplicationNamespaces), Transform: stripApplication},
	}
	if !o.ApplicationsOnly {
		maps.Copy(byObject, jobCache(o.JobNamespaces))
	}
	return cache.Options{ByObject: byObject}
}

// jobCache says what is kept of Jobs and Pods; of all namespaces, if none is named.
func jobCache(within []string) map[client.Object]cache.ByObject {
	ours := labels.SelectorFromSet(labels.Set{manifests.LabelManagedBy: manifests.ManagedBy})
	return map[client.Object]cache.ByObject{
		&batchv1.Job{}: {Namespaces: namespaces(within), Label: ours, Transform: stripJob},
		&corev1.Pod{}:  {Namespaces: namespaces(within), Label: ours, Transform: stripPod},
	}
}

func namespaces(names []string) map[string]cache.Config {
	if len(names) == 0 {
		return nil
	}
	m := map[string]cache.Config{}
	for _, n := range names {
		m[n] = cache.Config{}
	}
	return m
}

func stripMeta(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
}

// stripApplication leaves of an Application where it comes from and goes to, its operation, its migrations and its history.
func stripApplication(obj any) (any, error) {
	if a, ok := obj.(*argo.Application); ok {
		strip(a)
	}
	return obj, nil
}

func strip(a *argo.Application) {
	stripMeta(&a.ObjectMeta)
	out := argo.Application{TypeMeta: a.TypeMeta, ObjectMeta: a.ObjectMeta}
	out.Spec.Destination = a.Spec.Destination
	out.Spec.Source, out.Spec.Sources, out.Spec.SourceHydrator = a.Spec.Source, a.Spec.Sources, a.Spec.SourceHydrator
	if p := a.Spec.SyncPolicy; p != nil && p.Automated != nil {
		out.Spec.SyncPolicy = &argo.SyncPolicy{Automated: p.Automated}
	}
	out.Status.Sync = argo.SyncStatus{Status: a.Status.Sync.Status, Revision: a.Status.Sync.Revision, Revisions: a.Status.Sync.Revisions}
	if h := a.Status.SourceHydrator.LastSuccessfulOperation; h != nil {
		out.Status.SourceHydrator.LastSuccessfulOperation = &argo.SuccessfulHydrateOperation{DrySHA: h.DrySHA, HydratedSHA: h.HydratedSHA}
	}
	if h := a.Status.SourceHydrator.CurrentOperation; h != nil && h.Phase == argo.HydrateOperationPhaseFailed {
		out.Status.SourceHydrator.CurrentOperation = &argo.HydrateOperation{Phase: h.Phase, Message: h.Message}
	}
	if a.Operation != nil {
		out.Operation = &argo.Operation{}
	}
	for _, c := range a.Status.Conditions {
		if c.Type == argo.ApplicationConditionSyncError {
			out.Status.Conditions = append(out.Status.Conditions, c)
		}
	}
	for _, r := range a.Status.Resources {
		if _, ours := manifests.ParseName(r.Name); ours {
			out.Status.Resources = append(out.Status.Resources, r)
		}
	}
	for _, h := range a.Status.History {
		out.Status.History = append(out.Status.History, argo.RevisionHistory{
			ID: h.ID, Revision: h.Revision, Revisions: h.Revisions, DeployedAt: h.DeployedAt, DeployStartedAt: h.DeployStartedAt,
		})
	}
	out.Status.OperationState = stripOperation(a.Status.OperationState)
	*a = out
}

func stripOperation(s *argo.OperationState) *argo.OperationState {
	if s == nil {
		return nil
	}
	out := *s
	out.Operation = argo.Operation{InitiatedBy: s.Operation.InitiatedBy}
	if sync := s.Operation.Sync; sync != nil {
		out.Operation.Sync = &argo.SyncOperation{
			Revision: sync.Revision, Revisions: sync.Revisions, Resources: sync.Resources, SyncStrategy: sync.SyncStrategy, DryRun: sync.DryRun,
		}
	}
	if r := s.SyncResult; r != nil {
		out.SyncResult = &argo.SyncOperationResult{Revision: r.Revision, Revisions: r.Revisions}
		for _, res := range r.Resources {
			if _, ours := manifests.ParseName(res.Name); ours {
				out.SyncResult.Resources = append(out.SyncResult.Resources, res)
			}
		}
	}
	return &out
}

func stripJob(obj any) (any, error) {
	if j, ok := obj.(*batchv1.Job); ok {
		stripMeta(&j.ObjectMeta)
		j.Spec = batchv1.JobSpec{}
	}
	return obj, nil
}

func stripPod(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	stripMeta(&p.ObjectMeta)
	p.Spec = corev1.PodSpec{}
	p.Status = corev1.PodStatus{Phase: p.Status.Phase, ContainerStatuses: p.Status.ContainerStatuses}
	return p, nil
}

// The indexes of the cache, each with what it is asked by.
const (
	indexTarget   = "schemawave-target"   // environment/database
	indexOwner    = "schemawave-owner"    // UID of a Pod's Job
	indexJob      = "schemawave-job"      // namespace/name of a Job that an Application shows
	indexInstance = "schemawave-instance" // an Application's name, by which its Jobs know it
)

func (o Options) index(ctx context.Context, to client.FieldIndexer) error {
	all := []index{
		{&argo.Application{}, indexTarget, func(obj client.Object) []string { return texts(namedTargets(obj.(*argo.Application), destination{})) }},
	}
	if !o.ApplicationsOnly {
		all = append(all,
			index{&argo.Application{}, indexJob, func(obj client.Object) []string { return texts(jobKeys(obj.(*argo.Application))) }},
			index{&argo.Application{}, indexInstance, func(obj client.Object) []string { return []string{obj.GetName()} }})
		if err := indexJobs(ctx, to); err != nil {
			return err
		}
	}
	return add(ctx, to, all...)
}

// indexJobs adds the indexes of Jobs and Pods.
func indexJobs(ctx context.Context, to client.FieldIndexer) error {
	return add(ctx, to,
		index{&batchv1.Job{}, indexTarget, func(obj client.Object) []string {
			if t, ok := jobTarget(obj); ok {
				return []string{t.String()}
			}
			return nil
		}},
		index{&corev1.Pod{}, indexOwner, func(obj client.Object) []string { return []string{string(owner(obj.(*corev1.Pod)))} }})
}

type index struct {
	object client.Object
	name   string
	values client.IndexerFunc
}

func add(ctx context.Context, to client.FieldIndexer, all ...index) error {
	for _, i := range all {
		if err := to.IndexField(ctx, i.object, i.name, i.values); err != nil {
			return fmt.Errorf("index %T by %s: %w", i.object, i.name, err)
		}
	}
	return nil
}

// namedTargets lists the databases that the names in the operation of an Application that deploys to a cluster speak of, and those in what
// it has still to apply.
func namedTargets(a *argo.Application, to destination) []target {
	view := newApplication(a, to)
	seen := map[target]bool{}
	var out []target
	add := func(key types.NamespacedName, n manifests.Name) {
		if t, ok := view.targetOf(key, n); ok && !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	for _, op := range view.Operations {
		for _, r := range op.Results {
			add(r.Key, r.Name)
		}
		for _, m := range op.Markers {
			add(m.Key, m.Name)
		}
	}
	for _, m := range view.Wanted {
		add(m.Key, m.Name)
	}
	return out
}

func texts[T fmt.Stringer](all []T) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.String()
	}
	return out
}
