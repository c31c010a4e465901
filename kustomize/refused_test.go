package kustomize_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schemawave/schemawave/kustomize"
	"github.com/schemawave/schemawave/migrations"
)

// good is a declaration that is accepted, on 11 lines.
const good = `apiVersion: schemawave.dev/v1alpha1
kind: SchemaMigration
metadata:
  name: orders
spec:
  source:
    directory: ../migrations
  database:
    urlFrom:
      secretKeyRef: {name: orders-db, key: url}
  policy: {retries: 3}
`

// repo is a repository with one overlay that holds content in schema.yaml, changed by pairs of old and new text.
func repo(content string, changes ...string) map[string]string {
	files := map[string]string{
		"overlay/schema.yaml":             content,
		"overlay/kustomization.yaml":      "namespace: production\n",
		"migrations/0001_a.sql":           "SELECT 1;\n",
		"migrations/0002_b.sql":           "SELECT 2;\n",
		"elsewhere/kustomization.yaml":    "resources: []\n",
		"migrations/.schemawave-is-blind": "",
	}
	for i := 0; i < len(changes); i += 2 {
		files["overlay/schema.yaml"] = strings.Replace(files["overlay/schema.yaml"], changes[i], changes[i+1], 1)
	}
	return files
}

func with(files map[string]string, nameAndContent ...string) map[string]string {
	for i := 0; i < len(nameAndContent); i += 2 {
		files[nameAndContent[i]] = nameAndContent[i+1]
	}
	return files
}

// renderTree renders the overlay of a repository.
func renderTree(t testing.TB, files map[string]string) (kustomize.Result, error) {
	t.Helper()
	root := t.TempDir()
	writeTree(t, root, files)
	return kustomize.Render(context.Background(), filepath.Join(root, "overlay"), kustomize.Options{Root: root})
}

