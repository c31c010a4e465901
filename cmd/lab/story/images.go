package story

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/cmd/lab/image"
	"github.com/schemawave/schemawave/manifests"
)

// loadImages puts this checkout's programs into the lab, under the names that the manifests give their images. A cluster
// of one's own pulls them from where it pulls everything.
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
		if err := image.Load(ctx, e.LabDir, image.Image{Name: name, Files: []image.File{file}, Entrypoint: []string{path}, User: "65532:65532"}); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
	}
	return nil
}
