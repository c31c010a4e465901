package controller

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/schemawave/schemawave/events"
)

// gauges show every database to whoever scrapes. They are made when they are asked for: kept as vectors, they would take about as
// much memory as the Applications, and to replace those of one database all would be looked through.
type gauges struct {
	mu sync.Mutex
	of map[target]gauge
}

// gauge is what is shown of one database.
type gauge struct {
	version     string // that is ready; empty: none
	evidence    events.Evidence
	obstacle    events.Predicate // empty: none
	tried       bool             // the three that follow are known
	success     bool
	finished    int64         // Unix time
	took        time.Duration // negative: not known
	unversioned bool
	pending     bool
	waited      time.Duration // for the migration lock; negative: not known
}

func newGauges() *gauges { return &gauges{of: map[target]gauge{}} }

// show puts what a pass has found in the place of what the one before did.
func (g *gauges) show(o observation, published events.State, d decision) {
	is := gauge{unversioned: d.Unversioned != nil, pending: o.pending(published), took: -1, waited: o.waited()}
	if r := published.Ready; r != nil {
		is.version, is.evidence = r.Version, r.Evidence
	}
	if p := published.Obstacle; p != nil {
		is.obstacle = p.Kind
	}
	if a := published.Latest(); a != nil {
		is.tried, is.success, is.finished = true, a.Outcome == events.OutcomeSucceeded, attemptTime(*a).Unix()
		if !a.Started.IsZero() && !a.Finished.IsZero() {
			is.took = a.Finished.Sub(a.Started)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of[o.Target] = is
}

func (g *gauges) forget(t target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.of, t)
}

// pending reports whether a migration that git asks for has not been applied: its marker is not, or something is in its way.
func (o observation) pending(s events.State) bool {
	if s.Obstacle != nil {
		return true
	}
	for _, a := range o.Applications {
		last, _ := a.last()
		for _, m := range a.Wanted {
			if t, ok := a.targetOf(m.Key, m.Name); !ok || t != o.Target {
				continue
			}
			if _, is := outstanding(s, obstacleOf(a, last, m)); is {
				return true
			}
		}
	}
	return false
}

// waited is how long the newest run that has left a report waited for the migration lock; negative if there is none.
func (o observation) waited() time.Duration {
	waited, at := time.Duration(-1), time.Time{}
	for _, j := range o.Jobs {
		if r := j.report(); r != nil && !j.Created.Before(at) {
			waited, at = time.Duration(r.LockWait*float64(time.Second)), j.Created
		}
	}
	return waited
}

func describe(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"environment", "database"}, more...), nil)
}

var (
	readyGauge    = describe("schemawave_schema_info", "The schema version that is ready in a database, always 1.", "version", "evidence")
	successGauge  = describe("schemawave_last_attempt_success", "Whether the last attempt to migrate a database succeeded, 1 or 0.")
	finishedGauge = describe("schemawave_last_attempt_timestamp_seconds", "When the last attempt to migrate a database ended, Unix time.")
	tookGauge     = describe("schemawave_last_attempt_duration_seconds", "How long the last attempt to migrate a database ran.")
	waitedGauge   = describe("schemawave_last_attempt_lock_wait_seconds", "How long the last run that left a report waited for the migration lock of its database.")
	pendingGauge  = describe("schemawave_migration_pending", "Whether a migration that git asks for has not been applied to a database yet, 1 or 0.")
	unknownGauge  = describe("schemawave_version_unknown", "Whether the last attempt to migrate a database succeeded at a version that nobody knows, 1 or 0.")
	obstacleGauge = describe("schemawave_migration_obstacle",
		"What keeps the newest migration of a database from a result (skipped, terminated, deleted, unattempted, blocked, stuck), always 1.", "kind")
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyGauge, successGauge, finishedGauge, tookGauge, waitedGauge, pendingGauge, unknownGauge, obstacleGauge} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t, is := range g.of {
		is.collect(t, to)
	}
}

func (g gauge) collect(t target, to chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, value float64, more ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{t.Environment, t.Database}, more...)...)
	}
	if g.version != "" {
		set(readyGauge, 1, g.version, string(g.evidence))
	}
	if g.obstacle != "" {
		set(obstacleGauge, 1, string(g.obstacle))
	}
	if g.tried {
		set(successGauge, truth(g.success))
		set(finishedGauge, float64(g.finished))
	}
	if g.took >= 0 {
		set(tookGauge, g.took.Seconds())
	}
	if g.waited >= 0 {
		set(waitedGauge, g.waited.Seconds())
	}
	set(pendingGauge, truth(g.pending))
	set(unknownGauge, truth(g.unversioned))
}
