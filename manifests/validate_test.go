package manifests_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/manifests"
)

func TestValidate(t *testing.T) {
	secret := func(name, key string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}
	}
	type m = manifests.SchemaMigration
	image := func(name, path string) func(*m) {
		return func(s *m) {
			s.Source = manifests.Source{Image: &manifests.ImageSource{Name: name, Path: path}}
		}
	}
	tool := func(change func(*manifests.ToolSource)) func(*m) {
		return func(s *m) {
			s.Source = toolInput(t).Migration.Source
			change(s.Source.Tool)
		}
	}
	for _, c := range []struct {
		why    string
		change func(*m)
		field  string // of the only error; empty: none
	}{
		{"the least there can be", func(*m) {}, ""},
		{"no name", func(s *m) { s.Name = "" }, "metadata.name"},
		{"a name with dots, which object names would confuse", func(s *m) { s.Name = "a.b" }, "metadata.name"},
		{"a name in capitals", func(s *m) { s.Name = "Orders" }, "metadata.name"},
		{"a name of 63 characters", func(s *m) { s.Name = strings.Repeat("a", 63) }, ""},
		{"a name of 64 characters, too long for a label", func(s *m) { s.Name = strings.Repeat("a", 64) }, "metadata.name"},
		{"no environment", func(s *m) { s.Environment = "" }, "spec.environment"},
		{"an environment that ends in a hyphen", func(s *m) { s.Environment = "eu-" }, "spec.environment"},
		{"no source", func(s *m) { s.Source.Directory = "" }, "spec.source"},
		{"two sources", func(s *m) { s.Source.Tool = &manifests.ToolSource{} }, "spec.source"},
		{"an image", image("app", "/migrations"), ""},
		{"an image with everything", image("registry.example.com:5000/a_b/c--d:v1.4.2_x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "/a/b"), ""},
		{"an image in another case", image("App:1", "/migrations"), "spec.source.image.name"},
		{"an image with a blank", image("app:1 ", "/migrations"), "spec.source.image.name"},
		{"an image with two tags", image("app:1:2", "/migrations"), "spec.source.image.name"},
		{"an image with a short digest", image("app@sha256:0123", "/migrations"), "spec.source.image.name"},
		{"an image that is a URL", image("https://registry.example.com/app", "/migrations"), "spec.source.image.name"},
		{"an image that is an option", image("-app", "/migrations"), "spec.source.image.name"},
		{"a directory of an image that is relative", image("app", "migrations"), "spec.source.image.path"},
		{"a directory of an image with a slash at its end", image("app", "/migrations/"), "spec.source.image.path"},
		{"a directory's layout beside an image", func(s *m) { image("app", "/m")(s); s.Source.Layout = "plain" }, "spec.source.layout"},
		{"a tool", tool(func(*manifests.ToolSource) {}), ""},
		{"a tool without command", tool(func(t *manifests.ToolSource) { t.Command = nil }), "spec.source.tool.command"},
		{"a tool with an empty command", tool(func(t *manifests.ToolSource) { t.Command = []string{""} }), "spec.source.tool.command"},
		{"a tool without image", tool(func(t *manifests.ToolSource) { t.Image = "" }), "spec.source.tool.image"},
		{"a tool that runs nowhere", tool(func(t *manifests.ToolSource) { t.WorkingDir = "." }), "spec.source.tool.workingDir"},
		{"a password as an option", tool(func(t *manifests.ToolSource) { t.Command = []string{"a", "--db-password=hunter2"} }), "spec.source.tool.command[1]"},
		{"a password by reference", tool(func(t *manifests.ToolSource) { t.Command = []string{"a", "--db-password=$(DB_PASSWORD)"} }), ""},
		{"an unknown history", tool(func(t *manifests.ToolSource) { t.History = "doctrine" }), "spec.source.tool.history"},
		{"a query without custom", tool(func(t *manifests.ToolSource) { t.HistoryQuery = "SELECT 1" }), "spec.source.tool.historyQuery"},
		{"custom without a query", tool(func(t *manifests.ToolSource) { t.History = "custom" }), "spec.source.tool.historyQuery"},
		{"custom", tool(func(t *manifests.ToolSource) { t.History, t.HistoryQuery = "custom", "SELECT 1" }), ""},
		{"custom with a table", tool(func(t *manifests.ToolSource) { t.History, t.HistoryQuery, t.HistoryTable = "custom", "SELECT 1", "a" }), "spec.source.tool.historyTable"},
		{"a table with its schema", tool(func(t *manifests.ToolSource) { t.HistoryTable = `app."Sequelize Meta"` }), ""},
		{"a table that is a statement", tool(func(t *manifests.ToolSource) { t.HistoryTable = "a; DROP TABLE b" }), "spec.source.tool.historyTable"},
		{"a target for a tool", func(s *m) { tool(func(*manifests.ToolSource) {})(s); s.Target = "1" }, "spec.target"},
		{"an order for a tool", func(s *m) { tool(func(*manifests.ToolSource) {})(s); s.Policy.OutOfOrder = "apply" }, "spec.policy.outOfOrder"},
		{"tenants for a tool", func(s *m) {
			tool(func(*manifests.ToolSource) {})(s)
			s.Tenants = &manifests.Tenants{Names: []string{"a"}}
		}, "spec.tenants"},
		{"dependencies here and elsewhere", func(s *m) { s.DependsOn = []string{"customers", "production/stock@7", "eu/stock/acme@latest"} }, ""},
		{"a dependency that is no name", func(s *m) { s.DependsOn = []string{"Customers"} }, "spec.dependsOn[0]"},
		{"a dependency given twice", func(s *m) { s.DependsOn = []string{"customers", "customers"} }, "spec.dependsOn[1]"},
		{"a dependency of this overlay with a version", func(s *m) { s.DependsOn = []string{"customers@7"} }, "spec.dependsOn[0]"},
		{"a dependency elsewhere without a name", func(s *m) { s.DependsOn = []string{"production/"} }, "spec.dependsOn[0]"},
		{"a dependency elsewhere with too many names", func(s *m) { s.DependsOn = []string{"a/b/c/d"} }, "spec.dependsOn[0]"},
		{"a dependency elsewhere without tenant", func(s *m) { s.DependsOn = []string{"a/b/"} }, "spec.dependsOn[0]"},
		{"a dependency elsewhere at no version", func(s *m) { s.DependsOn = []string{"a/b@next"} }, "spec.dependsOn[0]"},
		{"no database", func(s *m) { s.Database = manifests.Database{} }, "spec.database"},
		{"only env", func(s *m) { s.Database = manifests.Database{Env: []corev1.EnvVar{{Name: "PGHOST", Value: "db"}}} }, ""},
		{"urlFrom without a source", func(s *m) { s.Database.URLFrom = &corev1.EnvVarSource{} }, "spec.database.urlFrom"},
		{"urlFrom from the Pod's fields", func(s *m) { s.Database.URLFrom.FieldRef = &corev1.ObjectFieldSelector{} }, "spec.database.urlFrom"},
		{"a Secret without key", func(s *m) { s.Database.URLFrom = secret("x", "") }, "spec.database.urlFrom.secretKeyRef"},
		{"a Secret that cannot be", func(s *m) { s.Database.URLFrom = secret("Orders_DB", "url") }, "spec.database.urlFrom.secretKeyRef.name"},
		{"a Secret with dots", func(s *m) { s.Database.URLFrom = secret("orders.db", "url") }, ""},
		{"a Secret of a variable that cannot be", func(s *m) {
			s.Database.Env = []corev1.EnvVar{{Name: "PGPASSWORD", ValueFrom: secret("Orders_DB", "p")}}
		}, "spec.database.env[0].valueFrom.secretKeyRef.name"},
		{"a ConfigMap that cannot be", func(s *m) {
			s.Database.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "orders/db"}}}}
		}, "spec.database.envFrom[0].configMapRef.name"},
		{"a variable without name", func(s *m) { s.Database.Env = []corev1.EnvVar{{Value: "x"}} }, "spec.database.env[0].name"},
		{"a variable given twice", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "A"}, {Name: "A"}} }, "spec.database.env[1].name"},
		{"the URL beside urlFrom", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "DATABASE_URL", ValueFrom: secret("x", "y")}} }, "spec.database.env[0].name"},
		{"the URL by env alone", func(s *m) {
			s.Database = manifests.Database{Env: []corev1.EnvVar{{Name: "DATABASE_URL", ValueFrom: secret("x", "y")}}}
		}, ""},
		{"our own variable", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "SCHEMAWAVE_JOB", Value: "x"}} }, "spec.database.env[0].name"},
		{"value and valueFrom", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "A", Value: "b", ValueFrom: secret("x", "y")}} }, "spec.database.env[0]"},
		{"a password in plain text", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "PGPASSWORD", Value: "hunter2"}} }, "spec.database.env[0].value"},
		{"a password in a URL", func(s *m) {
			s.Database = manifests.Database{Env: []corev1.EnvVar{{Name: "DATABASE_URL", Value: "postgres://u:hunter2@h/d"}}}
		}, "spec.database.env[0].value"},
		{"a URL without password", func(s *m) {
			s.Database = manifests.Database{Env: []corev1.EnvVar{{Name: "DATABASE_URL", Value: "postgres://u@h/d"}}}
		}, ""},
		{"a password in a URL whose port is a reference", func(s *m) {
			s.Database = manifests.Database{Env: []corev1.EnvVar{{Name: "DATABASE_URL", Value: "postgres://u:hunter2@$(DB_HOST):$(DB_PORT)/d"}}}
		}, "spec.database.env[0].value"},
		{"a password in a connection string", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "DSN", Value: "host=db password=hunter2"}} }, "spec.database.env[0].value"},
		{"a framework's password in plain text", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "DB_PASSWORD", Value: "hunter2"}} }, "spec.database.env[0].value"},
		{"a password by reference", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "PGPASSWORD", Value: "$(DB_PASSWORD)"}} }, ""},
		{"a password that only begins with a reference", func(s *m) { s.Database.Env = []corev1.EnvVar{{Name: "PGPASSWORD", Value: "$(A)hunter2"}} }, "spec.database.env[0].value"},
		{"a URL of references", func(s *m) {
			s.Database = manifests.Database{Env: []corev1.EnvVar{{Name: "DATABASE_URL", Value: "postgres://$(DB_USERNAME):$(DB_PASSWORD)@$(DB_HOST)/$(DB_DATABASE)"}}}
		}, ""},
		{"envFrom without a source", func(s *m) { s.Database.EnvFrom = make([]corev1.EnvFromSource, 1) }, "spec.database.envFrom[0]"},
		{"no time at all", func(s *m) { s.Policy.Deadline = new(time.Duration(0)) }, "spec.policy.deadline"},
		{"a negative timeout", func(s *m) { s.Policy.LockTimeout = new(-time.Second) }, "spec.policy.lockTimeout"},
		{"no statement timeout", func(s *m) { s.Policy.StatementTimeout = new(time.Duration(0)) }, ""},
		{"negative retries", func(s *m) { s.Policy.Retries = new(int32(-1)) }, "spec.policy.retries"},
		{"tenants by query", func(s *m) { s.Tenants = &manifests.Tenants{Query: "SELECT name FROM shops", Parallel: new(int32(8))} }, ""},
		{"tenants by name, as schemas may be called", func(s *m) {
			s.Tenants = &manifests.Tenants{Names: []string{"acme", "South West", "a,b", "$1", strings.Repeat("a", 63)}}
		}, ""},
		{"neither query nor names", func(s *m) { s.Tenants = &manifests.Tenants{} }, "spec.tenants"},
		{"a blank query", func(s *m) { s.Tenants = &manifests.Tenants{Query: " \n"} }, "spec.tenants"},
		{"both query and names", func(s *m) { s.Tenants = &manifests.Tenants{Query: "SELECT 1", Names: []string{"a"}} }, "spec.tenants"},
		{"a tenant without name", func(s *m) { s.Tenants = &manifests.Tenants{Names: []string{"a", ""}} }, "spec.tenants.names[1]"},
		{"a tenant given twice", func(s *m) { s.Tenants = &manifests.Tenants{Names: []string{"a", "b", "a"}} }, "spec.tenants.names[2]"},
		{"a tenant whose name the server would cut", func(s *m) { s.Tenants = &manifests.Tenants{Names: []string{strings.Repeat("a", 64)}} }, "spec.tenants.names[0]"},
		{"a tenant on two lines", func(s *m) { s.Tenants = &manifests.Tenants{Names: []string{"a\nb"}} }, "spec.tenants.names[0]"},
		{"a query with a zero byte", func(s *m) { s.Tenants = &manifests.Tenants{Query: "SELECT '\x00'"} }, "spec.tenants.query"},
		{"more tenants than arguments can carry", func(s *m) {
			s.Tenants = &manifests.Tenants{}
			for i := range 2000 {
				s.Tenants.Names = append(s.Tenants.Names, fmt.Sprintf("tenant-%040d", i))
			}
		}, "spec.tenants"},
		{"no tenant at once", func(s *m) { s.Tenants = &manifests.Tenants{Names: []string{"a"}, Parallel: new(int32(0))} }, "spec.tenants.parallel"},
		{"an unknown order", func(s *m) { s.Policy.OutOfOrder = "ignore" }, "spec.policy.outOfOrder"},
	} {
		t.Run(c.why, func(t *testing.T) {
			s := input(t, twoMigrations()).Migration
			c.change(&s)
			errs := s.Validate()
			if c.field == "" {
				if len(errs) > 0 {
					t.Errorf("refused: %v", errs[0])
				}
				return
			}
			if len(errs) != 1 || errs[0].Field != c.field {
				t.Fatalf("errors %v, want one about %s", errs, c.field)
			}
			if errs[0].What == "" || errs[0].Remedy == "" || strings.Contains(errs[0].Error(), "hunter2") {
				t.Errorf("error %v: no remedy, or it tells the secret", errs[0])
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(*manifests.Input)
		field  string
	}{
		{"an invalid declaration", func(in *manifests.Input) { in.Migration.Name = "" }, "metadata.name"},
		{"a target that is not there", func(in *manifests.Input) { in.Migration.Target = "3" }, "spec.target"},
		{"an empty set", func(in *manifests.Input) { in.Set.Migrations = nil }, "spec.source.directory"},
		{"a promise about the future", func(in *manifests.Input) { in.Migration.MinCompatible = "3" }, "spec.minCompatible"},
		{"a promise beyond the target", func(in *manifests.Input) { in.Migration.Target, in.Migration.MinCompatible = "1", "2" }, "spec.minCompatible"},
		{"a version that leaves no room in names", func(in *manifests.Input) { in.Set.Migrations[1].Version = "123456789012345678901" }, "spec.source.directory"},
	} {
		t.Run(c.why, func(t *testing.T) {
			in := input(t, twoMigrations())
			c.change(&in)
			_, err := manifests.Build(in)
			if wrong := (*manifests.FieldError)(nil); !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("error %v, want one about %s", err, c.field)
			}
		})
	}
}
