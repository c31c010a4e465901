package kustomize_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/kustomize"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestConcurrent renders overlays of all kinds at once, some of which make kustomize load its schema, and wants the same as
// one after the other.
func TestConcurrent(t *testing.T) {
	root := t.TempDir()
	want := map[string]string{}
	var all []string
	for i := range 8 {
		files := repo(good, "name: orders\n", fmt.Sprintf("name: orders-%d\n", i))
		if i%2 == 0 {
			files["overlay/kustomization.yaml"] = "namespace: x\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: a}\n    data: {b: c}\nconfigMapGenerator: [{name: a, literals: [d=e]}]\n"
		}
		dir := filepath.Join(root, fmt.Sprint(i))
		writeTree(t, dir, files)
		all = append(all, filepath.Join(dir, "overlay"))
		collect(want, render(t, root, all[i]))
	}
	var (
		group sync.WaitGroup
		lock  sync.Mutex
	)
	for range 4 {
		for _, overlay := range all {
			group.Go(func() {
				result, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root})
				if err != nil {
					t.Error(err)
					return
				}
				got := map[string]string{}
				collect(got, result)
				lock.Lock()
				defer lock.Unlock()
				for name, content := range got {
					if want[name] != content {
						t.Errorf("%s differs:\n%s", name, cmp.Diff(want[name], content))
					}
				}
			})
		}
	}
	group.Wait()
}

