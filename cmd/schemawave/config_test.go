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
