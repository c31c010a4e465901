package migrationstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// fake is a runner with a database in memory, which understands just the SQL of this package. It is right, but for one
// defect.
type fake struct {
	defect string
	lock   sync.Mutex // the runners'

	mu       sync.Mutex
	tables   map[string][]string
	ledger   []migrations.Applied
	repeated []migrations.Applied // repeatable migrations, in the order of their names
	half     map[string]int       // statements done of a file outside a transaction, by ID
	sleeping int
	runs     int
	planned  sync.WaitGroup // of runners without a lock
}

func newFake(defect string) *fake {
	f := &fake{defect: defect, tables: map[string][]string{}, half: map[string]int{}}
	if defect == "runners do not wait for each other" {
		f.planned.Add(manyRunnersAtOnce)
	}
	return f
}

func (f *fake) Migrate(ctx context.Context, set migrations.Set, opts Options) (migrations.Report, error) {
	f.mu.Lock()
	f.runs++
	r := migrations.Report{Format: migrations.ReportFormat, Database: "fake", Run: strconv.Itoa(f.runs), Started: time.Now()}
	f.mu.Unlock()
	err := f.migrate(ctx, set, opts, &r)
	r.Finished, r.Count = time.Now(), len(r.Applied)+len(r.Repeated)
	switch {
	case err != nil && f.defect == "failures are not reported":
		return r, err
	case err != nil && f.defect == "failures are no errors":
		err = nil
	case err != nil:
		r.Outcome, r.Failure = migrations.OutcomeFailed, failureOf(err)
	}
	switch {
	case f.defect == "every run has the same id":
		r.Run = "1"
	case f.defect == "places are forgotten" && r.Failure != nil:
		r.Failure.Line, r.Failure.Column = 0, 0
	}
	return r, err
}

func (f *fake) migrate(ctx context.Context, set migrations.Set, opts Options, r *migrations.Report) error {
	upto, err := set.Upto(opts.Target)
	switch f.defect {
	case "targets are ignored":
		upto, err = set, nil
	case "repeatable files ignore the target":
		upto.Repeatables = set.Repeatables
	}
	if err != nil {
		return err
	}
	if r.Digest = upto.Digest(); ctx.Err() != nil && f.defect != "a context that is over is ignored" {
		return f.interruption(ctx)
	}
	if f.defect != "runners do not wait for each other" {
		f.lock.Lock()
		defer f.lock.Unlock()
	}
	plan, err := f.plan(upto, opts.OutOfOrder)
	if err != nil {
		return err
	}
	r.From, r.Outcome = plan.From, migrations.OutcomeCurrent
	defer func() { r.To, r.MinCompatible = f.newest() }()
	if len(plan.Ahead) > 0 {
		r.Outcome = migrations.OutcomeAhead
	}
	for _, m := range f.inOrder(plan) {
		r.Outcome = migrations.OutcomeSucceeded
		if err := f.apply(ctx, m); err != nil && f.defect != "a failure stops nothing" {
			return err
		}
		if m.Version == "" {
			r.Repeated = append(r.Repeated, m.Name)
		} else {
			r.Applied = append(r.Applied, m.Version)
		}
	}
	return nil
}

// inOrder lists what is to be run.
func (f *fake) inOrder(plan migrations.Plan) []migrations.Migration {
	if f.defect == "repeatable files go first" && len(plan.Pending) > 0 { // but for the one that makes the table
		return slices.Concat(plan.Pending[:1], plan.Repeat, plan.Pending[1:])
	}
	return append(plan.Pending, plan.Repeat...)
}

