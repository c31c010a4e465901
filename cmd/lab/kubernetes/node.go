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
	"github.com/schemawave/schemawave/cmd/lab/image"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// pauseImage is the image of every pod's sandbox.
const pauseImage = "lab.local/pause:1"

// Node is everything that makes pods run: the scheduler, containerd and the kubelet. pause is the program of pods'
// sandboxes; cgroup is the name of the lab's cgroup.
func (c Cluster) Node(pause, cgroup string) []supervise.Component {
	return []supervise.Component{
		c.scheduler(),
		c.containerd(),
		{Name: c.named("pause-image"), After: []string{c.named("containerd")}, Prepare: func(ctx context.Context, _ io.Writer) error {
			program, err := image.FromFile("/pause", pause, 0o755)
			if err != nil {
				return err
			}
			return image.Load(ctx, c.Dir, image.Image{Name: pauseImage, Files: []image.File{program}, Entrypoint: []string{"/pause"}, User: "65535"})
		}},
		c.kubelet(cgroup),
	}
}

func (c Cluster) scheduler() supervise.Component {
	kubeconfig := c.userConfig("scheduler")
	return supervise.Component{
		Name:  c.named("kube-scheduler"),
		After: []string{c.named("kube-apiserver")},
		Command: []string{c.Kube, "kube-scheduler", "--bind-address=" + c.loopback, "--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--leader-elect=false", "--profiling=false", "--v=1"},
		Ready: func(ctx context.Context) error {
			return get(ctx, unverified, "https://"+c.loopback+":10259/readyz", nil)
		},
	}
}

// kubelet has its pods' cgroups in one of the cluster's own, below the lab's.
func (c Cluster) kubelet(lab string) supervise.Component {
	cgroup := filepath.Join(lab, c.node)
	return supervise.Component{
		Name:  c.named("kubelet"),
		After: []string{c.named("kube-apiserver"), c.named("pause-image")},
		Prepare: func(context.Context, io.Writer) error {
			return errors.Join(host.MakeCgroups(lab), host.MakeCgroups(cgroup), writeJSON(c.path("kubelet.json"), c.kubeletConfig(cgroup)))
		},
		Command: []string{c.Kube, "kubelet", "--config=" + c.path("kubelet.json"), "--kubeconfig=" + c.userConfig("kubelet"),
			"--root-dir=" + c.path("kubelet"), "--cert-dir=" + c.path("kubelet", "pki"),
			"--hostname-override=" + c.node, "--node-ip=" + c.address, "--v=2"},
		Ready: c.nodeReady,
	}
}

// nodeReady tells whether pods can be placed on the node: it is ready, and the controllers have seen it.
func (c Cluster) nodeReady(ctx context.Context) error {
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.Get(ctx, "/api/v1/nodes/"+c.node, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type != "Ready" {
			continue
		}
		if condition.Status != "True" || len(node.Spec.Taints) > 0 {
			return fmt.Errorf("node %s: %s, taints %v", c.node, condition.Message, node.Spec.Taints)
		}
		return nil
	}
	return errors.New("node " + c.node + ": no condition yet")
}

// kubeletConfig (https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/) never evicts for disk space nor
// collects images: there is no registry to pull them from again.
func (c Cluster) kubeletConfig(cgroup string) map[string]any {
	type m = map[string]any
	return m{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": c.address, "healthzBindAddress": c.loopback,
		"tlsCertFile": c.path("pki/kubelet.crt"), "tlsPrivateKeyFile": c.path("pki/kubelet.key"),
		"authentication":           m{"anonymous": m{"enabled": false}, "webhook": m{"enabled": true}, "x509": m{"clientCAFile": c.path("pki/ca.crt")}},
		"authorization":            m{"mode": "Webhook"},
		"containerRuntimeEndpoint": "unix://" + image.Socket(c.Dir),
		"cgroupDriver":             "cgroupfs", "cgroupRoot": "/" + cgroup, "failCgroupV1": false, "failSwapOn": false,
		"resolvConf": "", "clusterDomain": clusterDomain, "clusterDNS": []string{host.NodeAddress},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"evictionHard":           m{"memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
		"makeIPTablesUtilChains": false,
		"podLogsDir":             c.path("pod-logs"), "volumePluginDir": c.path("volume-plugins"),
		"nodeStatusUpdateFrequency": "10s",
	}
}

// proxy writes Services into iptables.
func (c Cluster) proxy() supervise.Component {
	type m = map[string]any
	return supervise.Component{
		Name:  c.named("kube-proxy"),
		After: []string{c.named("kube-apiserver")},
		Prepare: func(context.Context, io.Writer) error {
			return writeJSON(c.path("proxy.json"), m{
				"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
				"bindAddress": c.address, "healthzBindAddress": c.loopback + ":10256", "metricsBindAddress": c.loopback + ":10249",
				"clientConnection": m{"kubeconfig": c.userConfig("proxy")}, "clusterCIDR": c.podCIDR, "hostnameOverride": c.node,
				"iptables": m{"minSyncPeriod": "100ms"}, // else a new Service takes a second
				// connection tracking is sized for the whole machine
				"conntrack": m{"maxPerCore": 0, "min": 0},
			})
		},
		Command: []string{c.Kube, "kube-proxy", "--config=" + c.path("proxy.json"), "--v=2"},
		Ready:   func(ctx context.Context) error { return get(ctx, plain, "http://"+c.loopback+":10256/healthz", nil) },
	}
}

// writeJSON writes a configuration file; JSON is YAML.
func writeJSON(path string, content any) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
