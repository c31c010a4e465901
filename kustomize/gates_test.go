package kustomize_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/schemawave/schemawave/kustomize"
)

// deployment is a workload that waits as the annotation says, on 12 lines.
func deployment(name, waitFor string) string {
	return strings.NewReplacer("NAME", name, "VALUE", waitFor).Replace(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  annotations:
    schemawave.dev/wait-for: VALUE
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers: [{name: NAME, image: registry.example.com/NAME}]
`)
}

// workloads is a repository whose overlay has them in web.yaml, and no migrations.
func workloads(content string, changes ...string) map[string]string {
	for i := 0; i < len(changes); i += 2 {
		content = strings.Replace(content, changes[i], changes[i+1], 1)
	}
	return map[string]string{"overlay/kustomization.yaml": "namespace: production\nresources:\n- web.yaml\n", "overlay/web.yaml": content}
}

// TestGateRefused holds every complaint about an annotation to its place and its remedy.
func TestGateRefused(t *testing.T) {
	const form = "(write environment/database[@version], or database[@version] for one of this environment)"
	migrating := with(workloads(deployment("web", "orders@3")), "overlay/schema.yaml", strings.Replace(good, "../migrations", "sql", 1))
	migrating["overlay/sql/0002_a.sql"] = "SELECT 1;\n"
	for _, c := range []struct {
		why   string
		files map[string]string
		want  []string
	}{
		{"too many names", workloads(deployment("web", "a/b/c/d")), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: "a/b/c/d" is not environment/database[@version] ` + form}},
		{"no version after the @", workloads(deployment("web", "orders@")), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: "production/orders@": version is empty: want digits, as in 20261122093000 ` + form}},
		{"two mistakes, and a comma too many", workloads(deployment("web", "orders, a/B, ")), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: "a/B" is not environment/database[@version], of which the first two are DNS labels ` + form,
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: "production/" is not environment/database[@version], of which the first two are DNS labels ` + form}},
		{"one schema twice", workloads(deployment("web", "orders, production/orders")), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: production/orders is given twice (keep one of them)`}},
		{"no environment", with(workloads(deployment("web", "orders@3")), "overlay/kustomization.yaml", "resources:\n- web.yaml\n"), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: orders is not declared in this overlay, and the overlay sets no namespace to take its environment from (write environment/orders)`}},
		{"a version that this overlay does not migrate to", migrating, []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: 3 is newer than 2, the version that this overlay migrates orders to (name one that is there, or add its migration)`}},
		{"a name that is much like one of this overlay", with(repo(good), "overlay/kustomization.yaml",
			"namespace: production\nresources: [web.yaml]\n", "overlay/web.yaml", deployment("web", "ordesr")), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: no SchemaMigration of this overlay is named ordesr (did you mean orders? If not, write environment/ordesr)`}},
		{"the Pod's template", workloads(deployment("web", "x"), "  annotations:\n    schemawave.dev/wait-for: x\n", "", "    metadata: {", "    metadata:\n      annotations: {schemawave.dev/wait-for: orders}\n      labels: {", "labels: {labels: {app: web}}", "labels: {app: web}"), []string{
			`overlay/web.yaml:9: schemawave.dev/wait-for of Deployment web: the annotation is on the Pod's template (put it on the Deployment's own metadata)`}},
		{"an object without Pods", workloads("apiVersion: v1\nkind: Service\nmetadata: {name: web, annotations: {schemawave.dev/wait-for: orders}}\n"), []string{
			`overlay/web.yaml:3: schemawave.dev/wait-for of Service web: it has no Pods of its own to hold back (annotate the Deployment, StatefulSet, DaemonSet, Job, CronJob or Rollout that has)`}},
		{"a gate made by hand", workloads(deployment("web", "orders@7"), "      containers:", "      initContainers: [{name: wait-for-schema, image: x, args: [wait, production/orders@6]}]\n      containers:"), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: the init container wait-for-schema is there already, and waits for something else (remove it, for the annotation makes one; if an overlay within this one made it, render that first)`}},
		{"a way to wait that is none", workloads(deployment("web", "orders@7"), "spec:", "    schemawave.dev/wait-by: schedulinggate\nspec:"), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: schemawave.dev/wait-by is "schedulinggate", which is no way to wait (write initContainer or schedulingGate)`}},
		{"a Pod that Argo CD would gate again", workloads("apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {schemawave.dev/wait-for: orders, schemawave.dev/wait-by: schedulingGate}}\nspec: {containers: [{name: web, image: x}]}\n"), []string{
			`overlay/web.yaml:3: schemawave.dev/wait-for of Pod web: a Pod that is declared itself cannot wait by a scheduling gate, for the next sync would put it back (make a Deployment or a Job of it, or leave schemawave.dev/wait-by out)`}},
		{"a scheduling gate made by hand", workloads(deployment("web", "orders@7"), "spec:", "    schemawave.dev/wait-by: schedulingGate\nspec:",
			"labels: {app: web}}\n    spec:", "labels: {app: web, schemawave.dev/gated: 'true'}, annotations: {schemawave.dev/gate: production/orders@6}}\n    spec:\n      schedulingGates: [{name: schemawave.dev/schema}]"), []string{
			`overlay/web.yaml:6: schemawave.dev/wait-for of Deployment web: the scheduling gate schemawave.dev/schema is there already, and waits for something else (remove it, for the annotation makes one; if an overlay within this one made it, render that first)`}},
		{"scheduling gates for names that one pattern fits", with(map[string]string{}, "overlay/kustomization.yaml",
			"namespace: production\nnamePrefix: eu-\nresources: [web.yaml]\n", "overlay/web.yaml", strings.Replace(deployment("web", "orders"), "spec:", "    schemawave.dev/wait-by: schedulingGate\nspec:", 1)+
				"---\n"+strings.Replace(deployment("eu-web", "x"), "  annotations:\n    schemawave.dev/wait-for: x\n", "", 1)), []string{
			`overlay/kustomization.yaml: Deployment eu-eu-web: its scheduling gates, or its Pods' labels and annotations, do not come out of the overlay as they should (give each workload a name of its own, and let no transformer change what holds Pods back after schemawave/gates.yaml)`}},
		{"an annotation from a base", with(map[string]string{"overlay/kustomization.yaml": "namespace: production\nresources: [../base]\n"},
			"base/kustomization.yaml", "resources: [web.yaml]\n", "base/web.yaml", deployment("web", "a//b")), []string{
			`base/web.yaml:6: schemawave.dev/wait-for of Deployment web: "a//b" is not environment/database[@version], of which the first two are DNS labels ` + form}},
		{"an annotation by a patch", with(workloads(deployment("web", "x")), "overlay/kustomization.yaml",
			"namespace: production\nresources: [web.yaml]\npatches:\n- patch: '[{\"op\": \"replace\", \"path\": \"/metadata/annotations/schemawave.dev~1wait-for\", \"value\": \"a//b\"}]'\n  target: {kind: Deployment}\n"), []string{
			`overlay/kustomization.yaml:4: schemawave.dev/wait-for of Deployment web: "a//b" is not environment/database[@version], of which the first two are DNS labels ` + form}},
		{"an annotation that is put together", with(workloads(deployment("web", "a/X")), "overlay/kustomization.yaml",
			"namespace: production\nresources: [web.yaml]\nreplacements:\n- source: {kind: Deployment, fieldPath: spec.selector.matchLabels.app}\n  targets: [{select: {kind: Deployment}, fieldPaths: ['metadata.annotations.[schemawave.dev/wait-for]'], options: {delimiter: a, index: 0}}]\n"), []string{
			`overlay/kustomization.yaml: schemawave.dev/wait-for of Deployment web: "weba/X" is not environment/database[@version], of which the first two are DNS labels ` + form}},
		{"names that one pattern fits", with(workloads(deployment("web", "orders")+"---\n"+strings.Replace(deployment("eu-web", "x"), "  annotations:\n    schemawave.dev/wait-for: x\n", "", 1)),
			"overlay/kustomization.yaml", "namespace: production\nnamePrefix: eu-\nresources: [web.yaml]\n"), []string{
			`overlay/kustomization.yaml: Deployment eu-eu-web: its init containers do not come out of the overlay as they were (give each workload a name of its own, and let no transformer change what holds Pods back after schemawave/gates.yaml)`}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			_, err := renderTree(t, c.files)
			if err == nil {
				t.Fatal("not refused")
			}
			wantProblems(t, err, c.want...)
		})
	}
}

