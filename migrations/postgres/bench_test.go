package postgres_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// durable is a server as in production: every synchronous commit reaches the disk.
func durable(b *testing.B) *postgrestest.Server {
	b.Helper()
	s, err := postgrestest.Start(b.Context(), postgrestest.Options{Settings: map[string]string{"fsync": "on"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Stop() })
	return s
}

// BenchmarkFresh applies 1,000 migrations to an empty database, and beside it what a runner without a ledger, lock or report
// would need at least: psql in one transaction, and one simple query for each file.
func BenchmarkFresh(b *testing.B) {
	const n = 1000
	s := durable(b)
	dir := numbered(n)
	set := load(b, dir)
	root := b.TempDir()
	var names []string
	for name, f := range dir {
		if err := os.WriteFile(filepath.Join(root, name), f.Data, 0o600); err != nil {
			b.Fatal(err)
		}
		names = append(names, filepath.Join(root, name))
	}
	slices.Sort(names)
	each := func(run func(url string) error) func(*testing.B) {
		return func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				url, err := s.NewDatabase(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := run(url); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("schemawave", each(func(url string) error {
		set, err := migrations.Load(os.DirFS(root), migrations.LayoutAuto)
		if err != nil {
			return err
		}
		cfg := config(b, url)
		_, err = postgres.Migrate(b.Context(), cfg, set)
		return err
	}))
	b.Run("one-query-each", each(func(url string) error {
		conn, err := pgconn.Connect(b.Context(), url)
		if err != nil {
			return err
		}
		defer conn.Close(b.Context())
		for _, m := range set.Migrations {
			if _, err := conn.Exec(b.Context(), "BEGIN;"+m.Up.SQL+";COMMIT").ReadAll(); err != nil {
				return err
			}
		}
		return nil
	}))
	b.Run("psql-1", each(func(url string) error {
		args := []string{"-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", url}
		for _, f := range names {
			args = append(args, "-f", f)
		}
		if out, err := exec.Command("psql", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("psql: %w: %s", err, out)
		}
		return nil
	}))
}

// BenchmarkNothingToDo is the run of every deployment that changes no schema, beside a connection and one query.
func BenchmarkNothingToDo(b *testing.B) {
	s := durable(b)
	for _, n := range []int{10, 1000, 5000} {
		url, err := s.NewDatabase(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		set := load(b, numbered(n))
		cfg := config(b, url)
		migrate(b, cfg, set)
		b.Run(fmt.Sprintf("schemawave-%d", n), func(b *testing.B) {
			for range b.N {
				migrate(b, cfg, set)
			}
		})
		b.Run(fmt.Sprintf("connect-and-ask-%d", n), func(b *testing.B) {
			for range b.N {
				conn, err := pgconn.Connect(b.Context(), url)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Exec(b.Context(), "SELECT version, checksum FROM schemawave.migration").ReadAll(); err != nil {
					b.Fatal(err)
				}
				conn.Close(b.Context())
			}
		})
	}
}
