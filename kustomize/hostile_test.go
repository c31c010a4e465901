package kustomize_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/schemawave/schemawave/kustomize"
)

// bomb is YAML of some hundred bytes that stands for 10⁹ scalars.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: &a [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 'b'; i <= 'i'; i++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", i, i, strings.TrimSuffix(strings.Repeat("*"+string(i-1)+", ", 10), ", "))
	}
	return b.String()
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}

// chain is an overlay from which 2ⁿ inclusions lead to one directory.
func chain(n int, field, head string) map[string]string {
	files := map[string]string{"overlay/kustomization.yaml": fmt.Sprintf("namespace: production\n%s: [../c0, ../c0]\n", strings.ToLower(field))}
	for i := range n {
		files[fmt.Sprintf("c%d/kustomization.yaml", i)] = fmt.Sprintf("%s%s: [../c%d, ../c%d/]\n", head, field, i+1, i+1)
	}
	files[fmt.Sprintf("c%d/kustomization.yaml", n)] = head + "labels: [{pairs: {a: b}}]\n"
	return files
}

// line is an overlay that leads to n directories, one after the other.
func line(n int) map[string]string {
	files := map[string]string{"overlay/kustomization.yaml": "namespace: production\nresources: [../c0]\n"}
	for i := range n {
		files[fmt.Sprintf("c%d/kustomization.yaml", i)] = fmt.Sprintf("resources: [../c%d]\n", i+1)
	}
	return files
}

