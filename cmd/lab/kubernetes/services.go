package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/schemawave/schemawave/cmd/lab/host"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

const clusterDomain = "cluster.local"

// ServiceNamespace holds a Service for each of the lab's own servers.
const ServiceNamespace = "lab"

// ServiceName is the name by which pods and commands in the lab reach a server of Names.
func ServiceName(name string) string { return name + "." + ServiceNamespace + ".svc." + clusterDomain }

// Service is a server of the lab that runs beside Kubernetes: Port is the Service's, Target the server's own.
type Service struct{ Port, Target int }

// Names makes the cluster's names resolve and its Services lead somewhere: CoreDNS, kube-proxy, and a Service with an
// EndpointSlice for each of the lab's own servers, which the components named servers are. It is ready when every one of
// them answers by name.
func (c Cluster) Names(coredns string, services map[string]Service, servers ...string) []supervise.Component {
	return []supervise.Component{
		c.coredns(coredns),
		c.proxy(),
		{
			Name:    "services",
			After:   []string{c.named("kube-apiserver")},
			Prepare: func(ctx context.Context, _ io.Writer) error { return c.applyServices(ctx, services) },
		},
		{
			Name:  "names",
			After: append([]string{"services", "coredns", c.named("kube-proxy")}, servers...),
			Prepare: func(ctx context.Context, _ io.Writer) error {
				for _, name := range slices.Sorted(maps.Keys(services)) {
					address := net.JoinHostPort(ServiceName(name), strconv.Itoa(services[name].Port))
					if err := supervise.Until(ctx, func(ctx context.Context) error { return supervise.Listening(ctx, address) }); err != nil {
						return err
					}
				}
				return nil
			},
		},
	}
}

// coredns answers for the cluster and denies every other name at once.
func (c Cluster) coredns(program string) supervise.Component {
	corefile := c.path("Corefile")
	return supervise.Component{
		Name:  "coredns",
		After: []string{c.named("kube-apiserver")},
		Prepare: func(context.Context, io.Writer) error {
			return os.WriteFile(corefile, fmt.Appendf(nil, `%[1]s in-addr.arpa {
    bind %[2]s
    errors
    health 127.0.0.1:8053
    kubernetes %[1]s in-addr.arpa {
        kubeconfig %[3]s
    }
}
. {
    bind %[2]s
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`, clusterDomain, host.NodeAddress, c.Kubeconfig()), 0o644)
		},
		Command: []string{program, "-conf", corefile},
		Ready:   func(ctx context.Context) error { return get(ctx, plain, "http://127.0.0.1:8053/health", nil) },
	}
}

// applyServices makes Services without selectors, and the EndpointSlices that lead to the node
// (https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors).
func (c Cluster) applyServices(ctx context.Context, services map[string]Service) error {
	type m = map[string]any
	objects := map[string]m{}
	for name, s := range services {
		objects["/api/v1/namespaces/"+ServiceNamespace+"/services/"+name] = m{
			"apiVersion": "v1", "kind": "Service", "metadata": m{"name": name},
			"spec": m{"ports": []m{{"name": "main", "port": s.Port, "targetPort": s.Target}}},
		}
		objects["/apis/discovery.k8s.io/v1/namespaces/"+ServiceNamespace+"/endpointslices/"+name] = m{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
			"metadata":    m{"name": name, "labels": m{"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "lab"}},
			"addressType": "IPv4",
			"ports":       []m{{"name": "main", "port": s.Target}},
			"endpoints":   []m{{"addresses": []string{host.NodeAddress}, "conditions": m{"ready": true}}},
		}
	}
	namespace := fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, ServiceNamespace)
	if err := c.Apply(ctx, "/api/v1/namespaces/"+ServiceNamespace, namespace); err != nil {
		return err
	}
	for path, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			return err
		}
		if err := c.Apply(ctx, path, text); err != nil {
			return err
		}
	}
	return nil
}
