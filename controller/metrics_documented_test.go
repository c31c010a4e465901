package controller

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

// TestMetricsDocumented holds the table of docs/operations.md against what is registered.
func TestMetricsDocumented(t *testing.T) {
	var got described
	if _, err := newMetrics(&got); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	row := regexp.MustCompile("(?m)^\\| `(schemawave_\\w+)` \\| \\w+ \\| (.*?) \\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(m[1], "schemawave_environment_") == false {
			documented = append(documented, m[1]+" "+strings.NewReplacer("`", "", ", ", ",").Replace(m[2]))
		}
	}
	slices.Sort(got.metrics)
	slices.Sort(documented)
	if diff := cmp.Diff(documented, got.metrics); diff != "" {
		t.Errorf("docs/operations.md: -documented +registered\n%s", diff)
	}
}
