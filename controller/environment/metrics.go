package environment

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the collectors of all writers.
type metrics struct {
	passes   *prometheus.CounterVec
	took     *prometheus.HistogramVec
	push     *prometheus.HistogramVec
	success  *prometheus.GaugeVec
	overlays *prometheus.GaugeVec
	webhooks *prometheus.CounterVec
}

// newMetrics registers the collectors; a nil registerer leaves them unregistered.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns, sub = "schemawave", "environment"
	repo := []string{"repository", "branch"}
	buckets := prometheus.ExponentialBuckets(0.05, 2, 13) // 50 ms to 205 s
	m := &metrics{
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "passes_total",
			Help: "Passes over an environment repository by result; reason says why one failed."}, append(repo, "result", "reason")),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: "pass_seconds", Buckets: buckets,
			Help: "Duration of the passes that found the branch moved."}, repo),
		push: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: ns, Subsystem: sub, Name: "push_seconds", Buckets: buckets,
			Help: "Duration of the pushes the host accepted."}, repo),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "last_success_timestamp_seconds",
			Help: "When a pass last succeeded."}, repo),
		overlays: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Subsystem: sub, Name: "overlays",
			Help: "Overlays that are not rendered: broken cannot be, held were changed by hand."}, append(repo, "state")),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Subsystem: sub, Name: "webhooks_total",
			Help: "Webhook deliveries by git host and result."}, []string{"host", "result"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.passes, m.took, m.push, m.success, m.overlays, m.webhooks} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) pass(r Repository, rep Report, took time.Duration) {
	reason := ""
	if rep.Err != nil {
		reason = string(reasonOf(rep.Err))
	}
	m.passes.WithLabelValues(r.URL, r.Branch, string(rep.Result), reason).Inc()
	if rep.Err != nil {
		return
	}
	m.success.WithLabelValues(r.URL, r.Branch).SetToCurrentTime()
	m.overlays.WithLabelValues(r.URL, r.Branch, "broken").Set(float64(len(rep.Broken)))
	m.overlays.WithLabelValues(r.URL, r.Branch, "held").Set(float64(len(rep.Held)))
	if rep.Result != Unchanged {
		m.took.WithLabelValues(r.URL, r.Branch).Observe(took.Seconds())
	}
}

func (m *metrics) pushed(r Repository, took time.Duration) {
	m.push.WithLabelValues(r.URL, r.Branch).Observe(took.Seconds())
}

func (m *metrics) delivery(host, result string) { m.webhooks.WithLabelValues(host, result).Inc() }
