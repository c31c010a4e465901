package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream/natstest"
	"github.com/schemawave/schemawave/kustomize"
	"github.com/schemawave/schemawave/manifests"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// block is a fenced piece of a document.
type block struct {
	at             string // file:line
	language, text string
}

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocks reads the fenced blocks of README.md and docs.
func blocks(t *testing.T) []block {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	for _, file := range append(files, "../../README.md") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllSubmatchIndex(content, -1) {
			found = append(found, block{
				at:       fmt.Sprintf("%s:%d", strings.TrimPrefix(file, "../../"), 1+bytes.Count(content[:m[0]], []byte("\n"))),
				language: string(content[m[2]:m[3]]), text: string(content[m[4]:m[5]]),
			})
		}
	}
	return found
}

// TestDocuments does with every fenced block of the documentation what a reader would.
func TestDocuments(t *testing.T) {
	database, err := postgrestest.Start(t.Context(), postgrestest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { database.Stop() })
	broker, err := natstest.Start(natstest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	t.Setenv("NATS_URL", broker.URL())
	tried := map[string]int{}
	var config string
	printed := "" // by the last shell block
	all := blocks(t)
	for _, b := range all {
		if strings.HasPrefix(b.text, "nats:") || strings.Contains(b.text, "config.yaml\nnats:") || strings.HasPrefix(b.text, "# config.yaml, ") {
			config = b.text
		}
	}
	for _, b := range all {
		t.Run(b.at, func(t *testing.T) {
			kind := kindOf(b)
			tried[kind]++
			switch kind {
			case "SchemaMigration":
				tryMigration(t, b.text)
			case "Kustomization":
				tryInstallation(t, b.text, config)
			case "sidecar":
				trySidecar(t, b.text)
			case "plugin":
				tryPlugin(t, b.text)
			case "configuration":
				tryConfig(t, b.text)
			case "pod":
				tryPod(t, b.text)
			case "workload":
				tryWorkload(t, b.text)
			case "rights":
				tryRights(t, b.text)
			case "state":
				tryState(t, b.text)
			case "go":
				tryGo(t, b.text)
			case "sh":
				printed = tryShell(t, b.text, database)
			case "text":
				if b.text != printed {
					t.Errorf("the commands before it print\n%s", printed)
				}
			case "sql":
				trySQL(t, b.text, database)
			default:
				t.Errorf("nothing here knows how to try this block of %s", b.language)
			}
		})
	}
	for _, kind := range []string{"SchemaMigration", "Kustomization", "plugin", "sidecar", "configuration", "pod", "workload", "rights", "state", "go", "sh", "text", "sql"} {
		if tried[kind] == 0 {
			t.Errorf("no block of kind %s was found: is the documentation still where it was?", kind)
		}
	}
}

func kindOf(b block) string {
	switch {
	case b.language == "json":
		return "state"
	case b.language != "yaml":
		return b.language
	case strings.Contains(b.text, "kind: SchemaMigration"):
		return "SchemaMigration"
	case strings.Contains(b.text, "apiVersion: rbac.authorization.k8s.io/v1"):
		return "rights"
	case strings.Contains(b.text, "kind: Kustomization"):
		return "Kustomization"
	case strings.Contains(b.text, "name: argocd-repo-server"):
		return "sidecar"
	case strings.Contains(b.text, "kind: ConfigManagementPlugin"):
		return "plugin"
	case strings.Contains(b.text, "schemawave.dev/wait-for"):
		return "workload"
	case strings.HasPrefix(b.text, "initContainers:"):
		return "pod"
	case strings.Contains(b.text, "\nnats:"):
		return "configuration"
	}
	return "yaml"
}

// tryMigration renders the file in an overlay like that of the example, together with what else it needs there.
func tryMigration(t *testing.T, text string) {
	root := t.TempDir()
	write(t, root, ".git/HEAD", "ref: refs/heads/main\n")
	write(t, root, "orders/migrations/20260101000000_create.sql", "CREATE TABLE orders (id int);\n")
	declaration, others, _ := strings.Cut(text, "\n---\n")
	write(t, root, "orders/overlays/production/kustomization.yaml", "namespace: production\nresources: [others.yaml]\n")
	write(t, root, "orders/overlays/production/others.yaml", others)
	write(t, root, "orders/overlays/production/schemamigration.yaml", declaration)
	result, err := kustomize.Render(t.Context(), filepath.Join(root, "orders/overlays/production"), kustomize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !result.Changed() {
		t.Error("nothing is rendered from it")
	}
}

// trySidecar checks that the patch is one of a Deployment, and that each volume of its own is mounted.
func trySidecar(t *testing.T, text string) {
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	for _, v := range pod.Volumes {
		if !slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name }) {
			t.Errorf("volume %s is not mounted", v.Name)
		}
	}
	if want := "ghcr.io/schemawave/schemawave:" + manifests.Version; pod.Containers[0].Image != want {
		t.Errorf("the image is %s, want %s", pod.Containers[0].Image, want)
	}
}

