// Package kubernetes runs a single-node Kubernetes from one multi-call binary and a few Debian packages: the control
// plane, and a node on which pods run, resolve names and reach Services. Authorities, keys and kubeconfigs are made for
// each lab anew. There is no way to pull an image: every image a pod uses has to be imported first.
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

// apiServer is where the Kubernetes API listens.
const apiServer = "https://" + host.NodeAddress + ":6443"

// Cluster is one lab's Kubernetes.
type Cluster struct {
	// Dir is the lab's state directory.
	Dir string
	// Kube is the multi-call binary.
	Kube string
}

// Kubeconfig is the administrator's kubeconfig.
func (c Cluster) Kubeconfig() string { return c.path("kubeconfig") }

func (c Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}

// pki makes certificates and kubeconfigs; everything else comes after it.
func (c Cluster) pki() supervise.Component {
	return supervise.Component{Name: "pki", Prepare: func(context.Context, io.Writer) error {
		if err := writePKI(c.path("pki")); err != nil {
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
		"clusters":        []m{{"name": "lab", "cluster": m{"server": apiServer, "certificate-authority-data": content[0]}}},
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
