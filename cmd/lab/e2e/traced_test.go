package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/schemawave/schemawave/cmd/lab/story"
)

// collector takes traces over OTLP.
type collector struct {
	url   string
	mu    sync.Mutex
	spans map[string][]string // names, by the trace's id
}

// collect listens where the database reaches this process, and so do the cluster's pods.
func collect(t *testing.T) *collector {
	t.Helper()
	database, err := url.Parse(os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", database.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: conn.LocalAddr().(*net.TCPAddr).IP})
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{url: "http://" + l.Addr().String(), spans: map[string][]string{}}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(c.take)}}
	server.Start()
	t.Cleanup(server.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	var request collectorv1.ExportTraceServiceRequest
	b, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(b, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				id := hex.EncodeToString(span.TraceId)
				c.spans[id] = append(c.spans[id], span.Name)
			}
		}
	}
}

// asked has the controller export traces, as docs/operations.md says.
func (c *collector) asked(t *testing.T, s *story.Story) {
	err := s.Cluster.PutSecret(t.Context(), "schemawave", "schemawave-nats", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url, "OTEL_BSP_SCHEDULE_DELAY": "200"})
	if err != nil {
		t.Fatal(err)
	}
	controller := &appsv1.Deployment{}
	controller.Namespace, controller.Name = "schemawave", "schemawave"
	patch(t, s, controller, map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{"traces": c.url}}}}})
	if err := s.Cluster.RolledOut(t.Context(), controller.Namespace, controller.Name); err != nil {
		t.Fatal(err)
	}
}

// traced looks for the trace of the commit that staging is at.
func (c *collector) traced(t *testing.T, s *story.Story) {
	state, err := s.State(t.Context(), story.Staging, story.Database)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	defer func() {
		if t.Failed() {
			t.Log("of it there are the spans", got)
		}
	}()
	wantEventually(t, fmt.Sprintf("commit %s is traced from the push to the event", state.Ready.Revision), func(context.Context) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		got = slices.Sorted(slices.Values(c.spans[state.Ready.Revision[:32]]))
		return slices.Equal(got, []string{"fetch", "migration succeeded", "publish", "push", "render", "render and push"})
	})
}
