package kustomize_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/kustomize"
)

// fromImage is a declaration whose migrations are in an image.
const fromImage = `apiVersion: schemawave.dev/v1alpha1
kind: SchemaMigration
metadata:
  name: orders
spec:
  source:
    image: {name: app, path: /migrations}
  database:
    urlFrom: {secretKeyRef: {name: orders-db, key: url}}
`

var (
	jobName     = regexp.MustCompile(`(?m)^\+  name: (schema-orders-(?:image|tool)-[0-9a-f]{8})$`)
	markerImage = regexp.MustCompile(`(?m)^\+  image: (\S+)$`)
)

// jobAndImage returns the name of the Job and the image it is said to run.
func jobAndImage(t *testing.T, files map[string]string) (name, image string, r kustomize.Result) {
	t.Helper()
	r, err := renderTree(t, files)
	if err != nil {
		t.Fatal(err)
	}
	n, i := jobName.FindStringSubmatch(r.Diff()), markerImage.FindStringSubmatch(r.Diff())
	if n == nil || i == nil {
		t.Fatalf("no Job or no marker in\n%s", r.Diff())
	}
	return n[1], i[1], r
}

// TestResolved names the Job after the image that the overlay makes of the declared one, however it does.
func TestResolved(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	names := map[string]string{}
	for _, c := range []struct{ why, kustomization, want string }{
		{"nothing", "", "app"},
		{"a tag", "images: [{name: app, newTag: 1.4.2}]\n", "app:1.4.2"},
		{"another tag", "images: [{name: app, newTag: 1.4.3}]\n", "app:1.4.3"},
		{"another name", "images: [{name: app, newName: registry.example.com:5000/shop/app, newTag: \"1\"}]\n", "registry.example.com:5000/shop/app:1"},
		{"a digest", "images: [{name: app, digest: \"" + digest + "\"}]\n", "app@" + digest},
		{"two that follow each other", "images: [{name: app, newName: b}, {name: b, newTag: \"2\"}]\n", "b:2"},
		{"two that do not, being in the other order", "images: [{name: b, newName: c}, {name: app, newName: b, newTag: \"3\"}]\n", "b:3"},
		{"an image of somebody else", "images: [{name: other, newTag: \"1\"}]\n", "app"},
		{"a component", "components: [../component]\n", "app:from-component"},
		{"a base, whose images are for what it lists itself", "resources: [../base]\n", "app"},
		{"a patch", "patches:\n- target: {kind: Job}\n  patch: '[{\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"patched:1\"}]'\n", "patched:1"},
	} {
		files := with(repo(fromImage), "overlay/kustomization.yaml", "namespace: production\n"+c.kustomization)
		files["component/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages: [{name: app, newTag: from-component}]\n"
		files["base/kustomization.yaml"] = "images: [{name: app, newTag: from-base}]\n"
		name, image, _ := jobAndImage(t, files)
		if image != c.want {
			t.Errorf("%s: the Job is said to run %s, want %s", c.why, image, c.want)
		}
		if other, ok := names[name]; ok && other != image {
			t.Errorf("%s: %s and %s have the same Job", c.why, image, other)
		}
		names[name] = image
	}
}

// TestImageDependsOnName refuses an overlay that runs another image under the name that goes with the first.
func TestImageDependsOnName(t *testing.T) {
	name, _, _ := jobAndImage(t, repo(fromImage))
	_, err := renderTree(t, with(repo(fromImage), "overlay/kustomization.yaml",
		"namespace: production\npatches:\n- target: {kind: Job, name: "+name+"}\n  patch: '[{\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"other:1\"}]'\n"))
	if err == nil {
		t.Fatal("not refused")
	}
	wantProblems(t, err, `overlay/kustomization.yaml: overlay/schema.yaml:7: the overlay gives the Job the image other:1 or app, depending on its name (set the image in images, by the name of the image)`)
}

// TestTransformersStay renders twice, the second time with what the first has written in place.
func TestTransformersStay(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(repo(fromImage), "overlay/kustomization.yaml", "namespace: x\nnamePrefix: a-\nimages: [{name: app, newName: registry.example.com/app, newTag: \"1\"}]\n"))
	overlay := filepath.Join(root, "overlay")
	if err := render(t, root, overlay).Write(); err != nil {
		t.Fatal(err)
	}
	if again := render(t, root, overlay); again.Changed() {
		t.Errorf("a second render differs:\n%s", again.Diff())
	}
}

// TestMovingImages warns of what no commit will tell, by the line of the declaration.
func TestMovingImages(t *testing.T) {
	tool := strings.Replace(fromImage, "image: {name: app, path: /migrations}", "tool: {image: app:1, command: [a], history: laravel}", 1)
	for _, c := range []struct{ why, declaration, kustomization, want string }{
		{"no tag", fromImage, "", `overlay/schema.yaml:7: spec.source.image.name: app may be another image tomorrow, and no commit would tell (give every release a tag of its own, or name the digest)`},
		{"a tag by the overlay", fromImage, "images: [{name: app, newTag: \"1\"}]\n", ""},
		{"a branch by the overlay", tool, "images: [{name: app, newTag: main}]\n", `overlay/schema.yaml:7: spec.source.tool.image: app:main may be another image tomorrow, and no commit would tell (give every release a tag of its own, or name the digest)`},
		{"a tool's tag", tool, "", ""},
		{"a directory", good, "", ""},
	} {
		r, err := renderTree(t, with(repo(c.declaration), "overlay/kustomization.yaml", "namespace: x\n"+c.kustomization))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.Warnings(), "\n"); got != c.want {
			t.Errorf("%s: warnings %q, want %q", c.why, got, c.want)
		}
	}
}

// TestOverlayMayNotTakeTheRunner refuses overlays that would leave the image of the team without what runs in it.
func TestOverlayMayNotTakeTheRunner(t *testing.T) {
	for path, want := range map[string]string{
		"/spec/template/spec/initContainers":                      "changes the initContainer install of Job",
		"/spec/template/spec/volumes":                             "changes the volumes of Job",
		"/spec/template/spec/containers/0/command":                "changes the command of Job",
		"/spec/template/spec/containers/0/workingDir":             "changes the command of Job",
		"/metadata/annotations/schemawave.dev~1digest":            "changes the annotation schemawave.dev/digest of Job",
		"/spec/template/metadata/labels/schemawave.dev~1database": "changes the Pod's label schemawave.dev/database of Job",
	} {
		_, err := renderTree(t, with(repo(strings.Replace(fromImage, "image: {name: app, path: /migrations}", "tool: {image: app:1, command: [a], history: laravel, workingDir: /app}", 1)),
			"overlay/kustomization.yaml", "namespace: x\npatches:\n- target: {kind: Job}\n  patch: '[{\"op\": \"remove\", \"path\": \""+path+"\"}]'\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}
