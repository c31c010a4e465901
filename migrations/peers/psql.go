package peers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// PsqlAtOnce runs all files of a directory in the order of their names by one psql, in one transaction.
func PsqlAtOnce(ctx context.Context, url, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	args := []string{"-1"}
	for _, f := range files {
		args = append(args, "-f", f)
	}
	return psql(ctx, url, "", args...)
}

// Psql runs one script by psql, in one transaction unless the script cannot be.
func Psql(ctx context.Context, url, script string, transaction bool) error {
	args := []string{"-f", "-"}
	if transaction {
		args = append(args, "-1")
	}
	return psql(ctx, url, script, args...)
}

func psql(ctx context.Context, url, stdin string, args ...string) error {
	cmd := exec.CommandContext(ctx, "psql", append([]string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out[:min(len(out), 1000)])
	}
	return nil
}
