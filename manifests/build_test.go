package manifests_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// input returns an Input of plain migrations, by file name.
func input(t testing.TB, files map[string]string) manifests.Input {
	t.Helper()
	fsys := fstest.MapFS{}
	in := manifests.Input{
		Migration: manifests.SchemaMigration{
			Name: "orders", Environment: "production",
			Source: manifests.Source{Directory: "../../migrations"},
			Database: manifests.Database{URLFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "orders-db"}, Key: "url"}}},
		},
		Files: map[string][]byte{},
	}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
		in.Files[name] = []byte(content)
	}
	var err error
	if in.Set, err = migrations.Load(fsys, migrations.LayoutAuto); err != nil {
		t.Fatal(err)
	}
	return in
}

func twoMigrations() map[string]string {
	return map[string]string{
		"0001_create_orders.sql": "CREATE TABLE orders (id bigint);\n",
		"0002_add_total.sql":     "ALTER TABLE orders\n  ADD COLUMN total numeric;\n",
	}
}

func build(t testing.TB, in manifests.Input) []manifests.Object {
	t.Helper()
	objects, err := manifests.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func jobOf(t testing.TB, objects []manifests.Object) *batchv1.Job {
	t.Helper()
	for _, o := range objects {
		if job, ok := o.Value.(*batchv1.Job); ok {
			return job
		}
	}
	t.Fatal("no Job")
	return nil
}

func TestGolden(t *testing.T) {
	full := input(t, twoMigrations())
	m := &full.Migration
	m.Wave, m.Target, m.MinCompatible = new(int32(-3)), "2", "1"
	m.Policy = manifests.Policy{LockTimeout: new(5 * time.Second), StatementTimeout: new(time.Duration(0)),
		Deadline: new(90 * time.Minute), OutOfOrder: "skip", Retries: new(int32(0))}
	m.Database.Env = []corev1.EnvVar{{Name: "PGSSLMODE", Value: "verify-full"}}
	m.Database.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "postgres"}}}}
	m.Job = json.RawMessage(`{"spec":{"template":{"spec":{"nodeSelector":{"pool":"jobs"},"serviceAccountName":"migrator",
		"containers":[{"name":"migrate","resources":{"limits":{"memory":"1Gi"}}}]}}}}`)
	full.Image = "registry.example.com/runner:1"
	full.Copies = []manifests.Copy{
		{Reference: manifests.Reference{Kind: "Secret", Name: "orders-db"}, Type: "Opaque", BinaryData: map[string][]byte{"url": []byte("postgres://u:p@h/d")}},
		{Reference: manifests.Reference{Kind: "ConfigMap", Name: "postgres"}, Data: map[string]string{"PGHOST": "db"}},
	}
	tenants := input(t, twoMigrations())
	tenants.Migration.Tenants = &manifests.Tenants{Query: "SELECT name FROM shops WHERE region = $$eu$$ -- $(DATABASE_URL)", Parallel: new(int32(8))}
	image, tool := imageInput(t), toolInput(t)
	image.Migration.Source.Image.Layout, image.Migration.Target, image.Migration.MinCompatible = "plain", "2", "1"
	tool.Migration.Source.Tool.WorkingDir, tool.Migration.Source.Tool.HistoryTable = "/app", "app.migrations"
	tool.Migration.Policy = m.Policy
	tool.Migration.Policy.OutOfOrder = ""
	tool.Migration.Job = json.RawMessage(`{"spec":{"template":{"spec":{"securityContext":{"runAsUser":33,"runAsGroup":33},
		"containers":[{"name":"migrate","securityContext":{"readOnlyRootFilesystem":false}}]}}}}`)
	guard := full
	guard.Migration.Guard, guard.Migration.Policy.OutOfOrder = true, "apply"
	guard.Migration.DependsOn, guard.Migration.Tenants = []string{"production/customers"}, tenants.Migration.Tenants
	for name, in := range map[string]manifests.Input{"plain": input(t, twoMigrations()), "full": full, "tenants": tenants, "image": image, "tool": tool, "guard": guard} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			for _, o := range build(t, in) {
				y, err := o.YAML()
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "---\n%s", y)
			}
			golden(t, name+".yaml", b.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// sources are inputs with one source each.
func sources(t testing.TB) map[string]manifests.Input {
	return map[string]manifests.Input{"directory": input(t, twoMigrations()), "image": imageInput(t), "tool": toolInput(t)}
}

// TestStrict reads every object as strictly as an API server with field validation.
func TestStrict(t *testing.T) {
	for _, in := range sources(t) {
		for _, o := range build(t, in) {
			y, err := o.YAML()
			if err != nil {
				t.Fatal(err)
			}
			into := map[string]any{"Job": &batchv1.Job{}, "ConfigMap": &corev1.ConfigMap{}}[o.Kind()]
			if err := sigsyaml.UnmarshalStrict(y, into); err != nil {
				t.Errorf("%s: %v", o.Value.GetName(), err)
			}
			if d := cmp.Diff(any(o.Value), into); d != "" {
				t.Errorf("%s read back (-want +got):\n%s", o.Value.GetName(), d)
			}
			for _, never := range []string{"\nstatus:", "creationTimestamp", ": null"} {
				if bytes.Contains(y, []byte(never)) {
					t.Errorf("%s holds %q:\n%s", o.Value.GetName(), never, y)
				}
			}
		}
	}
}

// TestRestricted holds the Pod to the Pod Security standard "restricted" (Kubernetes, "Pod Security Standards"), and to a root
// that nobody writes to.
func TestRestricted(t *testing.T) {
	for kind, in := range sources(t) {
		pod := jobOf(t, build(t, in)).Spec.Template.Spec
		if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod: %+v", kind, pod.SecurityContext)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			s := c.SecurityContext
			if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("%s: container %s: %+v", kind, c.Name, s)
			}
		}
		if *pod.AutomountServiceAccountToken || *pod.EnableServiceLinks || pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Errorf("%s: the Pod reaches further than it must", kind)
		}
		for _, v := range pod.Volumes {
			if v.Projected == nil && v.EmptyDir == nil {
				t.Errorf("%s: volume %s is neither projected nor empty", kind, v.Name)
			}
		}
	}
}

