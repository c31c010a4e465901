package argocd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clusterFunc is a Cluster made of a function.
type clusterFunc func(path string, object []byte) error

func (f clusterFunc) Apply(_ context.Context, path string, object []byte) error {
	return f(path, object)
}

func example(t *testing.T, cluster Cluster) ArgoCD {
	source := t.TempDir()
	files := fstest.MapFS{"hack/" + verifier: {Data: []byte("#!/bin/sh\n")}}
	for _, kind := range crds {
		files["manifests/crds/"+kind+"-crd.yaml"] = &fstest.MapFile{Data: []byte("kind: " + kind)}
	}
	if err := os.CopyFS(source, files); err != nil {
		t.Fatal(err)
	}
	return ArgoCD{Program: "/bin/argocd", Source: source, Bin: t.TempDir(), Dir: t.TempDir(), Kubeconfig: "/kubeconfig", Cluster: cluster,
		SyncWaveDelay: 3 * time.Second, Reconciliation: 90 * time.Second}
}

func TestInstallsDefinitionsBeforeWhatTheyDefine(t *testing.T) {
	var applied []string
	refusals := 2 // the API server needs a moment to serve a new definition
	a := example(t, clusterFunc(func(path string, object []byte) error {
		if strings.Contains(path, "/appprojects/") {
			if refusals--; refusals >= 0 {
				return errors.New("404 Not Found")
			}
		}
		if strings.Contains(path, "customresourcedefinitions") && !strings.HasPrefix(string(object), "kind: ") {
			t.Errorf("%s: %s", path, object)
		}
		applied = append(applied, path[strings.LastIndex(path, "/")+1:])
		return nil
	}))
	if err := a.install(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(filepath.Join(a.Bin, verifier)).Run(); err != nil {
		t.Error(err)
	}
	want := []string{"applications.argoproj.io", "applicationsets.argoproj.io", "appprojects.argoproj.io",
		"argocd", "argocd-cm", "argocd-rbac-cm", "argocd-secret", "default"}
	if diff := cmp.Diff(want, applied); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInstallTellsWhyItGaveUp(t *testing.T) {
	a := example(t, clusterFunc(func(path string, _ []byte) error {
		if strings.Contains(path, "/secrets/") {
			return errors.New("no such thing")
		}
		return nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := a.install(ctx, nil); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestSettingsReachArgoCD(t *testing.T) {
	a := example(t, nil)
	for _, c := range a.Components("api") {
		if !strings.HasPrefix(c.Name, "argocd-") || c.Command == nil {
			continue
		}
		for _, want := range []string{"ARGOCD_BINARY_NAME=" + c.Name, "ARGOCD_SYNC_WAVE_DELAY=3", "ARGOCD_RECONCILIATION_TIMEOUT=1m30s", "KUBECONFIG=/kubeconfig"} {
			if !slices.Contains(c.Env, want) {
				t.Errorf("%s lacks %s: %v", c.Name, want, c.Env)
			}
		}
	}
}
