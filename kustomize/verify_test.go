package kustomize_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"

	"github.com/schemawave/schemawave/kustomize"
)

// TestOverlayMayNot renders overlays whose own transformations would break the migration.
func TestOverlayMayNot(t *testing.T) {
	patch := func(target, ops string) string {
		return "namespace: x\npatches:\n- target: " + target + "\n  patch: |-\n    " + strings.ReplaceAll(ops, "\n", "\n    ") + "\n"
	}
	for _, c := range []struct{ why, kustomization, want string }{
		{"waves for all", "namespace: x\ncommonAnnotations: {argocd.argoproj.io/sync-wave: \"5\"}\n", `changes the annotation argocd.argoproj.io/sync-wave of Job schema-orders-2-`},
		{"another manager for all", "namespace: x\nlabels:\n- pairs: {app.kubernetes.io/managed-by: argocd}\n", `changes the label app.kubernetes.io/managed-by of ConfigMap`},
		{"kustomize as the manager of all", "namespace: x\nbuildMetadata: [managedByLabel]\n", `changes the label app.kubernetes.io/managed-by of Job`},
		{"another manager for all Pods", "namespace: x\nlabels:\n- pairs: {schemawave.dev/database: all}\n  includeTemplates: true\n", `changes the Pod's label schemawave.dev/database of Job`},
		{"no hook", patch("{kind: Job}", "- op: remove\n  path: /metadata/annotations/argocd.argoproj.io~1hook"), `changes the annotation argocd.argoproj.io/hook of Job`},
		{"a hook of all", "namespace: x\ncommonAnnotations: {helm.sh/hook: pre-install}\n", `makes a hook of ConfigMap schema-orders-2-`},
		{"no Job", patch("{kind: Job}", "$patch: delete\napiVersion: batch/v1\nkind: Job\nmetadata: {name: x}"), `yields the Job schema-orders-2-`},
		{"no marker", patch("{kind: ConfigMap, name: .*-marker}", "$patch: delete\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}"), `removes or renames ConfigMap schema-orders-2-`},
		{"a suffix that runs into the digest", "namespace: x\nnameSuffix: b\n", `renames the Job to schema-orders-2-`},
		{"a prefix that begins a name", "namespace: x\nnamePrefix: schema-eu-\n", `renames the Job to schema-eu-schema-orders-2-`},
		{"another name", patch("{kind: ConfigMap, name: .*-marker}", "- op: replace\n  path: /metadata/name\n  value: seen") + "  options: {allowNameChange: true}\n", `removes or renames ConfigMap schema-orders-2-`},
		{"other SQL", patch("{kind: ConfigMap}", "- op: add\n  path: /data/0003_c.sql\n  value: DROP TABLE orders"), `changes the data of ConfigMap`},
		{"Jobs that vanish", patch("{kind: Job}", "- op: add\n  path: /spec/ttlSecondsAfterFinished\n  value: 60"), `changes ttlSecondsAfterFinished of Job`},
		{"suspended Jobs", patch("{kind: Job}", "- op: add\n  path: /spec/suspend\n  value: true"), `changes suspend of Job`},
		{"retries of what is permanent", patch("{kind: Job}", "- op: remove\n  path: /spec/podFailurePolicy"), `changes podFailurePolicy of Job`},
		{"restarts in place", patch("{kind: Job}", "- op: replace\n  path: /spec/template/spec/restartPolicy\n  value: OnFailure"), `changes restartPolicy of Job`},
		{"another command", patch("{kind: Job}", "- op: add\n  path: /spec/template/spec/containers/0/args/-\n  value: --out-of-order=apply"), `changes the command of Job`},
		{"another container", patch("{kind: Job}", "- op: replace\n  path: /spec/template/spec/containers/0/name\n  value: main"), `changes the container migrate of Job`},
		{"no SQL", patch("{kind: Job}", "- op: remove\n  path: /spec/template/spec/volumes"), `changes the volumes of Job`},
		{"other inputs", patch("{kind: Job}", "- op: add\n  path: /spec/template/spec/containers/0/envFrom\n  value: [{secretRef: {name: more}}]"), `changes what the Job schema-orders-2-`},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			_, err := renderTree(t, with(repo(good), "overlay/kustomization.yaml", c.kustomization))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "overlay/kustomization.yaml: ") {
				t.Errorf("error %v\nwant one of overlay/kustomization.yaml with %q", err, c.want)
			}
		})
	}
}

