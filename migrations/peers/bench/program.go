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
	size  int64 // of its file
	start time.Duration
	idle  []idle // runs that find nothing to do
	files int    // that each of them read
}

// idle is a run that finds nothing to do.
type idle struct {
	what     string
	args     []string
	took     time.Duration
	resident int64 // bytes at the peak
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
	url, err := c.database(ctx, k, entrants(k)[0], dir)
	if err != nil {
		return p, err
	}
	p.idle = []idle{
		{what: "", args: []string{"migrate", "--dir", dir, "--database", peers.Database}},
		{what: " in a bundle", args: []string{"migrate", "--bundles", bundled(dir), "--database", peers.Database}},
	}
	err = p.measure(c.rounds*patience, func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Env = []string{"DATABASE_URL=" + url}
		return cmd
	})
	return p, err
}

// measure lets the start and the runs take turns, and fills in their medians.
func (p *program) measure(rounds int, run func(args ...string) *exec.Cmd) error {
	var starts []time.Duration
	runs, peaks := make([][]time.Duration, len(p.idle)), make([][]int64, len(p.idle))
	for range rounds {
		took, err := timed(run("--version"))
		if err != nil {
			return err
		}
		starts = append(starts, took)
		for i, one := range p.idle {
			if took, err = timed(run(one.args...)); err != nil {
				return err
			}
			peak, err := peakOf(run(one.args...))
			if err != nil {
				return err
			}
			runs[i], peaks[i] = append(runs[i], took), append(peaks[i], peak)
		}
	}
	p.start = median(starts)
	for i := range p.idle {
		p.idle[i].took, p.idle[i].resident = median(runs[i]), median(peaks[i])
	}
	return nil
}

func timed(cmd *exec.Cmd) (time.Duration, error) {
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return time.Since(began), nil
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
	var b strings.Builder
	fmt.Fprintf(&b, "| schemawave-runner | |\n|---|--:|\n| size of the program | %s |\n| start and end (--version) | %s |\n", megabytes(p.size), readable(p.start))
	for _, one := range p.idle {
		fmt.Fprintf(&b, "| nothing to do, %d files%s, as a process | %s, %s at the peak |\n", p.files, one.what, readable(one.took), megabytes(one.resident))
	}
	return b.String()
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
