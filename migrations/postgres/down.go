package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// Reverted is how far down a database went.
type Reverted struct {
	From     migrations.Version   `json:"from,omitempty"` // newest applied version before
	To       migrations.Version   `json:"to,omitempty"`   // newest applied version now; empty: nothing is applied any more
	Versions []migrations.Version `json:"reverted"`       // in the order in which they were reverted
	Run      string               `json:"run,omitempty"`  // the run's id in the ledger; empty if there was nothing to do
}

// Down takes back what was applied after the target version, last applied first, with the scripts that were stored when the
// migrations were applied: an older image that no longer has the files can go back. An empty target takes everything back.
//
// Each script runs in one transaction together with the deletion of its migration's row, so whatever happens the ledger
// says what is applied; scripts of which every statement must run outside a transaction are journalled statement by
// statement, and a second Down goes on in them. No repeatable migration is in force afterwards: the next Migrate runs all of
// them. What cannot work is refused before anything is run: a version that was not applied, one without a down script, a
// script with statements of both kinds. The result is usable beside an error too.
func Down(ctx context.Context, cfg Config, target migrations.Version) (Reverted, error) {
	var out Reverted
	err := operate(ctx, cfg, func(ctx context.Context, r *runner, s *session, st state) (func(context.Context) error, error) {
		reversals, history, err := r.reversals(ctx, s, st, target)
		if err != nil {
			return nil, err
		}
		out.From = newest(history)
		out.To = out.From
		if len(reversals) == 0 {
			return nil, nil
		}
		out.Run = r.id
		return func(ctx context.Context) error {
			return r.down(ctx, s, history[len(history)-1].Digest, reversals, func(v migrations.Version) {
				out.Versions = append(out.Versions, v)
				history = history[:len(history)-1]
				out.To = newest(history)
			})
		}, nil
	})
	return out, err
}

// newest returns the newest version of a history; its last one is only what was applied last.
func newest(history []Record) migrations.Version {
	var v migrations.Version
	for _, record := range history {
		if record.Version.Compare(v) > 0 {
			v = record.Version
		}
	}
	return v
}

// reversal is what takes one migration back.
type reversal struct {
	record Record
	script migrations.Migration // its Up is the down script
	only   bool                 // no other is applied
	digest string               // of the history without it
}

// entry is the script's name in the journal.
func (back reversal) entry() string { return reverting + string(back.record.Version) }

// reversals lists what has to be taken back, in order, and refuses what cannot be.
func (r *runner) reversals(ctx context.Context, s *session, st state, target migrations.Version) ([]reversal, []Record, error) {
	var history []Record
	if st.exists {
		var err error
		if history, err = r.ledger.chain(ctx, s); err != nil {
			return nil, nil, err
		}
	}
	if err := isApplied(history, target); err != nil {
		return nil, nil, err
	}
	first := slices.IndexFunc(history, func(record Record) bool { return record.Version.Compare(target) > 0 })
	if first < 0 {
		return nil, history, nil
	}
	if err := r.nothingHalfApplied(ctx, s); err != nil {
		return nil, nil, err
	}
	var refused []error
	var list []reversal
	for i, record := range slices.Backward(history) {
		if i < first {
			break
		}
		if record.Version.Compare(target) <= 0 {
			refused = append(refused, inconsistent(fmt.Sprintf("version %s was applied after %s, and would have to be taken back with it", record.Version, history[first].Version),
				"go down further, below "+string(record.Version)+", and migrate up again"))
			continue
		}
		back := reversal{record: record, only: i == 0}
		if i > 0 {
			back.digest = history[i-1].Digest
		}
		var err error
		if back.script, err = downScript(record); err != nil {
			refused = append(refused, err)
			continue
		}
		list = append(list, back)
	}
	if len(refused) > 0 {
		return nil, nil, &migrations.HistoryError{Deviations: refused}
	}
	return list, history, nil
}

// isApplied refuses a target that was not applied, which may be misspelt.
func isApplied(history []Record, target migrations.Version) error {
	if target == "" || slices.ContainsFunc(history, func(record Record) bool { return record.Version.Compare(target) == 0 }) {
		return nil
	}
	if len(history) == 0 {
		return misconfigured("version "+string(target)+" is not applied: nothing is", "there is nothing to take back")
	}
	said := make([]string, 0, 3)
	for _, record := range slices.Backward(history) {
		if said = append(said, string(record.Version)); len(said) == cap(said) {
			break
		}
	}
	return misconfigured(fmt.Sprintf("version %s is not applied (applied last: %s)", target, strings.Join(said, ", ")), "name one that is: schemawave history lists them")
}

