package kustomize

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

const complete1 = `# all there is
apiVersion: schemawave.dev/v1alpha1
kind: SchemaMigration
metadata:
  name: orders
  labels: {a: b}
  annotations: {config.kubernetes.io/local-config: "true", c: d}
spec:
  environment: production
  source: {directory: ../../migrations, layout: goose}
  database:
    urlFrom: {secretKeyRef: {name: orders-db, key: url, optional: false}}
    env:
    - {name: PGSSLMODE, value: "require"}
    - {name: PGAPPNAME, valueFrom: {configMapKeyRef: {name: pg, key: app}}}
    envFrom:
    - prefix: PG
      secretRef: {name: more}
  hook: PreSync
  wave: -7
  target: 0020
  minCompatible: "1.10"
  policy: {lockTimeout: 2s, statementTimeout: 0, deadline: 1h30m, outOfOrder: skip, retries: 0}
  job:
    spec: {template: {spec: {nodeSelector: {a: b}, tolerations: [{key: c}]}}}
`

func TestRead(t *testing.T) {
	var problems Problems
	all := read("orders.yaml", []byte(complete1), &problems)
	if len(all) != 1 || len(problems) > 0 {
		t.Fatalf("%d declarations, problems: %v", len(all), problems)
	}
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	want := manifests.SchemaMigration{
		Name: "orders", Environment: "production",
		Source: manifests.Source{Directory: "../../migrations", Layout: "goose"},
		Database: manifests.Database{
			URLFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref("orders-db"), Key: "url", Optional: new(false)}},
			Env: []corev1.EnvVar{
				{Name: "PGSSLMODE", Value: "require"},
				{Name: "PGAPPNAME", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("pg"), Key: "app"}}},
			},
			EnvFrom: []corev1.EnvFromSource{{Prefix: "PG", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("more")}}},
		},
		Hook: manifests.HookPreSync, Wave: new(int32(-7)), Target: "20", MinCompatible: "1.10",
		Policy: manifests.Policy{LockTimeout: new(2 * time.Second), StatementTimeout: new(time.Duration(0)), Deadline: new(90 * time.Minute), OutOfOrder: "skip", Retries: new(int32(0))},
		Job:    []byte(`{"spec":{"template":{"spec":{"nodeSelector":{"a":"b"},"tolerations":[{"key":"c"}]}}}}`),
	}
	if d := cmp.Diff(want, all[0].SchemaMigration); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if !all[0].localConfig {
		t.Error("the annotation is not seen")
	}
	for path, line := range map[string]int{"metadata.name": 5, "spec.database.env[1].valueFrom": 15, "spec.job.spec.template": 25, "spec.nothing": 8, "": 2} {
		if got := all[0].line(path); got != line {
			t.Errorf("%q stands in line %d, want %d", path, got, line)
		}
	}
}

func TestReadTenants(t *testing.T) {
	for text, want := range map[string]manifests.Tenants{
		`{query: "SELECT name FROM shops", parallel: 8}`: {Query: "SELECT name FROM shops", Parallel: new(int32(8))},
		`{names: [acme, "17", 'South West']}`:            {Names: []string{"acme", "17", "South West"}},
	} {
		var problems Problems
		all := read("x", []byte(strings.Replace(complete1, "hook: PreSync", "tenants: "+text, 1)), &problems)
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
		} else if d := cmp.Diff(&want, all[0].Tenants); d != "" {
			t.Errorf("%s: -want +got:\n%s", text, d)
		}
	}
}

func TestDurationZero(t *testing.T) {
	for _, text := range []string{"0", "0s"} {
		var problems Problems
		all := read("x", []byte(strings.Replace(complete1, "lockTimeout: 2s", "lockTimeout: "+text, 1)), &problems)
		if len(problems) > 0 || *all[0].Policy.LockTimeout != 0 {
			t.Errorf("%s: %v", text, problems)
		}
	}
}

// TestReadBounded reads declarations that would cost, or have told, more than anybody has.
func TestReadBounded(t *testing.T) {
	const head = "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: orders}\nspec:\n"
	nested := func(depth int) string {
		return "  job: " + strings.Repeat("{a: ", depth) + "1" + strings.Repeat("}", depth) + "\n"
	}
	var unknown strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&unknown, "  unknown%d: 1\n", i)
	}
	for _, c := range []struct{ why, spec, want string }{
		{"deep", nested(200), "x.yaml:5: has values in more than 100 others (write it flatter: no Job is that deep)"},
		{"deep, and often", strings.Repeat(nested(200)+"---\n"+head, 500), "x.yaml:5: has values in more than 100 others"},
		{"much that is unknown", unknown.String(), "x.yaml:105: more is wrong than is told here (correct this first)"},
		{"a name without end", "  environment: " + strings.Repeat("ä", 100000) + "\n", "x.yaml:5: spec.environment: \"ää"},
	} {
		var problems Problems
		complete(read("x.yaml", []byte(head+c.spec), &problems), &kustomization{file: "kustomization.yaml"}, &problems)
		if err := problems.err(); err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 20000 {
			t.Errorf("%s: %.20000v\nwant %s", c.why, err, c.want)
		}
	}
	var problems Problems
	if all := read("x.yaml", []byte(head+nested(90)), &problems); len(all) != 1 || len(problems) > 0 {
		t.Errorf("not so deep: %v", problems)
	}
}