// tryPlugin runs the plugin's command as Argo CD does: in the overlay, for objects on standard output.
func tryPlugin(t *testing.T, text string) {
	var plugin struct {
		Spec struct{ Generate struct{ Command []string } }
	}
	if err := yaml.Unmarshal([]byte(text), &plugin); err != nil {
		t.Fatal(err)
	}
	args := plugin.Spec.Generate.Command
	if len(args) == 0 || args[0] != "schemawave" {
		t.Fatalf("the plugin runs %q", args)
	}
	root := t.TempDir()
	write(t, root, ".git/HEAD", "ref: refs/heads/main\n")
	write(t, root, "migrations/0001_create.sql", "CREATE TABLE orders (id int);\n")
	write(t, root, "overlay/kustomization.yaml", "namespace: production\n")
	write(t, root, "overlay/schemamigration.yaml", "apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: orders}\n"+
		"spec: {source: {directory: ../migrations}, database: {urlFrom: {secretKeyRef: {name: orders-db, key: url}}}}\n")
	t.Chdir(filepath.Join(root, "overlay"))
	var out bytes.Buffer
	c := command()
	c.SetArgs(args[1:])
	c.SetOut(&out)
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nkind: Job\n") {
		t.Errorf("it prints no Job:\n%s", &out)
	}
}

// tryRights reads a role, or what binds one.
func tryRights(t *testing.T, text string) {
	var role rbacv1.ClusterRole
	var binding rbacv1.RoleBinding
	if yaml.UnmarshalStrict([]byte(text), &role) != nil || len(role.Rules) == 0 {
		if err := yaml.UnmarshalStrict([]byte(text), &binding); err != nil || binding.RoleRef.Name == "" {
			t.Errorf("neither a role nor a binding: %v", err)
		}
	}
}

// tryInstallation builds the kustomization over this checkout's manifests/install.
func tryInstallation(t *testing.T, text, config string) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "install"), os.DirFS("../../manifests/install")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	local := regexp.MustCompile(`https://github.com/schemawave/schemawave//manifests/(install[/a-z]*)\?ref=v[0-9.]+`).ReplaceAllString(text, "../$1")
	if strings.Contains(local, "https:") {
		t.Fatal("it does not refer to manifests/install")
	}
	write(t, root, "mine/kustomization.yaml", local)
	write(t, root, "mine/config.yaml", config)
	for _, b := range blocks(t) { // that it names
		if name, _, ok := strings.Cut(strings.TrimPrefix(b.text, "# "), "\n"); ok && strings.Contains(text, "- "+name+"\n") {
			write(t, root, "mine/"+name, b.text)
		}
	}
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "mine"))
	if err != nil {
		t.Fatal(err)
	}
	built, err := objects.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	if first := strings.SplitN(config, "\n", 3)[1]; !bytes.Contains(built, []byte(first)) {
		t.Errorf("the configuration did not take the place of the default one:\n%s", built)
	}
	if asked, may := strings.Contains(text, "install/gates?"), bytes.Contains(built, []byte("  - pods\n  verbs:\n  - get\n  - list\n  - watch\n  - patch\n")); asked != may {
		t.Errorf("may patch Pods: %t, want %t:\n%s", may, asked, built)
	}
	account, _ := objects.Select(types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Kind: "ServiceAccount"}}})
	bindings, _ := objects.Select(types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Kind: "ClusterRoleBinding"}}})
	for _, b := range bindings {
		if subject := fmt.Sprintf("name: %s\n  namespace: %s\n", account[0].GetName(), account[0].GetNamespace()); !strings.Contains(b.MustYaml(), subject) {
			t.Errorf("%s is not bound to\n%s", b.GetName(), subject)
		}
	}
}

// TestInstallationInAnotherNamespace: whoever is bound moves with the controller.
func TestInstallationInAnotherNamespace(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "install"), os.DirFS("../../manifests/install")); err != nil {
		t.Fatal(err)
	}
	write(t, root, "mine/kustomization.yaml", "namespace: platform\nresources: [../install]\ncomponents: [../install/gates]\n")
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "mine"))
	if err != nil {
		t.Fatal(err)
	}
	bindings := 0
	for _, o := range objects.Resources() {
		if strings.HasSuffix(o.GetKind(), "Binding") && o.GetKind() != "ValidatingAdmissionPolicyBinding" {
			bindings++
			if text := o.MustYaml(); !strings.Contains(text, "subjects:\n- kind: ServiceAccount\n  name: schemawave\n  namespace: platform\n") {
				t.Errorf("nobody is bound:\n%s", text)
			}
		}
	}
	if bindings != 3 {
		t.Errorf("%d bindings", bindings)
	}
}

func tryConfig(t *testing.T, text string) {
	path := write(t, t.TempDir(), "config.yaml", text)
	if _, err := readConfig(path); err != nil {
		t.Fatal(err)
	}
}

