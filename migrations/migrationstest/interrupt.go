package migrationstest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// A migration that lasts as long as table nap says, and how it is seen.
const (
	napSQL      = "SELECT pg_sleep(seconds) FROM nap;"
	longNapSQL  = "CREATE TABLE nap (seconds float); INSERT INTO nap (seconds) VALUES (600)"
	noNapSQL    = "UPDATE nap SET seconds = 0"
	sleepingSQL = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
	pollEvery   = 10 * time.Millisecond
)

func interrupted(ctx context.Context, db Database) error {
	if _, err := db.Query(ctx, longNapSQL); err != nil {
		return err
	}
	all := steps("2", "4").with("3", enter("3")+"\n"+napSQL).set()
	if err := interrupt(ctx, db, all); err != nil {
		return err
	}
	if sleeping, err := db.Query(ctx, sleepingSQL); err != nil || sleeping[0] != "0" {
		return fmt.Errorf("the statement goes on after the run has ended: %v sleep (%v)", sleeping, err)
	}
	if err := holds(ctx, db, steps("2").set().Digest(), first, "2"); err != nil {
		return err
	}
	if _, err := db.Query(ctx, noNapSQL); err != nil {
		return err
	}
	if _, err := succeed(ctx, db, all, Options{}, wanted{migrations.OutcomeSucceeded, "2", "4", []migrations.Version{"3", "4"}}); err != nil {
		return err
	}
	return holds(ctx, db, all.Digest(), first, "2", "3", "4")
}

// interrupt runs and cancels in the middle of the long migration, which the report has to name.
func interrupt(ctx context.Context, db Database, set migrations.Set) error {
	cancelled, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	var (
		report      migrations.Report
		runErr, err error
	)
	go func() {
		defer close(ended)
		report, runErr, err = fail(cancelled, db, set, Options{})
	}()
	awaitErr := asleep(ctx, db, ended)
	cancel()
	<-ended
	if err := errors.Join(awaitErr, err); err != nil {
		return err
	}
	return wasInterrupted(report, runErr, name("3"))
}

// asleep waits until the long migration is under way.
func asleep(ctx context.Context, db Database, ended <-chan struct{}) error {
	for {
		sleeping, err := db.Query(ctx, sleepingSQL)
		if err != nil || sleeping[0] != "0" {
			return err
		}
		select {
		case <-ended:
			return errors.New("the run ended before it was interrupted")
		case <-time.After(pollEvery):
		}
	}
}

// wasInterrupted demands an error that says so and that another run may well succeed.
func wasInterrupted(report migrations.Report, err error, file string) error {
	if f := report.Failure; !errors.Is(err, context.Canceled) || f.Permanent || f.File != file {
		return fmt.Errorf("the error is %w, the failure %+v; want context.Canceled, and a failure of %q that is not permanent", err, *f, file)
	}
	return nil
}

func interruptedBefore(ctx context.Context, db Database) error {
	before, err := look(ctx, db)
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	all := steps("2").set()
	report, runErr, err := fail(over, db, all, Options{})
	if err != nil {
		return err
	}
	if err := wasInterrupted(report, runErr, ""); err != nil {
		return err
	}
	if err := unchanged(ctx, db, before); err != nil {
		return err
	}
	_, err = succeed(ctx, db, all, Options{}, wanted{migrations.OutcomeSucceeded, "", "2", []migrations.Version{first, "2"}})
	return err
}
