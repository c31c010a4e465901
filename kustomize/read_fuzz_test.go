package kustomize

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/schemawave/schemawave/manifests"
)

// objectNames are those that Kubernetes takes, at the length at which the names of a Job's Pods still fit.
var objectNames = regexp.MustCompile(`^[a-z0-9][-a-z0-9]{0,50}[a-z0-9]$`)

// FuzzRead reads a file of SchemaMigrations. What is refused has to be explained, and to no end; what is accepted has names that
// neither Kubernetes nor NATS takes for anything else, and can be built.
func FuzzRead(f *testing.F) {
	const tool = "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: shop}\nspec:\n  environment: test\n" +
		"  source: {tool: {image: shop, command: [php, artisan, migrate], history: laravel}}\n  database: {urlFrom: {secretKeyRef: {name: db, key: url}}}\n"
	files, err := filepath.Glob("testdata/golden/*/in/overlays/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
	}
	f.Add(complete1)
	f.Add(tool + "---\n" + complete1)
	f.Add(strings.ReplaceAll(tool, "\n", "\r\n"))
	f.Add("\uFEFF" + tool)
	for _, name := range []string{"orders.eu", "a/b", "'*'", "'>'", "a b", "Orders", "bеstellungen", strings.Repeat("o", 300), "'\"'", "\"\\0\"", "-", "17", "~", "&a a", "!!binary aGk="} {
		f.Add(strings.Replace(tool, "shop", name, 1))
		f.Add(strings.Replace(tool, "environment: test", "environment: "+name, 1))
	}
	for _, more := range []string{
		"hook: Sync", "guard: job", "wave: 1e9", "target: 0x1", "minCompatible: [", "policy: {retries: .inf, deadline: 1h1}", "tenants: {names: [a, a, \"b\\n\"], parallel: 0}",
		"dependsOn: [a, b/c@1, d/*, e@1]", "job: {spec: {template: {spec: {containers: [{name: migrate, resources: ~}]}}}}", "job: {a: &a {b: *a}}", "job: " + strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"? {a: b}\n  : c", "<<: {wave: 1}", "wave: 1\n  wave: 2", "job: {metadata: {annotations: {a: 2001-01-01}}}", "x: \"\xff\"",
		"job: {a: !!binary x, b: !!set {c}, d: 0x1f, e: .inf, f: 2001-12-14, g: 1_000}", "? [a]\n  : b", "a\u2028b: c",
	} {
		f.Add(tool + "  " + more + "\n")
	}
	f.Fuzz(func(t *testing.T, content string) {
		var problems, again Problems
		all := read("a.yaml", []byte(content), &problems)
		if twice := read("a.yaml", []byte(content), &again); len(twice) != len(all) || !reflect.DeepEqual(again, problems) {
			t.Fatalf("read twice: %v and %v", problems, again)
		}
		complete(all, &kustomization{file: "kustomization.yaml"}, &problems)
		checkProblems(t, content, problems)
		if len(problems) > 0 {
			return
		}
		for _, d := range all {
			checkBuilds(t, d)
		}
	})
}

// checkProblems holds that every problem says where it is, what it is and what to do.
func checkProblems(t *testing.T, content string, problems Problems) {
	t.Helper()
	lines := len(regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]").Split(content, -1))
	for _, p := range problems {
		if p.File != "a.yaml" || p.Line < 0 || p.Line > lines || p.What == "" || p.Remedy == "" {
			t.Errorf("a problem is not explained: %#v", p)
		}
		if strings.ContainsFunc(p.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) || len(p.Error()) > 2000 {
			t.Errorf("a problem is not one line: %.3000q", p.Error())
		}
	}
}

// checkBuilds builds a declaration that is valid. Migrations of a directory are another package's.
func checkBuilds(t *testing.T, d *declaration) {
	t.Helper()
	if d.Source.Directory != "" {
		return
	}
	objects, err := manifests.Build(manifests.Input{Migration: d.SchemaMigration})
	if wrong := (*manifests.FieldError)(nil); err != nil && !errors.As(err, &wrong) {
		t.Fatalf("not explained: %v", err)
	}
	for _, o := range objects {
		if name := o.Value.GetName(); !objectNames.MatchString(name) {
			t.Errorf("an object is named %q", name)
		}
		text, err := o.YAML()
		if err != nil || bytes.ContainsAny(text, "\r\x00") {
			t.Errorf("%v\n%q", err, text)
		}
	}
}
