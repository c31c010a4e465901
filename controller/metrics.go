package controller

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/schemawave/schemawave/events"
)

// metrics are what a monitoring system can ask. They hold what is published, so a new leader shows the same as the old.
type metrics struct {
	ready     *prometheus.GaugeVec
	success   *prometheus.GaugeVec
	finished  *prometheus.GaugeVec
	took      *prometheus.GaugeVec
	unknown   *prometheus.GaugeVec
	obstacles *prometheus.GaugeVec
	heals     *prometheus.CounterVec
	publishes *prometheus.CounterVec
	lag       prometheus.Histogram
	overflow  prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_schema_info", Help: "The schema version that is ready in a database, always 1.",
		}, []string{"environment", "database", "version", "evidence"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_last_attempt_success", Help: "Whether the last attempt to migrate a database succeeded, 1 or 0.",
		}, []string{"environment", "database"}),
		finished: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_last_attempt_timestamp_seconds", Help: "When the last attempt to migrate a database ended, Unix time.",
		}, []string{"environment", "database"}),
		took: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_last_attempt_duration_seconds", Help: "How long the last attempt to migrate a database ran.",
		}, []string{"environment", "database"}),
		unknown: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_version_unknown", Help: "Whether the last attempt to migrate a database succeeded at a version that nobody knows, 1 or 0.",
		}, []string{"environment", "database"}),
		obstacles: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_migration_obstacle",
			Help: "What keeps the newest migration of a database from a result (skipped, terminated, deleted, unattempted, blocked, stuck), always 1.",
		}, []string{"environment", "database", "kind"}),
		heals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "schemawave_heals_total", Help: "Syncs of whole Applications that were asked for, by result (ok, error).",
		}, []string{"result"}),
		publishes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "schemawave_publishes_total", Help: "Calls to NATS by what they carry (read, state, event) and result (ok, error).",
		}, []string{"what", "result"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "schemawave_publish_lag_seconds", Help: "From a result, by the cluster's clock of whole seconds, until NATS holds it.",
			Buckets: prometheus.ExponentialBuckets(0.5, 2, 15), // to 2.3 h, as after an outage
		}),
		overflow: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "schemawave_captures_dropped_total", Help: "Passing results that were dropped because too many waited to be published.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.ready, m.success, m.finished, m.took, m.unknown, m.obstacles, m.heals, m.publishes, m.lag, m.overflow} {
		errs = append(errs, to.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) published(what string, err error) {
	m.publishes.WithLabelValues(what, resultLabel(err)).Inc()
}

func (m *metrics) healed(err error) { m.heals.WithLabelValues(resultLabel(err)).Inc() }

func resultLabel(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// unversioned shows whether nobody knows the version that a database was migrated to.
func (m *metrics) unversioned(t target, is bool) {
	m.unknown.WithLabelValues(t.Environment, t.Database).Set(truth(is))
}

// truth is how a gauge shows whether something is so.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// state shows what is published of a database.
func (m *metrics) state(s events.State) {
	of := prometheus.Labels{"environment": s.Environment, "database": s.Database}
	if r := s.Ready; r != nil {
		m.ready.DeletePartialMatch(of)
		m.ready.WithLabelValues(s.Environment, s.Database, r.Version, string(r.Evidence)).Set(1)
	}
	m.obstacles.DeletePartialMatch(of)
	if o := s.Obstacle; o != nil {
		m.obstacles.WithLabelValues(s.Environment, s.Database, string(o.Kind)).Set(1)
	}
	if a := s.LastAttempt; a != nil {
		m.success.With(of).Set(truth(a.Outcome == events.OutcomeSucceeded))
		m.finished.With(of).Set(float64(attemptTime(*a).Unix()))
		m.took.Delete(of)
		if !a.Started.IsZero() && !a.Finished.IsZero() {
			m.took.With(of).Set(a.Finished.Sub(a.Started).Seconds())
		}
	}
}
