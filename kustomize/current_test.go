package kustomize

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
)

// chance makes an overlay with a base and a component out of pieces of which most may be there or not: some that leave what is
// generated alone, some that change it, some that a build refuses.
type chance struct{ *rand.Rand }

// one picks one of several.
func (c chance) one(of ...string) string { return of[c.IntN(len(of))] }

// some picks each with a chance of one in n.
func (c chance) some(n int, of ...string) string {
	var b strings.Builder
	for _, s := range of {
		if c.IntN(n) == 0 {
			b.WriteString(s)
		}
	}
	return b.String()
}

// object is a resource of any kind that may matter, under a name that may.
func (c chance) object() string {
	kind := c.one("v1/ConfigMap", "v1/Secret", "v1/ServiceAccount", "apps/v1/Deployment", "apps/v1/Deployment", "batch/v1/Job", "v1/Service", "external-secrets.io/v1/ExternalSecret", "v1/ConfigMapList")
	i := strings.LastIndex(kind, "/")
	name := c.one("web", "shop", "orders-db", "db", "eu-orders-db", "orders-db-blue", "schema-orders", "runner")
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n%s%s", kind[:i], kind[i+1:], name,
		c.some(8, "  annotations: {schemawave.dev/wait-for: production/stock@1}\n", "  labels: {app: web}\n")+
			c.some(100, "  annotations: &a {argocd.argoproj.io/hook: PreSync}\n", "  annotations: {config.kubernetes.io/local-config: \"true\"}\n",
				"  annotations: {kustomize.config.k8s.io/needs-hash: \"true\"}\n", "  <<: {namespace: eu}\n", "  namespace: eu\n"),
		map[string]string{"Deployment": "spec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers: [{name: web, image: web}]\n",
			"ConfigMapList": "items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: orders-db}}]\n"}[kind[i+1:]])
}

func (c chance) objects() string {
	all := c.object()
	for c.IntN(3) == 0 {
		all += "---\n" + c.object()
	}
	return all
}

// transformers are what a kustomization may do to the objects it lists.
func (c chance) transformers() string {
	kind := c.one("Deployment", "Deployment", "Service", "Job", "Job", "ConfigMap", "Deploy.*|Job", ".*", "Secret")
	patches := c.some(12,
		"- target: {kind: "+kind+"}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/replicas\", \"value\": 3}]'\n",
		"- target: {kind: "+kind+"}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/suspend\", \"value\": true}]'\n") + c.some(20,
		"- target: {kind: "+kind+"}\n  patch: |\n    - {op: replace, path: "+c.one("/metadata/name, value: orders-db", "/kind, value: Secret", "/metadata/labels, value: {a: b}", "'', value: {}")+"}\n",
		"- target: {kind: "+kind+"}\n  patch: '[{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"schemawave.dev\\u002fwait-for\": \"production/stock\"}}]'\n",
		"- path: patch.yaml\n", "- path: patch.yaml\n  target: {kind: Deployment}\n",
		"- target: {kind: Deployment}\n  options: {allowNameChange: true}\n  path: patch.yaml\n",
		"- path: patch.yaml\n  patch: ''\n", "- target: {labelSelector: app=web}\n  path: patch.yaml\n", "- target: {kind: "+kind+", name: schema-.*}\n  path: patch.yaml\n",
		"- target: {kind: "+kind+"}\n  patch: '[{\"op\": \"move\", \"from\": \"/metadata/labels\", \"path\": \"/metadata/annotations\"}]'\n",
		"- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web, annotations: {schemawave.dev/wait-for: production/stock}}\n",
		"- patch: |-\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: orders-db}\n    $patch: delete\n")
	if patches != "" {
		patches = "patches:\n" + patches
	}
	generated := c.one("conf", "orders-db", "env-orders-db", "web")
	key := c.one("team", "team", "team", "app.kubernetes.io/managed-by", "schemawave.dev/database", "argocd.argoproj.io/hook")
	return patches + c.some(12, "namePrefix: eu-\n", "nameSuffix: -blue\n", "commonLabels: {"+key+": x}\n", "commonAnnotations: {"+key+": x}\n",
		"labels: [{pairs: {"+key+": x}, includeSelectors: true}]\n", "images: [{name: migrations, newTag: \"3\"}, {name: web, newTag: \"2\"}]\n",
		"configMapGenerator: [{name: "+c.one("conf", "orders-db")+", literals: [a=b]}]\n", "secretGenerator: [{name: "+c.one("orders-db", "db", "web")+", literals: [url=b]}]\n",
		"generatorOptions: {disableNameSuffixHash: true}\n", "replicas: [{name: web, count: 4}]\n") +
		c.some(60, "images: [{name: migrations, digest: sha256:0123456789012345678901234567890123456789012345678901234567890123}]\n",
			"images: [{name: migrations, newName: eu/migrations}, {name: eu/migrations, newTag: \"4\"}]\n",
			"configMapGenerator: [{name: "+generated+", envs: [a.env]}]\n", "secretGenerator: [{name: "+generated+", files: [url=a.env], options: {disableNameSuffixHash: true}}]\n",
			"secretGenerator: [{name: "+generated+", behavior: "+c.one("merge", "replace")+", literals: [a=b]}]\n",
			"generatorOptions: {labels: {"+key+": x}, annotations: {"+key+": y}}\n", "labels: [{pairs: {<<: {"+key+": x}}}]\n", "commonLabels: {a: &a b, c: *a}\n",
			"labels: [{pairs: {"+key+": x}, includeTemplates: true}]\n", "metadata: {name: x, annotations: {a: b}}\n") +
		c.some(200, "patchesJson6902: [{target: {version: v1, group: batch, kind: Job, name: web}, path: patch.yaml}]\n", "crds: [a.env]\n", "configurations: [configuration.yaml]\n",
			"vars: [{name: A, objref: {kind: Service, name: web, apiVersion: v1}}]\n", "transformers: [transformer.yaml]\n", "validators: [transformer.yaml]\n", "openapi: {path: schema.json}\n",
			"helmCharts: [{name: a}]\n", "namespace: eu\n", "Images: [{name: migrations, newTag: \"5\"}]\n", "resources: [objects.yaml]\n", "bases: [../further]\n") +
		c.some(200, "buildMetadata: [originAnnotations]\n", "sortOptions: {order: fifo}\n", "patchesStrategicMerge: [patch.yaml]\n",
			"labels: [{pairs: {a: b}, fields: [{path: spec/template/spec/restartPolicy, kind: Job}]}]\n",
			"replacements: [{source: {kind: Service, fieldPath: metadata.name}, targets: [{select: {kind: Job}, fieldPaths: [spec.template.spec.restartPolicy]}]}]\n")
}