// gatesOf renders an overlay, writes the result, and returns the lines of its gates that say what they wait for.
func gatesOf(t *testing.T, root, overlay string) []string {
	t.Helper()
	if err := render(t, root, filepath.Join(root, overlay)).Write(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, overlay, "schemawave/gates.yaml"))
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "- ") && strings.Contains(line, "/") && !strings.Contains(line, "runner") {
			lines = append(lines, strings.TrimPrefix(line, "- "))
		}
	}
	return lines
}

func wantLines(t *testing.T, why string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", why, d)
	}
}

// TestGateGoes renders with an annotation and without, which leaves everything as it was before.
func TestGateGoes(t *testing.T) {
	root := t.TempDir()
	files := workloads(deployment("web", "orders@3"))
	writeTree(t, root, files)
	wantLines(t, "annotated", gatesOf(t, root, "overlay"), "production/orders@3")
	writeTree(t, root, map[string]string{"overlay/web.yaml": deployment("web", `""`)})
	wantLines(t, "no longer", gatesOf(t, root, "overlay"))
	files["overlay/web.yaml"] = deployment("web", `""`)
	if d := cmp.Diff(files, readTree(t, root)); d != "" {
		t.Errorf("left behind (-want +got):\n%s", d)
	}
	if _, err := os.Stat(filepath.Join(root, "overlay/schemawave")); err == nil {
		t.Error("an empty directory is left behind")
	}
}

