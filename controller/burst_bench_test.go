package controller_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// BenchmarkBurst is what a burst of 1,000 statuses, each of which proves a migration, costs the controller's program, whatever it costs
// the API server and etcd to take them: all of them are in a watch at once, which is played. The program, and NATS, are in processes of
// their own.
//
//   - p50-ms, p99-ms, last-ms: from when the first status is written into the watch until NATS has stored what a status proves;
//   - cpu-ms/fact: processor time of the program for each, until it has told the event, too, and has come to rest;
//   - allocs/fact, KB/fact: what it allocates for each.
//
// The bare-… are those of a program that only watches Applications with an informer, and publishes a state without asking or waiting for anything.
// The two take turns. Either is at rest before, and has seen such a burst.
func BenchmarkBurst(b *testing.B) {
	ctrl.SetLogger(logr.Discard())
	path, broker := build(b), startNATS(b, natstest.Options{Process: true})
	play := newPlay(b, 1000)
	heard := listen(broker)
	sums := map[string][]float64{}
	version := 1
	for b.Loop() {
		for _, who := range []string{"", "bare-"} {
			p := play.launch(broker, path, who != "")
			version++
			play.write(play.frames(version)) // which waits for its watch
			heard.all(play.n, version)
			p.settle()
			version++
			frames := play.frames(version)
			allocs, size, used := p.metric("go_memstats_mallocs_total"), p.metric("go_memstats_alloc_bytes_total"), p.processor()
			began := time.Now()
			play.write(frames)
			heard.all(play.n, version)
			took := make([]float64, play.n)
			for i := range took {
				took[i] = 1e3 * heard.one(i, version).Sub(began).Seconds()
			}
			p.settle()
			used = p.processor() - used
			slices.Sort(took)
			for what, v := range map[string]float64{
				"p50-ms": took[play.n/2], "p99-ms": took[play.n*99/100], "last-ms": took[play.n-1],
				"cpu-ms/fact": 1e3 * used.Seconds() / float64(play.n),
				"allocs/fact": (p.metric("go_memstats_mallocs_total") - allocs) / float64(play.n),
				"KB/fact":     (p.metric("go_memstats_alloc_bytes_total") - size) / 1e3 / float64(play.n),
			} {
				sums[who+what] = append(sums[who+what], v)
			}
			p.stop()
		}
	}
	for what, all := range sums {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], what)
	}
}

// play is an API server that has Applications and nothing else, and one watch at a time.
type play struct {
	t       testing.TB
	n       int
	w       *writer
	config  string // path of the kubeconfig
	mu      sync.Mutex
	version int // that all Applications are at
	rv      int
	watch   chan []byte // what is to be written into the watch
}

func newPlay(t testing.TB, n int) *play {
	t.Helper()
	p := &play{t: t, n: n, w: &writer{b: t, home: "shop", apps: "argocd"}, version: 1, rv: 1, watch: make(chan []byte)}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c := clientcmdapi.NewConfig()
	c.Clusters["play"] = &clientcmdapi.Cluster{Server: server.URL}
	c.Contexts["play"] = &clientcmdapi.Context{Cluster: "play"}
	c.CurrentContext = "play"
	p.config = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, p.config); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", p.config)
	return p
}

func (p *play) application(i int) []byte {
	a := p.w.application(i)
	a.TypeMeta = metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Application"}
	a.UID, a.Generation, a.ResourceVersion = types.UID(a.Name), int64(p.version), fmt.Sprint(p.rv)
	a.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "argocd", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "argoproj.io/v1alpha1", FieldsType: "FieldsV1",
		FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{".":{},"f:health":{},"f:summary":{},"f:sync":{".":{},"f:comparedTo":{".":{},"f:destination":{},"f:source":{}}}}}`)}}}
	a.Status.OperationState = p.w.operation(i, p.version)
	text, err := json.Marshal(a)
	if err != nil {
		p.t.Error(err)
	}
	return text
}

// frames moves all Applications to a version and returns what a watch shows of that.
func (p *play) frames(version int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.version = version
	p.rv++
	var out []byte
	for i := range p.n {
		out = fmt.Appendf(out, "{\"type\":\"MODIFIED\",\"object\":%s}\n", p.application(i))
	}
	return out
}

func (p *play) write(frames []byte) { p.watch <- frames }

// ServeHTTP implements http.Handler.
func (p *play) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/api":
		fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
	case r.URL.Path == "/apis":
		fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"argoproj.io","versions":[{"groupVersion":"argoproj.io/v1alpha1","version":"v1alpha1"}],`+
			`"preferredVersion":{"groupVersion":"argoproj.io/v1alpha1","version":"v1alpha1"}}]}`)
	case r.URL.Path == "/apis/argoproj.io/v1alpha1":
		fmt.Fprint(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"argoproj.io/v1alpha1","resources":[`+
			`{"name":"applications","singularName":"application","namespaced":true,"kind":"Application","verbs":["get","list","watch"]}]}`)
	case r.Method == http.MethodPost: // an Event
		w.WriteHeader(http.StatusCreated)
		io.Copy(w, r.Body) //nolint:errcheck // nobody reads it
	case r.URL.Path != "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications":
		http.NotFound(w, r)
	case r.URL.Query().Has("watch"):
		http.NewResponseController(w).Flush() //nolint:errcheck // the server can
		for {
			select {
			case <-r.Context().Done():
				return
			case frames := <-p.watch:
				w.Write(frames)                       //nolint:errcheck // the watch ends
				http.NewResponseController(w).Flush() //nolint:errcheck // the server can
			}
		}
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		fmt.Fprintf(w, `{"kind":"ApplicationList","apiVersion":"argoproj.io/v1alpha1","metadata":{"resourceVersion":"%d"},"items":[`, p.rv)
		for i := range p.n {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			w.Write(p.application(i)) //nolint:errcheck // the client would miss it
		}
		fmt.Fprint(w, "]}")
	}
}

// launch starts the controller's program, or the bare one.
func (p *play) launch(broker *nats, path string, bare bool) *program {
	p.t.Helper()
	if bare {
		return launchBare(p.t, broker, p.w.apps)
	}
	return launch(p.t, broker, path, applicationsOnly(p.w.apps))
}
