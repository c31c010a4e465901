package controller_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/schemawave/schemawave/events/jetstream/natstest"
)

// BenchmarkClusters runs the controller's program with so many of Argo CD's cluster secrets, each of which leads to a server address of its
// own, and all of them to one real API server, which holds 20 finished Jobs with a Pod each. So every cluster has those:
//
//   - start-s: from its start until it reads all clusters;
//   - peak-MB: the most memory that the process has had until it has come to rest;
//   - KB/cluster: its memory at rest, less that of one without clusters, over their number;
//   - idle-%: processor time over half a minute in which nothing happens, of one processor.
//
// The API server shares the machine.
func BenchmarkClusters(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				benchmarkClusters(b, n)
			}
		})
	}
}

func benchmarkClusters(b *testing.B, n int) {
	ctrl.SetLogger(logr.Discard())
	path := build(b)
	c, broker := newCluster(b), startNATS(b, natstest.Options{Process: true})
	a := c.application("orders", overlay)
	for i := range 20 {
		r := c.release(i+1, env)
		c.exit(c.apply(a, r), 0, nil)
	}
	const rest = 30 * time.Second
	p := launch(b, broker, path, fmt.Sprintf("namespaces: [%s], clusterSecrets: %s", c.apps, c.apps))
	time.Sleep(rest)
	base := p.memory("VmRSS")
	p.stop()

	server, err := url.Parse(c.config.Host)
	if err != nil {
		b.Fatal(err)
	}
	login := argo.ClusterConfig{TLSClientConfig: argo.TLSClientConfig{CAData: c.config.CAData, CertData: c.config.CertData, KeyData: c.config.KeyData}}
	for i := range n {
		c.secret(fmt.Sprintf("far-%03d", i), "https://"+forward(b, server.Host), login)
	}
	began := time.Now()
	p = launch(b, broker, path, fmt.Sprintf("namespaces: [%s], clusterSecrets: %s", c.apps, c.apps))
	within(b, "all clusters", func() error {
		for i := range n {
			if name := fmt.Sprintf(`schemawave_cluster_reachable{cluster="far-%03d"}`, i); p.metric(name) != 1 {
				return fmt.Errorf("%s is %v", name, p.metric(name))
			}
		}
		return nil
	})
	b.ReportMetric(time.Since(began).Seconds(), "start-s")
	p.settle()
	b.ReportMetric(p.memory("VmHWM")/1e6, "peak-MB")
	used := p.processor()
	time.Sleep(rest)
	b.ReportMetric(100*(p.processor()-used).Seconds()/rest.Seconds(), "idle-%")
	b.ReportMetric((p.memory("VmRSS")-base)/float64(n)/1e3, "KB/cluster")
	p.stop()
}

// forward listens at an address, which it returns, and passes on what comes there, until the test has ended.
func forward(t testing.TB, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			go pass(from, to)
		}
	}()
	return l.Addr().String()
}

// pass passes on what comes on either side until one of them closes.
func pass(from net.Conn, to string) {
	defer from.Close()
	there, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer there.Close()
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(there, from) //nolint:errcheck // either end may close it
		there.Close()
	})
	io.Copy(from, there) //nolint:errcheck // either end may close it
	from.Close()
	both.Wait()
}
