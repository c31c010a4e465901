package controller

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a monitoring system can ask. They hold what is published, so a new leader shows the same as the old.
type metrics struct {
	*gauges
	heals     *prometheus.CounterVec
	publishes *prometheus.CounterVec
	lag       prometheus.Histogram
	overflow  prometheus.Counter
	clusters  *prometheus.GaugeVec
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		gauges: newGauges(),
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
		clusters: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "schemawave_cluster_reachable", Help: "Whether Jobs and Pods of another cluster that Argo CD deploys to can be read, 1 or 0.",
		}, []string{"cluster"}),
		overflow: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "schemawave_captures_dropped_total", Help: "Passing results that were dropped because too many waited to be published.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.gauges, m.heals, m.publishes, m.lag, m.overflow, m.clusters} {
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

// truth is how a gauge shows whether something is so.
func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