// plan is that of package migrations, or a wrong one.
func (f *fake) plan(set migrations.Set, policy migrations.OutOfOrder) (migrations.Plan, error) {
	f.mu.Lock()
	ledger := slices.Concat(f.ledger, f.repeated)
	f.mu.Unlock()
	switch f.defect {
	case "runners do not wait for each other":
		f.planned.Done()
		f.planned.Wait()
	case "checksums are not compared":
		for i := range ledger {
			ledger[i].Checksum = ""
		}
	case "missing files are not missed":
		ledger = slices.DeleteFunc(ledger, func(a migrations.Applied) bool {
			return !slices.ContainsFunc(set.All(), func(m migrations.Migration) bool { return m.Version == a.Version })
		})
	case "late files are applied":
		policy = migrations.OutOfOrderApply
	case "late files are skipped":
		policy = migrations.OutOfOrderSkip
	}
	plan, err := set.Plan(ledger, migrations.Policy{OutOfOrder: policy})
	var all *migrations.HistoryError
	switch {
	case f.defect == "one deviation hides the others" && errors.As(err, &all):
		return plan, all.Deviations[0]
	case f.defect == "being ahead is an error" && len(plan.Ahead) > 0:
		return plan, &fakeError{failure: migrations.Failure{Code: migrations.ExitRejected, Permanent: true, Message: "ahead", Hint: "go back"}}
	case f.defect == "newer files go first":
		slices.Reverse(plan.Pending)
	case f.defect == "repeatable files run every time" && err == nil, f.defect == "an older image repeats" && len(plan.Ahead) > 0:
		plan.Repeat = set.Repeatables
	case f.defect == "repeatable files run once":
		plan.Repeat = slices.DeleteFunc(plan.Repeat, func(m migrations.Migration) bool {
			return slices.ContainsFunc(f.repeated, func(a migrations.Applied) bool { return a.Name == m.Name })
		})
	}
	return plan, err
}

func (f *fake) newest() (v, minCompatible migrations.Version) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.ledger {
		if a.Version.Compare(v) > 0 {
			v = a.Version
		}
		if a.MinCompatible.Compare(minCompatible) > 0 {
			minCompatible = a.MinCompatible
		}
	}
	return v, minCompatible
}

// apply executes a migration on a copy of the tables, which it puts in their place at the end.
func (f *fake) apply(ctx context.Context, m migrations.Migration) error {
	statements, err := m.Up.Split()
	if err != nil {
		return err
	}
	f.mu.Lock()
	work, done := f.copied(), f.half[m.ID()]
	f.mu.Unlock()
	for i, st := range statements {
		if i < done {
			continue
		}
		if err := f.execute(ctx, work, m.Up.Path, st); err != nil {
			if f.defect == "what failed is half done" {
				f.commit(work)
			}
			if f.defect == "what was interrupted is recorded" && ctx.Err() != nil {
				f.record(m)
			}
			return err
		}
		if m.NoTransaction {
			f.commit(work)
			f.mu.Lock()
			if work = f.copied(); f.defect != "a file begins anew after a failure" {
				f.half[m.ID()] = i + 1
			}
			f.mu.Unlock()
		}
	}
	f.commit(work)
	f.record(m)
	return nil
}

func (f *fake) copied() map[string][]string {
	work := map[string][]string{}
	for name, rows := range f.tables {
		work[name] = slices.Clone(rows)
	}
	return work
}

// commit puts the tables in place.
func (f *fake) commit(work map[string][]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables = work
}

func (f *fake) record(m migrations.Migration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.defect == "nothing is recorded" {
		return
	}
	a := migrations.Applied{Version: m.Version, Name: m.Name, Checksum: m.Checksum, MinCompatible: m.MinCompatible}
	if f.defect == "min-compatible is forgotten" {
		a.MinCompatible = ""
	}
	if a.Version != "" {
		f.ledger = append(f.ledger, a)
		return
	}
	i, found := slices.BinarySearchFunc(f.repeated, a, func(x, y migrations.Applied) int { return strings.Compare(x.Name, y.Name) })
	if found {
		f.repeated = slices.Delete(f.repeated, i, i+1)
	}
	f.repeated = slices.Insert(f.repeated, i, a)
}

var (
	createTable = regexp.MustCompile(`^CREATE TABLE (\w+)`)
	insertInto  = regexp.MustCompile(`^INSERT INTO (\w+) \(\w+\) VALUES (.*)`)
	value       = regexp.MustCompile(`\((?:'([^']*)'|(\d+))\)`)
)

