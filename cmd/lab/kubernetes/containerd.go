package kubernetes

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/schemawave/schemawave/cmd/lab/image"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// containerd runs the pods' containers, with a root, state and socket of its own.
func (c Cluster) containerd() supervise.Component {
	config := c.path("containerd", "config.toml")
	return supervise.Component{
		Name: c.named("containerd"),
		Prepare: func(context.Context, io.Writer) error {
			if err := os.MkdirAll(c.path("containerd", "net.d"), 0o755); err != nil {
				return err
			}
			if err := writeJSON(c.path("containerd", "net.d", "lab.conflist"), c.podNetwork()); err != nil {
				return err
			}
			return os.WriteFile(config, []byte(c.containerdConfig()), 0o600)
		},
		Command: []string{"containerd", "--config", config},
		Ready: func(ctx context.Context) error {
			return exec.CommandContext(ctx, "ctr", "--address", image.Socket(c.Dir), "--namespace", "k8s.io", "images", "ls", "-q").Run()
		},
	}
}

// containerdConfig (containerd's docs/cri/config.md): restrict_oom_score_adj because root in a lab may lack
// CAP_SYS_RESOURCE; the disabled plugins write outside root and state or look for filesystems that are not there.
func (c Cluster) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %[5]q
`, c.path("containerd", "root"), c.path("containerd", "state"), image.Socket(c.Dir), pauseImage, c.path("containerd", "net.d"))
}

// podNetwork gives each pod a link of its own to the node, so that everything between pods is routed and kube-proxy's
// rules see it; a bridge would need the kernel's bridge filtering for that.
func (c Cluster) podNetwork() map[string]any {
	type m = map[string]any
	return m{"cniVersion": "1.0.0", "name": "lab", "plugins": []m{
		{"type": "ptp", "ipMasq": false, "ipam": m{
			"type": "host-local", "dataDir": filepath.Join(c.path("containerd"), "addresses"),
			"ranges": [][]m{{{"subnet": c.podCIDR}}}, "routes": []m{{"dst": "0.0.0.0/0"}},
		}},
		{"type": "portmap", "capabilities": m{"portMappings": true}},
	}}
}
