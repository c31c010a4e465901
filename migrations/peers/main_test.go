package peers_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// server is the one PostgreSQL of this test binary.
var server *postgrestest.Server

func TestMain(m *testing.M) { os.Exit(withServer(m.Run)) }

func withServer(run func() int) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var err error
	if server, err = postgrestest.Start(ctx, postgrestest.Options{}); err != nil {
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