// execute runs one statement. What it does not know fails.
func (f *fake) execute(ctx context.Context, tables map[string][]string, file string, st migrations.Statement) error {
	if made := createTable.FindStringSubmatch(st.SQL); made != nil {
		tables[made[1]] = nil
		return nil
	}
	if into := insertInto.FindStringSubmatch(st.SQL); into != nil {
		if _, ok := tables[into[1]]; ok && into[1] != "secret" {
			for _, row := range value.FindAllStringSubmatch(into[2], -1) {
				tables[into[1]] = append(tables[into[1]], row[1]+row[2])
			}
			return nil
		}
	}
	if st.SQL+";" == napSQL {
		return f.sleep(ctx, tables["nap"][0] != "0", file)
	}
	failure := migrations.Failure{Code: migrations.ExitRejected, Permanent: true, SQLState: "42703", File: file, Line: st.Line, Column: st.Column,
		Statement: migrations.Redact(st.SQL, 400), Message: "there is something that is not there"}
	switch f.defect {
	case "statements are told as they are":
		failure.Statement = st.SQL
	case "details of the server are told":
		failure.Message = "Key (v)=(" + secret + ") already exists"
	case "the whole file is told":
		failure.SQLState = strings.Repeat(st.SQL, 2)
	}
	return &fakeError{failure: failure}
}

// sleep lasts until ctx ends.
func (f *fake) sleep(ctx context.Context, long bool, file string) error {
	if !long {
		return nil
	}
	f.slept(1)
	<-ctx.Done()
	if f.defect != "the server goes on after an interruption" {
		f.slept(-1)
	}
	e := f.interruption(ctx)
	e.failure.File = file
	return e
}

func (f *fake) slept(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sleeping += n
}

func (f *fake) interruption(ctx context.Context) *fakeError {
	e := &fakeError{failure: migrations.Failure{Code: migrations.ExitBusy, Message: "interrupted", Hint: "run it again"}, cause: ctx.Err()}
	if f.defect == "an interruption is permanent" {
		e.failure.Code, e.failure.Permanent = migrations.ExitRejected, true
	}
	return e
}

func (f *fake) History(context.Context) ([]migrations.Applied, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ledger) == 0 {
		return nil, "", nil
	}
	var d migrations.Digester
	for _, a := range f.ledger {
		d.Add(a.Version, a.Checksum)
	}
	if f.defect == "the ledger shows the digest of something else" {
		d.Add("99", "sha256:")
	}
	return slices.Concat(f.ledger, f.repeated), d.Sum(), nil
}

func (f *fake) Query(ctx context.Context, sql string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch sql {
	case tablesSQL:
		return slices.Sorted(maps.Keys(f.tables)), nil
	case stepsSQL:
		return slices.Clone(f.tables["step"]), nil
	case laterSQL:
		return slices.Clone(f.tables["later"]), nil
	case sleepingSQL:
		return []string{strconv.Itoa(f.sleeping)}, nil
	case noNapSQL:
		f.tables["nap"] = []string{"0"}
		return nil, nil
	}
	statements, err := migrations.Script{SQL: sql}.Split()
	for _, st := range statements {
		err = errors.Join(err, f.execute(ctx, f.tables, "", st))
	}
	return nil, err
}

// fakeError is why the fake runner failed.
type fakeError struct {
	failure migrations.Failure
	cause   error
}

func (e *fakeError) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.failure.File, e.failure.Line, e.failure.Message)
}
func (e *fakeError) Unwrap() error                 { return e.cause }
func (e *fakeError) ExitCode() migrations.ExitCode { return e.failure.Code }

// failureOf is what a report says about an error.
func failureOf(err error) *migrations.Failure {
	var (
		own      *fakeError
		edited   *migrations.EditedError
		late     *migrations.OutOfOrderError
		remedied interface{ Remedy() string }
	)
	if errors.As(err, &own) {
		return &own.failure
	}
	f := &migrations.Failure{Code: migrations.CodeOf(err), Permanent: migrations.CodeOf(err).Permanent(), Message: err.Error()}
	switch {
	case errors.As(err, &edited):
		f.File = edited.File
	case errors.As(err, &late):
		f.File = late.File
	}
	if errors.As(err, &remedied) {
		f.Hint = remedied.Remedy()
	}
	return f
}
