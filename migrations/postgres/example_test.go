package postgres_test

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

//go:embed testdata/orders/*.sql
var embedded embed.FS

// getenv stands for os.Getenv in the examples. Its DATABASE_URL leads to a fresh database.
func getenv(name string) string {
	if name != "DATABASE_URL" {
		return ""
	}
	url, err := server.NewDatabase(context.Background())
	if err != nil {
		panic(err)
	}
	return url
}

// A service that makes a tenant makes its schema, and brings it up at once: the next run for all tenants finds it done.
func ExampleMigrate_tenant() {
	ctx := context.Background()
	set, err := migrations.Load(os.DirFS("testdata/orders"), migrations.LayoutAuto)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := postgres.ParseConfig(getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	db, err := pgconn.ConnectConfig(ctx, conn)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, "CREATE SCHEMA shop17").ReadAll(); err != nil {
		fmt.Println(err)
		return
	}
	cfg := postgres.Config{Conn: conn, Database: "orders", Tenant: "shop17"}
	report, err := postgres.Migrate(ctx, cfg, set)
	if err != nil {
		fmt.Println("exit code", postgres.ExitCode(err), "because", err)
		return
	}
	fmt.Println("shop17:", report.Outcome, report.To)
	all, err := postgres.StatusTenants(ctx, cfg, postgres.Tenants{Query: "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'shop%'"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, one := range all {
		fmt.Println(one.Tenant, "is at version", one.Result.Version)
	}
	// Output:
	// shop17: succeeded 3
	// shop17 is at version 3
}

// A service that carries its migrations may bring its database up to date by itself, however many of its replicas start
// at once.
func ExampleMigrate() {
	ctx := context.Background()
	dir, err := fs.Sub(embedded, "testdata/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := migrations.Load(dir, migrations.LayoutAuto)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := postgres.ParseConfig(getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := postgres.Config{Conn: conn, Database: "orders", Environment: "production"}
	for range 2 {
		report, err := postgres.Migrate(ctx, cfg, set)
		if err != nil {
			fmt.Println("exit code", postgres.ExitCode(err), "because", err)
			return
		}
		fmt.Printf("%s: from %q to %q, applied %v, readers of %s and later still work\n",
			report.Outcome, report.From, report.To, report.Applied, report.MinCompatible)
	}
	// Output:
	// succeeded: from "" to "3", applied [1 2 3], readers of 1 and later still work
	// current: from "3" to "3", applied [], readers of 1 and later still work
}

func ExampleStatus() {
	ctx := context.Background()
	dir, err := fs.Sub(embedded, "testdata/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := migrations.Load(dir, migrations.LayoutAuto)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := postgres.ParseConfig(getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := postgres.Config{Conn: conn, Database: "orders", Target: "2"}
	if _, err := postgres.Migrate(ctx, cfg, set); err != nil {
		fmt.Println(err)
		return
	}
	history, err := postgres.Status(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range history.Migrations {
		fmt.Println(m.Version, m.Name)
	}
	upto, err := set.Upto("2")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("exactly up to 2:", history.Migrations[1].Digest == upto.Digest())
	// Output:
	// 1 create_orders
	// 2 add_total
	// exactly up to 2: true
}
