package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// partitioned is what the server has to look at to tell whether it takes a statement in a transaction.
const partitioned = `CREATE TABLE p (v int, k int) PARTITION BY LIST (v); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2); CREATE INDEX p_k ON p (k); INSERT INTO p SELECT 1 + i % 2, -i FROM generate_series(1, 100) i;`

// What the text tells about a statement is what the server does with it in a transaction block.
func TestNonTransactionalIsWhatTheServerRefuses(t *testing.T) {
	url := freshURL(t)
	name := databaseName(t, url)
	query(t, url, "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION a WITH (connect = false, slot_name = s)")
	query(t, url, "CREATE SUBSCRIPTION bare CONNECTION 'host=127.0.0.1 port=1' PUBLICATION a WITH (connect = false)")
	query(t, url, "ALTER SUBSCRIPTION bare SET (slot_name = NONE)")
	query(t, url, partitioned+`CREATE TABLE d (v int PRIMARY KEY); CREATE INDEX i ON d (v); CLUSTER d USING i;
CREATE TYPE e AS ENUM ('a'); CREATE MATERIALIZED VIEW m AS SELECT v FROM d; CREATE UNIQUE INDEX m_v ON m (v)`)
	const (
		enable  = "ALTER SUBSCRIPTION s ENABLE;"
		pending = "SET LOCAL allow_system_table_mods TO on; UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'p_1'::regclass;"
	)
	defer query(t, url, "DROP SUBSCRIPTION bare")
	defer query(t, url, "DROP SUBSCRIPTION s")
	defer query(t, url, "ALTER SUBSCRIPTION s SET (slot_name = NONE)")
	for _, c := range []struct {
		sql     string
		before  string // in the same transaction
		refused bool
		late    bool   // the text does not tell
		fails   string // SQLSTATE of what else is wrong with it here
	}{
		{sql: "CREATE INDEX CONCURRENTLY x ON d (v)", refused: true},
		{sql: "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS x ON d (v)", refused: true},
		{sql: "CREATE INDEX x ON d (v)"},
		{sql: "DROP INDEX CONCURRENTLY i", refused: true},
		{sql: "DROP INDEX i"},
		{sql: "REFRESH MATERIALIZED VIEW CONCURRENTLY m"},
		{sql: "REINDEX TABLE CONCURRENTLY d", refused: true},
		{sql: "REINDEX (CONCURRENTLY) INDEX i", refused: true},
		{sql: "REINDEX (VERBOSE OFF, CONCURRENTLY 'on') INDEX i", refused: true},
		{sql: "REINDEX (CONCURRENTLY off) TABLE d"},
		{sql: "REINDEX (CONCURRENTLY 'False', VERBOSE) TABLE d"},
		{sql: "REINDEX (TABLESPACE pg_default) TABLE d"},
		{sql: "REINDEX TABLE p_1"},
		{sql: "REINDEX TABLE p", refused: true, late: true},
		{sql: "REINDEX INDEX p_k", refused: true, late: true},
		{sql: "REINDEX TABLE CONCURRENTLY p", refused: true},
		{sql: "REINDEX SCHEMA public", refused: true},
		{sql: "REINDEX (VERBOSE) SCHEMA CONCURRENTLY public", refused: true},
		{sql: "REINDEX DATABASE " + name, refused: true},
		{sql: "REINDEX SYSTEM " + name, refused: true},
		{sql: "CLUSTER", refused: true},
		{sql: "CLUSTER VERBOSE", refused: true},
		{sql: "CLUSTER d"},
		{sql: "CLUSTER (VERBOSE) d USING d_pkey"},
		{sql: "CLUSTER p_1 USING p_1_k_idx"},
		{sql: "CLUSTER p USING p_k", refused: true, late: true},
		{sql: "VACUUM", refused: true},
		{sql: "VACUUM FULL d", refused: true},
		{sql: "VACUUM (ANALYZE, VERBOSE) d", refused: true},
		{sql: "ANALYZE d"},
		{sql: "ALTER TABLE p DETACH PARTITION p_1 CONCURRENTLY", refused: true},
		{sql: "ALTER TABLE p DETACH PARTITION p_1"},
		{sql: "ALTER TABLE p DETACH PARTITION p_1 FINALIZE", before: pending},
		{sql: "ALTER TYPE e ADD VALUE 'b'"},
		{sql: "ALTER SYSTEM SET work_mem TO '5MB'", refused: true},
		{sql: "ALTER SYSTEM RESET ALL", refused: true},
		{sql: "CREATE DATABASE x", refused: true},
		{sql: "DROP DATABASE IF EXISTS x", refused: true},
		{sql: "ALTER DATABASE " + name + " SET TABLESPACE pg_default", refused: true},
		{sql: "ALTER DATABASE " + name + " SET default_tablespace TO pg_default"},
		{sql: "ALTER DATABASE " + name + " CONNECTION LIMIT 50"},
		{sql: "CREATE TABLESPACE x LOCATION '/nowhere'", refused: true},
		{sql: "DROP TABLESPACE x", refused: true},
		{sql: "ALTER TABLESPACE pg_default SET (random_page_cost = 2)"},
		{sql: "ALTER TABLE d SET TABLESPACE pg_default"},
		{sql: "CREATE SUBSCRIPTION x CONNECTION '' PUBLICATION a", refused: true},
		{sql: "CREATE SUBSCRIPTION x CONNECTION '' PUBLICATION a, b WITH (enabled = off, create_slot)", refused: true},
		{sql: "CREATE SUBSCRIPTION x CONNECTION '' PUBLICATION a WITH (connect = false)"},
		{sql: "CREATE SUBSCRIPTION x CONNECTION 'host=127.0.0.1 port=1' PUBLICATION a WITH (copy_data = off, create_slot = off, enabled = off)", fails: "08006"},
		{sql: "ALTER SUBSCRIPTION s REFRESH PUBLICATION", before: enable, refused: true},
		{sql: "ALTER SUBSCRIPTION s SET PUBLICATION a, b", before: enable, refused: true},
		{sql: "ALTER SUBSCRIPTION s ADD PUBLICATION b WITH (copy_data = false)", before: enable, refused: true},
		{sql: "ALTER SUBSCRIPTION s DROP PUBLICATION a WITH (refresh)", before: enable + "ALTER SUBSCRIPTION s SET PUBLICATION a, b WITH (refresh = 0);", refused: true},
		{sql: "ALTER SUBSCRIPTION s SET PUBLICATION b WITH (refresh = false)", before: enable},
		{sql: "ALTER SUBSCRIPTION s CONNECTION 'dbname=publication'"},
		{sql: "ALTER SUBSCRIPTION s SET (slot_name = NONE, binary)"},
		{sql: "ALTER SUBSCRIPTION s DISABLE", before: enable},
		{sql: "DROP SUBSCRIPTION s", refused: true, late: true},
		{sql: "DROP SUBSCRIPTION bare"},
		{sql: "CHECKPOINT"},
		{sql: "LOCK TABLE d"},
	} {
		pe := inTransaction(t, url, c.before, c.sql)
		refused := pe != nil && pe.Code == "25001"
		if refused != c.refused || !refused && pe != nil && pe.Code != c.fails {
			t.Errorf("%s: the server says %v", c.sql, pe)
		}
		if got := load(t, numberedWith(c.sql)).Migrations[0].NoTransaction; got != (c.refused && !c.late) {
			t.Errorf("%s: loaded as one that needs no transaction: %t", c.sql, got)
		}
	}
	for _, sql := range []string{"COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'", "DISCARD ALL"} {
		if pe := inTransaction(t, url, "", sql); pe == nil || pe.Code != "25001" {
			t.Errorf("%s: the server says %v", sql, pe)
		}
		if _, err := migrations.Load(numberedWith(sql), migrations.LayoutAuto); err == nil {
			t.Errorf("%s: not refused", sql)
		}
	}
}

