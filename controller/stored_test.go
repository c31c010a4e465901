package controller_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// TestFullConfigMapsAreStored has an API server, and etcd behind it, take ConfigMaps with as much SQL as there can be in one: in a
// file, in a bundle, and in a compressed one.
func TestFullConfigMapsAreStored(t *testing.T) {
	c := newCluster(t)
	namespace := c.namespace("full-")
	for name, files := range map[string]func(n int) map[string]string{
		"file": func(n int) map[string]string {
			return map[string]string{"1_a.sql": "SELECT 1;" + strings.Repeat("\n", n)}
		},
		"bundle": func(n int) map[string]string {
			return spreadOver(300, n, func(n int) string { return strings.Repeat("\n", n) })
		},
		"compressed": func(n int) map[string]string {
			random := rand.NewChaCha8([32]byte{})
			return spreadOver(300, n, func(n int) string {
				b := make([]byte, n)
				random.Read(b) //nolint:errcheck // it never fails
				return "--" + base64.RawStdEncoding.EncodeToString(b)[:n]
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			full := largest(t, files)
			if full == nil {
				t.Fatal("nothing fits")
			}
			full.Namespace = namespace
			if err := c.Patch(t.Context(), full, client.Apply, client.FieldOwner("argocd-controller"), client.ForceOwnership); err != nil { //nolint:staticcheck // as Argo CD does it
				t.Error(err)
			}
		})
	}
}

// largest returns the only ConfigMap with SQL that is rendered of the most SQL that fits into one.
func largest(t *testing.T, files func(n int) map[string]string) *corev1.ConfigMap {
	t.Helper()
	var full *corev1.ConfigMap
	for low, high := 0, 2<<20; high-low > 512; {
		n := (low + high) / 2
		cm := onlyConfigMap(t, files(n))
		if cm == nil {
			high = n
		} else {
			low, full = n, cm
		}
	}
	return full
}

// onlyConfigMap renders the files, and returns nil if they take more than one ConfigMap.
func onlyConfigMap(t *testing.T, files map[string]string) *corev1.ConfigMap {
	t.Helper()
	dir, in := fstest.MapFS{}, manifests.Input{
		Migration: manifests.SchemaMigration{Name: "orders", Environment: "production", Source: manifests.Source{Directory: "migrations"},
			Database: manifests.Database{Env: []corev1.EnvVar{{Name: "PGHOST", Value: "db"}}}},
		Files: map[string][]byte{},
	}
	for name, text := range files {
		dir[name], in.Files[name] = &fstest.MapFile{Data: []byte(text)}, []byte(text)
	}
	u, err := migrations.Read(dir, migrations.LayoutPlain)
	if err != nil {
		t.Fatal(err)
	}
	in.Set = migrations.Set(u)
	objects, err := manifests.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	var found []*corev1.ConfigMap
	for _, o := range objects {
		if o.Component == manifests.ComponentSQL {
			found = append(found, o.Value.(*corev1.ConfigMap))
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// spreadOver divides n bytes of text among files.
func spreadOver(files, n int, text func(n int) string) map[string]string {
	out := map[string]string{}
	for i := range files {
		out[fmt.Sprintf("%04d_x.sql", i+1)] = "SELECT 1;\n" + text(n/files)
	}
	return out
}
