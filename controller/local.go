package controller

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/schemawave/schemawave/events"
	"github.com/schemawave/schemawave/migrations"
)

// LocalNamespace stands in place of an Application's namespace in what is told of runs outside of any cluster.
const LocalNamespace = "local"

// Local is one run of a migration outside of any cluster, as on a laptop or in a compose file. What it comes to is told as that of a
// Job in a cluster is, so that whoever waits cannot tell the two apart but by the Application's name.
type Local struct {
	Job     *batchv1.Job // as it is rendered; its container is what ran
	Name    string       // of who runs it, in place of the Application's; empty: the host's
	Run     string       // tells this run from others
	Started time.Time
}

// ElsewhereError says that the published state of a database is not that of a local one.
type ElsewhereError struct{ Database, Application string }

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("what is published of %s is that of the application %s, in a cluster: nothing is said about another database of that name", e.Database, e.Application)
}

// Tell publishes that the run has begun, or with a report how it went, as far as that is news, and returns the events that it
// published, oldest first, and the state that is then so. An *ElsewhereError means that p is a cluster's.
func (l Local) Tell(ctx context.Context, p Publisher, r *migrations.Report) ([]events.Event, events.State, error) {
	t, ok := jobTarget(l.Job)
	if !ok {
		return nil, events.State{}, fmt.Errorf("tell of the local run %s: %s is not the Job of a migration", l.Run, l.Job.Name)
	}
	read, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	state, revision, err := p.State(read, t.Environment, t.Database, "")
	if err != nil {
		return nil, state, fmt.Errorf("read the state of %s: %w", t, err)
	}
	if owner := ownerOf(state); owner != "" && !strings.HasPrefix(owner, LocalNamespace+"/") {
		return nil, state, &ElsewhereError{t.String(), owner}
	}
	j, err := l.job(r)
	if err != nil {
		return nil, state, fmt.Errorf("tell of the local run %s: %w", l.Run, err)
	}
	d := decide(observation{Target: t, Jobs: []job{j}, Applications: []application{l.application()}, State: state})
	if len(d.Doubts) > 0 {
		return nil, state, fmt.Errorf("nothing is said about %s", strings.Join(d.Doubts, "; "))
	}
	var told []events.Event
	out := &outlet{
		publisher: p, timeout: publishTimeout, counted: func(string, error) {}, known: func(string) bool { return false },
		state: state, revision: revision, told: map[string]bool{},
		stated: func(publication) {}, said: func(p publication) { told = append(told, p.Event) }, // no Job is absent: there is no cluster
	}
	err = out.publish(ctx, d.Publications)
	return told, out.state, err
}

// application is who runs it.
func (l Local) application() application {
	name := l.Name
	if name == "" {
		name, _ = os.Hostname() // it only helps people to recognise the run
	}
	return application{Key: types.NamespacedName{Namespace: LocalNamespace, Name: name}, Readable: true}
}

// job is the run as a cluster would show its Job: with a Pod that ended by the runner's end, and its report, which is cut as a Pod's is.
func (l Local) job(r *migrations.Report) (job, error) {
	j := newJob("", l.Job)
	j.UID, j.Created, j.Started, j.Instance = types.UID(l.Run), l.Started.UTC(), l.Started.UTC(), l.application().Key.Name
	j.Phase = jobRunning
	if r == nil {
		return j, nil
	}
	encoded, err := r.Encode()
	if err != nil {
		return j, err
	}
	report, err := migrations.DecodeReport(encoded)
	if err != nil {
		return j, err
	}
	j.Phase, j.Ended = jobComplete, report.Finished
	if report.Failure != nil {
		j.Phase = jobFailed
	}
	j.Pods = []pod{{UID: j.UID, Ended: true, Succeeded: report.Failure == nil, EndedAt: report.Finished, Report: &report}}
	return j, nil
}
