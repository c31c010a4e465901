package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/schemawave/schemawave/migrations/postgres"
)

// tenantPlan is what plan prints as JSON of one tenant among several.
type tenantPlan struct {
	standing
	Pending []string `json:"pending"` // IDs: versions, or R__ and a name
}

// planTenants prints what migrate would do for each tenant.
func (l *onLedger) planTenants(ctx context.Context, w io.Writer) error {
	set, err := l.load()
	if err != nil {
		return err
	}
	each, err := postgres.PreviewTenants(ctx, l.Config, set, l.tenants)
	if each == nil && err != nil {
		return err
	}
	list := make([]tenantPlan, len(each))
	for i, one := range each {
		list[i] = tenantPlan{standingOf(l.Config, one.Tenant, one.Result.Standing, one.Err), []string{}}
		for _, m := range append(one.Result.Pending, one.Result.Repeat...) {
			list[i].Pending = append(list[i].Pending, m.ID())
		}
	}
	slices.SortStableFunc(list, func(a, b tenantPlan) int { return cmp.Compare(a.place(), b.place()) })
	return errors.Join(err, l.print(w, list, func(w io.Writer) error { return printTenantPlans(w, l.Database, list) }))
}

// place puts those first for which migrate would end with an error, then those that are behind.
func (p tenantPlan) place() int {
	switch {
	case p.Failure != nil:
		return 0
	case len(p.Pending) > 0:
		return 1
	}
	return 2
}

func printTenantPlans(w io.Writer, database string, list []tenantPlan) error {
	behind := 0
	for _, p := range list {
		if p.place() == 1 {
			behind++
		}
	}
	fmt.Fprintf(w, "%s: migrations would run for %d of %s\n", database, behind, counted(len(list), "tenant", "tenants"))
	if len(list) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\nTENANT\tVERSION\tPENDING\tLAST FAILURE")
	for _, p := range list {
		pending := strconv.Itoa(len(p.Pending))
		if p.Failure != nil {
			pending = "?"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Tenant, p.version(), pending, p.trouble())
	}
	return table.Flush()
}
