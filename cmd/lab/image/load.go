package image

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Socket is where the containerd of a cluster listens, below the cluster's directory.
func Socket(dir string) string { return filepath.Join(dir, "containerd", "containerd.sock") }

// Load builds the image and imports it into the cluster with the directory dir, under its name, replacing an older
// one of that name. It works from inside and outside the lab.
func Load(ctx context.Context, dir string, i Image) error {
	var archive, said bytes.Buffer
	if _, err := i.WriteTo(&archive); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ctr", "--address", Socket(dir), "--namespace", "k8s.io", "images", "import", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &archive, &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("import image %s: %w: %s", i.Name, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
