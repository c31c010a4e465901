package manifests_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

// fill returns a migration of exactly n bytes.
func fill(n int, with string) string {
	const head = "SELECT 1; --"
	return head + strings.Repeat(with, (n-len(head))/len(with)+1)[:n-len(head)]
}

// TestSplit cuts at the bound and not before: what fits goes into one ConfigMap, one byte more into two, and a file that
// fits into none is refused. The bounds are those of the API server, with 16 KiB left for metadata.
func TestSplit(t *testing.T) {
	const limit = 1<<20 - 16<<10
	frame := func(key string) int { return 2*len(key) + len(`"f:":{},`) + 16 }
	a, b := "0001_a.sql", "0002_b.sql"
	rest := limit - frame(a) - frame(b)
	for _, c := range []struct {
		name   string
		files  map[string]string
		chunks int // 0: refused
	}{
		{"one file at the bound", map[string]string{a: fill(limit-frame(a), "x")}, 1},
		{"one file beyond it", map[string]string{a: fill(limit-frame(a)+1, "x")}, 0},
		{"two files at the bound", map[string]string{a: fill(rest/2, "x"), b: fill(rest-rest/2, "x")}, 1},
		{"two files beyond it", map[string]string{a: fill(rest/2, "x"), b: fill(rest-rest/2+1, "x")}, 2},
		{"text that JSON makes six times as long", map[string]string{a: fill(3<<20/6-3<<10, "<")}, 1},
		{"more of it than a request can carry", map[string]string{a: fill(3<<20/6+1, "<")}, 0},
		{"lines", map[string]string{a: fill(limit-frame(a), "\n")}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t, c.files)
			objects, err := manifests.Build(in)
			if wrong := (*manifests.FieldError)(nil); c.chunks == 0 {
				if !errors.As(err, &wrong) || wrong.Field != "spec.source.directory" {
					t.Errorf("error %v, want one about spec.source.directory", err)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			checkChunks(t, objects, c.files, c.chunks)
		})
	}
}

// checkChunks wants every file in exactly one of n ConfigMaps, each within what an API server takes.
func checkChunks(t *testing.T, objects []manifests.Object, files map[string]string, n int) {
	t.Helper()
	carried := map[string]string{}
	for _, o := range objects {
		if o.Component != manifests.ComponentSQL {
			continue
		}
		n--
		cm := o.Value.(*corev1.ConfigMap)
		total := 0
		for k, v := range cm.Data {
			carried[k] = v
			total += len(v)
		}
		request, err := json.Marshal(cm)
		if err != nil || total > 1<<20 || len(request) > 3<<20 {
			t.Errorf("%s: %d bytes of values, %d of JSON, %v", cm.Name, total, len(request), err)
		}
	}
	if n != 0 {
		t.Errorf("%d ConfigMaps missing", n)
	}
	if !maps.Equal(carried, files) {
		t.Error("not every file is carried as it is")
	}
}

// TestAppendOnly changes none but the last ConfigMap when a migration is added, but for name and digest.
func TestAppendOnly(t *testing.T) {
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("%04d_x.sql", i+1)] = fill(100_000, "x")
	}
	before := build(t, input(t, files))
	files["0031_x.sql"] = fill(100_000, "x")
	after := build(t, input(t, files))
	for i := range 3 {
		a, b := before[i].Value.(*corev1.ConfigMap), after[i].Value.(*corev1.ConfigMap)
		if i < 2 && !maps.Equal(a.Data, b.Data) {
			t.Errorf("ConfigMap %d has other files than before", i+1)
		}
	}
}

// TestOddNames carries a file whose name is no key of a ConfigMap, and gives it back its name.
func TestOddNames(t *testing.T) {
	objects := build(t, input(t, map[string]string{"0001_straße und hof.sql": "SELECT 1;\n"}))
	cm := objects[0].Value.(*corev1.ConfigMap)
	items := jobOf(t, objects).Spec.Template.Spec.Volumes[0].Projected.Sources[0].ConfigMap.Items
	if len(items) != 1 || items[0].Path != "0001_straße und hof.sql" || cm.Data[items[0].Key] != "SELECT 1;\n" {
		t.Errorf("items %v, keys %v", items, cm.Data)
	}
}

// TestWhatTravels carries what reverts and what is repeatable along, and nothing that the target leaves out.
func TestWhatTravels(t *testing.T) {
	pairs := map[string]string{"1_a.up.sql": "CREATE TABLE a ();", "1_a.down.sql": "DROP TABLE a;", "2_b.up.sql": "SELECT 2;"}
	checkChunks(t, build(t, input(t, pairs)), pairs, 1)
	flyway := map[string]string{"V1__a.sql": "CREATE TABLE a ();", "U1__a.sql": "DROP TABLE a;", "V2__b.sql": "SELECT 2;", "R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT 1;"}
	newest := build(t, input(t, flyway))
	checkChunks(t, newest, flyway, 1)
	older := input(t, flyway)
	older.Migration.Target = "1"
	checkChunks(t, build(t, older), map[string]string{"V1__a.sql": flyway["V1__a.sql"], "U1__a.sql": flyway["U1__a.sql"]}, 1)

	flyway["R__v.sql"] = "CREATE OR REPLACE VIEW v AS SELECT 2;"
	if name := jobOf(t, build(t, input(t, flyway))).Name; name == jobOf(t, newest).Name {
		t.Errorf("%s stays although a repeatable file has changed, so that no sync would run it", name)
	}
}