// TestOverlayMay renders overlays that change what is theirs to change.
func TestOverlayMay(t *testing.T) {
	for why, kustomization := range map[string]string{
		"labels and annotations of their own": "namespace: x\ncommonLabels: {team: shop}\ncommonAnnotations: {owner: shop}\n",
		"a prefix and a suffix":               "namespace: x\nnamePrefix: a-\nnameSuffix: -b\n",
		"another image":                       "namespace: x\nimages: [{name: ghcr.io/schemawave/schemawave-runner, newName: mirror/runner, digest: sha256:0}]\n",
		"a priority":                          "namespace: x\npatches:\n- target: {kind: Job}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/template/spec/priorityClassName\", \"value\": \"low\"}]'\n",
		"annotations about origin":            "namespace: x\nbuildMetadata: [originAnnotations, transformerAnnotations]\n",
		"another order":                       "namespace: x\nsortOptions: {order: legacy}\n",
		"hashes for all":                      "namespace: x\nconfigMapGenerator: [{name: a, literals: [b=c]}]\ngeneratorOptions: {annotations: {d: e}}\n",
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			if _, err := renderTree(t, with(repo(good), "overlay/kustomization.yaml", kustomization)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOverlayDoesNotBuild tells kustomize's own complaint, by the overlay's file and without the machine's paths.
func TestOverlayDoesNotBuild(t *testing.T) {
	_, err := renderTree(t, with(repo(good), "overlay/kustomization.yaml", "namespace: x\nresources:\n- nowhere.yaml\n"))
	if err == nil {
		t.Fatal("not refused")
	}
	if s := err.Error(); !strings.Contains(s, "overlay/kustomization.yaml: kustomize cannot build the overlay") || !strings.Contains(s, "nowhere.yaml") || strings.Contains(s, t.TempDir()) {
		t.Errorf("error %v", err)
	}
}

// TestBrokenSchema has kyaml panic over an OpenAPI schema. It is the overlay's error, and the next overlay is built.
func TestBrokenSchema(t *testing.T) {
	for why, schema := range map[string]string{
		"no definitions":       `{"definitions": 7}`,
		"a kind of no version": `{"definitions": {"a": {"x-kubernetes-group-version-kind": [{"kind": "A"}]}}}`,
	} {
		files := with(repo(good), "overlay/kustomization.yaml", "namespace: x\nresources: [a.yaml]\nopenapi: {path: schema.json}\n")
		_, err := renderTree(t, with(with(files, "overlay/schema.json", schema), "overlay/a.yaml", "apiVersion: example.com/v1\nkind: A\nmetadata: {name: a}\n"))
		if problems := (kustomize.Problems)(nil); !errors.As(err, &problems) || !strings.Contains(err.Error(), "cannot build the overlay: openapi: ") {
			t.Errorf("%s: %v", why, err)
		}
		if _, err := renderTree(t, repo(good)); err != nil {
			t.Errorf("after %s: %v", why, err)
		}
	}
}

// TestPanicHoldsUpNobody has kustomize panic, over options without plugins: it is an error like another, and others go on.
func TestPanicHoldsUpNobody(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, repo(good))
	_, err := kustomize.Render(t.Context(), filepath.Join(root, "overlay"), kustomize.Options{Root: root, Build: &krusty.Options{}})
	if err == nil || !strings.Contains(err.Error(), "kustomize cannot build the overlay: it panics: ") {
		t.Errorf("error %v", err)
	}
	render(t, root, filepath.Join(root, "overlay")) // would wait for ever
}

// TestErrorsTellNoSecret makes kustomize fail in the ways in which its errors repeat the objects it was working on.
func TestErrorsTellNoSecret(t *testing.T) {
	secret := func(namespace string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: " + namespace + "}\nstringData: {url: hunter2}\n"
	}
	for why, kustomization := range map[string]string{
		"two Secrets become one": "namespace: x\nresources: [secrets.yaml]\n",
		"a bad literal":          "namespace: x\nsecretGenerator: [{name: b, literals: [url=hunter2, hunter2]}]\n",
		"a bad patch":            "namespace: x\npatches: [{target: {kind: Secret}, patch: 'stringData: hunter2'}]\n",
		"a bad field":            "namespace: x\nsecretGenerator: [{name: b, literals: {url: hunter2}}]\n",
		"a patch of nothing":     "namespace: x\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: z}\n    stringData: {url: hunter2}\n",
		"a bad replacement":      "namespace: x\nresources: [one.yaml]\nreplacements: [{source: {kind: Secret, fieldPath: stringData.url}, targets: [{select: {kind: Secret}, fieldPaths: [a.b.c]}]}]\n",
		"a bad type":             "namespace: x\nresources: [list.yaml]\n",
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			files := with(repo(good), "overlay/secrets.yaml", secret("x")+"---\n"+secret("y"))
			files["overlay/one.yaml"] = secret("x")
			files["overlay/list.yaml"] = "apiVersion: v1\nkind: Secret\nmetadata: hunter2\n"
			_, err := renderTree(t, with(files, "overlay/kustomization.yaml", kustomization))
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v", err)
			}
		})
	}
}
