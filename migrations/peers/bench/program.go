package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
)

// theRunner is the name of the case in which the runner is measured as a program.
const theRunner = "runner"

// program is what was measured of a program.
type program struct {
	size     int64 // of its file
	start    time.Duration
	took     time.Duration // for a run that finds nothing to do
	resident int64         // bytes at the peak of that run
	files    int           // that the run read
}

// measureRunner builds the runner as it is released, and measures its start and its runs over a database that is up to date.
func (c *contest) measureRunner(ctx context.Context) (program, error) {
	k := kase{migrations: 5000, current: true}
	p := program{files: k.migrations}
	binary, err := c.build(ctx, "./cmd/schemawave-runner")
	if err != nil {
		return p, err
	}
	info, err := os.Stat(binary)
	if err != nil {
		return p, err
	}
	p.size = info.Size()
	dir, err := c.directory(migrations.LayoutPlain, k.migrations)
	if err != nil {
		return p, err
	}
	ours := entrants(k)[0]
	url, err := c.database(ctx, k, ours, dir)
	if err != nil {
		return p, err
	}
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Env = []string{"DATABASE_URL=" + url}
		return cmd
	}
	nothingToDo := []string{"migrate", "--dir", dir, "--database", peers.Database}
	var starts, runs []time.Duration
	var peaks []int64
	for range c.rounds * patience {
		for _, one := range []struct {
			took *[]time.Duration
			cmd  *exec.Cmd
		}{{&starts, run("--version")}, {&runs, run(nothingToDo...)}} {
			began := time.Now()
			if out, err := one.cmd.CombinedOutput(); err != nil {
				return p, fmt.Errorf("%s: %w: %s", strings.Join(one.cmd.Args, " "), err, out)
			}
			*one.took = append(*one.took, time.Since(began))
		}
		peak, err := peakOf(run(nothingToDo...))
		if err != nil {
			return p, err
		}
		peaks = append(peaks, peak)
	}
	p.start, p.took, p.resident = median(starts), median(runs), median(peaks)
	return p, nil
}

// build makes a program of the project's own module.
func (c *contest) build(ctx context.Context, target string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/schemawave/schemawave").Output()
	if err != nil {
		return "", fmt.Errorf("find the project's module: %w", err)
	}
	binary := filepath.Join(c.root, filepath.Base(target))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, target)
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", target, err, out)
	}
	return binary, nil
}

// String is a table.
func (p program) String() string {
	return fmt.Sprintf("| schemawave-runner | |\n|---|--:|\n| size of the program | %s |\n| start and end (--version) | %s |\n"+
		"| nothing to do, %d files, as a process | %s |\n| its memory at the peak | %s |\n",
		megabytes(p.size), readable(p.start), p.files, readable(p.took), megabytes(p.resident))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
