package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/peers"
	"github.com/schemawave/schemawave/migrations/peers/proxy"
	"github.com/schemawave/schemawave/migrations/postgres/postgrestest"
)

// contest is the server, the directories and the databases that are used again.
type contest struct {
	server   *postgrestest.Server
	rounds   int
	root     string            // of the directories
	upToDate map[string]string // database URL by contender and number of migrations
}

// result is one case: what each entrant's runs took.
type result struct {
	kase
	rows []row
}

type row struct {
	name  string
	took  []time.Duration
	trips []int // only where a proxy was in between
	err   error // of the run that failed, after which there were no more
}

// patience is how many times as often the short cases are measured.
const patience = 4

func newContest(server *postgrestest.Server, rounds int) (*contest, error) {
	root, err := os.MkdirTemp("", "schemawave-bench-")
	return &contest{server: server, rounds: rounds, root: root, upToDate: map[string]string{}}, err
}

func (c *contest) close() error { return os.RemoveAll(c.root) }

// directory returns a directory of n migrations in a layout, written when it is first needed.
func (c *contest) directory(layout migrations.Layout, n int) (string, error) {
	dir := filepath.Join(c.root, fmt.Sprintf("%s-%d", layout, n))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := peers.Write(dir, layout, 1, sources(n)); err != nil || layout != migrations.LayoutPlain {
		return dir, err
	}
	return dir, bundle(dir)
}

// measure lets the entrants run in turn, each round beginning with another one.
func (c *contest) measure(ctx context.Context, k kase) (result, error) {
	all := entrants(k)
	r := result{kase: k, rows: make([]row, len(all))}
	rounds := c.rounds
	if k.current {
		rounds *= patience
	}
	for round := range rounds {
		for j := range all {
			i := (round + j) % len(all)
			if r.rows[i].name = all[i].Name; r.rows[i].err != nil {
				continue
			}
			if err := c.turn(ctx, k, all[i], &r.rows[i]); err != nil {
				return r, fmt.Errorf("%s, %s: %w", k.name(), all[i].Name, err)
			}
		}
	}
	for _, one := range r.rows {
		fmt.Fprintf(os.Stderr, "%s\t%s\t%v %v %v\n", k.name(), one.name, one.took, one.trips, one.err)
	}
	return r, nil
}

// turn is one run of one entrant. Its own failure is part of the result, not an error.
func (c *contest) turn(ctx context.Context, k kase, e entrant, out *row) error {
	dir, err := c.directory(e.Layout, k.migrations)
	if err != nil {
		return err
	}
	database, err := c.database(ctx, k, e, dir)
	if err != nil {
		return err
	}
	through, flights, done, err := c.way(database, k)
	if err != nil {
		return err
	}
	defer done()
	if err := c.settle(ctx, k); err != nil {
		return err
	}
	began := time.Now()
	err = e.Migrate(ctx, through, dir)
	took := time.Since(began)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if out.err = err; err == nil {
		out.took = append(out.took, took)
		if k.roundTrip > 0 {
			out.trips = append(out.trips, flights())
		}
	}
	if k.current {
		return nil
	}
	return c.keep(ctx, k, e, database, err)
}

// database is an empty one, or one that is up to date.
func (c *contest) database(ctx context.Context, k kase, e entrant, dir string) (string, error) {
	if !k.current {
		return c.server.NewDatabase(ctx)
	}
	if known := c.upToDate[key(e.before.Name, k)]; known != "" {
		return known, nil
	}
	made, err := c.server.NewDatabase(ctx)
	if err != nil {
		return "", err
	}
	if err := e.before.Migrate(ctx, made, dir); err != nil {
		return "", fmt.Errorf("prepare: %w", err)
	}
	c.upToDate[key(e.before.Name, k)] = made
	return made, nil
}

func key(name string, k kase) string { return fmt.Sprintf("%s %d", name, k.migrations) }

// way returns how to reach a database, how many flights there were, and what ends the way.
func (c *contest) way(database string, k kase) (through string, flights func() int, done func() error, err error) {
	if k.roundTrip == 0 {
		return database, nil, func() error { return nil }, nil
	}
	p, err := proxy.Start(c.server.Address(), k.roundTrip)
	if err != nil {
		return "", nil, nil, err
	}
	u, err := url.Parse(database)
	if err != nil {
		return "", nil, nil, err
	}
	u.Host = p.Address()
	return u.String(), p.Flights, p.Close, nil
}

// settle leaves nothing of what was before to the run that follows: neither dirty pages nor garbage.
func (c *contest) settle(ctx context.Context, k kase) error {
	if !k.current {
		if err := c.admin(ctx, "CHECKPOINT"); err != nil {
			return err
		}
	}
	runtime.GC()
	return nil
}

// keep holds on to the first database that is up to date, for a case in which nothing is to be done, and drops the others.
func (c *contest) keep(ctx context.Context, k kase, e entrant, database string, failed error) error {
	if failed == nil && k.roundTrip == 0 && needed(k) && c.upToDate[key(e.Name, k)] == "" {
		c.upToDate[key(e.Name, k)] = database
		return nil
	}
	name := database[strings.LastIndex(database, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	return c.admin(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
}

// needed reports whether there is a case of as many migrations in which nothing is to be done.
func needed(k kase) bool {
	return slices.ContainsFunc(cases(), func(other kase) bool { return other.current && other.migrations == k.migrations })
}

func (c *contest) admin(ctx context.Context, sql string) error {
	conn, err := pgconn.Connect(ctx, c.server.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql).ReadAll()
	return err
}
