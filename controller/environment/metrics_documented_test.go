package environment

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/schemawave/schemawave/controller/metricstest"
)

func TestMetricsDocumented(t *testing.T) {
	rendered := func(name string) bool { return strings.HasPrefix(name, "schemawave_environment_") }
	metricstest.Documented(t, "../../docs/operations.md", rendered, func(to prometheus.Registerer) error {
		_, err := newMetrics(to)
		return err
	})
}
