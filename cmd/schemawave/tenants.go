package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/schemawave/schemawave/cmd/cli"
	"github.com/schemawave/schemawave/migrations"
	"github.com/schemawave/schemawave/migrations/postgres"
)

// subject says which database, or which of its tenants, a result is about, and why there is no more to it if it failed.
type subject struct {
	Database string              `json:"database"`
	Tenant   string              `json:"tenant,omitempty"`
	Failure  *migrations.Failure `json:"error,omitempty"`
}

func subjectOf(cfg postgres.Config, err error) subject {
	s := subject{Database: cfg.Database, Tenant: cfg.Tenant}
	if err != nil {
		s.Failure = postgres.FailureOf(err)
	}
	return s
}

func (s subject) about() subject { return s }

// String is database, or database/tenant.
func (s subject) String() string {
	if s.Tenant == "" {
		return s.Database
	}
	return s.Database + "/" + s.Tenant
}

// outcome is a result that can be printed; one that failed may have got half way, and then says how far.
type outcome interface {
	about() subject
	print(w io.Writer) error
}

// withTenants adds the flags that name tenants.
func (l *onLedger) withTenants(c *cobra.Command) *cobra.Command {
	c.Flags().StringArrayVar(&l.tenants.Names, "tenant", nil, "a tenant, whose schema and history this is about; may be repeated")
	c.Flags().StringVar(&l.tenants.Query, "tenants", "", "SQL that selects the names of tenants")
	return c
}

// checkTenants finds what is wrong with the tenants. A name or a query that is there but empty, as an unset variable makes it,
// must not stand for the database itself.
func (l *onLedger) checkTenants(c *cobra.Command) error {
	for _, name := range l.tenants.Names {
		if name == "" {
			return cli.Usage("--tenant is empty: want a tenant's name")
		}
	}
	if c.Flags().Changed("tenants") && strings.TrimSpace(l.tenants.Query) == "" {
		return cli.Usage("--tenants is empty: want a query, as in 'SELECT schema_name FROM public.shops'")
	}
	if !l.several() && len(l.tenants.Names) == 1 {
		l.Tenant = l.tenants.Names[0]
	}
	return nil
}

// several reports whether it is about many tenants: a result for each is printed then, however many there turn out to be.
func (l *onLedger) several() bool { return l.tenants.Query != "" || len(l.tenants.Names) > 1 }

// carryOut does it to the database, or to the tenants, and prints what came of it.
func carryOut[T outcome](ctx context.Context, c *cobra.Command, l *onLedger, do func(context.Context, postgres.Config) (T, error)) error {
	if l.several() {
		return toEach(ctx, c, l, do)
	}
	result, err := do(ctx, l.Config)
	if err != nil {
		return err
	}
	return l.print(c.OutOrStdout(), result, result.print)
}

// toEach does it to each tenant, and prints what came of each.
func toEach[T outcome](ctx context.Context, c *cobra.Command, l *onLedger, do func(context.Context, postgres.Config) (T, error)) error {
	each, err := postgres.EachTenant(ctx, l.Config, l.tenants, do)
	if each == nil && err != nil {
		return err
	}
	results := make([]T, len(each))
	for i, one := range each {
		results[i] = one.Result
	}
	return errors.Join(err, l.print(c.OutOrStdout(), results, func(w io.Writer) error {
		if len(results) == 0 {
			_, err := fmt.Fprintf(w, "%s: there is no such tenant\n", l.Database)
			return err
		}
		for _, r := range results {
			if err := r.print(w); err != nil {
				return err
			}
			if s := r.about(); s.Failure != nil {
				fmt.Fprintf(w, "%s failed: %s\n", s, briefly(*s.Failure))
			}
		}
		return nil
	}))
}

// briefly is a failure on one line, without the remedy.
func briefly(f migrations.Failure) string {
	f.Hint = ""
	return strings.ReplaceAll((&postgres.Error{Failure: f}).Error(), "\n", "; ")
}

// standing is what the tables of all tenants have of one, and what the commands print of it as JSON.
type standing struct {
	subject
	Version     migrations.Version  `json:"version,omitempty"` // newest applied
	Applied     int                 `json:"applied"`           // versions
	AppliedAt   *time.Time          `json:"appliedAt,omitempty"`
	Unfinished  []string            `json:"unfinished,omitempty"`
	LastFailure *migrations.Failure `json:"lastFailure,omitempty"` // of the last run, if it failed
	FailedAt    *time.Time          `json:"failedAt,omitempty"`
}

func standingOf(cfg postgres.Config, tenant string, st postgres.Standing, err error) standing {
	cfg.Tenant = tenant
	s := standing{subject: subjectOf(cfg, err), Version: st.Version, Applied: st.Applied, Unfinished: st.Unfinished, LastFailure: st.Failure}
	if !st.AppliedAt.IsZero() {
		s.AppliedAt = &st.AppliedAt
	}
	if !st.FailedAt.IsZero() {
		s.FailedAt = &st.FailedAt
	}
	return s
}

// version is the column of that name.
func (s standing) version() string {
	if s.Version == "" {
		return "-"
	}
	return string(s.Version)
}

// trouble is the column of what is wrong: what keeps it from being migrated at all, else how the last run failed.
func (s standing) trouble() string {
	var said []string
	if s.Failure != nil {
		said = append(said, briefly(*s.Failure))
	}
	for _, id := range s.Unfinished {
		said = append(said, id+" is half applied")
	}
	if s.LastFailure != nil && s.FailedAt != nil {
		said = append(said, s.FailedAt.Format(stamp)+" "+briefly(*s.LastFailure))
	}
	if len(said) == 0 {
		return "-"
	}
	return strings.Join(said, "; ")
}