// reverting is what the journal's entries of a down script begin with; the version follows.
const reverting = "U__"

// nothingHalfApplied refuses to take back what a half-applied migration builds on: its next run would go on after
// statements whose work is gone. One of which only a failed statement is known has done nothing.
func (r *runner) nothingHalfApplied(ctx context.Context, s *session) error {
	rows, err := s.ask(ctx, fmt.Sprintf("SELECT migration FROM %s WHERE %s ORDER BY migration LIMIT 1", r.ledger.table("statement"),
		r.ledger.mine(" AND NOT failed AND NOT starts_with(migration, %s)", literal(reverting))))
	if err != nil || len(rows) == 0 {
		return err
	}
	return inconsistent(fmt.Sprintf("migration %s is half applied", rows[0][0]), fmt.Sprintf("complete it with migrate, then go down; "+
		"or take back by hand what it has done, and delete its rows from %s", r.ledger.table("statement")))
}

// downScript makes what takes a migration back of what the ledger has stored.
func downScript(record Record) (migrations.Migration, error) {
	name := fmt.Sprintf("version %s's down script", record.Version)
	if strings.TrimSpace(record.Down) == "" {
		return migrations.Migration{}, inconsistent(fmt.Sprintf("version %s (%s) has no down script in the ledger", record.Version, record.Name),
			"write its down file and store it with schemawave repair; or undo it by a new migration")
	}
	script := migrations.Script{Path: name, Line: 1, SQL: record.Down}
	noTransaction, err := script.CheckRevert()
	if err != nil {
		return migrations.Migration{}, fmt.Errorf("%w\n(correct the down file, and store it with schemawave repair)", err)
	}
	return migrations.Migration{Version: record.Version, Name: record.Name, Up: script, NoTransaction: noTransaction}, nil
}

// down takes migrations back one by one, and keeps a record of the run.
func (r *runner) down(ctx context.Context, s *session, digest string, list []reversal, reverted func(migrations.Version)) (err error) {
	rows, err := s.ask(ctx, r.ledger.beginRunSQL(r.id, digest, r.cfg)+";"+r.ledger.unfinishedSQL())
	if err != nil {
		return err
	}
	defer func() { err = r.recordEnd(ctx, s, err) }()
	for _, back := range list {
		if err := s.takes([]migrations.Migration{back.script}); err != nil {
			return err
		}
	}
	for i, back := range list { // a script that an earlier run has left half way goes on as it began
		list[i].script.NoTransaction = back.script.NoTransaction || slices.Contains(column(rows), back.entry())
	}
	for i := 0; i < len(list); {
		began := time.Now()
		if err := r.revert(ctx, s, list[i]); err != nil {
			if !list[i].script.NoTransaction { // whose statements have had their own retries
				err = r.again(ctx, s, &list[i].script, err)
			}
			if err != nil {
				return err
			}
			continue
		}
		reverted(list[i].record.Version)
		r.log.Info("reverted", "version", list[i].record.Version, "name", list[i].record.Name, "took", time.Since(began))
		i++
	}
	return nil
}

// recordEnd records how a run ended that has not applied anything.
func (r *runner) recordEnd(ctx context.Context, s *session, runErr error) error {
	if errors.As(runErr, new(*lostError)) {
		return runErr
	}
	outcome, failure := migrations.OutcomeSucceeded, []byte(nil)
	if runErr != nil {
		outcome = migrations.OutcomeFailed
		failure, _ = json.Marshal(FailureOf(runErr)) // a struct of strings and numbers always encodes
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_, err := s.askAll(bye, "ROLLBACK", s.reset, r.ledger.endRunSQL(r.id, outcome, failure, nil))
	if runErr != nil {
		return runErr
	}
	return err
}

// revert takes one migration back.
func (r *runner) revert(ctx context.Context, s *session, back reversal) error {
	record := r.ledger.deleteSQL(back.record.Version, back.only, back.digest, r.id)
	if back.script.NoTransaction {
		w := &walk{runner: r, session: s, migration: back.script, entry: back.entry()}
		if err := w.all(ctx); err != nil {
			return err
		}
		return w.commit(ctx, record, r.ledger.forgetSQL(w.entry))
	}
	_, err := r.carryOut(ctx, s, r.transaction(s, back.script, record, false))
	return err
}