// TestExitCodes holds the Job's idea of a permanent failure to the runner's.
func TestExitCodes(t *testing.T) {
	job := jobOf(t, build(t, input(t, twoMigrations())))
	for code := range int32(256) {
		listed := slices.Contains(job.Spec.PodFailurePolicy.Rules[1].OnExitCodes.Values, code)
		if permanent := migrations.ExitCode(code).Permanent(); listed != permanent {
			t.Errorf("exit code %d: permanent is %v, the Job fails at once is %v", code, permanent, listed)
		}
	}
}

func TestNames(t *testing.T) {
	in := input(t, twoMigrations())
	in.Migration.Name = strings.Repeat("a", 63)
	in.Copies = []manifests.Copy{{Reference: manifests.Reference{Kind: "Secret", Name: "orders-db"}}}
	for _, o := range build(t, in) {
		name := o.Value.GetName()
		if len(name) > 52 {
			t.Errorf("%s has %d characters", name, len(name))
		}
		parsed, ok := manifests.ParseName("eu-" + name + "-blue")
		if !ok || parsed.Version != "2" || !parsed.Matches(in.Set.Digest()) {
			t.Errorf("%s parsed: %+v, %v", name, parsed, ok)
		}
	}
}

// TestTarget carries what the target asks for and nothing newer, so that what comes after it changes nothing.
func TestTarget(t *testing.T) {
	short := input(t, map[string]string{"0001_create_orders.sql": twoMigrations()["0001_create_orders.sql"]})
	long := input(t, twoMigrations())
	short.Migration.Target, long.Migration.Target = "1", "1"
	a, b := build(t, short), build(t, long)
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("a migration beyond the target changes what is rendered:\n%s", d)
	}
}

// TestLargestJob refuses a Job that client-side apply could not keep in an annotation, and takes every one that it could: what it
// makes of short names is mostly what stands around them.
func TestLargestJob(t *testing.T) {
	names := func(n int, format string) *manifests.Tenants {
		tenants := &manifests.Tenants{}
		for i := range n {
			tenants.Names = append(tenants.Names, fmt.Sprintf(format, i))
		}
		return tenants
	}
	for _, c := range []struct {
		why     string
		tenants *manifests.Tenants
		command []string
		fits    bool
	}{
		{"many tenants with long names", names(1000, "%063d"), nil, true},
		{"many tenants with short names", names(14_000, "%x"), nil, true},
		{"more tenants with short names", names(16_000, "%x"), nil, false},
		{"a long command", nil, slices.Repeat([]string{strings.Repeat("x", 1000)}, 200), true},
		{"a longer command", nil, slices.Repeat([]string{strings.Repeat("x", 1000)}, 250), false},
		{"a command that JSON makes longer", nil, slices.Repeat([]string{strings.Repeat("<", 1000)}, 50), false},
	} {
		in := input(t, twoMigrations())
		if in.Migration.Tenants = c.tenants; c.command != nil {
			in = toolInput(t)
			in.Migration.Source.Tool.Command = c.command
		}
		objects, err := manifests.Build(in)
		if wrong := (*manifests.FieldError)(nil); !c.fits {
			if !errors.As(err, &wrong) || wrong.Field != "spec" {
				t.Errorf("%s: error %v, want one about spec", c.why, err)
			}
			continue
		} else if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		for _, o := range objects {
			if b, err := json.Marshal(o.Value); o.Component != manifests.ComponentSQL && (err != nil || len(b) > 256<<10) {
				t.Errorf("%s: %s has %d bytes, %v", c.why, o.Value.GetName(), len(b), err)
			}
		}
	}
}

