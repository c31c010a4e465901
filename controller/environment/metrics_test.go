package environment

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// values returns the registry's samples as name{labels} -> value; of a histogram, the count.
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "repository" && l.GetName() != "branch" && l.GetValue() != "" {
					labels = append(labels, l.GetValue())
				}
			}
			name := fmt.Sprintf("%s%v", strings.TrimPrefix(f.GetName(), "schemawave_environment_"), labels)
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	h := newHost(t)
	files := shop("orders", "billing")
	files["migrations/billing/0001_init.sql"] = "BROKEN"
	h.repository("env", files)
	reg := prometheus.NewRegistry()
	w := start(t, func(o *Options) { o.Metrics = reg }, h.url("env")).only()
	for range 2 {
		w.tell(w.pass(t.Context()), time.Second)
	}
	h.down()
	w.tell(w.pass(t.Context()), time.Second)

	got := values(t, reg)
	if age := float64(time.Now().UnixMilli())/1000 - got["last_success_timestamp_seconds[]"]; age < -1 || age > 60 {
		t.Errorf("the last success was %v s ago", age)
	}
	delete(got, "last_success_timestamp_seconds[]")
	want := map[string]float64{
		"passes_total[pushed]": 1, "passes_total[unchanged]": 1, "passes_total[unreachable failed]": 1,
		"pass_seconds[]": 1, "push_seconds[]": 1, "overlays[broken]": 1, "overlays[held]": 0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
	if _, err := New(Options{Config: Config{Repositories: []Repository{{URL: h.url("env")}}}, Metrics: reg}); err == nil {
		t.Error("the same registerer twice is no error")
	}
}
