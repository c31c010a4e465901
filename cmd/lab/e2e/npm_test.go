package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/schemawave/schemawave/cmd/lab/story"
)

// TestToolsFromNPM has teams migrate with tools that npm installs, in images of their own. It is not part of the story: that needs
// nothing but Debian's packages and Go modules. `make e2e-npm` installs the tools where there is a registry, outside of the lab.
func TestToolsFromNPM(t *testing.T) {
	installed := os.Getenv("NPM_INSTALLED")
	if installed == "" {
		t.Fatal("NPM_INSTALLED is not set: make e2e-npm installs the tools and names their directory in it")
	}
	java, err := filepath.EvalSymlinks("/usr/bin/java")
	if err != nil {
		t.Fatal("make e2e-npm installs Java: ", err)
	}
	s := begin(t)
	if _, err := s.Found(t.Context()); err != nil {
		t.Fatal(err)
	}
	adopt(t, s, story.Tool{Directory: "knex", App: filepath.Join(installed, "knex"), Database: "shipments", User: "PGUSER", Password: "PGPASSWORD",
		Packages: []string{"nodejs"}}, "20260301120000", "shipments: id, address, sent_at")
	adopt(t, s, story.Tool{Directory: "liquibase", App: filepath.Join(installed, "liquibase"), Database: "payments", User: "PGUSER", Password: "PGPASSWORD",
		Packages: []string{"default-jre-headless"}, Links: map[string]string{"/usr/bin/java": java}}, "3", "payments: id, cents, refunded_at")
}