// tree is a repository whose overlay lists what was generated for plain.
func (c chance) tree() map[string]string {
	kustomization := "namespace: " + c.one("production", "production", "eu") + "\nresources: [" + c.some(2, "../base, ") + c.some(3, "objects.yaml, ") + c.some(200, "nothing.yaml, ", "https://example.com/x.yaml, ") + "schemawave]\n" +
		c.some(4, "components: [../"+c.one("component", "component", "linked")+"]\n") + c.transformers()
	if c.IntN(12) == 0 {
		kustomization = strings.Replace(kustomization, "patches:", "Patches:", 1)
	}
	files := map[string]string{
		"overlay/kustomization.yaml":   kustomization,
		"overlay/objects.yaml":         c.objects(),
		"base/kustomization.yaml":      "resources: [objects.yaml" + c.some(4, ", ../"+c.one("further", "further", "links/base")) + "]\n" + c.transformers(),
		"base/objects.yaml":            c.objects(),
		"further/kustomization.yaml":   "resources: [objects.yaml]\n" + c.transformers(),
		"further/objects.yaml":         c.objects(),
		"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" + c.some(3, "resources: [objects.yaml]\n") + c.some(6, "components: [../inner]\n") + c.transformers(),
		"component/objects.yaml":       c.objects(),
		"inner/kustomization.yaml":     "kind: Component\n" + c.some(4, "resources: [objects.yaml]\n") + c.transformers(),
		"inner/objects.yaml":           c.objects(),
		"linked":                       "-> " + c.one("component", "inner"),
		"links":                        "-> " + c.one("deep", "deep/links"),
		"deep/base":                    "-> ../further",
		"deep/links/base":              "-> ../../further",
	}
	for _, dir := range []string{"overlay", "base", "further", "component", "inner"} {
		files[dir+"/a.env"] = "url=b\n"
		files[dir+"/configuration.yaml"] = "nameReference:\n- {kind: Secret, version: v1, fieldSpecs: [{kind: Job, path: spec/template/spec/containers/name}]}\nnamePrefix:\n- {path: metadata/name}\n"
		files[dir+"/schema.json"] = "{\"definitions\": {}}"
		files[dir+"/transformer.yaml"] = "apiVersion: builtin\nkind: " + c.one("PrefixTransformer\nmetadata: {name: a}\nprefix: t-\nfieldSpecs: [{path: metadata/name}]\n",
			"LabelTransformer\nmetadata: {name: a}\nlabels: {a: b}\nfieldSpecs: [{path: metadata/labels, create: true}]\n", "AnnotationsTransformer\nmetadata: {name: a}\nannotations: {schemawave.dev/wait-for: production/stock}\nfieldSpecs: [{path: metadata/annotations, create: true}]\n")
		files[dir+"/patch.yaml"] = c.one(
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n", "apiVersion: v1\nkind: Secret\nmetadata: {name: orders-db}\ndata: {}\n",
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\n$patch: delete\n",
			"apiVersion: batch/v1\nkind: Job\nmetadata: {name: web}\nspec: {suspend: true}\n", "spec: {suspend: true}\n", "metadata: {labels: {schemawave.dev/database: x}}\n",
			"- {op: replace, path: /metadata/name, value: orders-db}\n", "- {op: add, path: /metadata/annotations, value: {schemawave.dev/wait-for: production/stock}}\n")
	}
	for name, content := range files {
		switch {
		case strings.HasPrefix(content, "-> "):
		case c.IntN(30) == 0:
			files[name] = strings.ReplaceAll(content, "\n", "\r\n")
		case c.IntN(60) == 0:
			files[name] = "\ufeff" + content
		case c.IntN(60) == 0:
			files[name] = strings.TrimSuffix(content, "\n")
		case c.IntN(100) == 0:
			files[name] = "---\n" + content + "...\n"
		}
	}
	return files
}