// inTransaction runs a statement in a transaction block that is rolled back, and returns what the server says against it.
func inTransaction(t *testing.T, url, before, sql string) *pgconn.PgError {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "BEGIN;"+before).ReadAll(); err != nil {
		t.Fatalf("%s: %v", before, err)
	}
	_, err = conn.Exec(t.Context(), sql).ReadAll()
	pe, _ := err.(*pgconn.PgError)
	if err != nil && pe == nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return pe
}

// A prepared statement may be named "transaction", in which PREPARE TRANSACTION prepares none.
func TestPreparedStatementNamedTransaction(t *testing.T) {
	url := freshURL(t)
	migrate(t, config(t, url), load(t, files("1_d.sql", "CREATE TABLE d (v int);\nPREPARE transaction AS INSERT INTO d VALUES (1);\nEXECUTE transaction;\nDEALLOCATE transaction;\n"+
		"PREPARE TRANSACTION(int) AS INSERT INTO d VALUES ($1);\nEXECUTE transaction (2);")))
	if got := query(t, url, "SELECT string_agg(v::text, ' ' ORDER BY v) FROM d"); got[0] != "1 2" {
		t.Errorf("rows %s", got)
	}
}

// A statement that only the server knows to need no transaction runs without one if it is its file's only one; among
// others the file is refused, as it could be half applied.
func TestNeedsNoTransactionAfterAll(t *testing.T) {
	for _, sql := range []string{"REINDEX TABLE p", "SET search_path TO public;\nREINDEX INDEX p_k;\nRESET search_path", "CLUSTER p USING p_k"} {
		t.Run(sql, func(t *testing.T) {
			url := freshURL(t)
			cfg := config(t, url)
			before := files("1_p.sql", partitioned)
			migrate(t, cfg, load(t, before))
			filenodes := func() string {
				return strings.Join(query(t, url, "SELECT pg_relation_filenode(relid) FROM pg_partition_tree('p_k') WHERE isleaf ORDER BY relid::text"), " ")
			}
			old := filenodes()
			report := migrate(t, cfg, load(t, files("1_p.sql", partitioned, "2_alone.sql", sql, "3_after.sql", "CREATE TABLE after_it (v int)")))
			if got := filenodes(); report.Count != 2 || got == old {
				t.Errorf("%d applied, files %s, before %s", report.Count, got, old)
			}
			if got := query(t, url, "SELECT count(*) FROM schemawave.statement"); got[0] != "0" {
				t.Errorf("%s journal entries are left", got[0])
			}
		})
	}
	t.Run("among others", func(t *testing.T) {
		url := freshURL(t)
		report, err := postgres.Migrate(t.Context(), config(t, url), load(t, files("1_p.sql", partitioned, "2_x.sql", "CREATE TABLE x (v int);\nREINDEX TABLE p;")))
		if f := report.Failure; err == nil || f.SQLState != "25001" || f.Line != 2 || !strings.Contains(f.Hint, "a file of its own") {
			t.Errorf("%+v", f)
		}
		if got := query(t, url, "SELECT to_regclass('x')"); got[0] != "" {
			t.Error("the file is half applied")
		}
	})
}
