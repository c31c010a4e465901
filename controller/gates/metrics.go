package gates

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one Releaser.
type metrics struct {
	waiting  prometheus.Gauge
	releases *prometheus.CounterVec
}

// newMetrics registers the collectors; a nil registerer leaves them unregistered.
func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "schemawave_gate_pods", Help: "Pods that a scheduling gate holds back.",
		}),
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "schemawave_gate_releases_total", Help: "Pods whose scheduling gate was to be removed, by result (ok, error).",
		}, []string{"result"}),
	}
	if to == nil {
		return m, nil
	}
	if err := errors.Join(to.Register(m.waiting), to.Register(m.releases)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) released(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.releases.WithLabelValues(result).Inc()
}