// TestOwnSchema renders overlays with an OpenAPI schema of their own beside others without, at once: kustomize keeps one for
// the whole process. With the schema the patch merges the list by key, without it replaces it, also afterwards.
func TestOwnSchema(t *testing.T) {
	const crd = `{"definitions": {"v1.Shop": {"properties": {"items": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"}},
		"x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Shop", "version": "v1"}]}}}`
	const shop = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {name: a}\nitems: [{name: one, size: 1}, {name: two}]\n"
	const plain = "namespace: x\nresources: [shop.yaml]\npatches:\n- patch: |-\n    apiVersion: example.com/v1\n    kind: Shop\n    metadata: {name: a}\n    items: [{name: one, size: 2}]\n"
	root := t.TempDir()
	var group sync.WaitGroup
	for i := range 12 {
		kustomization := plain
		if i%3 == 0 {
			kustomization += "openapi: {path: schema.json}\n"
		}
		dir := filepath.Join(root, fmt.Sprint(i))
		writeTree(t, dir, with(with(with(repo(good), "overlay/kustomization.yaml", kustomization), "overlay/shop.yaml", shop), "overlay/schema.json", crd))
		group.Go(func() {
			for range 3 {
				if _, err := kustomize.Render(context.Background(), filepath.Join(dir, "overlay"), kustomize.Options{Root: root}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "1/overlay"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := m.AsYaml(); err != nil || bytes.Contains(out, []byte("name: two")) {
		t.Errorf("the schema of one overlay decides about another: %v\n%s", err, out)
	}
}

// TestDeterministic renders the same repository in two places, by different ways to name it, and wants the same bytes.
func TestDeterministic(t *testing.T) {
	files := repo(good, "    urlFrom:", "    env: [{name: B, value: b}, {name: A, value: a}]\n    urlFrom:")
	for i := range 20 {
		files[fmt.Sprintf("migrations/%04d_x.sql", i+3)] = fmt.Sprintf("SELECT %d;\n", i)
	}
	results := make([]map[string]string, 3)
	for i := range results {
		root := t.TempDir()
		writeTree(t, root, files)
		overlay := filepath.Join(root, "overlay")
		opts := kustomize.Options{Root: root}
		switch i {
		case 1: // the repository is found by its .git
			writeTree(t, root, map[string]string{".git/HEAD": "ref: refs/heads/main\n"})
			opts.Root = ""
		case 2: // through a link to the overlay
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(overlay, link); err != nil {
				t.Fatal(err)
			}
			overlay = link
		}
		result, err := kustomize.Render(context.Background(), overlay, opts)
		if err != nil {
			t.Fatal(err)
		}
		results[i] = map[string]string{}
		collect(results[i], result)
		if d := cmp.Diff(results[0], results[i]); d != "" {
			t.Errorf("render %d differs:\n%s", i, d)
		}
	}
}

// TestManyFiles carries many files in bundles through the real command: what comes out is the directory that went in.
func TestManyFiles(t *testing.T) {
	command := kustomizeCommand(t, "kustomize")
	for name, c := range map[string]struct {
		sql   string
		items int // ConfigMaps
	}{
		"text":       {"CREATE TABLE t%d ();\r\n", 1},
		"compressed": {"CREATE TABLE t%d ();" + strings.Repeat(" -- straße\n", 300), 2},
	} {
		t.Run(name, func(t *testing.T) {
			files, dir := repo(good), fstest.MapFS{}
			for i := range 1500 {
				file := fmt.Sprintf("%05d_t.sql", i+10)
				files["migrations/"+file] = fmt.Sprintf(c.sql, i)
			}
			for path, content := range files {
				if file, ok := strings.CutPrefix(path, "migrations/"); ok {
					dir[file] = &fstest.MapFile{Data: []byte(content)}
				}
			}
			root := t.TempDir()
			writeTree(t, root, files)
			overlay := filepath.Join(root, "overlay")
			if err := render(t, root, overlay).Write(); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(command, "build", overlay).Output()
			if err != nil {
				t.Fatal(err)
			}
			mounted := fstest.MapFS{}
			for doc := range strings.SplitSeq(string(out), "\n---\n") {
				var cm corev1.ConfigMap
				if err := yaml.Unmarshal([]byte(doc), &cm); err != nil || cm.Labels[manifests.LabelComponent] != string(manifests.ComponentSQL) {
					continue
				}
				for key, text := range cm.Data {
					mounted[cm.Name+key] = &fstest.MapFile{Data: []byte(text)}
				}
				for key, content := range cm.BinaryData {
					mounted[cm.Name+key] = &fstest.MapFile{Data: content}
				}
			}
			if len(mounted) != c.items {
				t.Errorf("%d ConfigMaps, want %d", len(mounted), c.items)
			}
			want, err := migrations.Read(dir, migrations.LayoutAuto)
			if err != nil {
				t.Fatal(err)
			}
			got, err := migrations.ReadBundles(mounted, migrations.LayoutAuto)
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Errorf("%v\n%s", err, d)
			}
		})
	}
}

// TestImage takes the runner from elsewhere.
func TestImage(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, repo(good))
	result, err := kustomize.Render(context.Background(), filepath.Join(root, "overlay"), kustomize.Options{Root: root, Image: "mirror.example.com/runner:7"})
	if err != nil || !strings.Contains(result.Diff(), "image: mirror.example.com/runner:7\n") {
		t.Errorf("%v\n%s", err, result.Diff())
	}
}

// TestBuildOptions builds as Argo CD is told to.
func TestBuildOptions(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(with(repo(good), "overlay/kustomization.yaml", "namespace: x\nresources: [../shared.yaml]\n"), "shared.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"))
	overlay := filepath.Join(root, "overlay")
	if _, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root}); err == nil {
		t.Error("a file outside of the overlay is read by default")
	}
	build := krusty.MakeDefaultOptions()
	build.LoadRestrictions = types.LoadRestrictionsNone
	if _, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root, Build: build}); err != nil {
		t.Error(err)
	}
}

func TestNotAnOverlay(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	for overlay, why := range map[string]string{
		filepath.Join(root, "nowhere"): "no such file or directory",
		other:                          "outside of the repository",
	} {
		if _, err := kustomize.Render(context.Background(), overlay, kustomize.Options{Root: root}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: error %v, want %s", overlay, err, why)
		}
	}
	if _, err := kustomize.Render(context.Background(), other, kustomize.Options{}); err == nil || !strings.Contains(err.Error(), "no git repository around") {
		t.Errorf("error %v", err)
	}
}

func TestCancelled(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, repo(good))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := kustomize.Render(ctx, filepath.Join(root, "overlay"), kustomize.Options{Root: root}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestComponent renders a declaration in a component, which overlays include.
func TestComponent(t *testing.T) {
	_, err := renderTree(t, with(repo(good), "overlay/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamespace: x\n"))
	if err != nil {
		t.Error(err)
	}
}

// TestExample renders the repository's example.
func TestExample(t *testing.T) {
	root := copyTree(t, "../examples/shop")
	for _, overlay := range overlays(t, root) {
		if !render(t, root, overlay).Changed() {
			t.Errorf("%s: nothing to render", overlay)
		}
	}
}
