package story

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/lab/image"
	"github.com/schemawave/schemawave/manifests"
)

// loadImages puts this checkout's programs into the lab, under the names that the manifests give their images; into its second
// cluster, what migrates. A cluster of one's own pulls them from where it pulls everything.
func (e Environment) loadImages(ctx context.Context) error {
	if e.LabDir == "" {
		return nil
	}
	for name, program := range map[string]string{
		"ghcr.io/schemawave/schemawave:" + cli.Version:   "schemawave",
		manifests.RunnerImage:                            "schemawave-runner",
		"ghcr.io/schemawave/example-shop:" + cli.Version: "example-shop",
	} {
		path := "/" + program
		file, err := image.FromFile(path, filepath.Join(e.Binaries, program), 0o755)
		if err != nil {
			return fmt.Errorf("image %s: %w: run make build", name, err)
		}
		clusters := []string{e.LabDir}
		if e.SecondKubeconfig != "" && name == manifests.RunnerImage {
			clusters = append(clusters, filepath.Dir(e.SecondKubeconfig))
		}
		for _, cluster := range clusters {
			if err := image.Load(ctx, cluster, image.Image{Name: name, Files: []image.File{file}, Entrypoint: []string{path}, User: "65532:65532"}); err != nil {
				return fmt.Errorf("image %s: %w", name, err)
			}
		}
	}
	return nil
}

// LoadMigrations puts an image into the lab that holds nothing but the repository's migrations and more of them, by file name,
// in its directory /migrations. A cluster of one's own has no such images.
func (s *Story) LoadMigrations(ctx context.Context, name string, more map[string]string) error {
	files := map[string]string{}
	dir := filepath.Join(s.Repo.dir, "orders", "migrations")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		files[e.Name()] = string(content)
	}
	maps.Copy(files, more)
	return s.load(ctx, image.Image{Name: name}, "/migrations", files)
}

// LoadPsql puts an image into the lab that holds this machine's psql, and files by name, in its directory /app. It returns the path of
// psql in it.
func (s *Story) LoadPsql(ctx context.Context, name string, files map[string]string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	if err != nil || len(found) == 0 {
		return "", errors.Join(err, errors.New("no /usr/lib/postgresql/*/bin/psql; install postgresql"))
	}
	version := filepath.Base(filepath.Dir(filepath.Dir(found[0])))
	program, err := image.FromPackages(ctx, "postgresql-client-"+version)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", name, err)
	}
	return found[0], s.load(ctx, image.Image{Name: name, Files: program}, "/app", files)
}

func (s *Story) load(ctx context.Context, i image.Image, dir string, files map[string]string) error {
	if s.env.LabDir == "" {
		return fmt.Errorf("image %s: it is made for a lab only", i.Name)
	}
	for file, content := range files {
		i.Files = append(i.Files, image.File{Path: path.Join(dir, file), Mode: 0o644, Content: []byte(content)})
	}
	if err := image.Load(ctx, s.env.LabDir, i); err != nil {
		return fmt.Errorf("image %s: %w", i.Name, err)
	}
	return nil
}
