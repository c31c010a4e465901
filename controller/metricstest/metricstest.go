// Package metricstest holds what is registered for Prometheus to what docs/operations.md says of it.
package metricstest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// described is a Registerer that only notes the metrics, each with its labels.
type described struct {
	prometheus.Registerer
	metrics []string
}

var fullName = regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{(.*?)\}`)

func (d *described) Register(c prometheus.Collector) error {
	all := make(chan *prometheus.Desc, 10)
	c.Describe(all)
	close(all)
	for desc := range all {
		m := fullName.FindStringSubmatch(desc.String())
		d.metrics = append(d.metrics, m[1]+" "+m[2])
	}
	return nil
}

var row = regexp.MustCompile("(?m)^\\| `(schemawave_\\w+)` \\| \\w+ \\| (.*?) \\|")

// Documented wants the rows of page's table whose metrics are ours to be exactly what register registers, with the same labels.
func Documented(t *testing.T, page string, ours func(name string) bool, register func(prometheus.Registerer) error) {
	t.Helper()
	var got described
	if err := register(&got); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if ours(m[1]) {
			documented = append(documented, m[1]+" "+strings.NewReplacer("`", "", ", ", ",").Replace(m[2]))
		}
	}
	slices.Sort(got.metrics)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, got.metrics); diff != "" {
		t.Errorf("%s: -documented +registered\n%s", page, diff)
	}
}
