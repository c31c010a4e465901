// Package kubernetes runs single-node Kubernetes clusters from one multi-call binary and a few Debian packages: the control
// plane, and a node on which pods run; in the first cluster of a lab they resolve names and reach Services, too. Authorities,
// keys and kubeconfigs are made for each lab anew. There is no way to pull an image: every image a pod uses has to be imported
// first.
package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/schemawave/schemawave/cmd/lab/host"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// Cluster is one Kubernetes of a lab; see First and Second.
type Cluster struct {
	site
	// Dir is its directory.
	Dir string
	// Kube is the multi-call binary.
	Kube string
}

// site is what tells the clusters of a lab apart. They share its network, and their components listen at the same ports.
type site struct {
	prefix       string // of the names of its components, and of its objects in etcd
	node         string // the node's name
	address      string // where everything listens that pods reach
	loopback     string // where everything else listens
	podCIDR      string
	serviceCIDR  string
	firstService string // the address of the Kubernetes API's Service
}

// First is the cluster that every lab has. dir is the lab's state directory.
func First(dir, kube string) Cluster {
	return Cluster{Dir: dir, Kube: kube, site: site{
		node: host.Hostname, address: host.NodeAddress, loopback: "127.0.0.1",
		podCIDR: host.PodCIDR, serviceCIDR: host.ServiceCIDR, firstService: host.FirstService,
	}}
}

// Second is another cluster of the lab, in a directory below the lab's state directory dir. No kube-proxy serves it, so its
// Services lead nowhere; what its pods look up by name is what the first cluster has.
func Second(dir, kube string) Cluster {
	return Cluster{Dir: filepath.Join(dir, "second"), Kube: kube, site: site{
		prefix: "second-", node: "second", address: host.SecondAddress, loopback: "127.0.0.2",
		podCIDR: "10.90.0.0/24", serviceCIDR: "10.91.0.0/24", firstService: "10.91.0.1",
	}}
}

// Address is where the Kubernetes API listens.
func (c Cluster) Address() string { return "https://" + c.address + ":6443" }

// Kubeconfig is the administrator's kubeconfig.
func (c Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// named is the name of one of the cluster's components.
func (c Cluster) named(component string) string { return c.prefix + component }

func (c Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}

// pki makes certificates and kubeconfigs; everything else comes after it.
func (c Cluster) pki() supervise.Component {
	return supervise.Component{Name: c.named("pki"), Prepare: func(context.Context, io.Writer) error {
		if err := c.writePKI(c.path("pki")); err != nil {
			return err
		}
		users := map[string]string{
			"admin":              c.Kubeconfig(),
			"controller-manager": c.userConfig("controller-manager"),
			"scheduler":          c.userConfig("scheduler"),
			"kubelet":            c.userConfig("kubelet"),
			"proxy":              c.userConfig("proxy"),
		}
		var err error
		for user, file := range users {
			err = errors.Join(err, c.writeKubeconfig(file, user))
		}
		return err
	}}
}

func (c Cluster) userConfig(user string) string { return c.path("pki", user+".kubeconfig") }

// writeKubeconfig writes a kubeconfig that holds its certificates, so that it can be copied. JSON is YAML.
func (c Cluster) writeKubeconfig(file, user string) error {
	var content [3][]byte
	for i, name := range []string{"ca.crt", user + ".crt", user + ".key"} {
		var err error
		if content[i], err = os.ReadFile(c.path("pki", name)); err != nil {
			return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
		}
	}
	type m = map[string]any
	config, err := json.MarshalIndent(m{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []m{{"name": "lab", "cluster": m{"server": c.Address(), "certificate-authority-data": content[0]}}},
		"users":           []m{{"name": user, "user": m{"client-certificate-data": content[1], "client-key-data": content[2]}}},
		"contexts":        []m{{"name": "lab", "context": m{"cluster": "lab", "user": user}}},
		"current-context": "lab",
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}
	if err := os.WriteFile(file, append(config, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}
	return nil
}
