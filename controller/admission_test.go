package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/schemawave/schemawave/manifests"
)

// TestPartialSyncsAreRefused begins operations as Argo CD does, past the admission policy that the installation brings.
func TestPartialSyncsAreRefused(t *testing.T) {
	c := newCluster(t)
	c.installAdmission()
	resource := func(group, kind, name string) argo.SyncOperationResource {
		return argo.SyncOperationResource{Group: group, Kind: kind, Name: name}
	}
	config := func(name string) argo.SyncOperationResource { return resource("", "ConfigMap", name) }
	marker := func(what string) string {
		return manifests.ObjectName("orders", what, "sha256:0123abcd") + manifests.MarkerSuffix
	}
	outOfSync := func(name string, pruned bool) argo.ResourceStatus {
		return argo.ResourceStatus{Kind: "ConfigMap", Name: name, Status: argo.SyncStatusCodeOutOfSync, RequiresPruning: pruned}
	}
	workload := resource("apps", "Deployment", "orders")
	before, now := marker("20261115120000"), marker("20261122093000")
	type resources = []argo.SyncOperationResource
	for _, test := range []struct {
		name      string // the reason for the expectation
		resources resources
		status    []argo.ResourceStatus
		by        string // empty: Argo CD itself
		refused   string // the marker whose migration is said to be skipped; empty: the operation begins
	}{
		{name: "a whole sync runs the hooks"},
		{name: "drift is healed", resources: resources{workload}},
		{name: "a new marker beside the workload means that the hook is skipped", resources: resources{workload, config(now)}, refused: now},
		{name: "so does one that is listed as out of sync", resources: resources{config(now)}, status: []argo.ResourceStatus{outOfSync(now, false)}, refused: now},
		{name: "that of an image, between a prefix and a suffix", resources: resources{config("eu-" + marker("image") + "-blue")}, refused: "eu-" + marker("image") + "-blue"},
		{name: "that of a tool", resources: resources{config(marker("tool"))}, refused: marker("tool")},
		{name: "that of a version of several parts", resources: resources{config(marker("1.2.10"))}, refused: marker("1.2.10")},
		{name: "one that is merely pruned skips nothing", resources: resources{config(before), workload}, status: []argo.ResourceStatus{outOfSync(before, true)}},
		{name: "one beside it does", resources: resources{config(before), config(now)}, status: []argo.ResourceStatus{outOfSync(before, true), outOfSync(now, false)}, refused: now},
		{name: "one pruned in another namespace too", resources: resources{config(now)}, status: []argo.ResourceStatus{outOfSync(now, true), outOfSync(now, false)}, refused: now},
		{name: "beside something of which only half is known", resources: resources{config(now)}, status: []argo.ResourceStatus{{Kind: "ConfigMap"}, {Name: now}}, refused: now},
		{name: "with the Job among the resources it runs", resources: resources{config(now), resource("batch", "Job", strings.TrimSuffix(now, manifests.MarkerSuffix))}},
		{name: "the Job of another set does not help", resources: resources{config(now), resource("batch", "Job", strings.TrimSuffix(before, manifests.MarkerSuffix))}, refused: now},
		{name: "a ConfigMap that only sounds like one", resources: resources{config("schema-orders-marker")}},
		{name: "another kind of that name", resources: resources{resource("", "Secret", now)}},
		{name: "what a person asks for is for that person to know", resources: resources{workload, config(now)}, by: "admin"},
		{name: "the last of many", resources: append(slices.Repeat(resources{config("settings"), workload}, 1000), config(now)), refused: now},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := c.application(strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(test.name)), argo.ApplicationSource{RepoURL: "https://git.example.com/shop.git", Path: "."})
			c.status(a, func(s *argo.ApplicationStatus) { s.Resources = test.status })
			err := c.begin(a, test.by, test.resources...)
			if test.refused == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !apierrors.IsForbidden(err) {
				t.Fatalf("not refused: %v", err)
			}
			for _, want := range []string{test.refused + " would be skipped", "argocd app sync " + c.apps + "/" + a.Name} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q in it", err, want)
				}
			}
		})
	}
}

// begin asks for an operation over some resources, as Argo CD does on its own or for a person.
func (c *cluster) begin(a *argo.Application, by string, resources ...argo.SyncOperationResource) error {
	c.t.Helper()
	a.Operation = &argo.Operation{
		Sync:        &argo.SyncOperation{Revision: strings.Repeat("1", 40), Resources: resources},
		InitiatedBy: argo.OperationInitiator{Username: by, Automated: by == ""},
	}
	return c.Update(c.t.Context(), a)
}

// installAdmission applies the admission policy as manifests/install has it, and waits until it is in force.
func (c *cluster) installAdmission() {
	c.t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../manifests/install")
	if err != nil {
		c.t.Fatal(err)
	}
	applied := 0
	for _, o := range objects.Resources() {
		if o.GetGvk().Group != "admissionregistration.k8s.io" {
			continue
		}
		applied++
		m, err := o.Map()
		if err != nil {
			c.t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: m}
		if err := c.Patch(c.t.Context(), u, client.Apply, client.FieldOwner("install"), client.ForceOwnership); err != nil { //nolint:staticcheck // as kubectl apply --server-side does
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() {
			if err := c.Delete(context.Background(), u); err != nil {
				c.t.Error(err)
			}
		})
	}
	if applied != 2 {
		c.t.Fatalf("%d objects of the admission policy", applied)
	}
	probes := 0
	within(c.t, "the admission policy", func() error {
		probes++
		a := c.application(fmt.Sprintf("probe-%d", probes), argo.ApplicationSource{RepoURL: "https://git.example.com/shop.git", Path: "."})
		if err := c.begin(a, "", argo.SyncOperationResource{Kind: "ConfigMap", Name: "schema-orders-1-01234567-marker"}); !apierrors.IsForbidden(err) {
			return errors.Join(errors.New("is not in force"), err)
		}
		return nil
	})
}