// TestGateMoves keeps a gate without a version at the one that the overlay migrates to.
func TestGateMoves(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(repo(good, "  source:", "  environment: eu\n  source:"), "overlay/kustomization.yaml", "namespace: production\nresources: [web.yaml]\n"))
	writeTree(t, root, map[string]string{"overlay/web.yaml": deployment("web", "orders") + "---\n" + deployment("all", "eu/orders, stock")})
	wantLines(t, "before", gatesOf(t, root, "overlay"), "eu/orders", "production/stock", "eu/orders@2")
	writeTree(t, root, map[string]string{"migrations/0010_c.sql": "SELECT 3;\n"})
	wantLines(t, "after", gatesOf(t, root, "overlay"), "eu/orders", "production/stock", "eu/orders@10")
}

// TestAllAnnotated gives the annotation to everything, of which only the workloads make use: not the migration itself.
func TestAllAnnotated(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(repo(good), "overlay/kustomization.yaml",
		"namespace: production\nresources: [web.yaml]\ncommonAnnotations: {schemawave.dev/wait-for: orders}\n"))
	writeTree(t, root, map[string]string{"overlay/web.yaml": deployment("web", "x") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n"})
	wantLines(t, "gates", gatesOf(t, root, "overlay"), "production/orders@2")
}

// TestGateLatest waits for any version of a database of this overlay where the annotation says so.
func TestGateLatest(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(repo(good), "overlay/kustomization.yaml", "namespace: production\nresources: [web.yaml]\n", "overlay/web.yaml", deployment("web", "orders@latest")))
	wantLines(t, "gates", gatesOf(t, root, "overlay"), "production/orders")
}

// TestGateWithin leaves alone what an overlay within the overlay has gated, by whatever names.
func TestGateWithin(t *testing.T) {
	root := t.TempDir()
	files := with(repo(good, "  source:", "  environment: eu\n  source:"), "overlay/kustomization.yaml", "namespace: production\nresources: [web.yaml]\n")
	files["overlay/web.yaml"] = deployment("web", "eu/orders, eu/stock@7, eu/shops/a$b")
	files["all/kustomization.yaml"] = "namePrefix: all-\nresources: [../overlay]\n"
	writeTree(t, root, files)
	wantLines(t, "within", gatesOf(t, root, "overlay"), "eu/orders", "eu/stock@7", `"eu/shops/a$$b"`)
	if r := render(t, root, filepath.Join(root, "all")); r.Changed() {
		t.Errorf("around it:\n%s", r.Diff())
	}
}

