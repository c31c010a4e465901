package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// measured are the modules whose versions matter.
var measured = []string{
	"github.com/golang-migrate/migrate/v4", "github.com/pressly/goose/v3", "github.com/jackc/tern/v2",
	"github.com/rubenv/sql-migrate", "github.com/jackc/pgx/v5",
}

// environment says what is measured where.
func environment(ctx context.Context, w io.Writer, server *postgrestest.Server, rounds int) error {
	conn, err := pgconn.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	version, err := conn.Exec(ctx, "SHOW server_version").ReadAll()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Medians of %d rounds (%d where nothing is to be done). PostgreSQL %s, fsync on; %s, %d processors (%s), %s.\n",
		rounds, rounds*patience, version[0].Rows[0][0], runtime.Version(), runtime.NumCPU(), processor(), runtime.GOOS+"/"+runtime.GOARCH)
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var versions []string
	for _, want := range measured {
		for _, m := range build.Deps {
			if m.Path == want {
				versions = append(versions, m.Path+" "+m.Version)
			}
		}
	}
	_, err = fmt.Fprintf(w, "Versions: %s.\n", strings.Join(versions, ", "))
	return err
}

// processor is the machine's, as far as Linux tells.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`).FindSubmatch(info); m != nil {
		return string(m[1])
	}
	return "unknown"
}
