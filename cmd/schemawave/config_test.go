package main

import (
	"strings"
	"testing"

	"github.com/schemawave/schemawave/migrations"
)

// TestConfigIsNotReadByHalves holds docs/install.md to its word: what cannot be ends the controller, with the field's name.
func TestConfigIsNotReadByHalves(t *testing.T) {
	for _, c := range []struct {
		reason, text string
		want         string // empty: it is read
	}{
		{"nothing", "", ""},
		{"the least", "environments: {repositories: [{url: https://git.example.com/shop/env.git}]}", ""},
		{"a document with its marks", "# of production\n---\nnats: {replicas: 3}\n...\n", ""},
		{"two documents", "nats: {replicas: 3}\n---\ngates: {release: true}\n", "config.yaml: a second YAML document: write all of it in one, without --- between"},
		{"a second document with nothing in it yet", "nats: {replicas: 3}\n---\n# gates: {release: true}\n", "config.yaml: a second YAML document: write all of it in one, without --- between"},
		{"a second document that cannot be read", "nats: {replicas: 3}\n---\ngates: }\n", "config.yaml: a second YAML document: write all of it in one, without --- between"},
		{"no environments", "environments:\n", ""},
		{"an empty section", "environments: {}", "repositories: none: list at least one url, or leave the whole section out"},
		{"an empty list", "environments: {repositories: []}", "repositories: none: "},
		{"nothing to sign", "environments: {signing: {keyFile: /key}}", "repositories: none: "},
		{"an odd duration", "environments: {repositories: [{url: https://git.example.com/shop/env.git, poll: 3min}]}",
			`repositories[0].poll: "3min" is not a duration: write it like 90s or 3m`},
		{"an image", "image: registry.example.com:5000/schemawave-runner:0.1.0", ""},
		{"no image's name", "image: bad image!", `image: "bad image!" is not the name of an image: write it as in ghcr.io/`},
	} {
		t.Run(c.reason, func(t *testing.T) {
			_, err := readConfig(write(t, t.TempDir(), "config.yaml", c.text))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("%v, want %q", err, c.want)
			case migrations.CodeOf(err) != migrations.ExitConfig:
				t.Errorf("%v ends with %d", err, migrations.CodeOf(err))
			}
		})
	}
}
