package kustomize_test

import (
	"strings"
	"testing"
)

// TestSecretsThatGitDoesNotHold renders overlays that make the database's Secret of a file, which a copy for the hook would bring into git.
func TestSecretsThatGitDoesNotHold(t *testing.T) {
	const (
		refused = "overlay/schema.yaml:9: spec.database.urlFrom: a copy of the Secret orders-db of this overlay would bring it into git in plain text: "
		remedy  = " (create the Secret outside of this Application, or make it a PreSync hook of wave -10 or before, or migrate in the Sync phase (hook: Sync))"
		ignored = refused + "overlay/.env, of which the overlay is made, is left out of git (.gitignore)" + remedy
	)
	for why, c := range map[string]struct{ file, content, want string }{
		"nothing is said of it":        {"elsewhere/.gitignore", ".env\n", ""},
		"ignored at the root":          {".gitignore", "# local\n\n.env\r\n", ignored},
		"ignored beside it":            {"overlay/.gitignore", "/.env\n", ignored},
		"ignored with its directory":   {".gitignore", "overlay/\n", ignored},
		"ignored by this clone":        {".git/info/exclude", "*.env\n", ignored},
		"taken back":                   {".gitignore", ".env\n!/overlay/.env\n", ""},
		"encrypted":                    {".gitattributes", "*.env filter=git-crypt diff=git-crypt\n", refused + "overlay/.env, of which the overlay is made, is something else in git (.gitattributes: filter=git-crypt)" + remedy},
		"another is encrypted":         {".gitattributes", "other.env filter=git-crypt\n", ""},
		"kept elsewhere":               {".gitattributes", "*.env filter=lfs diff=lfs merge=lfs -text\n", ""},
		"ignored where git is not":     {"-", "", ""},
		"ignored, in another overlay":  {"other/.gitignore", ".env\n", ""},
		"ignored, and taken from here": {"overlay/.gitignore", "schemawave\n", ""},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			files := with(repo(good), ".git/HEAD", "ref: refs/heads/main\n", "overlay/.env", "url=postgres://orders:hunter2@db/orders\n",
				"overlay/kustomization.yaml", "namespace: production\nsecretGenerator:\n- name: orders-db\n  envs: [.env]\n")
			if c.file == "-" {
				delete(files, ".git/HEAD")
				c.file, c.content = ".gitignore", ".env\n"
			}
			result, err := renderTree(t, with(files, c.file, c.content))
			if c.want != "" {
				if err == nil {
					t.Fatal("not refused")
				}
				wantProblems(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range result.Files {
				if strings.HasSuffix(f.Path, "orders.secret-copy.yaml") {
					return
				}
			}
			t.Error("the Secret is not copied")
		})
	}
}
