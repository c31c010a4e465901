package kustomize_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/schemawave/schemawave/kustomize"
)

// helm stands in for the command: a chart is what it makes of its values, a Deployment that waits.
const helm = `#!/bin/sh
case $1 in
version) echo v3.17.0 ;;
template) cat <<END
` + "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, annotations: {schemawave.dev/wait-for: orders}}\n" +
	"spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: registry.example.com/web}]}}}\n" + `END
;;
esac
`

// TestHelm renders an overlay for which kustomize calls helm, as Argo CD has it with --enable-helm. A workload of the chart waits as
// any other; the chart, and what the kustomization says of it, stay as they are. Without the option nothing is called.
func TestHelm(t *testing.T) {
	command := filepath.Join(t.TempDir(), "helm")
	if err := os.WriteFile(command, []byte(helm), 0o755); err != nil {
		t.Fatal(err)
	}
	const charts = "helmGlobals: {chartHome: charts} # ours\nhelmCharts:\n- name: web # the chart\n  releaseName: web\n  valuesInline: {a: b}\n"
	files := with(repo(good), "overlay/kustomization.yaml", "namespace: production\n"+charts)
	files["overlay/charts/web/Chart.yaml"] = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
	files["overlay/charts/web/values.yaml"] = "a: c\n"
	root := t.TempDir()
	writeTree(t, root, files)
	overlay := filepath.Join(root, "overlay")
	if _, err := kustomize.Render(t.Context(), overlay, kustomize.Options{Root: root}); err == nil || !strings.Contains(err.Error(), "--enable-helm") {
		t.Errorf("without the option: %v", err)
	}
	build := krusty.MakeDefaultOptions()
	build.PluginConfig.HelmConfig = types.HelmConfig{Enabled: true, Command: command}
	result, err := kustomize.Render(t.Context(), overlay, kustomize.Options{Root: root, Build: build})
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Write(); err != nil {
		t.Fatal(err)
	}
	if result, err := kustomize.Render(t.Context(), overlay, kustomize.Options{Root: root, Build: build}); err != nil || result.Changed() {
		t.Errorf("a second render differs: %v\n%s", err, result.Diff())
	}
	want := "namespace: production\n" + charts + "resources:\n- schemawave\ntransformers:\n- schemawave/gates.yaml\n"
	after := readTree(t, root)
	if d := cmp.Diff(want, after["overlay/kustomization.yaml"]); d != "" {
		t.Errorf("the kustomization (-want +got):\n%s", d)
	}
	for name, content := range files {
		if strings.Contains(name, "charts/") && after[name] != content {
			t.Errorf("%s became %q", name, after[name])
		}
	}
	for _, kustomize := range kustomizes {
		if out := buildWith(t, kustomizeCommand(t, kustomize), overlay, "--enable-helm", "--helm-command", command); !strings.Contains(out, "name: wait-for-schema") {
			t.Errorf("%s yields no gate:\n%s", kustomize, out)
		}
	}
}
