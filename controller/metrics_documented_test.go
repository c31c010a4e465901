package controller

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/schemawave/schemawave/controller/metricstest"
)

func TestMetricsDocumented(t *testing.T) {
	watched := func(name string) bool {
		return !strings.HasPrefix(name, "schemawave_environment_") && !strings.HasPrefix(name, "schemawave_gate_")
	}
	metricstest.Documented(t, "../docs/operations.md", watched, func(to prometheus.Registerer) error {
		_, err := newMetrics(to)
		return err
	})
}