// plain is the tree that files are generated for.
func plain(source string) map[string]string {
	return map[string]string{
		"overlay/kustomization.yaml": "namespace: production\n",
		"overlay/schema.yaml": "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: orders}\nspec:\n  source: " + source +
			"\n  environment: production\n  database: {urlFrom: {secretKeyRef: {name: orders-db, key: url}}}\n",
		"migrations/0001_a.sql": "SELECT 1;\n",
	}
}

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, is := strings.CutPrefix(content, "-> "); is {
			_ = os.Remove(file) // one to somewhere else
			if err := os.Symlink(to, file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	firstSeed = flag.Uint64("first-seed", 0, "from which on TestCurrent makes overlays")
	seeds     = flag.Uint64("seeds", 60, "how many overlays TestCurrent makes of each kind")
)

// TestCurrent changes what is around generated files at random, and holds what is said of them without a build against what is said
// with one: they are the same, except that only a build finds what is wrong elsewhere in the overlay.
func TestCurrent(t *testing.T) {
	command := krusty.MakeDefaultOptions()
	command.Reorder = krusty.ReorderOptionUnspecified
	count := map[string]int{}
	for i, source := range []string{
		"{directory: ../migrations}", "{image: {name: migrations:2, path: /migrations}}",
		"{tool: {image: migrations:2, command: [a], history: laravel}}\n  job: {spec: {template: {spec: {serviceAccountName: runner}}}}",
		"{directory: ../migrations}\n  hook: Sync", "{directory: ../migrations}\n  guard: job\n  dependsOn: [eu/stock]",
		"{directory: ../migrations}\n  dependsOn: [stock]\n  environment: production\n  database: {envFrom: [{configMapRef: {name: env-orders-db}}, {secretRef: {name: db}}]}\n---\n" +
			"apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: stock}\nspec:\n  source: {image: {name: web:1, path: /m}}",
	} {
		root := t.TempDir()
		overlay := filepath.Join(root, "overlay")
		write(t, root, plain(source))
		first, err := Render(context.Background(), overlay, Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Write(); err != nil {
			t.Fatal(err)
		}
		for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
			files := chance{rand.New(rand.NewPCG(seed, uint64(i)))}.tree()
			write(t, root, files)
			without, errWithout := Render(context.Background(), overlay, Options{Root: root})
			built, errBuilt := Render(context.Background(), overlay, Options{Root: root, Build: command})
			outcome := "current by a build"
			switch {
			case errBuilt != nil && errWithout == nil && !without.Changed() && strings.Contains(errBuilt.Error(), "kustomize cannot build"):
				outcome = "cannot be built elsewhere"
			case fmt.Sprint(errBuilt) != fmt.Sprint(errWithout) || !cmp.Equal(built.Files, without.Files):
				t.Errorf("seed %d of source %s\nwithout a build: %v %s\nwith one:        %v %s\noverlay: %s", seed, source, errWithout, without.Diff(), errBuilt, built.Diff(), files["overlay/kustomization.yaml"])
			case errBuilt != nil:
				outcome = "refused"
			case built.Changed():
				outcome = "stale"
			case unbuilt(t, root, overlay):
				outcome = "current without a build"
			}
			count[outcome]++
		}
	}
	t.Log(count)
	for _, outcome := range []string{"current without a build", "current by a build", "cannot be built elsewhere", "refused", "stale"} {
		if count[outcome] < 2 {
			t.Errorf("%s only %d times", outcome, count[outcome])
		}
	}
}

// unbuilt reports whether the surroundings of an overlay can be read without a build, and meet nothing.
func unbuilt(t *testing.T, root, overlay string) bool {
	t.Helper()
	r, err := open(root, overlay)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k, err := r.kustomization()
	if err != nil {
		t.Fatal(err)
	}
	declarations, err := r.declarations(k)
	if err != nil {
		t.Fatal(err)
	}
	found, err := r.generated()
	if err != nil {
		t.Fatal(err)
	}
	w := &work{repository: r, pass: &Pass{Options: Options{Root: root}}, kustomization: k}
	if err := w.load(context.Background(), declarations); err != nil {
		t.Fatal(err)
	}
	w.expectImages()
	current, err := w.current(found)
	if err != nil {
		t.Fatal(err)
	}
	return current
}
