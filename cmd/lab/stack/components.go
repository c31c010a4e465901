package stack

import (
	"context"
	"fmt"

	"github.com/schemawave/schemawave/cmd/lab/argocd"
	"github.com/schemawave/schemawave/cmd/lab/kubernetes"
	"github.com/schemawave/schemawave/cmd/lab/nats"
	"github.com/schemawave/schemawave/cmd/lab/postgres"
	"github.com/schemawave/schemawave/cmd/lab/supervise"
)

// GitPort is where the git server listens, at every address of the lab.
const GitPort = 80

// services are the lab's own servers as pods know them.
func services() map[string]kubernetes.Service {
	return map[string]kubernetes.Service{
		"postgres": {Port: postgres.Port, Target: postgres.Port},
		"nats":     {Port: nats.Port, Target: nats.Port},
		"git":      {Port: 80, Target: GitPort},
		"argocd":   {Port: 80, Target: argocd.Port},
	}
}

// Components are what the lab runs. cgroup is the name of the lab's cgroup.
func (c Config) Components(cgroup string) ([]supervise.Component, error) {
	cluster := c.cluster()
	all := append(cluster.ControlPlane(), kubernetes.Etcd(c.path("etcd")))
	if c.ControlPlane {
		return all, nil
	}
	database, err := postgres.Server{Programs: c.PostgreSQL, Dir: c.path("postgresql"), Password: c.Password}.Component()
	if err != nil {
		return nil, err
	}
	argo := argocd.ArgoCD{
		Program: c.Binaries["argocd"], Source: c.ArgoCDSource, Bin: c.path("bin"), Dir: c.path("argocd"), Kubeconfig: cluster.Kubeconfig(), Cluster: cluster,
		SyncWaveDelay: c.SyncWaveDelay, Reconciliation: c.Reconciliation,
	}
	all = append(all, cluster.Node(c.Binaries["pause"], cgroup)...)
	if c.SecondCluster {
		all = append(append(all, c.second().ControlPlane()...), c.second().Node(c.Binaries["pause"], cgroup)...)
	}
	all = append(all, database, nats.Component(c.Binaries["nats-server"], c.path("nats")), c.gitServer())
	all = append(all, argo.Components("kube-apiserver")...)
	return append(all, cluster.Names(c.Binaries["coredns"], services(), "postgresql", "nats", "git-server", "argocd-server")...), nil
}

func (c Config) cluster() kubernetes.Cluster { return kubernetes.First(c.Dir, c.Binaries["kube"]) }
func (c Config) second() kubernetes.Cluster  { return kubernetes.Second(c.Dir, c.Binaries["kube"]) }

// Clusters are the directories of the lab's clusters, whose containerds take images.
func (c Config) Clusters() []string {
	if c.SecondCluster {
		return []string{c.cluster().Dir, c.second().Dir}
	}
	return []string{c.cluster().Dir}
}

// gitServer is this program again, because it serves git with child processes, which PID 1 must not wait for.
func (c Config) gitServer() supervise.Component {
	return supervise.Component{
		Name:    "git-server",
		Command: []string{"/proc/self/exe", "git-server", "--dir", c.Dir},
		Ready: func(ctx context.Context) error {
			return supervise.Answers(ctx, fmt.Sprintf("http://127.0.0.1:%d/_admin/healthz", GitPort))
		},
	}
}
