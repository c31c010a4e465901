package kustomize_test

import (
	"strings"
	"testing"
)

// migration declares a database with migrations of its own directory, and what more its spec says, from line 8 on.
func migration(name, more string) string {
	return "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: " + name + "}\nspec:\n  environment: production\n" +
		"  source: {directory: ../migrations}\n  database: {urlFrom: {secretKeyRef: {name: db, key: url}}}\n" + more
}

// hook is a Job that waits before a sync.
func hook(wave, waitFor string) string {
	return "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: seed\n  annotations:\n    argocd.argoproj.io/hook: PreSync\n    argocd.argoproj.io/sync-wave: \"" + wave +
		"\"\n    schemawave.dev/wait-for: " + waitFor + "\nspec:\n  template:\n    spec: {restartPolicy: Never, containers: [{name: seed, image: registry.example.com/seed}]}\n"
}

// TestCycles renders an overlay of orders beside others that may wait for it.
func TestCycles(t *testing.T) {
	const remedy = " (take one of these out: none of them could ever begin)"
	for _, c := range []struct {
		why   string
		files map[string]string // besides those of every case
		want  string            // empty: it is rendered
	}{
		{"one that waits", map[string]string{"overlay/schema.yaml": migration("orders", "  dependsOn: [production/stock@1]\n"), "stock/schema.yaml": migration("stock", "")}, ""},
		{"two that wait for each other", map[string]string{
			"overlay/schema.yaml": migration("orders", "  dependsOn: [production/stock@1]\n"), "stock/schema.yaml": migration("stock", "  dependsOn: [production/orders]\n")},
			`overlay/schema.yaml:8: Applications wait for each other: production/orders (overlay/schema.yaml:8) waits for production/stock (stock/schema.yaml:8) waits for production/orders` + remedy},
		{"two that wait by their waves", map[string]string{
			"overlay/schema.yaml": migration("orders", "  dependsOn: [production/stock]\n"),
			"stock/schema.yaml":   migration("stock", "  dependsOn: [goods]\n") + "---\n" + migration("goods", "  dependsOn: [production/orders]\n")},
			`overlay/schema.yaml:8: Applications wait for each other: production/orders (overlay/schema.yaml:8) waits for production/stock (stock/schema.yaml:8) comes after production/goods (stock/schema.yaml:17) waits for production/orders` + remedy},
		{"an order that is no wait", map[string]string{
			"overlay/schema.yaml": migration("orders", "  dependsOn: [production/goods]\n"),
			"stock/schema.yaml":   migration("stock", "  dependsOn: [goods, production/orders]\n") + "---\n" + migration("goods", "")}, ""},
		{"a database of the same name in another environment", map[string]string{
			"overlay/schema.yaml": migration("orders", "  dependsOn: [eu/stock]\n"), "stock/schema.yaml": migration("stock", "  dependsOn: [production/orders]\n")}, ""},
		{"a workload that waits for one that waits", map[string]string{
			"overlay/schema.yaml": migration("orders", ""), "overlay/web.yaml": deployment("web", "stock@1"),
			"stock/schema.yaml": migration("stock", "  dependsOn: [production/orders]\n")}, ""},
		{"a hook that waits for one that waits for what comes after it", map[string]string{
			"overlay/schema.yaml": migration("orders", ""), "overlay/web.yaml": hook("-11", "stock"),
			"stock/schema.yaml": migration("stock", "  dependsOn: [production/orders]\n")},
			`overlay/schema.yaml:4: Applications wait for each other: production/orders (overlay/schema.yaml:4) comes after the hook Job seed (overlay/web.yaml:8) waits for production/stock (stock/schema.yaml:8) waits for production/orders` + remedy},
		{"a hook that waits for what comes after it", map[string]string{
			"overlay/schema.yaml": migration("orders", ""), "overlay/web.yaml": hook("-11", "orders")},
			`Applications wait for each other: production/orders (overlay/schema.yaml:4) comes after the hook Job seed (overlay/web.yaml:8) waits for production/orders` + remedy},
		{"a hook that waits for what comes before it", map[string]string{
			"overlay/schema.yaml": migration("orders", ""), "overlay/web.yaml": hook("0", "orders"),
			"stock/schema.yaml": migration("stock", "  dependsOn: [production/orders]\n")}, ""},
		{"a workload of the Sync phase that waits for what comes after it", map[string]string{
			"overlay/schema.yaml": migration("orders", "  hook: Sync\n  wave: 1\n"), "overlay/web.yaml": deployment("web", "orders@1")},
			`Applications wait for each other: production/orders (overlay/schema.yaml:4) comes after the workload Deployment web (overlay/web.yaml:6) waits for production/orders` + remedy},
		{"one that waits for what comes before it", map[string]string{
			"overlay/schema.yaml": migration("orders", "  hook: Sync\n"), "overlay/web.yaml": deployment("web", "orders@1")}, ""},
		{"a hook that waits for the Sync phase", map[string]string{
			"overlay/schema.yaml": migration("orders", "  hook: Sync\n"), "overlay/web.yaml": hook("0", "orders")},
			`comes after the hook Job seed (overlay/web.yaml:8) waits for production/orders` + remedy},
		{"one that waits beside one that is broken", map[string]string{
			"overlay/schema.yaml": migration("orders", "  dependsOn: [production/stock@1]\n"), "stock/schema.yaml": migration("stock", "  dependson: []\n")}, ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{
				"migrations/0001_a.sql": "SELECT 1;\n", "stock/kustomization.yaml": "namespace: production\n",
				"overlay/kustomization.yaml": "namespace: production\nresources: [web.yaml]\n", "overlay/web.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: web}\n",
			}
			for name, content := range c.files {
				files[name] = content
			}
			_, err := renderTree(t, files)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v\nwant  %s", err, c.want)
			}
		})
	}
}