// TestRefused holds every complaint to its place and its remedy. The first word of each wanted line is FILE:LINE.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		why   string
		files map[string]string
		want  []string
	}{
		{"an unknown field", repo(good, "  source:", "  sauce: {}\n  source:"), []string{
			`overlay/schema.yaml:6: spec.sauce: unknown field (did you mean source?)`}},
		{"an unknown field like no other", repo(good, "  policy:", "  everything: now\n  policy:"), []string{
			`overlay/schema.yaml:11: spec.everything: unknown field (known are database, dependsOn, environment, guard, hook, job, minCompatible, policy, source, target, tenants, wave)`}},
		{"a field with another case", repo(good, "urlFrom", "urlfrom"), []string{
			`overlay/schema.yaml:9: spec.database.urlfrom: unknown field (did you mean urlFrom?)`}},
		{"an unknown field of Kubernetes", repo(good, "key: url}", "kee: url}"), []string{
			`overlay/schema.yaml:10: spec.database.urlFrom.secretKeyRef.kee: unknown field (write it as in a container of any Pod)`}},
		{"a wrong type within Kubernetes", repo(good, "key: url}", "key: [url]}"), []string{
			`overlay/schema.yaml:9: spec.database.urlFrom: cannot unmarshal array into Go struct field SecretKeySelector.secretKeyRef.key of type string (write it as in a container of any Pod)`}},
		{"a mapping where a string belongs", repo(good, "name: orders\n", "name: {a: b}\n"), []string{
			`overlay/schema.yaml:4: metadata.name: want a string, have a mapping (write a word, in quotes if it looks like a number)`}},
		{"a number where a string belongs", repo(good, "name: orders\n", "name: 17\n"), []string{
			`overlay/schema.yaml:4: metadata.name: want a string, have a number (write a word, in quotes if it looks like a number)`}},
		{"a string where a mapping belongs", repo(good, "policy: {retries: 3}", "policy: strict"), []string{
			`overlay/schema.yaml:11: spec.policy: want a mapping, have a string (write it as key: value)`}},
		{"a string where a number belongs", repo(good, "retries: 3", "retries: three"), []string{
			`overlay/schema.yaml:11: spec.policy.retries: want a whole number, have a string (write digits, without quotes)`}},
		{"a number beyond bounds", repo(good, "retries: 3", "retries: 3000000000"), []string{
			`overlay/schema.yaml:11: spec.policy.retries: want a whole number, have a number (write digits, without quotes)`}},
		{"a duration without unit", repo(good, "retries: 3", "deadline: 30"), []string{
			`overlay/schema.yaml:11: spec.policy.deadline: want a duration, have a number (write a number with its unit, as in 2s, 30m or 1h30m, or 0)`}},
		{"a list that is none", repo(good, "    urlFrom:", "    env: {A: b}\n    urlFrom:"), []string{
			`overlay/schema.yaml:9: spec.database.env: want a list, have a mapping (write each element on a line of its own, after a hyphen)`}},
		{"a key given twice", repo(good, "  database:", "  source: {directory: x}\n  database:"), []string{
			`overlay/schema.yaml:8: spec.source: given twice, first in line 6 (keep one of them)`}},
		{"a key given twice within Kubernetes", repo(good, "key: url}", "key: url, key: other}"), []string{
			`overlay/schema.yaml:10: spec.database.urlFrom.secretKeyRef.key: given twice, first in line 10 (keep one of them)`}},
		{"an alias", repo(good, "name: orders\n", "name: &n orders\n", "retries: 3", "outOfOrder: *n"), []string{
			`overlay/schema.yaml:11: spec.policy.outOfOrder: an alias (write the value out)`}},
		{"a merge key", repo(good, "policy: {retries: 3}", "policy: {<<: {retries: 3}}"), []string{
			`overlay/schema.yaml:11: spec.policy.<<: unknown field (known are deadline, lockTimeout, outOfOrder, retries, statementTimeout)`}},
		{"a key that is a list", repo(good, "policy: {retries: 3}", "policy: {[a]: 3}"), []string{
			`overlay/schema.yaml:11: spec.policy: a key that is a list (use a plain word)`}},
		{"no YAML", repo(good, "metadata:", "  metadata:"), []string{
			`overlay/schema.yaml:3: mapping values are not allowed in this context (correct the YAML)`}},
		{"another version", repo(good, "v1alpha1", "v1"), []string{
			`overlay/schema.yaml:1: apiVersion: "schemawave.dev/v1" is not known (use schemawave.dev/v1alpha1)`}},
		{"nothing but its kind", repo("apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\n"), []string{
			`overlay/schema.yaml:1: metadata.name: is missing (set it: it names the database in object names, labels and NATS subjects)`,
			`overlay/schema.yaml:1: spec.source: does not say where the migrations are (set one of directory (SQL files of this repository), image (SQL files in an image) and tool (a tool of your own))`,
			`overlay/schema.yaml:1: spec.database: says no way to reach the database (set urlFrom, for instance {secretKeyRef: {name: orders-db, key: url}}, or env or envFrom)`}},
		{"an empty spec", repo("apiVersion: schemawave.dev/v1alpha1\nkind: SchemaMigration\nmetadata: {name: a}\nspec:\n"), []string{
			`overlay/schema.yaml:4: spec: want a mapping, have nothing (write it as key: value)`}},
		{"several mistakes at once", repo(good, "name: orders\n", "name: Orders\n", "../migrations", "", "retries: 3", "retries: -1"), []string{
			`overlay/schema.yaml:4: metadata.name: "Orders" is not a DNS label (use at most 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit: it names the database in object names, labels and NATS subjects)`,
			`overlay/schema.yaml:7: spec.source.directory: want a string, have nothing (write a word, in quotes if it looks like a number)`,
			`overlay/schema.yaml:11: spec.policy.retries: -1 is negative (use 0 for no retry)`}},
		{"tenants both ways", repo(good, "policy: {retries: 3}", "tenants:\n    query: SELECT 1\n    names: [a]"), []string{
			`overlay/schema.yaml:11: spec.tenants: needs exactly one of query and names (write the SQL that selects the tenants' names, or list them)`}},
		{"a tenant given twice", repo(good, "policy: {retries: 3}", "tenants:\n    names:\n    - a\n    - b\n    - a"), []string{
			`overlay/schema.yaml:15: spec.tenants.names[2]: "a" is there twice (keep one of them)`}},
		{"a tenant that is a number", repo(good, "policy: {retries: 3}", "tenants: {names: [17]}"), []string{
			`overlay/schema.yaml:11: spec.tenants.names[0]: want a string, have a number (write a word, in quotes if it looks like a number)`}},
		{"tenants that are no mapping", repo(good, "policy: {retries: 3}", "tenants: [a, b]"), []string{
			`overlay/schema.yaml:11: spec.tenants: want a mapping, have a list (write it as key: value)`}},
		{"an unknown field of tenants", repo(good, "policy: {retries: 3}", "tenants: {name: [a]}"), []string{
			`overlay/schema.yaml:11: spec.tenants.name: unknown field (did you mean names?)`}},
		{"two sources", repo(good, "    directory: ../migrations", "    directory: ../migrations\n    image: {name: app:1, path: /migrations}"), []string{
			`overlay/schema.yaml:6: spec.source: has directory and image (keep exactly one of directory, image and tool)`}},
		{"three sources", repo(good, "    directory: ../migrations", "    directory: ../migrations\n    image: {}\n    tool: {}"), []string{
			`overlay/schema.yaml:6: spec.source: has directory and image and tool (keep exactly one of directory, image and tool)`}},
		{"an image as a string", repo(good, "    directory: ../migrations", "    image: app:1"), []string{
			`overlay/schema.yaml:7: spec.source.image: want a mapping, have a string (write it as key: value)`}},
		{"an image without anything", repo(good, "    directory: ../migrations", "    image: {}"), []string{
			`overlay/schema.yaml:7: spec.source.image.name: is missing (name the image, as in registry.example.com/app:1.4.2)`,
			`overlay/schema.yaml:7: spec.source.image.path: is missing (name the directory in the image that holds the SQL files, as in /migrations)`}},
		{"an image with everything wrong", repo(good, "    directory: ../migrations", "    layout: plain\n    image:\n      name: Registry/App\n      path: ../migrations\n      layout: rails\n      tag: x"), []string{
			`overlay/schema.yaml:7: spec.source.layout: belongs to a directory (leave it out; that of an image's files is spec.source.image.layout)`,
			`overlay/schema.yaml:9: spec.source.image.name: "Registry/App" is not the name of an image (write it as in registry.example.com/app:1.4.2, in lower case)`,
			`overlay/schema.yaml:10: spec.source.image.path: "../migrations" is not the absolute path of a directory (write it from the root of the image, as in /app, without a slash at its end)`,
			`overlay/schema.yaml:11: spec.source.image.layout: unknown layout "rails": want one of [auto golang-migrate flyway goose dbmate sql-migrate tern plain] (name one of these, or leave it out)`,
			`overlay/schema.yaml:12: spec.source.image.tag: unknown field (known are layout, name, path)`}},
		{"a tool without anything", repo(good, "    directory: ../migrations", "    tool: {}"), []string{
			`overlay/schema.yaml:7: spec.source.tool.image: is missing (name the image, as in registry.example.com/app:1.4.2)`,
			`overlay/schema.yaml:7: spec.source.tool.command: is missing (name the program and its arguments, as in [php, artisan, migrate, --force])`,
			`overlay/schema.yaml:7: spec.source.tool.history: is missing (name the tool whose history table tells the schema's version: one of laravel, rails, django, alembic, flyway, liquibase, golang-migrate, goose, dbmate, tern, sql-migrate, prisma, knex, sequelize, typeorm, ecto, sqitch, custom)`}},
		{"a command that is a string", repo(good, "    directory: ../migrations", "    tool: {image: app:1, history: rails, command: rails db:migrate}"), []string{
			`overlay/schema.yaml:7: spec.source.tool.command: want a list, have a string (write each element on a line of its own, after a hyphen)`}},
		{"a command with a number", repo(good, "    directory: ../migrations", "    tool: {image: app:1, history: rails, command: [rails, 5]}"), []string{
			`overlay/schema.yaml:7: spec.source.tool.command[1]: want a string, have a number (write a word, in quotes if it looks like a number)`}},
		{"a password on a command line", repo(good, "    directory: ../migrations", "    tool:\n      image: app:1\n      history: flyway\n      command:\n      - flyway\n      - -password=hunter2\n      - -url=jdbc:postgresql://db/orders?user=me&password=hunter2"), []string{
			`overlay/schema.yaml:12: spec.source.tool.command[1]: a password in plain text (let the tool read it from a variable of spec.database)`,
			`overlay/schema.yaml:13: spec.source.tool.command[2]: a password in plain text (let the tool read it from a variable of spec.database)`}},
		{"a tool's history that nobody knows", repo(good, "    directory: ../migrations", "    tool: {image: app:1, command: [a], history: doctrine}"), []string{
			`overlay/schema.yaml:7: spec.source.tool.history: "doctrine" is not known (use one of laravel, rails, django, alembic, flyway, liquibase, golang-migrate, goose, dbmate, tern, sql-migrate, prisma, knex, sequelize, typeorm, ecto, sqitch, custom; custom takes a historyQuery of your own)`}},
		{"a history of one's own without a query", repo(good, "    directory: ../migrations", "    tool: {image: app:1, command: [a], history: custom}"), []string{
			`overlay/schema.yaml:7: spec.source.tool.historyQuery: is missing (write the SQL that selects the schema's version, as in SELECT max(version) FROM history)`}},
		{"what a tool decides itself", repo(good, "    directory: ../migrations", "    tool: {image: app:1, command: [a], history: laravel}", "  policy: {retries: 3}", "  target: \"3\"\n  policy: {outOfOrder: apply}"), []string{
			`overlay/schema.yaml:11: spec.target: a tool goes as far as its own command says (leave it out, and name the version in spec.source.tool.command)`,
			`overlay/schema.yaml:12: spec.policy.outOfOrder: a tool orders its migrations itself (leave it out)`}},
		{"a patch that leaves the runner out", repo(good, "    directory: ../migrations", "    tool: {image: app:1, command: [a], history: laravel}", "policy: {retries: 3}", "job:\n    spec: {template: {spec: {initContainers: [{name: install, $patch: delete}]}}}"), []string{
			`overlay/schema.yaml:12: spec.job.spec.template.spec.initContainers: removes the initContainer install (keep it: it brings the runner)`}},
		{"a guard of what no sync leaves out", repo(good, "  policy: {retries: 3}", "  hook: Sync\n  guard: job"), []string{
			`overlay/schema.yaml:12: spec.guard: a migration in the Sync phase is part of every sync, none leaves it out (leave the guard out)`}},
		{"an unknown guard", repo(good, "policy: {retries: 3}", "guard: hook"), []string{
			`overlay/schema.yaml:11: spec.guard: "hook" is not known (use job, or leave it out)`}},
		{"a guard of what may be skipped", repo(good, "policy: {retries: 3}", "guard: job\n  policy: {outOfOrder: skip}"), []string{
			`overlay/schema.yaml:11: spec.guard: cannot tell a migration that outOfOrder skips from one that did not run (set spec.policy.outOfOrder to refuse or apply, or leave the guard out)`}},
		{"a dependency that is not there", repo(good, "policy: {retries: 3}", "dependsOn: [ordesr]"), []string{
			`overlay/schema.yaml:11: spec.dependsOn[0]: no SchemaMigration of this overlay is named ordesr (did you mean orders?; a database of another Application is written environment/ordesr)`}},
		{"a dependency of the wrong form", repo(good, "policy: {retries: 3}", "dependsOn:\n  - a/b/c/d\n  - {a: b}"), []string{
			`overlay/schema.yaml:12: spec.dependsOn[0]: "a/b/c/d" is not environment/database[@version] (name a database of this overlay, or environment/database of another Application)`,
			`overlay/schema.yaml:13: spec.dependsOn[1]: want a string, have a mapping (write a word, in quotes if it looks like a number)`}},
		{"a dependency on itself", repo(good, "policy: {retries: 3}", "dependsOn: [orders]"), []string{
			`overlay/schema.yaml:11: spec.dependsOn: a cycle: orders (overlay/schema.yaml:11) needs orders (take one of these dependencies out: none of them could be migrated first)`}},
		{"a hook that depends on the Sync phase", with(repo(good, "policy: {retries: 3}", "dependsOn: [customers]"), "overlay/two.yaml",
			strings.NewReplacer("name: orders\n", "name: customers\n", "policy: {retries: 3}", "hook: Sync").Replace(good)), []string{
			`overlay/schema.yaml:11: spec.dependsOn[0]: customers (overlay/two.yaml:11) is migrated in the Sync phase, after all PreSync hooks (give orders hook: Sync as well, or take it away from customers)`}},
		{"dependencies in a circle", with(repo(good, "policy: {retries: 3}", "dependsOn: [customers]"), "overlay/two.yaml",
			strings.NewReplacer("name: orders\n", "name: customers\n", "policy: {retries: 3}", "dependsOn: [invoices]").Replace(good)+"---\n"+
				strings.NewReplacer("name: orders\n", "name: invoices\n", "policy: {retries: 3}", "wave: 3\n  dependsOn: [orders]").Replace(good)), []string{
			`overlay/schema.yaml:11: spec.dependsOn: a cycle: orders (overlay/schema.yaml:11) needs customers (overlay/two.yaml:11) needs invoices (overlay/two.yaml:24) needs orders (take one of these dependencies out: none of them could be migrated first)`}},
		{"a wave that is not after that of a dependency", with(repo(good, "policy: {retries: 3}", "wave: -10\n  dependsOn: [customers]"), "overlay/two.yaml",
			strings.Replace(good, "name: orders\n", "name: customers\n", 1)), []string{
			`overlay/schema.yaml:11: spec.wave: -10 is not after -10, the wave of customers (overlay/two.yaml:5), on which orders depends (leave it out, or choose -9 or a later one)`}},
		{"a dependency elsewhere that is here", with(repo(good, "policy: {retries: 3}", "dependsOn: [production/customers]"), "overlay/two.yaml",
			strings.Replace(good, "name: orders\n", "name: customers\n", 1)), []string{
			`overlay/schema.yaml:11: spec.dependsOn[0]: production/customers is declared in this overlay (overlay/two.yaml:4) (write customers, and it is migrated in an earlier wave)`}},
		{"an unknown hook", repo(good, "policy: {retries: 3}", "hook: PostSync"), []string{
			`overlay/schema.yaml:11: spec.hook: "PostSync" is not known (use PreSync or Sync, or leave it out for PreSync)`}},
		{"a password in plain text", repo(good, "    urlFrom:", "    env: [{name: PGPASSWORD, value: hunter2}]\n    urlFrom:"), []string{
			`overlay/schema.yaml:9: spec.database.env[0].value: a password in plain text (keep it in a Secret and use valueFrom: {secretKeyRef: …})`}},
		{"a target that is no version", repo(good, "policy: {retries: 3}", "target: newest"), []string{
			`overlay/schema.yaml:11: spec.target: version "newest" is not a number: want digits joined by dots, as in 20261122093000 or 1.2.3 (write it in quotes, as in "20261122093000")`}},
		{"a target that is not there", repo(good, "policy: {retries: 3}", "target: \"3\""), []string{
			`overlay/schema.yaml:11: spec.target: target 3 is not among the migrations (nearest: 1, 2) (name a version that the directory holds, or leave it out for the newest)`}},
		{"an unknown layout", repo(good, "directory: ../migrations", "directory: ../migrations\n    layout: rails"), []string{
			`overlay/schema.yaml:8: spec.source.layout: unknown layout "rails": want one of [auto golang-migrate flyway goose dbmate sql-migrate tern plain] (name one of these, or leave it out)`}},
		{"a patch with a misspelt field", repo(good, "policy: {retries: 3}", "job:\n    spec:\n      template:\n        spec:\n          nodeSelektor: {a: b}"), []string{
			`overlay/schema.yaml:15: spec.job.spec.template.spec.nodeSelektor: is not a field of a Job (correct its name or leave it out)`}},
		{"a patch that is none", repo(good, "policy: {retries: 3}", "job: [a]"), []string{
			`overlay/schema.yaml:11: spec.job: want a mapping, have a list (write it as a patch of a Job, as in job: {spec: {template: {spec: {nodeSelector: …}}}})`}},
		{"a patch of what is ours", repo(good, "policy: {retries: 3}", "job:\n    spec:\n      ttlSecondsAfterFinished: 60"), []string{
			`overlay/schema.yaml:13: spec.job.spec.ttlSecondsAfterFinished: lets the Job vanish before Argo CD has seen its end, and the sync would wait for ever (leave it out: the controller deletes finished Jobs)`}},
		{"a value that JSON does not have", repo(good, "policy: {retries: 3}", "job: {spec: {backoffLimit: .nan}}"), []string{
			`overlay/schema.yaml:11: spec.job.spec.backoffLimit: a value that JSON does not have: a number (write it as a string, in quotes)`}},

		{"no such directory", repo(good, "../migrations", "../nowhere"), []string{
			`overlay/schema.yaml:7: spec.source.directory: ../nowhere does not exist (create nowhere, or correct the path: it is relative to the overlay)`}},
		{"a file", repo(good, "../migrations", "kustomization.yaml"), []string{
			`overlay/schema.yaml:7: spec.source.directory: kustomization.yaml is not a directory (name the directory that holds the SQL files)`}},
		{"a directory without SQL", repo(good, "../migrations", "../elsewhere"), []string{
			`overlay/schema.yaml:7: spec.source.directory: ../elsewhere: no .sql file in the directory (check the path; sub-directories are not read)`}},
		{"outside of the repository", repo(good, "../migrations", "../../migrations"), []string{
			`overlay/schema.yaml:7: spec.source.directory: ../../migrations is outside of the repository (name a directory of this repository, relative to the overlay)`}},
		{"an absolute directory", repo(good, "../migrations", "/etc"), []string{
			`overlay/schema.yaml:7: spec.source.directory: /etc is outside of the repository (name a directory of this repository, relative to the overlay)`}},

		{"no environment", with(repo(good), "overlay/kustomization.yaml", "resources: []\n"), []string{
			`overlay/schema.yaml:5: spec.environment: is missing, and the overlay sets no namespace to take it from (name the environment, as in environment: production, or set namespace in kustomization.yaml)`}},
		{"one name twice in a file", repo(good + "---\n" + good), []string{
			`overlay/schema.yaml:16: metadata.name: orders is declared in overlay/schema.yaml:4 too (give each database of an overlay a name of its own)`}},
		{"one name in two files", with(repo(good), "overlay/another.yml", "# the same\n"+good), []string{
			`overlay/schema.yaml:4: metadata.name: orders is declared in overlay/another.yml:5 too (give each database of an overlay a name of its own)`}},
		{"resources that are given twice", with(repo(good), "overlay/kustomization.yaml", "namespace: x\nresources: [a.yaml]\nresources: [schemawave]\n"), []string{
			`overlay/kustomization.yaml:3: resources: given twice, first in line 2, and kustomize reads the last (make one list of them)`}},
		{"resources in another case", with(repo(good), "overlay/kustomization.yaml", "namespace: x\nResources: [a.yaml]\n"), []string{
			`overlay/kustomization.yaml:2: Resources: kustomize takes it for resources, of which it reads one (write it resources)`}},
		{"a namespace that is nothing", with(repo(good), "overlay/kustomization.yaml", "namespace: null\n"), []string{
			`overlay/schema.yaml:5: spec.environment: is missing, and the overlay sets no namespace to take it from (name the environment, as in environment: production, or set namespace in kustomization.yaml)`}},
		{"a declaration in UTF-16", with(repo(good), "overlay/schema.yaml", "\xff\xfe"+strings.Join(strings.Split(good, ""), "\x00")+"\x00"), []string{
			`overlay/schema.yaml: is UTF-16, or holds zero bytes (save it as UTF-8)`}},
		{"listed, but not local", with(repo(good), "overlay/kustomization.yaml", "namespace: x\nresources:\n- ./schema.yaml\n"), []string{
			`overlay/schema.yaml:3: overlay/kustomization.yaml:3 lists it, and no cluster knows the kind SchemaMigration (add the annotation config.kubernetes.io/local-config: "true", or take it out of the resources: it is found without them)`}},
		{"an annotation that is no string", repo(good, "name: orders\n", "name: orders\n  annotations: {config.kubernetes.io/local-config: true}\n"), []string{
			`overlay/schema.yaml:5: metadata.annotations.config.kubernetes.io/local-config: want the string "true" (put it in quotes, as in config.kubernetes.io/local-config: "true")`}},

		{"no kustomization", func() map[string]string {
			files := repo(good)
			delete(files, "overlay/kustomization.yaml")
			return files
		}(), []string{`overlay: has no kustomization file (create kustomization.yaml, or name another directory)`}},
		{"a kustomization that is no YAML", with(repo(good), "overlay/kustomization.yaml", "a: b: c\n"), []string{
			`overlay/kustomization.yaml: mapping values are not allowed in this context (correct the YAML)`}},
		{"a kustomization with several documents", with(repo(good), "overlay/kustomization.yaml", "namespace: a\n---\nnamespace: b\n"), []string{
			`overlay/kustomization.yaml:2: want one document, have several (correct the YAML)`}},
		{"resources that are no list", with(repo(good), "overlay/kustomization.yaml", "namespace: a\nresources: b\n"), []string{
			`overlay/kustomization.yaml:2: resources: want a list, have a string (write each on a line of its own, after a hyphen)`}},
		{"a directory of somebody else", with(repo(good), "overlay/schemawave/notes.md", "keep me\n"), []string{
			`overlay/schemawave/notes.md:1: was not generated (move it away: the directory schemawave belongs to the renderer)`}},
		{"a directory within ours", with(repo(good), "overlay/schemawave/more/notes.md", "keep me\n"), []string{
			`overlay/schemawave/more: was not generated (move it away: the directory schemawave belongs to the renderer)`}},
		{"a file in the directory's place", with(repo(good), "overlay/schemawave", "keep me\n"), []string{
			`overlay/schemawave: is not a directory, and not generated (move it away: the generated files go there)`}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			_, err := renderTree(t, c.files)
			if err == nil {
				t.Fatal("not refused")
			}
			wantProblems(t, err, c.want...)
		})
	}
}

// wantProblems compares an error of Render, line by line.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	var problems kustomize.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v is not about the repository", err)
	}
	if d := cmp.Diff(want, strings.Split(problems.Error(), "\n")); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
	if code := problems.ExitCode(); code != migrations.ExitRejected {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("the error tells a secret or where it ran: %v", err)
	}
}

// TestMigrationRefused tells what is wrong with a migration by the file it is in.
func TestMigrationRefused(t *testing.T) {
	_, err := renderTree(t, with(repo(good), "migrations/0003_c.sql", "SELECT 1;\n\nSELECT 'x;\n"))
	var p *kustomize.Problem
	if !errors.As(err, &p) || p.File != "migrations/0003_c.sql" || p.Line != 3 || p.What == "" || p.Remedy == "" {
		t.Errorf("error %v", err)
	}
}