// TestSchedulingGateWithin leaves alone a scheduling gate that an overlay within the overlay has made.
func TestSchedulingGateWithin(t *testing.T) {
	root := t.TempDir()
	files := workloads(deployment("web", "orders@3, eu/stock/a%2Fb"), "spec:", "    schemawave.dev/wait-by: schedulingGate\nspec:")
	files["all/kustomization.yaml"] = "namePrefix: all-\nresources: [../overlay]\n"
	writeTree(t, root, files)
	if err := render(t, root, filepath.Join(root, "overlay")).Write(); err != nil {
		t.Fatal(err)
	}
	gates, err := os.ReadFile(filepath.Join(root, "overlay/schemawave/gates.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "schemawave.dev/gate: production/orders@3,eu/stock/a%2Fb\n"; !strings.Contains(string(gates), want) {
		t.Errorf("%s is not in\n%s", want, gates)
	}
	if r := render(t, root, filepath.Join(root, "all")); r.Changed() {
		t.Errorf("around it:\n%s", r.Diff())
	}
}

// TestGateImage takes the runner from where the overlay's Jobs take it, be it said by the overlay or by a component of it.
func TestGateImage(t *testing.T) {
	const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	root := t.TempDir()
	writeTree(t, root, with(repo(good), "overlay/web.yaml", deployment("web", "orders"),
		"overlay/kustomization.yaml", "namespace: production\nresources: [web.yaml]\ncomponents: [../cluster]\nimages: [{name: mirror.example.com/runner, newTag: pinned}]\n",
		"cluster/kustomization.yaml", component+"components: [../mirror]\n",
		"mirror/kustomization.yaml", component+"images: [{name: ghcr.io/schemawave/schemawave-runner, newName: mirror.example.com/runner}]\n"))
	overlay := filepath.Join(root, "overlay")
	if err := render(t, root, overlay).Write(); err != nil {
		t.Fatal(err)
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "image: mirror.example.com/runner:pinned\n"); n != 2 {
		t.Errorf("%d of the Job and the gate run the mirrored runner:\n%s", n, out)
	}
}

// TestGatedOverlays finds the overlays of workloads that are annotated in a base, a component, or a patch, and not what they
// are made of.
func TestGatedOverlays(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{
		"base/kustomization.yaml":            "resources: [deploy/web.yaml]\n",
		"base/deploy/web.yaml":               deployment("web", "orders@1"),
		"eu/kustomization.yaml":              "namespace: eu\nresources: [../base]\n",
		"us/kustomization.yaml":              "namespace: us\nresources: [../base/]\n",
		"free/kustomization.yaml":            "namespace: us\nresources: [web.yaml]\n",
		"free/web.yaml":                      strings.Replace(deployment("web", "x"), "schemawave.dev/wait-for", "example.com/note", 1),
		"gated/kustomization.yaml":           "namespace: us\nresources: [../free]\ncomponents: [../component]\n",
		"component/kustomization.yaml":       "kind: Component\ncommonAnnotations: {schemawave.dev/wait-for: orders}\n",
		"unused/kustomization.yaml":          "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{patch: '[{op: add, path: /metadata/annotations/schemawave.dev~1wait-for, value: orders}]', target: {kind: Deployment}}]\n",
		"patched/kustomization.yaml":         "namespace: us\nresources: [../free]\npatches: [{path: wait.yaml}]\n",
		"patched/wait.yaml":                  deployment("web", "orders"),
		"json/kustomization.yaml":            "namespace: us\nresources: [../free]\npatches: [{path: wait.json, target: {kind: Deployment}}]\n",
		"json/wait.json":                     `[{"op": "add", "path": "/metadata/annotations/schemawave.dev~1wait-for", "value": "orders"}]`,
		"merged/kustomization.yaml":          "namespace: us\nresources: [../free]\npatches: [{path: ../patches/wait.json, target: {kind: Deployment}}]\n",
		"patches/wait.json":                  `{"kind": "Deployment", "metadata": {"name": "web", "annotations": {"schemawave.dev\/wait-for": "orders"}}}`,
		"notes/wait.yaml":                    deployment("web", "orders"),
		"apps/kustomization.yaml":            "namespace: prod\nresources: [ns.yaml]\n",
		"apps/ns.yaml":                       "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n",
		"apps/prod/kustomization.yaml":       "namespace: prod\nresources: [../../base]\n", // apps names it as its namespace alone
		"all-of-eu/kustomization.yaml":       "resources: [../migrating]\n",
		"migrating/kustomization.yaml":       "namespace: us\nresources: [../base]\n",
		"migrating/schema.yaml":              good,
		"leftover/kustomization.yaml":        "namespace: us\n",
		"leftover/schemawave/gates.yaml":     "# generated by schemawave; do not edit: change the SchemaMigration and run \"schemawave render\"\n",
		"elsewhere/docs/examples/wait.yaml":  deployment("web", "orders"),
		"elsewhere/docs/examples/other.yaml": "a: [\n",
	}
	writeTree(t, root, files)
	found, err := kustomize.Overlays(root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], root+"/")
	}
	wantLines(t, "overlays", found, "all-of-eu", "apps/prod", "eu", "gated", "json", "leftover", "merged", "migrating", "patched", "us")
}
