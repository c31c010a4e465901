package environment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// digestRenderer stands in for package kustomize: it writes a digest of the migrations directory that an overlay's
// migration.yaml names, and takes a file that says BROKEN for a mistake.
type digestRenderer struct{ version string }

func (d digestRenderer) list(dir string) (overlays []string, err error) {
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "migration.yaml" {
			overlays = append(overlays, filepath.Dir(p))
		}
		return err
	})
	return overlays, err
}

// each makes a RendererAt of what renders every overlay by itself.
func each(render func(ctx context.Context, root, overlay string) (Rendering, error)) RendererAt {
	return func(root string) Renderer {
		return func(ctx context.Context, overlay string) (Rendering, error) { return render(ctx, root, overlay) }
	}
}

func (d digestRenderer) render(ctx context.Context, root, overlay string) (Rendering, error) {
	dir := filepath.Join(root, overlay)
	var m struct {
		Spec struct{ Source struct{ Directory string } }
	}
	content, err := os.ReadFile(filepath.Join(dir, "migration.yaml"))
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "migration.yaml"), err)
	}
	sum := sha256.New()
	migrations, err := filepath.EvalSymlinks(filepath.Join(dir, m.Spec.Source.Directory))
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(migrations, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		sql, err := os.ReadFile(p)
		if bytes.Contains(sql, []byte("BROKEN")) {
			return fmt.Errorf("%s:1: syntax error", p)
		}
		fmt.Fprintf(sum, "%s %s\n", filepath.Base(p), sql)
		return err
	})
	if err != nil {
		return nil, err
	}
	k, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(k, []byte("- schemawave\n")) {
		k = bytes.Replace(k, []byte("resources:\n"), []byte("resources:\n- schemawave\n"), 1)
	}
	return &digestRendering{files: map[string]string{
		filepath.Join(dir, "kustomization.yaml"):               string(k),
		filepath.Join(dir, "schemawave", "job.yaml"):           fmt.Sprintf("# generated %s\ndigest: %x\n", d.version, sum.Sum(nil)),
		filepath.Join(dir, "schemawave", "kustomization.yaml"): "resources:\n- job.yaml\n",
	}}, nil
}

type digestRendering struct{ files map[string]string }

func (r *digestRendering) Changed() bool {
	for name, content := range r.files {
		if was, err := os.ReadFile(name); err != nil || string(was) != content {
			return true
		}
	}
	return false
}

func (r *digestRendering) Warnings() []string { return nil }

func (r *digestRendering) Write() error {
	for name, content := range r.files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// digest is what digestRenderer makes of migrations given as name, content pairs.
func digest(version string, files ...string) string {
	sum := sha256.New()
	for i := 0; i < len(files); i += 2 {
		fmt.Fprintf(sum, "%s %s\n", files[i], files[i+1])
	}
	return fmt.Sprintf("# generated %s\ndigest: %x\n", version, sum.Sum(nil))
}

// shop is a repository with two overlays that share a base and have migrations of their own.
func shop(services ...string) map[string]string {
	files := map[string]string{
		"README.md":                    "environments\n",
		"apps/base/kustomization.yaml": "resources:\n- deployment.yaml\n",
		"apps/base/deployment.yaml":    "kind: Deployment\n",
	}
	for _, s := range services {
		files["apps/"+s+"/kustomization.yaml"] = "# of " + s + "\nresources:\n- ../base\n"
		files["apps/"+s+"/migration.yaml"] = strings.ReplaceAll("kind: SchemaMigration\nspec: {source: {directory: ../../migrations/X}}\n", "X", s)
		files["migrations/"+s+"/0001_init.sql"] = "create table " + s + "();\n"
	}
	return files
}
