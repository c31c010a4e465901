package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// asProgram is set in the environment of the test binary when it is to be the program itself.
const asProgram = "SCHEMAWAVE_TEST_PROGRAM"

// server is the one PostgreSQL of this test binary. It asks for a password, which is nowhere to be seen.
var server *postgrestest.Server

const password = "p@ss/word=7'x"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		root := &cobra.Command{Use: "schemawave-runner"}
		root.AddCommand(Commands(os.Getenv)...)
		os.Exit(int(cli.Main(root)))
	}
	if os.Getenv(asInit) != "" {
		os.Exit(runAsInit())
	}
	os.Exit(withServer(m.Run))
}

func withServer(run func() int) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	if server, err = postgrestest.Start(ctx, postgrestest.Options{Password: password}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	return run()
}

// freshURL creates an empty database.
func freshURL(t *testing.T) string {
	t.Helper()
	url, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// program is a process of the runner, with DATABASE_URL set.
func program(t *testing.T, url string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), asProgram+"=1", "DATABASE_URL="+url, "SCHEMAWAVE_POD=pod-1")
	return c
}

// query returns the rows of one statement, columns joined by "|".
func query(t *testing.T, url, sql string) []string {
	t.Helper()
	rows, err := postgrestest.Query(t.Context(), url, sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// eventually waits until a query selects one row that says so.
func eventually(t *testing.T, url, sql, want string) {
	t.Helper()
	for {
		got := query(t, url, sql)
		if len(got) == 1 && got[0] == want {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v, want %s", sql, got, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
