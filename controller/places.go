package controller

import (
	"slices"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// place is a cluster whose Jobs and Pods are read.
type place struct {
	cache      client.Reader
	live       client.Reader // the API server itself
	jobs       client.Writer
	namespaces []string // whose Jobs are read; none means all
}

// destination is the cluster that an Application deploys to.
type destination struct {
	Cluster string // its address; empty for that of the Applications themselves
	place   *place // nil: its Jobs are not read
}

// reads says whether the Jobs in a namespace can be read; in any of its namespaces, if none is named.
func (d destination) reads(namespace string) bool {
	return d.place != nil && (namespace == "" || len(d.place.namespaces) == 0 || slices.Contains(d.place.namespaces, namespace))
}

// places knows the clusters that Applications deploy to. The zero value knows none.
type places struct {
	names []string // under which Applications know their own cluster, as destination server or name
	local *place   // nil: its Jobs are not read
}

func (o Options) places(local place) *places {
	p := &places{names: o.LocalServers}
	if !o.ApplicationsOnly {
		local.namespaces = o.JobNamespaces
		p.local = &local
	}
	return p
}

// of finds the cluster of a destination.
func (p *places) of(d argo.ApplicationDestination) destination {
	named := either(d.Server, d.Name)
	if slices.Contains(p.names, named) {
		return destination{place: p.local}
	}
	return destination{Cluster: named}
}

// read lists the clusters whose Jobs are read now.
func (p *places) read() map[string]*place {
	all := map[string]*place{}
	if p.local != nil {
		all[""] = p.local
	}
	return all
}

// at is a cluster by its address; nil if its Jobs are not read, or not any more.
func (p *places) at(cluster string) *place {
	return p.read()[cluster]
}
