package natstest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// member is a server's place in a cluster.
type member struct {
	name   string
	port   int        // where the other servers connect
	routes []*url.URL // to every member
}

func (m *member) configure(o *server.Options) {
	o.ServerName = m.name
	o.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: m.port}
	o.Routes = m.routes
}

// StartCluster runs n servers that keep one JetStream together, so that streams can have up to n replicas. It returns when
// each accepts clients; electing a leader may take some seconds more. The caller must Close them.
func StartCluster(n int) (servers []*Server, err error) {
	ports, err := freePorts(n)
	if err != nil {
		return nil, fmt.Errorf("start nats cluster: %w", err)
	}
	var routes []*url.URL
	for _, p := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
	}
	defer func() {
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.Close())
			}
			servers = nil
		}
	}()
	for i, p := range ports {
		dir, err := os.MkdirTemp("", "natstest-")
		if err != nil {
			return servers, fmt.Errorf("start nats cluster: %w", err)
		}
		s := &Server{dir: dir, port: server.RANDOM_PORT, cluster: &member{name: fmt.Sprint("n", i+1), port: p, routes: routes}}
		servers = append(servers, s)
		if err := s.Restart(); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

// freePorts finds n ports that were free a moment ago: members must know each other's before the first one starts.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
