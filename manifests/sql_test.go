package manifests_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

// fill returns a migration of exactly n bytes.
func fill(n int, with string) string {
	const head = "SELECT 1; --"
	return head + strings.Repeat(with, (n-len(head))/len(with)+1)[:n-len(head)]
}

// noise is a migration of n bytes that no compression makes much smaller.
func noise(n int) string {
	const head = "SELECT 1; --"
	random := rand.NewChaCha8([32]byte{})
	b := make([]byte, n)
	random.Read(b) //nolint:errcheck // it never fails
	return head + base64.RawStdEncoding.EncodeToString(b)[:n-len(head)]
}

// TestForms carries a file for a file while they are few and fit into one ConfigMap, and not one byte further; then in a
// bundle that can be read, and then in compressed ones. The bounds are those of the API server, with 16 KiB left for metadata.
func TestForms(t *testing.T) {
	const limit = 1<<20 - 16<<10
	frame := func(key string) int { return 2*len(key) + len(`"f:":{},`) + 16 }
	a, b := "0001_a.sql", "0002_b.sql"
	rest := limit - frame(a) - frame(b)
	many := func(n int, text string) map[string]string {
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf("%05d_x.sql", i)] = text
		}
		return files
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		keys  []string // of each ConfigMap, or how many files; nil: refused
	}{
		{"one file at the bound", map[string]string{a: fill(limit-frame(a), "x")}, []string{a}},
		{"one file beyond it", map[string]string{a: fill(limit-frame(a)+1, "x")}, []string{"migrations.bundle.gz"}},
		{"two files at the bound", map[string]string{a: fill(rest/2, "x"), b: fill(rest-rest/2, "x")}, []string{a + " " + b}},
		{"two files beyond it", map[string]string{a: fill(rest/2, "x"), b: fill(rest-rest/2+1, "x")}, []string{"migrations.bundle.gz"}},
		{"text that JSON makes six times as long", map[string]string{a: fill(3<<20/6-3<<10, "<")}, []string{a}},
		{"more of it than a request can carry", map[string]string{a: fill(3<<20/6+1, "<")}, []string{"migrations.bundle.gz"}},
		{"lines", map[string]string{a: fill(limit-frame(a), "\n")}, []string{a}},
		{"many files", many(201, "SELECT 1;\n"), []string{"migrations.bundle"}},
		{"many files that do not fit", many(201, fill(6000, "x")), []string{"migrations.bundle.gz"}},
		{"thousands of files", many(10_000, fill(1000, "xyz ")), []string{"migrations.bundle.gz", "migrations.bundle.gz", "migrations.bundle.gz"}},
		{"two files that would have the same key", map[string]string{"V1__a.sql": "SELECT 1;", "R__é.sql": "SELECT 2;", "R__ä.sql": "SELECT 3;"}, []string{"migrations.bundle"}},
		{"noise", map[string]string{a: noise(900_000), b: noise(900_000)}, []string{"migrations.bundle.gz", "migrations.bundle.gz"}},
		{"a file that fits in no way", map[string]string{a: noise(2_000_000)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t, c.files)
			objects, err := manifests.Build(in)
			if wrong := (*manifests.FieldError)(nil); c.keys == nil {
				if !errors.As(err, &wrong) || wrong.Field != "spec.source.directory" {
					t.Errorf("error %v, want one about spec.source.directory", err)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if got := checkCarried(t, objects, in.Set); !slices.Equal(got, c.keys) {
				t.Errorf("keys %v, want %v", got, c.keys)
			}
		})
	}
}

// checkCarried wants a Pod that mounts what the ConfigMaps hold to find the set, and each ConfigMap to be within what an API
// server takes. It returns their keys.
func checkCarried(t *testing.T, objects []manifests.Object, set migrations.Set) (keys []string) {
	t.Helper()
	content := map[string]map[string][]byte{}
	for _, o := range objects {
		if o.Component != manifests.ComponentSQL {
			continue
		}
		cm := o.Value.(*corev1.ConfigMap)
		all, total := maps.Clone(cm.BinaryData), 0
		if all == nil {
			all = map[string][]byte{}
		}
		for k, v := range cm.Data {
			all[k] = []byte(v)
		}
		for _, v := range all {
			total += len(v)
		}
		content[cm.Name] = all
		keys = append(keys, strings.Join(slices.Sorted(maps.Keys(all)), " "))
		request, err := json.Marshal(cm)
		if err != nil || total > 1<<20 || len(request) > 3<<20 {
			t.Errorf("%s: %d bytes of values, %d of JSON, %v", cm.Name, total, len(request), err)
		}
	}
	job := jobOf(t, objects)
	mounted := fstest.MapFS{}
	for _, s := range job.Spec.Template.Spec.Volumes[0].Projected.Sources {
		if s.ConfigMap.Items == nil {
			for k, v := range content[s.ConfigMap.Name] {
				mounted[k] = &fstest.MapFile{Data: v}
			}
		}
		for _, item := range s.ConfigMap.Items {
			mounted[item.Path] = &fstest.MapFile{Data: content[s.ConfigMap.Name][item.Key]}
		}
	}
	read := migrations.Read
	if slices.Contains(job.Spec.Template.Spec.Containers[0].Args, "--bundles=/migrations") {
		read = migrations.ReadBundles
	}
	u, err := read(mounted, migrations.LayoutAuto)
	if err != nil {
		t.Fatal(err)
	}
	got, err := u.Check()
	if diff := cmp.Diff(set, got); diff != "" || err != nil {
		t.Errorf("what the Pod finds: %v\n%s", err, diff)
	}
	return keys
}

// TestAppendOnly changes none but the last ConfigMap when a migration is added, but for name and digest.
func TestAppendOnly(t *testing.T) {
	files := map[string]string{}
	for i := range 90 {
		files[fmt.Sprintf("%04d_x.sql", i+1)] = fill(100_000, "x")
	}
	before := build(t, input(t, files))
	files["0091_x.sql"] = fill(100_000, "x")
	after := build(t, input(t, files))
	n := 0
	for i := range before {
		if before[i].Component != manifests.ComponentSQL {
			break
		}
		a, b := before[i].Value.(*corev1.ConfigMap), after[i].Value.(*corev1.ConfigMap)
		if !reflect.DeepEqual(a.BinaryData, b.BinaryData) {
			n++
		} else if n > 0 {
			t.Error("it is not the last one that changed")
		}
	}
	if n != 1 {
		t.Errorf("%d ConfigMaps have other content than before", n)
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
	in := input(t, map[string]string{"1_a.up.sql": "CREATE TABLE a ();", "1_a.down.sql": "DROP TABLE a;", "2_b.up.sql": "SELECT 2;"})
	checkCarried(t, build(t, in), in.Set)
	flyway := map[string]string{"V1__a.sql": "CREATE TABLE a ();", "U1__a.sql": "DROP TABLE a;", "V2__b.sql": "SELECT 2;", "R__v.sql": "CREATE OR REPLACE VIEW v AS SELECT 1;"}
	in = input(t, flyway)
	newest := build(t, in)
	checkCarried(t, newest, in.Set)
	in.Migration.Target = "1"
	older, err := in.Set.Upto("1")
	if err != nil {
		t.Fatal(err)
	}
	checkCarried(t, build(t, in), older)

	flyway["R__v.sql"] = "CREATE OR REPLACE VIEW v AS SELECT 2;"
	if name := jobOf(t, build(t, input(t, flyway))).Name; name == jobOf(t, newest).Name {
		t.Errorf("%s stays although a repeatable file has changed, so that no sync would run it", name)
	}
}
