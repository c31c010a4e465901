package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/schemawave/schemawave/migrations"
)

// DefaultParallel is how many tenants are served at once, unless it is said.
const DefaultParallel = 4

// Tenants says whose schemas something is about. Each tenant is a schema of the same database, named like it.
type Tenants struct {
	Names    []string // of tenants, besides those that Query finds
	Query    string   // SQL whose first column names tenants; it runs in a read-only transaction. May be empty
	Parallel int      // how many are served at once, each on a connection of its own; DefaultParallel if 0
}

// PerTenant is what came of one tenant.
type PerTenant[T any] struct {
	Tenant string
	Result T
	Err    error
}

// EachTenant does to each tenant what do does to one: it is called with a configuration whose Tenant is set, for several at
// once, and so may be any function of this package.
//
//	went, err := postgres.EachTenant(ctx, cfg, tenants, func(ctx context.Context, cfg postgres.Config) (postgres.Reverted, error) {
//		return postgres.Down(ctx, cfg, "20260101000000")
//	})
//
// A tenant that fails holds up no other. What came of each is in the order of their names; there is nothing if it cannot be
// found out who they are. The error tells how many failed, and one of the reasons: a transient one if there is any, for then
// doing it again gets further.
func EachTenant[T any](ctx context.Context, cfg Config, t Tenants, do func(context.Context, Config) (T, error)) ([]PerTenant[T], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.Deadline)
		defer cancel()
	}
	var names []string
	if err := t.find(ctx, cfg, func(_ *session, found []string) error { names = found; return nil }); err != nil {
		return nil, err
	}
	out, errs := make([]PerTenant[T], len(names)), make([]error, len(names))
	t.each(len(names), func(i int) {
		result, err := do(ctx, cfg.of(names[i]))
		out[i], errs[i] = PerTenant[T]{names[i], result, err}, err
	})
	return out, failedAmong(names, errs)
}

// of is the configuration for one of the tenants.
func (c Config) of(tenant string) Config {
	c.Tenant = tenant
	c.Logger = c.Logger.With("tenant", tenant)
	return c
}

// each calls do with 0 to n-1, as many at once as t says.
func (t Tenants) each(n int, do func(i int)) {
	queue := make(chan int)
	var workers sync.WaitGroup
	for range min(max(1, fallback(t.Parallel, DefaultParallel)), n) {
		workers.Go(func() {
			for i := range queue {
				do(i)
			}
		})
	}
	for i := range n {
		queue <- i // done in no time once its context has ended
	}
	close(queue)
	workers.Wait()
}

// find finds out who the tenants are, and hands their names on, in order, with the connection that was asked.
func (t Tenants) find(ctx context.Context, cfg Config, then func(s *session, names []string) error) error {
	cfg.Tenant = ""
	s, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.close(context.WithoutCancel(ctx)) //nolint:errcheck // only read from
	names := slices.Clone(t.Names)
	if t.Query != "" {
		found, err := queryTenants(ctx, s, t.Query)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if err := checkTenant(name); err != nil {
			return err
		}
	}
	if err = then(s, names); errors.As(err, new(*lostError)) {
		err = lostFailure(err)
	}
	return err
}

// checkTenant refuses a name that no schema can have.
func checkTenant(name string) error {
	switch {
	case name == "":
		return fail(migrations.ExitRejected, "a tenant has an empty name", "correct the list, or the query that finds them")
	case strings.ContainsRune(name, 0):
		return fail(migrations.ExitRejected, fmt.Sprintf("the tenant %q has a zero byte in its name", name), "correct the list")
	case len(name) > maxIdentifier: // the server would cut it, and two of them might share a schema
		return fail(migrations.ExitRejected, fmt.Sprintf("the tenant %s has a name of %d bytes, longer than a schema's can be", name, len(name)),
			fmt.Sprintf("give it one of at most %d bytes", maxIdentifier))
	}
	return nil
}

// queryTenants runs the query that finds tenants. The search_path is said again for its transaction: a pooler does not carry
// it from the startup message.
func queryTenants(ctx context.Context, s *session, query string) ([]string, error) {
	begin := "BEGIN READ ONLY"
	if path := s.settings["search_path"]; path != "" {
		begin += fmt.Sprintf(";SELECT pg_catalog.set_config('search_path', %s, true)", literal(path))
	}
	replies, err := s.askAll(ctx, begin, strings.TrimRight(strings.TrimSpace(query), ";"), "ROLLBACK")
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Failure.SQLState != "" {
			e.Failure.Message = "the query for tenants: " + e.Failure.Message
		}
		if errors.As(err, new(*lostError)) {
			err = lostFailure(err)
		}
		return nil, err
	}
	var names []string
	for _, row := range replies[1].rows {
		if len(row) == 0 {
			return nil, fail(migrations.ExitRejected, "the query for tenants has no column", "select their names")
		}
		names = append(names, string(row[0]))
	}
	return names, nil
}

// failedAmong is the error of what failed for some tenants; nil if it did for none. Its code is transient if any of theirs is:
// doing it again then gets further.
func failedAmong(tenants []string, errs []error) error {
	var worst *migrations.Failure
	var first string
	var cause error
	failed := 0
	for i, err := range errs {
		if err == nil {
			continue
		}
		failed++
		why := FailureOf(err)
		if worst == nil || worst.Permanent && !why.Permanent {
			worst, first, cause = why, tenants[i], err
		}
	}
	if worst == nil {
		return nil
	}
	e := &Error{Failure: *worst}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(cause, ended) {
			e.cause = ended
		}
	}
	e.Failure.Message = fmt.Sprintf("%d of %d tenants failed, among them %s: %s", failed, len(errs), first, worst.Message)
	return e
}
