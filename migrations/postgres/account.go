package postgres

import (
	"slices"
	"strings"
	"time"

	"github.com/schemawave/schemawave/migrations"
)

// digests returns the digest of the history after each of the pending migrations; a repeatable one leaves it alone.
func (r *runner) digests(pending []migrations.Migration) []string {
	var d migrations.Digester
	for _, a := range r.known {
		if a.Version != "" {
			d.Add(a.Version, a.Checksum)
		}
	}
	out := make([]string, len(pending))
	for i, m := range pending {
		if m.Version != "" {
			d.Add(m.Version, m.Checksum)
			out[i] = d.Sum()
		}
	}
	return out
}

// done keeps account of a migration that was committed.
func (r *runner) done(m migrations.Migration, took time.Duration) {
	r.applied = append(r.applied, m.ID())
	r.took[m.ID()] = took
	r.known = append(r.known, migrations.Applied{Version: m.Version, Name: m.Name, Checksum: m.Checksum})
	if m.Version != "" {
		r.tip = m.Version
	}
	if m.Version.Compare(r.to) > 0 {
		r.to = m.Version
	}
	if m.MinCompatible.Compare(r.minCompatible) > 0 {
		r.minCompatible = m.MinCompatible
	}
	r.log.Info("applied", "file", m.Up.Path, "version", m.ID(), "took", took)
}

// recover sets right what this run has applied, after the connection broke: a commit may have happened without being
// acknowledged, and, if the server itself crashed, one that was acknowledged before it was on disk may be gone.
func (r *runner) recover(st state) {
	recorded := st.by(r.id)
	kept := slices.DeleteFunc(r.applied, func(id string) bool { return !slices.Contains(recorded, id) })
	for _, id := range recorded {
		if !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	r.applied = kept
}

// report tells how the run went.
func (r *runner) report(cfg Config, err error) migrations.Report {
	rep := migrations.Report{
		Format: migrations.ReportFormat, Database: cfg.Database, Environment: cfg.Environment, Digest: r.digest,
		Target: r.set.Latest(), To: r.to, Count: len(r.applied), MinCompatible: r.minCompatible, Run: r.id,
		LockWait: r.waited.Seconds(), Started: r.started.UTC(), Finished: time.Now().UTC(),
	}
	for _, id := range r.applied {
		if name, repeated := strings.CutPrefix(id, "R__"); repeated {
			rep.Repeated = append(rep.Repeated, name)
		} else {
			rep.Applied = append(rep.Applied, migrations.Version(id))
		}
	}
	if r.from != nil {
		rep.From = *r.from
	}
	switch {
	case err != nil:
		rep.Outcome, rep.Failure = migrations.OutcomeFailed, FailureOf(err)
	case len(r.applied) > 0:
		rep.Outcome = migrations.OutcomeSucceeded
	case r.ahead:
		rep.Outcome = migrations.OutcomeAhead
	default:
		rep.Outcome = migrations.OutcomeCurrent
	}
	return rep
}
