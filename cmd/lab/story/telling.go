package story

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/schemawave/schemawave/events"
)

// The migrations that the developer of the story writes.
const (
	SecondFile = "orders/migrations/0002_add_status.sql"
	Second     = `ALTER TABLE orders ADD COLUMN status text NOT NULL DEFAULT 'open';

CREATE INDEX orders_by_status ON orders (status);
`
	ThirdFile = "orders/migrations/0003_add_total.sql"
	Broken    = `ALTER TABLE orders ADD COLUMN total_cents bigint NOT NULL DEFAULT 0;

-- status has been there since migration 2: this statement must fail.
ALTER TABLE orders ADD COLUMN status text;
`
	Mended = `ALTER TABLE orders ADD COLUMN total_cents bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN orders.total_cents IS 'what the customer pays, in cents';
`
)

// Tell tells the whole story: found, release, break, mend. It ends at the first thing that is not as it should be.
func (s *Story) Tell(ctx context.Context) error {
	if err := s.Install(ctx); err != nil {
		return err
	}
	for _, chapter := range []func(context.Context) error{s.tellFounding, s.tellRelease, s.tellBreak, s.tellMend} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	s.sumUp()
	return nil
}

// sumUp lists every push with what came of it, and how long after the push.
func (s *Story) sumUp() {
	s.tell.Chapter("Summary")
	var text strings.Builder
	fmt.Fprintf(&text, "%-28s %-10s %9s %9s %9s\n", "push", "result", "rendered", "job", "told")
	for _, r := range s.releases {
		after := func(t time.Time) float64 { return max(0, t.Sub(r.Pushed).Seconds()) }
		fmt.Fprintf(&text, "%-28s %-10s %8.1fs %8.1fs %8.1fs\n", r.Title, r.Event.Predicate, after(r.Committed), after(r.Created), after(r.Published))
	}
	s.tell.Show(text.String())
}

func (s *Story) tellFounding(ctx context.Context) error {
	if _, err := s.Found(ctx); err != nil {
		return err
	}
	if err := s.showSchema(ctx); err != nil {
		return err
	}
	err := until(ctx, "the storefront to wait", func(ctx context.Context) (bool, error) {
		phase, _, err := s.Pod(ctx, "storefront")
		return strings.HasPrefix(phase, "waiting"), err
	})
	if err != nil {
		return err
	}
	s.tell.Tell("the storefront needs version 2 of that schema; its pod is %s", "waiting, with no rights in Kubernetes: only NATS")
	return nil
}

func (s *Story) tellRelease(ctx context.Context) error {
	s.tell.Chapter("A developer pushes migration 2")
	s.tell.Show(SecondFile + "\n" + Second)
	r, err := s.Push(ctx, "orders: add a status", map[string]string{SecondFile: Second})
	if err != nil {
		return err
	}
	if r.Event.Predicate != events.Succeeded {
		return fmt.Errorf("migration 2 ended with %s", r.Message.Subject)
	}
	changed, err := s.Repo.Changed(ctx, r.Rendered)
	if err != nil {
		return err
	}
	s.tell.Tell("what the controller committed:")
	s.tell.Show(changed)
	if err := s.showEvent(r); err != nil {
		return err
	}
	if err := s.AwaitStorefront(ctx); err != nil {
		return err
	}
	s.tell.Tell("the storefront has seen it: its service runs and is ready")
	return s.showSchema(ctx)
}

