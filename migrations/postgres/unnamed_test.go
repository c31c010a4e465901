package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

const indexesOfD = "SELECT indexrelid::regclass || CASE WHEN indisvalid THEN '' ELSE ' invalid' END FROM pg_index WHERE indrelid = 'd'::regclass ORDER BY 1"

// An index that the file does not name is there once, although nobody heard of the end of the attempt that made it. What another
// statement made of the same columns is not taken for it.
func TestUnnamedIndexWhoseEndWasNotHeardOf(t *testing.T) {
	for _, sql := range []string{
		"CREATE INDEX CONCURRENTLY ON d (v)",
		"CREATE UNIQUE INDEX CONCURRENTLY ON d (v)",
		"CREATE INDEX CONCURRENTLY ON ONLY public . d USING btree (v DESC) INCLUDE (w) WITH (fillfactor = 70) WHERE w <> ' USING '",
		"SET search_path TO s, public;\nCREATE INDEX CONCURRENTLY ON d (f(w))",
	} {
		t.Run(sql, func(t *testing.T) {
			url := freshURL(t)
			query(t, url, `CREATE TABLE d (v int, w text COLLATE "C"); CREATE SCHEMA s; CREATE FUNCTION s.f(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE INDEX a ON d (v) WHERE v > 0; CREATE INDEX b ON d (v, w); CREATE UNIQUE INDEX c ON d (w)`)
			before := query(t, url, indexesOfD)
			cfg, set := config(t, url), load(t, files("1_x.sql", sql))
			w := &wire{}
			w.breakAt = func(b []byte) bool { return bytes.Contains(b, []byte(`"statement" SET finished`)) }
			w.tap(&cfg)
			cfg.Retries = 0
			if _, err := postgres.Migrate(t.Context(), cfg, set); err == nil {
				t.Fatal("the connection did not break")
			}
			made := query(t, url, indexesOfD)
			if len(made) != len(before)+1 {
				t.Fatalf("made: %v", made)
			}
			migrate(t, config(t, url), set)
			if got := query(t, url, indexesOfD); !slices.Equal(got, made) {
				t.Errorf("made %v, and after a plain run there are %v", made, got)
			}
		})
	}
}

// interruptUnnamed cancels a migration while it builds an index that has no name.
func interruptUnnamed(t *testing.T, url string, cfg postgres.Config, set migrations.Set) {
	t.Helper()
	end := holdSnapshot(t, url, "INSERT INTO d VALUES (3)")
	defer end()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := postgres.Migrate(ctx, cfg, set)
		done <- err
	}()
	eventually(t, url, "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()", "1")
	cancel()
	if err := <-done; postgres.ExitCode(err) != migrations.ExitBusy {
		t.Fatalf("first: %v", err)
	}
}

// The INVALID index that an interrupted attempt leaves under a name of the server's choice is dropped, and no other.
func TestUnnamedIndexThatWasInterrupted(t *testing.T) {
	url := freshURL(t)
	query(t, url, "CREATE TABLE d (v int); INSERT INTO d VALUES (1), (1)")
	other, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	if _, err := other.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY anothers ON d (v)").ReadAll(); err == nil {
		t.Fatal("a unique index of what is there twice")
	}
	cfg, set := config(t, url), load(t, files("1_x.sql", "CREATE INDEX CONCURRENTLY ON d (v)"))
	interruptUnnamed(t, url, cfg, set)
	if got := query(t, url, indexesOfD); !slices.Equal(got, []string{"anothers invalid", "d_v_idx invalid"}) {
		t.Fatalf("left: %v", got)
	}
	migrate(t, cfg, set)
	if got := query(t, url, indexesOfD); !slices.Equal(got, []string{"anothers invalid", "d_v_idx"}) {
		t.Errorf("left: %v", got)
	}
}

// A role that may make no temporary table cannot tell. The migration is completed all the same, and the log says what may be left.
func TestUnnamedIndexThatCannotBeTried(t *testing.T) {
	url := freshURL(t)
	name := databaseName(t, url)
	role := "indexes_" + name
	query(t, url, fmt.Sprintf("CREATE ROLE %[1]s LOGIN; REVOKE TEMP ON DATABASE %[2]s FROM PUBLIC; GRANT CREATE ON DATABASE %[2]s TO %[1]s; CREATE TABLE d (v int); ALTER TABLE d OWNER TO %[1]s", role, name))
	query(t, url, "GRANT CREATE ON SCHEMA public TO "+role)
	cfg, set := config(t, url), load(t, files("1_x.sql", "CREATE INDEX CONCURRENTLY ON d (v)"))
	cfg.Conn.User = role
	var log strings.Builder
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	interruptUnnamed(t, url, cfg, set)
	migrate(t, cfg, set)
	if got := query(t, url, indexesOfD); !slices.Equal(got, []string{"d_v_idx invalid", "d_v_idx1"}) {
		t.Errorf("left: %v", got)
	}
	if !strings.Contains(log.String(), "compare the table's indexes") || !strings.Contains(log.String(), "1_x.sql") {
		t.Errorf("nothing tells of it:\n%s", log.String())
	}
}
