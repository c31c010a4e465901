package argocd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// Cluster is the Kubernetes API as far as Argo CD's installation needs it: Apply creates or updates the object at a path.
type Cluster interface {
	Apply(ctx context.Context, path string, object []byte) error
}

// crds are Argo CD's custom resources; its API server wants all three.
var crds = []string{"application", "applicationset", "appproject"}

// verifier is what 3.5 runs to learn that a commit has no signature; 2.14 has it, too.
const verifier = "git-verify-wrapper.sh"

// install makes Argo CD's directories, its CRDs and the objects that it expects in its namespace
// (Argo CD's manifests/base/config).
func (a ArgoCD) install(ctx context.Context, _ io.Writer) error {
	for _, d := range directories {
		if err := os.MkdirAll(filepath.Join(a.Dir, d.name), 0o755); err != nil {
			return fmt.Errorf("make a directory for Argo CD: %w", err)
		}
	}
	script, err := os.ReadFile(filepath.Join(a.Source, "hack", verifier))
	if err != nil {
		return fmt.Errorf("install Argo CD: %w", err)
	}
	if err := os.WriteFile(filepath.Join(a.Bin, verifier), script, 0o755); err != nil {
		return fmt.Errorf("install Argo CD: %w", err)
	}
	for _, kind := range crds {
		crd, err := os.ReadFile(filepath.Join(a.Source, "manifests", "crds", kind+"-crd.yaml"))
		if err != nil {
			return fmt.Errorf("install Argo CD: %w", err)
		}
		if err := a.Cluster.Apply(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+kind+"s.argoproj.io", crd); err != nil {
			return fmt.Errorf("install Argo CD: %w", err)
		}
	}
	for _, o := range objects() {
		text, err := json.Marshal(o.object)
		if err != nil {
			return fmt.Errorf("install Argo CD: %w", err)
		}
		// a custom resource is there a moment after its definition
		if err := supervise.Until(ctx, func(ctx context.Context) error { return a.Cluster.Apply(ctx, o.path, text) }); err != nil {
			return fmt.Errorf("install Argo CD: %w", err)
		}
	}
	return nil
}

type object struct {
	path   string
	object map[string]any
}

func objects() []object {
	type m = map[string]any
	namespaced := "/api/v1/namespaces/" + Namespace
	metadata := func(name string) m {
		return m{"name": name, "namespace": Namespace, "labels": m{"app.kubernetes.io/part-of": "argocd"}}
	}
	return []object{
		{namespaced, m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": Namespace}}},
		{namespaced + "/configmaps/argocd-cm", m{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-cm")}},
		{namespaced + "/configmaps/argocd-rbac-cm", m{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("argocd-rbac-cm")}},
		{namespaced + "/secrets/argocd-secret", m{"apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"),
			"stringData": m{"server.secretkey": rand.Text()}}},
		{"/apis/argoproj.io/v1alpha1/namespaces/" + Namespace + "/appprojects/default", m{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": m{"name": "default", "namespace": Namespace},
			"spec": m{
				"sourceRepos":              []string{"*"},
				"destinations":             []m{{"server": "*", "namespace": "*"}},
				"clusterResourceWhitelist": []m{{"group": "*", "kind": "*"}},
			},
		}},
	}
}
