package story

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/schemawave/schemawave/events"
)

// Release is one push and what came of it in staging.
type Release struct {
	Title    string // the developer's commit message
	Source   string // the developer's commit
	Rendered string // the controller's commit on top of it
	Job      string
	Event    events.Event
	Message  *nats.Msg // the event as it came over the wire

	Pushed    time.Time // the push had returned
	Committed time.Time // the rendered commit was there
	Syncing   time.Time // Argo CD had begun to sync it
	Created   time.Time // the migration Job was there
	Running   time.Time // its container ran
	Finished  time.Time // the Job was complete or had failed
	Published time.Time // the event arrived
}

// Push writes files, pushes them as one commit, and follows it until NATS says how it ended in staging.
func (s *Story) Push(ctx context.Context, message string, files map[string]string) (Release, error) {
	for path, content := range files {
		if err := s.Repo.Write(path, content); err != nil {
			return Release{}, err
		}
	}
	return s.release(ctx, message, func() error { return nil })
}

// release pushes the working tree, does what is due once the rendered commit is there, and follows the sync of staging.
func (s *Story) release(ctx context.Context, message string, rendered func() error) (Release, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	news := make(chan *nats.Msg, 16)
	subject := events.EventFilter(Staging)
	sub, err := s.nc.ChanSubscribe(subject, news)
	if err != nil {
		return Release{}, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	defer sub.Unsubscribe()

	r := Release{Title: message}
	if r.Source, err = s.Repo.Push(ctx, message); err != nil {
		return r, err
	}
	r.Pushed = time.Now()
	s.tell.TellAt(r.Pushed, "git push: %.8s %q", r.Source, message)
	if r.Rendered, err = s.Repo.Rendered(ctx, r.Source); err != nil {
		return r, err
	}
	r.Committed = time.Now()
	s.tell.TellAt(r.Committed, "the controller has pushed %.8s, the rendered migration", r.Rendered)
	if err := rendered(); err != nil {
		return r, err
	}
	sync := s.observe(ctx, r.Rendered)
	if r.Message, r.Event, err = result(ctx, news, Database, r.Rendered); err != nil {
		return r, fmt.Errorf("no result of %.8s: %w", r.Rendered, err)
	}
	r.Published = time.Now()
	sync.fill(&r)
	s.tellMoments(r)
	s.releases = append(s.releases, r)
	return r, nil
}

// tellMoments tells the steps of a sync in the order in which they were seen.
func (s *Story) tellMoments(r Release) {
	type moment struct {
		t    time.Time
		text string
	}
	moments := []moment{
		{r.Syncing, "Argo CD syncs it"}, {r.Created, "PreSync: Job " + r.Job}, {r.Running, "its Pod runs"},
		{r.Finished, "the Job has ended"}, {r.Published, "NATS: " + r.Message.Subject},
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return a.t.Compare(b.t) })
	for _, m := range moments {
		if !m.t.IsZero() {
			s.tell.TellAt(m.t, "%s", m.text)
		}
	}
}

// result waits for the event that ends the attempt at a revision of a database.
func result(ctx context.Context, news <-chan *nats.Msg, database, revision string) (*nats.Msg, events.Event, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, events.Event{}, ctx.Err()
		case msg := <-news:
			var e events.Event
			if err := json.Unmarshal(msg.Data, &e); err != nil {
				return nil, e, fmt.Errorf("%s: %w", msg.Subject, err)
			}
			subject, err := events.ParseSubject(msg.Subject)
			if err != nil {
				return nil, e, err
			}
			e.Predicate = subject.Predicate
			if e.Database == database && e.Attempt != nil && e.Attempt.Outcome != "" && e.Attempt.Revision == revision {
				return msg, e, nil
			}
		}
	}
}