// TestHostile renders repositories that somebody made to do harm. Each is refused with the file it is about, what is wrong and a
// remedy, in a bounded time and with bounded memory, and nothing outside of it is read, written, run or asked.
func TestHostile(t *testing.T) {
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	asked := make(chan struct{}, 100)
	go func() {
		for {
			c, err := peer.Accept()
			if err != nil {
				return
			}
			asked <- struct{}{}
			c.Close()
		}
	}()
	remote := peer.Addr().String()
	configMap := func(data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n" + indent(data)
	}
	kustomization := "namespace: production\n"
	big := strings.Repeat("# padding, of which there is a great deal in here\n", 100<<20/50)
	for _, c := range []struct {
		why   string
		files map[string]string // over those of every case
		want  string            // of the error
	}{
		{"a bomb in a declaration", map[string]string{"overlay/schema.yaml": good + "  job:\n    spec:\n" + strings.ReplaceAll(indent(indent(indent(bomb()))), "\n", "\n")}, "overlay/schema.yaml"},
		{"a bomb in a kustomization", map[string]string{"overlay/kustomization.yaml": kustomization + bomb()}, "overlay/kustomization.yaml"},
		{"a bomb in a resource", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [a.yaml]\n", "overlay/a.yaml": configMap(bomb())}, "overlay/a.yaml"},
		{"a bomb in a base", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap(bomb())}, "base/a.yaml"},
		{"a bomb in a patch", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [a.yaml]\npatches: [{path: p.yaml}]\n", "overlay/a.yaml": configMap("a: b\n"), "overlay/p.yaml": configMap(bomb())}, "overlay/p.yaml"},
		{"a deep declaration", map[string]string{"overlay/schema.yaml": good + "  job: " + strings.Repeat("[", 50000) + strings.Repeat("]", 50000) + "\n"}, "overlay/schema.yaml"},
		{"a deep resource", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [a.yaml]\n", "overlay/a.yaml": configMap("a: " + strings.Repeat("[", 50000) + strings.Repeat("]", 50000))}, "a.yaml"},
		{"a large file beside the kustomization", map[string]string{"overlay/big.yaml": big}, "overlay/big.yaml"},
		{"a large declaration", map[string]string{"overlay/schema.yaml": good + big}, "overlay/schema.yaml"},
		{"a large kustomization", map[string]string{"overlay/kustomization.yaml": kustomization + big}, "overlay/kustomization.yaml"},
		{"a large resource of a base", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": big}, "base/a.yaml"},
		{"a large migration", map[string]string{"migrations/0003_c.sql": big}, "migrations/0003_c.sql: holds 104857600 bytes, more than the 16777216 that are read of a file (divide it"},
		{"a remote base", map[string]string{"overlay/kustomization.yaml": kustomization + "resources:\n- https://" + remote + "/org/repo//path?ref=v1\n"}, "overlay/kustomization.yaml:3: "},
		{"a remote base by SSH", map[string]string{"overlay/kustomization.yaml": kustomization + "resources:\n- ssh://git@" + remote + "/org/repo\n"}, "overlay/kustomization.yaml:3: "},
		{"a repository elsewhere on the disk", map[string]string{"overlay/kustomization.yaml": kustomization + "resources:\n- file:///tmp/repo\n"}, "overlay/kustomization.yaml:3: "},
		{"a remote file", map[string]string{"overlay/kustomization.yaml": kustomization + "resources:\n- http://" + remote + "/a.yaml\n"}, "overlay/kustomization.yaml:3: "},
		{"a remote base of a base", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "components:\n- https://" + remote + "/org/repo\n"}, "base/kustomization.yaml:2: "},
		{"a remote base in capitals, of a base", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "Resources:\n- http://" + remote + "/a.yaml\n"}, "base/kustomization.yaml:2: "},
		{"a remote base by an alias", map[string]string{"overlay/kustomization.yaml": kustomization + "metadata: {annotations: {a: &a 'http://" + remote + "/a.yaml'}}\nresources: [*a]\n"}, "overlay/kustomization.yaml:2: "},
		{"a remote base that is merged in", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "<<: {resources: ['http://" + remote + "/a.yaml']}\n"}, "base/kustomization.yaml:1: "},
		{"a remote base before another document", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "resources: ['http://" + remote + "/a.yaml']\n---\na: b\n"}, "base/kustomization.yaml:1: "},
		{"a remote base in base64", map[string]string{"overlay/kustomization.yaml": kustomization + "resources:\n- !!binary " + base64.StdEncoding.EncodeToString([]byte("http://"+remote+"/a.yaml")) + "\n"}, "overlay/kustomization.yaml:3: "},
		{"a transformer of a remote patch", map[string]string{"overlay/kustomization.yaml": kustomization + "transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: a}\n  path: http://" + remote + "/p.yaml\n"}, "overlay/kustomization.yaml:3: "},
		{"a generator's file of remote content", map[string]string{"overlay/kustomization.yaml": kustomization + "generators: [f.yaml]\n",
			"overlay/f.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: ['a=http://" + remote + "/a']\n"}, "overlay/f.yaml:4: "},
		{"a remote patch", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [a.yaml]\npatches:\n- path: http://" + remote + "/p.yaml\n", "overlay/a.yaml": configMap("a: b\n")}, "overlay/kustomization.yaml:4: "},
		{"a generator of remote content", map[string]string{"overlay/kustomization.yaml": kustomization + "configMapGenerator:\n- name: a\n  files: [a=http://" + remote + "/a]\n"}, "overlay/kustomization.yaml:4: "},
		{"a function", map[string]string{"overlay/kustomization.yaml": kustomization + "generators: [f.yaml]\n",
			"overlay/f.yaml": "apiVersion: example.com/v1\nkind: F\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}\n",
			"overlay/run.sh": "#!/bin/sh\ntouch OUTSIDE/ran\n"}, "overlay/kustomization.yaml"},
		{"a chart", map[string]string{"overlay/kustomization.yaml": kustomization + "helmCharts: [{name: a, repo: 'http://" + remote + "'}]\n"}, "overlay/kustomization.yaml"},
		{"components of which each has the next one twice", chain(30, "components", "kind: Component\n"), "c20/kustomization.yaml:2: components: ../c21/: a build would load more than 2000 kustomizations"},
		{"bases of which each has the next one twice", chain(30, "resources", ""), "/kustomization.yaml:1: resources: ../c"},
		{"transformers of which each has the next one twice", chain(30, "transformers", ""), "/kustomization.yaml:1: transformers: ../c"},
		{"bases by an alias, and in capitals", chain(30, "RESOURCES", "metadata: {annotations: &a {a: b}}\n"), "/kustomization.yaml:2: RESOURCES: ../c"},
		{"a chain of bases without end", line(2100), "/kustomization.yaml:1: resources: ../c2000: a build would load more than 2000 kustomizations"},
		{"a patch that is met a thousand times", map[string]string{"overlay/kustomization.yaml": kustomization + "components: [" + strings.Repeat("../c, ", 1000) + "../c]\n", "overlay/schema.yaml": good,
			"c/kustomization.yaml": "kind: Component\npatches: [{path: p.yaml, target: {kind: Deployment}}]\n", "c/p.yaml": strings.Repeat("# padding\n", 10000)}, "overlay/kustomization.yaml:2: components: ../c: a build would load more than 64 MiB"},
		{"a circle of bases", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [../base]\n", "base/kustomization.yaml": "resources: [../overlay]\n"}, "overlay/kustomization.yaml"},
		{"a component of itself", map[string]string{"overlay/kustomization.yaml": kustomization + "components: [.]\n", "overlay/schema.yaml": strings.Replace(good, "directory: ../migrations", "image: {name: 'a:1', path: /m}", 1)}, "overlay/kustomization.yaml"},
		{"a generator that reads outside", map[string]string{"overlay/kustomization.yaml": kustomization + "configMapGenerator: [{name: a, files: [OUTSIDE/secret]}]\n"}, "overlay/kustomization.yaml"},
		{"a resource outside", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [OUTSIDE/secret]\n"}, "overlay/kustomization.yaml"},
		{"a base outside", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [OUTSIDE]\n"}, "overlay/kustomization.yaml"},
		{"a base outside, by a relative path", map[string]string{"overlay/kustomization.yaml": kustomization + "resources: [RELATIVE]\n"}, "overlay/kustomization.yaml:2: resources: RELATIVE is outside of the repository"},
		{"migrations outside", map[string]string{"overlay/schema.yaml": strings.Replace(good, "../migrations", "../../../../../../../../etc", 1)}, "overlay/schema.yaml"},
		{"migrations at an absolute path", map[string]string{"overlay/schema.yaml": strings.Replace(good, "../migrations", "/etc", 1)}, "overlay/schema.yaml"},
		{"a name that is a wildcard", map[string]string{"overlay/schema.yaml": strings.Replace(good, "name: orders", "name: 'orders.*.>'", 1)}, "overlay/schema.yaml:4: metadata.name"},
		{"a name that is a path", map[string]string{"overlay/schema.yaml": strings.Replace(good, "name: orders", "name: ../../orders", 1)}, "overlay/schema.yaml:4: metadata.name"},
		{"a name that is too long", map[string]string{"overlay/schema.yaml": strings.Replace(good, "name: orders", "name: "+strings.Repeat("o", 300), 1)}, "overlay/schema.yaml:4: metadata.name"},
		{"a name in other letters", map[string]string{"overlay/schema.yaml": strings.Replace(good, "name: orders", "name: bеstellungen", 1)}, "overlay/schema.yaml:4: metadata.name"},
		{"an environment that is a wildcard", map[string]string{"overlay/schema.yaml": good + "  environment: '>'\n"}, "overlay/schema.yaml:12: spec.environment"},
		{"a zero byte", map[string]string{"overlay/schema.yaml": good + "  target: \"1\x00\"\n"}, "overlay/schema.yaml"},
		{"text that is not UTF-8", map[string]string{"overlay/schema.yaml": good + "  target: \"1\xff\"\n"}, "overlay/schema.yaml"},
		{"a migration that is not UTF-8", map[string]string{"migrations/0003_c.sql": "SELECT '\xff\xfe';\n"}, "migrations/0003_c.sql"},
	} {
		t.Run(c.why, func(t *testing.T) {
			outside, root := t.TempDir(), t.TempDir()
			writeTree(t, outside, map[string]string{"secret": "apiVersion: v1\nkind: Confidential\n", "kustomization.yaml": "resources: [secret]\n"})
			relative, err := filepath.Rel(filepath.Join(root, "overlay"), outside)
			if err != nil {
				t.Fatal(err)
			}
			places := strings.NewReplacer("OUTSIDE", outside, "RELATIVE", relative)
			files := repo(good)
			for name, content := range c.files {
				files[name] = places.Replace(content)
			}
			want := places.Replace(c.want)
			writeTree(t, root, files)
			if err := os.Chmod(filepath.Join(root, "overlay/run.sh"), 0o755); err != nil && files["overlay/run.sh"] != "" {
				t.Fatal(err)
			}
			before := readTree(t, root)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var start, end runtime.MemStats
			runtime.ReadMemStats(&start)
			_, err = kustomize.Render(ctx, filepath.Join(root, "overlay"), kustomize.Options{Root: root})
			runtime.ReadMemStats(&end)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), ")") {
				t.Errorf("error %.1000v\nwant %q in it, and a remedy at its end", err, want)
			}
			if err != nil && (strings.Contains(err.Error(), "Confidential") || len(err.Error()) > 4000) {
				t.Errorf("the error tells what it should not, or too much: %.5000v", err)
			}
			// A bomb takes gigabytes. The race detector has pools forget a part of what they hold, which then counts twice.
			if n := (end.TotalAlloc - start.TotalAlloc) >> 20; n > 200 {
				t.Errorf("%d MiB were allocated", n)
			}
			if after := readTree(t, root); len(after) != len(before) {
				t.Errorf("the repository has %d files, it had %d", len(after), len(before))
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 2 {
				t.Errorf("outside of it are now %v (%v)", entries, err)
			}
			if len(asked) > 0 {
				t.Error("a server was asked")
				<-asked
			}
		})
	}
}

// TestOutside has overlays led out of the repository, to what could be built: the clone of another repository with its Secrets.
func TestOutside(t *testing.T) {
	unrestricted := krusty.MakeDefaultOptions()
	unrestricted.LoadRestrictions = types.LoadRestrictionsNone
	const refused = " is outside of the repository (copy it into this repository, and name it by a path that no symbolic link leads out of)"
	for _, c := range []struct {
		why   string
		build *krusty.Options
		files map[string]string // over those of every case
		links map[string]string
		want  string
	}{
		{"a base", nil, map[string]string{"overlay/kustomization.yaml": "resources:\n- ../../theirs\n"}, nil,
			"overlay/kustomization.yaml:2: resources: ../../theirs" + refused},
		{"a base that is not there", nil, map[string]string{"overlay/kustomization.yaml": "resources:\n- ../../none\n"}, nil,
			"overlay/kustomization.yaml:2: resources: ../../none" + refused},
		{"a base that is where the repository's name begins", nil, map[string]string{"overlay/kustomization.yaml": "resources:\n- ../../ours-too\n"}, nil,
			"overlay/kustomization.yaml:2: resources: ../../ours-too" + refused},
		{"a component of a base", nil, map[string]string{"overlay/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "kind: Kustomization\ncomponents: [../../theirs/component]\n"}, nil,
			"base/kustomization.yaml:2: components: ../../theirs/component" + refused},
		{"a base by a link", nil, map[string]string{"overlay/kustomization.yaml": "resources: [../base]\n"}, map[string]string{"base": "../theirs"},
			"overlay/kustomization.yaml:1: resources: ../base" + refused},
		{"a base below a link", nil, map[string]string{"overlay/kustomization.yaml": "resources: [../base/theirs]\n"}, map[string]string{"base": ".."},
			"overlay/kustomization.yaml:1: resources: ../base/theirs" + refused},
		{"a base by a link to nothing", nil, map[string]string{"overlay/kustomization.yaml": "resources: [../base]\n"}, map[string]string{"base": "../none"},
			"overlay/kustomization.yaml:1: resources: ../base" + refused},
		{"a base's kustomization by a link", nil, map[string]string{"overlay/kustomization.yaml": "resources: [../base]\n", "base/note": ""}, map[string]string{"base/kustomization.yaml": "../../theirs/kustomization.yaml"},
			"overlay/kustomization.yaml: base/kustomization.yaml" + refused},
		{"a file", unrestricted, map[string]string{"overlay/kustomization.yaml": "resources: [../../theirs/secret.yaml]\n"}, nil,
			"overlay/kustomization.yaml:1: resources: ../../theirs/secret.yaml" + refused},
		{"a generator's file", unrestricted, map[string]string{"overlay/kustomization.yaml": "configMapGenerator:\n- name: a\n  files: [a=../../theirs/secret.yaml]\n"}, nil,
			"overlay/kustomization.yaml:3: configMapGenerator: a=../../theirs/secret.yaml" + refused},
		{"a file by a link", unrestricted, map[string]string{"overlay/kustomization.yaml": "resources: [../base/secret.yaml]\n", "base/note": ""}, map[string]string{"base/secret.yaml": "../../theirs/secret.yaml"},
			"overlay/kustomization.yaml:1: resources: ../base/secret.yaml" + refused},
	} {
		t.Run(c.why, func(t *testing.T) {
			dir := t.TempDir()
			theirs := map[string]string{"secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: theirs}\nstringData: {a: confidential}\n",
				"kustomization.yaml": "resources: [secret.yaml]\n", "component/kustomization.yaml": "kind: Component\nconfigMapGenerator: [{name: a, literals: [a=confidential]}]\n"}
			root := filepath.Join(dir, "ours")
			writeTree(t, filepath.Join(dir, "theirs"), theirs)
			writeTree(t, filepath.Join(dir, "ours-too"), theirs)
			files := repo(good)
			maps.Copy(files, c.files)
			files["overlay/kustomization.yaml"] = c.files["overlay/kustomization.yaml"] + "namespace: production\n"
			writeTree(t, root, files)
			for link, target := range c.links {
				if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
					t.Fatal(err)
				}
			}
			result, err := kustomize.Render(t.Context(), filepath.Join(root, "overlay"), kustomize.Options{Root: root, Build: c.build, Yield: true})
			if err == nil {
				yields, _ := result.YAML()
				t.Fatalf("it yields %s", yields)
			}
			if !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("error %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestLinkedBaseWithin builds from a base by a symbolic link that stays in the repository.
func TestLinkedBaseWithin(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, with(repo(good), "overlay/kustomization.yaml", "namespace: production\nresources: [../link/base]\n",
		"bases/base/kustomization.yaml", "configMapGenerator: [{name: linked, literals: [a=b]}]\n"))
	if err := os.Symlink("bases", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	result, err := kustomize.Render(t.Context(), filepath.Join(root, "overlay"), kustomize.Options{Root: root, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	if yields, err := result.YAML(); err != nil || !strings.Contains(string(yields), "name: linked") {
		t.Errorf("it yields %s (%v)", yields, err)
	}
}

// TestRemoteIsFetchedWhenAsked has kustomize try, and be refused the connection.
func TestRemoteIsFetchedWhenAsked(t *testing.T) {
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	asked := make(chan struct{})
	go func() {
		if c, err := peer.Accept(); err == nil {
			c.Close()
			close(asked)
		}
	}()
	root := t.TempDir()
	files := repo(good)
	files["overlay/kustomization.yaml"] = "namespace: production\nresources:\n- http://" + peer.Addr().String() + "/a.yaml\n"
	writeTree(t, root, files)
	if _, err := kustomize.Render(t.Context(), filepath.Join(root, "overlay"), kustomize.Options{Root: root, Remote: true}); err == nil {
		t.Error("it is built without what it could not fetch")
	}
	select {
	case <-asked:
	case <-time.After(time.Minute):
		t.Error("nobody was asked")
	}
}

// TestPipes are refused, and never waited for.
func TestPipes(t *testing.T) {
	for _, name := range []string{"overlay/pipe.yaml", "migrations/0003_pipe.sql", "overlay/schemawave/pipe.yaml", "overlay/kustomization.yml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			writeTree(t, root, repo(good))
			if err := os.MkdirAll(filepath.Join(root, "overlay/schemawave"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(filepath.Join(root, name), 0o644); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				if _, err := kustomize.Overlays(root); err != nil {
					t.Error(err)
				}
				_, err := kustomize.Render(t.Context(), filepath.Join(root, "overlay"), kustomize.Options{Root: root})
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), name+": ") {
					t.Errorf("error %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it waits for the pipe")
			}
		})
	}
}