func tryPod(t *testing.T, text string) {
	var pod corev1.PodSpec
	if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
		t.Fatal(err)
	}
	for _, c := range pod.InitContainers {
		if !slices.Contains([]string{"wait", "exec", "install"}, c.Args[0]) {
			t.Errorf("container %s runs %q", c.Name, c.Args[0])
		}
		root := command()
		sub, args, err := root.Find(c.Args)
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		if sub.Name() != "wait" {
			continue
		}
		for _, target := range sub.Flags().Args() {
			if _, err := events.ParseTarget(target); err != nil {
				t.Error(err)
			}
		}
	}
}

// tryWorkload renders an overlay with the workload, which then waits.
func tryWorkload(t *testing.T, text string) {
	root := t.TempDir()
	write(t, root, ".git/HEAD", "ref: refs/heads/main\n")
	write(t, root, "overlay/kustomization.yaml", "namespace: production\nresources: [workload.yaml]\n")
	write(t, root, "overlay/workload.yaml", text)
	result, err := kustomize.Render(t.Context(), filepath.Join(root, "overlay"), kustomize.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gate := "- name: wait-for-schema\n"
	if strings.Contains(text, "wait-by: schedulingGate") {
		gate = "- name: " + manifests.SchedulingGate + "\n"
	}
	if !strings.Contains(result.Diff(), "+    "+gate) {
		t.Errorf("it does not wait:\n%s", result.Diff())
	}
}

func tryState(t *testing.T, text string) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var s events.State
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if s.Satisfies("2").Answer != events.Satisfied {
		t.Errorf("version 2 is not ready in %+v", s)
	}
}

// tryGo compiles the block as the body of a function.
func tryGo(t *testing.T, text string) {
	const frame = `package main

import (
	"context"
	"net/http"
	"os"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/events/jetstream"
)

var _ http.Handler // not every block serves

func wait(ctx context.Context) error {
%s}

func main() { _ = wait(context.Background()) }
`
	path := write(t, t.TempDir(), "main.go", fmt.Sprintf(frame, text))
	if out, err := exec.CommandContext(t.Context(), "go", "vet", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// tryShell runs the lines: make's targets must exist, our own commands must succeed against a fresh database. It returns
// what they print.
func tryShell(t *testing.T, text string, database *postgrestest.Server) string {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	url, err := database.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DATABASE_URL", url)
	t.Chdir("../../examples/shop")
	if strings.Contains(text, "schemawave import ") {
		leaveHistory(t, url)
	}
	if strings.Contains(text, "schemawave exec ") {
		installTools(t)
	}
	if strings.Contains(text, "schemawave streams ") {
		t.Setenv("NATS_URL", brokerOf(t, "").URL())
	}
	var printed bytes.Buffer
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		words := shellWords(line)
		switch {
		case len(words) == 0, words[0] == "export":
		case words[0] == "make":
			if !bytes.Contains(makefile, []byte("\n"+words[1]+":")) {
				t.Errorf("make has no target %s", words[1])
			}
		case words[0] == "schemawave":
			root := command()
			root.SetArgs(words[1:])
			root.SetOut(&printed)
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		case words[0] == "nats":
			tryPurge(t, words[1:])
		default:
			t.Errorf("nothing here knows how to run %q", line)
		}
	}
	return printed.String()
}

// shellWords divides a line at its blanks, except within single quotes.
func shellWords(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// leaveHistory makes the database look as golang-migrate leaves it.
func leaveHistory(t *testing.T, url string) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); "+
		"INSERT INTO schema_migrations VALUES (1, false)").ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// installTools puts programs into PATH that leave the histories of the tools that go by their names, and insist on the arguments.
func installTools(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, tool := range map[string]struct{ arguments, sql string }{
		"php": {"artisan migrate --force", "CREATE TABLE migrations (id serial, migration varchar(255), batch int); INSERT INTO migrations (migration, batch) VALUES ('2024_01_31_120000_orders', 1)"},
		"python": {"manage.py migrate", "CREATE TABLE django_migrations (id serial, app varchar(255), name varchar(255), applied timestamptz); " +
			"INSERT INTO django_migrations (app, name) VALUES ('orders', '0001_initial')"},
	} {
		script := fmt.Sprintf("#!/bin/sh\ntest \"$*\" = '%s' && psql -X -q \"$DATABASE_URL\" -c \"%s\"\n", tool.arguments, tool.sql)
		if err := os.Chmod(write(t, dir, name, script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// trySQL applies the block after the table that it changes.
func trySQL(t *testing.T, text string, database *postgrestest.Server) {
	url, err := database.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DATABASE_URL", url)
	dir := t.TempDir()
	write(t, dir, "20251201000000_orders.sql", "CREATE TABLE orders (id int, legacy_total int);\n")
	write(t, dir, "20260101000000_block.sql", text)
	root := command()
	root.SetArgs([]string{"migrate", "--dir", dir, "--database", "orders"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Error(err)
	}
}

// write makes a file below dir, and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