func (s *Story) tellBreak(ctx context.Context) error {
	s.tell.Chapter("A developer pushes a migration that is wrong")
	s.tell.Show(ThirdFile + "\n" + Broken)
	r, err := s.Push(ctx, "orders: add a total", map[string]string{ThirdFile: Broken})
	if err != nil {
		return err
	}
	failure := r.Event.Attempt.Failure
	if failure == nil {
		return fmt.Errorf("a wrong migration ended with %s", r.Message.Subject)
	}
	s.tell.Tell("NATS says where, why, and what to do:")
	s.tell.Show(failure.String())
	message, err := s.Verdict(ctx)
	if err != nil {
		return err
	}
	s.tell.Tell("Argo CD's Application says:")
	s.tell.Show(message)
	state, err := s.State(ctx, Staging, Database)
	if err != nil {
		return err
	}
	if state.Ready == nil || state.Ready.Version != "2" {
		return fmt.Errorf("after the failure %s is not ready at version 2 any more", state.Name())
	}
	s.tell.Tell("version %s is still ready, and everything that reads it goes on", state.Ready.Version)
	return s.showSchema(ctx)
}

func (s *Story) tellMend(ctx context.Context) error {
	s.tell.Chapter("The developer mends it")
	s.tell.Show(ThirdFile + "\n" + Mended)
	r, err := s.Push(ctx, "orders: add the total only", map[string]string{ThirdFile: Mended})
	if err != nil {
		return err
	}
	if r.Event.Predicate != events.Succeeded {
		return fmt.Errorf("the mended migration ended with %s", r.Message.Subject)
	}
	if err := s.showEvent(r); err != nil {
		return err
	}
	return s.showSchema(ctx)
}

// AwaitStorefront waits until the storefront's service runs and answers.
func (s *Story) AwaitStorefront(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return until(ctx, "the storefront", func(ctx context.Context) (bool, error) {
		_, ready, err := s.Pod(ctx, "storefront")
		return ready, err
	})
}

// Verdict waits until the Application in staging tells of a failed migration, and returns what it says: the message of its
// last operation, and the Kubernetes Events about it.
func (s *Story) Verdict(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var lines []string
	err := until(ctx, "the Application to tell of the failure", func(ctx context.Context) (bool, error) {
		app, err := s.Cluster.Application(ctx, Database+"-"+Staging)
		if err != nil {
			return false, err
		}
		op := app.Status.OperationState
		if op == nil || !op.Phase.Completed() || op.Phase.Successful() {
			return false, nil
		}
		list, err := s.Cluster.ApplicationEvents(ctx, app.Name)
		if err != nil {
			return false, err
		}
		list = slices.DeleteFunc(list, func(e corev1.Event) bool {
			return e.Type != corev1.EventTypeWarning || !strings.HasPrefix(e.Reason, "Migration")
		})
		lines = []string{fmt.Sprintf("%s: %s", op.Phase, op.Message)}
		for _, e := range list {
			lines = append(lines, fmt.Sprintf("%s: %s", e.Reason, e.Message))
		}
		return len(list) > 0, nil
	})
	return strings.Join(lines, "\n"), err
}

// showEvent prints an event as any NATS client sees it.
func (s *Story) showEvent(r Release) error {
	var text strings.Builder
	fmt.Fprintln(&text, r.Message.Subject)
	names := make([]string, 0, len(r.Message.Header))
	for name := range r.Message.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&text, "%s: %s\n", name, r.Message.Header.Get(name))
	}
	var data any
	if err := json.Unmarshal(r.Message.Data, &data); err != nil {
		return fmt.Errorf("%s: %w", r.Message.Subject, err)
	}
	pretty, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", r.Message.Subject, err)
	}
	s.tell.Tell("the event:")
	s.tell.Show(text.String() + string(pretty))
	return nil
}

// showSchema prints what the database itself says.
func (s *Story) showSchema(ctx context.Context) error {
	ledger, err := Ledger(ctx, s.Databases[Staging])
	if err != nil {
		return err
	}
	columns, err := Columns(ctx, s.Databases[Staging], "orders")
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, row := range ledger {
		fmt.Fprintf(&text, "version %s  %s  applied at %s\n", row.Version, row.Name, row.AppliedAt.UTC().Format("15:04:05.000"))
	}
	fmt.Fprintf(&text, "table orders: %s", columns)
	s.tell.Tell("PostgreSQL, schemawave.migration in staging:")
	s.tell.Show(text.String())
	return nil
}
