package natstest

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/nats-io/nats-server/v2/server"
)

// member is a server's place in a cluster.
type member struct {
	Name   string
	Port   int      // where the other servers connect
	Routes []string // to every member
}

func (m *member) configure(o *server.Options) error {
	o.ServerName = m.Name
	o.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: m.Port}
	for _, r := range m.Routes {
		route, err := url.Parse(r)
		if err != nil {
			return err
		}
		o.Routes = append(o.Routes, route)
	}
	return nil
}

// StartCluster runs n servers, named n1, n2 and so on, that keep one JetStream together, so that streams can have up to n
// replicas. It returns when each accepts clients; electing a leader may take some seconds more. The caller must Close them.
func StartCluster(n int, o Options) (servers []*Server, err error) {
	ports, err := freePorts(2 * n) // members must know each other's before the first one starts
	if err != nil {
		return nil, fmt.Errorf("start nats cluster: %w", err)
	}
	var routes []string
	for _, p := range ports[n:] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p))
	}
	for i := range n {
		s, err := start(o, ports[i], &member{fmt.Sprint("n", i+1), ports[n+i], routes})
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.Close())
			}
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// freePorts finds n ports that were free a moment ago.
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
