package controller_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/controller"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestRights has the controller do all that it can under the rights of manifests/install: none is lacking, and none is never used.
func TestRights(t *testing.T) {
	c, n := newCluster(t), newNATS(t)
	c.install("appproject-crd.yaml", argo.AppProjectSchemaGroupVersionKind)
	granted := c.installRights()
	used := &requests{made: map[string]bool{}}
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:schemawave:schemawave", Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	config.Wrap(used.through)
	project := &argo.AppProject{ObjectMeta: metav1.ObjectMeta{Namespace: c.apps, Name: "default"}}
	if err := c.Create(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // so that it has to be created by whoever runs this again
		if err := c.Delete(context.Background(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "schemawave", Name: "schemawave"}}); err != nil {
			t.Error(err)
		}
	})
	r := start(c, n, "one", func(o *controller.Options) {
		o.Config, o.Heal = config, controller.HealSync
		o.LeaderElection = &controller.LeaderElection{Namespace: "schemawave"}
	})
	a := c.application("orders", overlay)
	a.Spec.SyncPolicy = &argo.SyncPolicy{Automated: &argo.SyncPolicyAutomated{}}
	if err := c.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	one, two, three := c.release(1, c.home), c.release(2, c.home), c.release(3, c.home)
	for _, r := range []release{one, two} {
		c.sync(a, r)
		c.hook(a, r, common.OperationRunning, "job.batch/x created") // of a Job that is not there yet
		within(t, "the API server is asked for the Job", func() error {
			if made, _ := used.list(); !slices.Contains(made, "get batch/jobs") {
				return fmt.Errorf("it was asked to %q", made)
			}
			return nil
		})
		pod := c.apply(a, r)
		c.exit(pod, migrations.ExitDone, r.report(c.home, migrations.OutcomeSucceeded, migrations.Version(r.version)))
		c.finished(r)
		c.hook(a, r, common.OperationSucceeded, "Reached expected number of succeeded pods")
		c.end(a, common.OperationSucceeded)
	}
	c.remain(two.job.Name)

	c.status(a, func(s *argo.ApplicationStatus) { // the third is passed over
		now := metav1.Now()
		s.Sync = argo.SyncStatus{Status: argo.SyncStatusCodeSynced, Revision: three.revision}
		s.OperationState = &argo.OperationState{
			Operation: argo.Operation{
				Sync:        &argo.SyncOperation{Revision: three.revision, Resources: []argo.SyncOperationResource{{Kind: "ConfigMap", Name: "x"}}},
				InitiatedBy: argo.OperationInitiator{Automated: true},
			},
			Phase: common.OperationSucceeded, StartedAt: now, FinishedAt: &now,
			SyncResult: &argo.SyncOperationResult{Revision: three.revision, Resources: argo.ResourceResults{{
				Version: "v1", Kind: "ConfigMap", Namespace: c.home, Name: three.job.Name + manifests.MarkerSuffix, Status: common.ResultCodeSynced,
			}}},
		}
	})
	within(t, "a sync is asked for", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
			return err
		}
		if a.Operation == nil {
			return errors.New("there is no operation")
		}
		return nil
	})
	for range 2 { // the same once more
		if err := r.Announcer().Announce(t.Context(), overlay.RepoURL, "main", overlay.Path, true, "it cannot be rendered"); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "rights", func() error {
		got, refused := used.list()
		if diff := cmp.Diff(granted, got); diff != "" || len(refused) > 0 {
			return fmt.Errorf("refused: %q; -granted +used:\n%s", refused, diff)
		}
		return nil
	})
}

// installRights grants what the installation does, and lists it: "verb group/resource" each.
func (c *cluster) installRights() []string {
	c.t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../manifests/install")
	if err != nil {
		c.t.Fatal(err)
	}
	all := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "schemawave"}}}
	granted := map[string]bool{}
	add := func(rules []rbacv1.PolicyRule) {
		for _, r := range rules {
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						granted[verb+" "+group+"/"+resource] = true
					}
				}
			}
		}
	}
	for _, o := range objects.Resources() {
		var obj client.Object
		switch o.GetKind() {
		case "ClusterRole":
			obj = &rbacv1.ClusterRole{}
		case "ClusterRoleBinding":
			obj = &rbacv1.ClusterRoleBinding{}
		case "Role":
			obj = &rbacv1.Role{}
		case "RoleBinding":
			obj = &rbacv1.RoleBinding{}
		default:
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(o.MustYaml()), obj); err != nil {
			c.t.Fatal(err)
		}
		switch obj := obj.(type) {
		case *rbacv1.ClusterRole:
			add(obj.Rules)
		case *rbacv1.Role:
			add(obj.Rules)
		}
		all = append(all, obj)
	}
	for _, obj := range all {
		if err := c.Create(c.t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() {
			if _, stays := obj.(*corev1.Namespace); stays {
				return // it would be long in going, and the next run needs it
			}
			if err := c.Delete(context.Background(), obj); err != nil {
				c.t.Error(err)
			}
		})
	}
	return slices.Sorted(maps.Keys(granted))
}

// requests notes what an API server is asked for.
type requests struct {
	mu      sync.Mutex
	made    map[string]bool
	refused []string
}

func (r *requests) through(to http.RoundTripper) http.RoundTripper {
	return roundTrip(func(request *http.Request) (*http.Response, error) {
		answer, err := to.RoundTrip(request)
		if what := asked(request); what != "" && err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.made[what] = true
			if answer.StatusCode == http.StatusForbidden {
				r.refused = append(r.refused, what)
			}
		}
		return answer, err
	})
}

func (r *requests) list() (made, refused []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.made)), slices.Clone(r.refused)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// asked reads the right that a request needs, as the API server does; empty for one that everybody has, as to learn what kinds there are.
func asked(r *http.Request) string {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case path[0] == "api" && len(path) > 2:
		path = path[2:]
	case path[0] == "apis" && len(path) > 3:
		group, path = path[1], path[3:]
	default:
		return ""
	}
	if path[0] == "namespaces" && len(path) > 2 {
		path = path[2:]
	}
	verb := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete", http.MethodGet: "list"}[r.Method]
	switch {
	case r.URL.Query().Get("watch") == "true":
		verb = "watch"
	case r.Method == http.MethodGet && len(path) > 1:
		verb = "get"
	}
	resource := path[0]
	if len(path) > 2 {
		resource += "/" + path[2]
	}
	return verb + " " + group + "/" + resource
}
