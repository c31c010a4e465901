package postgres_test

import (
	"context"
	"fmt"
	"os"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// The test binary becomes a runner of its own when these are in its environment.
const (
	runnerURL = "SCHEMAWAVE_TEST_RUNNER_URL"
	runnerDir = "SCHEMAWAVE_TEST_RUNNER_DIR"
)

// runAsRunner migrates as a separate process and returns its exit code.
func runAsRunner() int {
	set, err := migrations.Load(os.DirFS(os.Getenv(runnerDir)), migrations.LayoutAuto)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return int(migrations.CodeOf(err))
	}
	conn, err := postgres.ParseConfig(func(name string) string {
		if name == "DATABASE_URL" {
			return os.Getenv(runnerURL)
		}
		return ""
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return int(postgres.ExitCode(err))
	}
	report, err := postgres.Migrate(context.Background(), postgres.Config{Conn: conn, Database: "orders", Pod: fmt.Sprintf("runner-%d", os.Getpid())}, set)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	encoded, _ := report.Encode()
	os.Stdout.Write(encoded)
	return int(postgres.ExitCode(err))
}
