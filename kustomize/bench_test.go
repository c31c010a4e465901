package kustomize_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// estate is a repository of n overlays, each with a base of a Deployment, a Service and a generated ConfigMap.
func estate(b *testing.B, n int) (root string, all []string) {
	b.Helper()
	root = b.TempDir()
	files := map[string]string{
		"base/kustomization.yaml": "resources: [all.yaml]\nconfigMapGenerator: [{name: conf, literals: [a=b, c=d]}]\n",
		"base/all.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec:\n  selector: {matchLabels: {app: shop}}\n  template:\n    metadata: {labels: {app: shop}}\n    spec:\n      containers: [{name: shop, image: shop, envFrom: [{configMapRef: {name: conf}}]}]\n" +
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: {app: shop}, ports: [{port: 80}]}\n",
		"migrations/0001_create_orders.sql": "CREATE TABLE orders (id bigint);\n",
		"migrations/0002_add_total.sql":     "ALTER TABLE orders ADD COLUMN total numeric;\n",
	}
	for i := range n {
		dir := fmt.Sprintf("overlays/%04d/", i)
		files[dir+"kustomization.yaml"] = fmt.Sprintf("namespace: shop-%d\nresources: [../../base]\npatches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/replicas\", \"value\": 3}]'\n", i)
		files[dir+"orders.yaml"] = "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: orders}\nspec:\n  source: {directory: ../../migrations}\n  database:\n    urlFrom: {secretKeyRef: {name: orders-db, key: url}}\n"
		all = append(all, filepath.Join(root, dir))
	}
	writeTree(b, root, files)
	return root, all
}

// BenchmarkEstate renders 1,000 overlays that are up to date, as a controller does after every push, and compares with what
// building them alone takes.
func BenchmarkEstate(b *testing.B) {
	root, all := estate(b, 1000)
	for _, overlay := range all {
		if err := render(b, root, overlay).Write(); err != nil {
			b.Fatal(err)
		}
	}
	perOverlay := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(all))/1000, "ms/overlay")
	}
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			for _, overlay := range all {
				if render(b, root, overlay).Changed() {
					b.Fatal("changed")
				}
			}
		}
		perOverlay(b)
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			for _, overlay := range all {
				if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay); err != nil {
					b.Fatal(err)
				}
			}
		}
		perOverlay(b)
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if len(overlays(b, root)) != len(all) {
				b.Fatal("not all found")
			}
		}
		perOverlay(b)
	})
}