// TestTenants brings every change of the tenants into the Job's arguments and into the marker, so that Argo CD syncs, and leaves
// the names alone: what they are made from is the schema.
func TestTenants(t *testing.T) {
	type seen struct {
		Names        []string
		Args, Marker string
	}
	of := func(tenants *manifests.Tenants) seen {
		in := input(t, twoMigrations())
		in.Migration.Tenants = tenants
		var s seen
		for _, o := range build(t, in) {
			s.Names = append(s.Names, o.Value.GetName()+" "+o.Value.GetAnnotations()[manifests.AnnotationDigest])
			switch v := o.Value.(type) {
			case *batchv1.Job:
				s.Args = strings.Join(v.Spec.Template.Spec.Containers[0].Args, " ")
			case *corev1.ConfigMap:
				if o.Component == manifests.ComponentMarker {
					s.Marker = fmt.Sprint(v.Data)
				}
			}
		}
		return s
	}
	last := of(nil)
	for _, tenants := range []manifests.Tenants{{Names: []string{"acme"}}, {Names: []string{"acme", "shop $1"}}, {Query: "SELECT 'acme'"}, {Query: "SELECT 'shop'"}} {
		next := of(&tenants)
		if d := cmp.Diff(last.Names, next.Names); d != "" {
			t.Errorf("%v: names (-before +after):\n%s", tenants, d)
		}
		if next.Args == last.Args || next.Marker == last.Marker {
			t.Errorf("%v: the change is not seen in %s, or not in %s", tenants, next.Args, next.Marker)
		}
		last = next
	}
	ab, ba := of(&manifests.Tenants{Names: []string{"a", "shop $1"}}), of(&manifests.Tenants{Names: []string{"shop $1", "a"}})
	if ab.Marker != ba.Marker || !strings.HasSuffix(ab.Args, " --tenant=a --tenant=shop $$1") {
		t.Errorf("in another order: %+v, %+v", ab, ba)
	}
}

// TestPure finds memory that the objects share with their input: changing one must not change the other.
func TestPure(t *testing.T) {
	in := input(t, twoMigrations())
	in.Copies = []manifests.Copy{{Reference: manifests.Reference{Kind: "Secret", Name: "orders-db"}}}
	first := build(t, in)
	if got := in.Migration.Database.URLFrom.SecretKeyRef.Name; got != "orders-db" {
		t.Errorf("the build renamed its own input to %s", got)
	}
	jobOf(t, first).Spec.Template.Spec.Containers[0].Env[0].ValueFrom.SecretKeyRef.Name = "changed"
	again := build(t, in)
	if got := jobOf(t, again).Spec.Template.Spec.Containers[0].Env[0].ValueFrom.SecretKeyRef.Name; strings.Contains(got, "changed") {
		t.Error("a built Job shares memory with the input")
	}
}

func TestCopiesTakeTheOriginalsPlace(t *testing.T) {
	in := input(t, twoMigrations())
	in.Copies = []manifests.Copy{{Reference: manifests.Reference{Kind: "Secret", Name: "orders-db"}, BinaryData: map[string][]byte{"url": []byte("x")}}}
	objects := build(t, in)
	for _, r := range manifests.References(jobOf(t, objects)) {
		if r.Name == "orders-db" {
			t.Error("the Job still refers to the original")
		}
		if !slices.ContainsFunc(objects, func(o manifests.Object) bool { return o.Kind() == r.Kind && o.Value.GetName() == r.Name }) {
			t.Errorf("the Job refers to %v, which is not rendered", r)
		}
	}
}

// TestNamesAreReadAsTheyWereMade: whatever a database is called, the name of its Job tells whose it is, of which version and which digest.
func TestNamesAreReadAsTheyWereMade(t *testing.T) {
	digest := "sha256:6f1ed0024b"
	for _, database := range []string{
		"orders", "orders-2", "orders-2-20261122", "pricing-tool", "image", "tool-image-7", "a-12345678-tool", "schema", "my-schema-7", "v-1-2",
		"document-archive", "identity-provider", strings.Repeat("7", 63), strings.Repeat("a-1-", 15) + "b",
	} {
		for _, what := range []string{"1", "7", "20261122", "20261122093000", "1.2.3", "image", "tool"} {
			for _, digest := range []string{digest, "sha256:20261122aa"} {
				name := manifests.ObjectName(database, what, digest)
				cut := strings.TrimSuffix(strings.TrimPrefix(name, "schema-"), "-"+what+"-"+digest[7:15])
				for around, is := range map[string]string{"%s": "", "%s-marker": "marker", "%s-guard": "guard", "eu-%s-blue": "", "eu-%s-guard-blue": "guard"} {
					full := fmt.Sprintf(around, name)
					n, ok := manifests.ParseName(full)
					if !ok || n.Database != cut || n.What() != what || !n.Matches(digest) || n.Marker != (is == "marker") || n.Guard != (is == "guard") {
						t.Errorf("%s of %s at %s is read as %+v, %t", full, database, what, n, ok)
					}
				}
			}
		}
	}
	for _, name := range []string{"schema-orders-7-6f1ed00", "schema-orders-7-6f1ed0024", "schema-orders-6f1ed002", "schema-7-6f1ed002", "orders-7-6f1ed002"} {
		if n, ok := manifests.ParseName(name); ok {
			t.Errorf("%s is read as %+v", name, n)
		}
	}
}
