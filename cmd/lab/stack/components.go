package stack

import (
	"github.com/schemawave/schemawave/cmd/lab/kubernetes"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// Components are what the lab runs.
func (c Config) Components() []supervise.Component {
	return c.cluster().ControlPlane()
}

func (c Config) cluster() kubernetes.Cluster {
	return kubernetes.Cluster{Dir: c.Dir, Kube: c.Binaries["kube"]}
}
