package kustomize

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
)

// TestUnclear changes what is around generated files in ways that hide what is meant from whoever only reads the words, and wants
// what a build says.
func TestUnclear(t *testing.T) {
	const (
		web      = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers: [{name: web, image: web}]\n"
		waiting  = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {schemawave.dev/wait-for: production/stock@1}\n"
		secret   = "apiVersion: v1\nkind: Secret\nmetadata: {name: orders-db}\nstringData: {url: a}\n"
		job      = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: eu-JOB}\nspec: {template: {spec: {containers: [{name: a, image: b}], restartPolicy: Never}}}\n"
		suspends = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: JOB}\nspec: {suspend: true}\n"
	)
	text := utf16.Encode([]rune("\ufeff" + waiting + strings.TrimPrefix(web, waiting[:strings.Index(waiting, "  annotations")])))
	wide := make([]byte, 0, 2*len(text))
	for _, unit := range text {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	for why, files := range map[string]map[string]string{
		"a patch in another encoding": {"kustomization.yaml": "resources: [web.yaml, schemawave]\npatches: [{target: {kind: Deployment}, patch: !!binary " +
			"W3sib3AiOiAiYWRkIiwgInBhdGgiOiAiL21ldGFkYXRhL2Fubm90YXRpb25zIiwgInZhbHVlIjogeyJzY2hlbWF3YXZlLmRldi93YWl0LWZvciI6ICJwcm9kdWN0aW9uL3N0b2NrIn19XQ==}]\n", "web.yaml": web},
		"labels that are merged in":            {"kustomization.yaml": "resources: [schemawave]\ncommonLabels: {<<: {schemawave.dev/database: x}}\n"},
		"a list that is given again":           {"kustomization.yaml": "resources: [schemawave]\nresources: [web.yaml]\n", "web.yaml": web},
		"a field that is given again":          {"kustomization.yaml": "resources: [schemawave]\npatches: [{target: {kind: Deployment, kind: Job}, patch: '[{\"op\": \"add\", \"path\": \"/spec/suspend\", \"value\": true}]'}]\n"},
		"a patch that is empty, and a file":    {"kustomization.yaml": "resources: [schemawave]\npatches: [{patch: '', path: patch.yaml}]\n", "patch.yaml": suspends},
		"a patch of what is moved":             {"kustomization.yaml": "resources: [web.yaml, schemawave]\npatches: [{target: {kind: Deployment}, patch: '[{\"op\": \"move\", \"from\": \"/metadata/name\", \"path\": \"/spec/name\"}]'}]\n", "web.yaml": web},
		"a base behind a link":                 {"kustomization.yaml": "resources: [../link, schemawave]\n", "../link": "-> deep/base", "../deep/base/kustomization.yaml": "resources: [../more]\n", "../deep/more/kustomization.yaml": "resources: [a.yaml]\n", "../deep/more/a.yaml": secret, "../more/kustomization.yaml": "resources: [a.yaml]\n", "../more/a.yaml": web},
		"a component behind a link":            {"kustomization.yaml": "resources: [schemawave]\ncomponents: [../link]\n", "../link": "-> deep/component", "../deep/component/kustomization.yaml": "kind: Component\nresources: [../more]\n", "../deep/more/kustomization.yaml": "resources: [a.yaml]\n", "../deep/more/a.yaml": secret, "../more/kustomization.yaml": "resources: [a.yaml]\n", "../more/a.yaml": web},
		"images of a component that is a link": {"kustomization.yaml": "resources: [schemawave]\ncomponents: [../component]\n", "../component/kustomization.yaml": "-> k.yaml", "../component/k.yaml": "kind: Component\nimages: [{name: migrations, newTag: '3'}]\n"},
		"an absolute path":                     {"kustomization.yaml": "resources: [ROOT/overlay/a.yaml, schemawave]\n", "a.yaml": secret, "ROOT/overlay/a.yaml": web},
		"a Secret by a longer way":             {"kustomization.yaml": "resources: [a.yaml, schemawave]\n", "a.yaml": job},
		"another encoding":                     {"kustomization.yaml": "resources: [web.yaml, schemawave]\n", "web.yaml": string(wide)},
		"an internal annotation":               {"kustomization.yaml": "resources: [a.yaml, schemawave]\n", "a.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: other\n  annotations: {internal.config.kubernetes.io/previousNames: orders-db, internal.config.kubernetes.io/previousNamespaces: default, internal.config.kubernetes.io/previousKinds: Secret}\n"},
	} {
		t.Run(why, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			overlay := filepath.Join(root, "overlay")
			write(t, root, plain("{image: {name: migrations:2, path: /migrations}}"))
			first, err := Render(context.Background(), overlay, Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Write(); err != nil {
				t.Fatal(err)
			}
			names := strings.NewReplacer("ROOT", root, "JOB", jobName(t, overlay))
			for name, content := range files {
				content = names.Replace(content)
				if name == "kustomization.yaml" {
					content = "namespace: production\n" + content
				}
				name = filepath.Join("overlay", strings.Replace(name, "ROOT", root, 1))
				write(t, root, map[string]string{name: content})
			}
			command := krusty.MakeDefaultOptions()
			command.Reorder = krusty.ReorderOptionUnspecified
			without, errWithout := Render(context.Background(), overlay, Options{Root: root})
			built, errBuilt := Render(context.Background(), overlay, Options{Root: root, Build: command})
			if fmt.Sprint(errBuilt) != fmt.Sprint(errWithout) || !cmp.Equal(built.Files, without.Files) {
				t.Errorf("without a build: %v\n%s\nwith one: %v\n%s", errWithout, without.Diff(), errBuilt, built.Diff())
			}
			if errBuilt == nil && !built.Changed() {
				t.Error("nothing is hidden: a build says that it is current")
			}
		})
	}
}

// jobName returns the name of the generated Job.
func jobName(t *testing.T, overlay string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(overlay, entry, "orders.job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := parseMapping(content)
	if err != nil {
		t.Fatal(err)
	}
	return member(member(root, "metadata"), "name").Value
}
