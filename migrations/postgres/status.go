package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// History is what a ledger holds.
type History struct {
	Database   string // the logical database; empty if there is no ledger yet
	Migrations []Record
	Repeatable []Record // as they were run last, in the order of their names; without a checksum if not in force since, as after Down
	Unfinished []string // IDs of those that are half applied: some of their statements ran, outside a transaction
}

// Record is one applied migration.
type Record struct {
	migrations.Applied
	Previous  migrations.Version // applied just before; empty for the first and for repeatable ones
	Digest    string             // of the history up to and with this one; a set's digest, if just that was applied; may be empty
	AppliedAt time.Time
	Took      time.Duration // zero if the run ended before it could say
	Run       string        // id of the run; empty for history taken over from elsewhere
	Down      string        // the SQL that reverts it; empty if there is none
}

// Status reads the ledger without writing or locking anything, in the order of application. A database without a ledger
// has an empty History.
func Status(ctx context.Context, cfg Config) (History, error) {
	var out History
	err := glance(ctx, cfg, func(l ledger, s *session, st state) (err error) {
		if !st.exists {
			return nil
		}
		out.Database = st.database
		if out.Migrations, err = l.chain(ctx, s); err != nil {
			return err
		}
		if out.Repeatable, err = l.records(ctx, s, fmt.Sprintf(`SELECT '', name, checksum, '', '', (extract(epoch FROM applied_at) * 1000000)::bigint,
coalesce((extract(epoch FROM duration) * 1000000)::bigint, 0), coalesce(run::text, ''), '', '' FROM %s WHERE %s ORDER BY name`, l.table("repeatable"), l.mine(""))); err != nil {
			return err
		}
		out.Unfinished, err = l.unfinished(ctx, s)
		return err
	})
	if err != nil {
		return History{}, err
	}
	return out, nil
}

// glance opens a session, reads the ledger and hands both on, for what neither writes nor locks.
func glance(ctx context.Context, cfg Config, do func(l ledger, s *session, st state) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	s, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close(context.WithoutCancel(ctx)) //nolint:errcheck // only read from
	l := ledger{cfg.LedgerSchema, cfg.Tenant}
	st, err := l.read(ctx, s)
	if err == nil {
		err = st.check(cfg.Database, l)
	}
	if err != nil {
		return err
	}
	return do(l, s, st)
}

// chain reads table migration in the order of application.
func (l ledger) chain(ctx context.Context, s *session) ([]Record, error) {
	return l.records(ctx, s, fmt.Sprintf(`WITH RECURSIVE chain AS (
SELECT m.*, 1 AS place FROM %[1]s m WHERE m.%[2]s AND m.previous = ''
UNION ALL SELECT m.*, c.place + 1 FROM %[1]s m JOIN chain c ON m.tenant = c.tenant AND m.previous = c.version)
SELECT version, name, checksum, min_compatible, previous, (extract(epoch FROM applied_at) * 1000000)::bigint,
coalesce((extract(epoch FROM duration) * 1000000)::bigint, 0), coalesce(run::text, ''), coalesce(down, ''), digest FROM chain ORDER BY place`, l.table("migration"), l.mine("")))
}

func (l ledger) records(ctx context.Context, s *session, sql string) ([]Record, error) {
	rows, err := s.ask(ctx, sql)
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, row := range rows {
		record, err := parseRecord(row)
		if err != nil {
			return nil, err
		}
		out = append(out, record)
	}
	return out, nil
}

// unfinished lists what has left a journal.
func (l ledger) unfinished(ctx context.Context, s *session) ([]string, error) {
	rows, err := s.ask(ctx, l.unfinishedSQL())
	return column(rows), err
}

func parseRecord(row [][]byte) (Record, error) {
	micros := func(b []byte) int64 {
		n, _ := strconv.ParseInt(string(b), 10, 64) // a bigint, by the query
		return n
	}
	if len(row) != 10 {
		return Record{}, fmt.Errorf("read the ledger: %d columns, want 10", len(row))
	}
	return Record{
		Applied: migrations.Applied{Version: migrations.Version(row[0]), Name: string(row[1]), Checksum: string(row[2]),
			MinCompatible: migrations.Version(row[3])},
		Previous: migrations.Version(row[4]), AppliedAt: time.UnixMicro(micros(row[5])).UTC(),
		Took: time.Duration(micros(row[6])) * time.Microsecond, Run: string(row[7]), Down: string(row[8]), Digest: string(row[9]),
	}, nil
}
