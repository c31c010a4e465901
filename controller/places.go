package controller

import (
	"maps"
	"slices"
	"sync"
	"time"

	argo "github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	Awaited bool   // whether its Jobs can be read will be known in a moment
	place   *place // nil: its Jobs are not read

	environments map[string]string // of databases, as the Jobs in the destination's namespace have named them
}

// reads says whether the Jobs in a namespace can be read; in any of its namespaces, if none is named.
func (d destination) reads(namespace string) bool {
	return d.place != nil && (namespace == "" || len(d.place.namespaces) == 0 || slices.Contains(d.place.namespaces, namespace))
}

// places knows the clusters that Applications deploy to, which of them are read now, and the environments that Jobs there have named. It is
// safe for concurrent use.
type places struct {
	names []string // under which Applications know their own cluster, as destination server or name
	local *place   // nil: its Jobs are not read

	mu        sync.RWMutex
	addresses map[string]string    // of the other clusters, by their names
	remote    map[string]*place    // those that are read, by address
	awaited   map[string]time.Time // those of which that is not known yet, and until when they are waited for
	unlisted  time.Time            // until when it is waited for all of them, for none is known yet
	now       func() time.Time

	environments map[namespace]map[string]string // of databases; an inner map is never changed
}

// namespace is one of a cluster.
type namespace struct{ cluster, name string }

// settling is how long whatever happens in a cluster waits for that cluster to be read, before Argo CD's word is taken.
const settling = 15 * time.Second

func (o Options) places(local place) *places {
	p := &places{
		names: o.LocalServers, addresses: map[string]string{}, remote: map[string]*place{}, awaited: map[string]time.Time{}, now: time.Now,
		environments: map[namespace]map[string]string{},
	}
	if !o.ApplicationsOnly {
		local.namespaces = o.JobNamespaces
		p.local = &local
	}
	return p
}

// of finds the cluster of a destination.
func (p *places) of(d argo.ApplicationDestination) destination {
	p.mu.RLock()
	defer p.mu.RUnlock()
	local := destination{place: p.local, environments: p.environments[namespace{"", d.Namespace}]}
	if slices.Contains(p.names, either(d.Server, d.Name)) {
		return local
	}
	address, known := trimAddress(d.Server), true
	if d.Server == "" {
		if address, known = p.addresses[d.Name]; !known {
			address = d.Name
		}
	}
	if address == "" {
		return local
	}
	until := p.awaited[address]
	if p.unlisted.After(until) {
		until = p.unlisted
	}
	return destination{
		Cluster: address, Awaited: p.now().Before(until), place: p.remote[address], environments: p.environments[namespace{address, d.Namespace}],
	}
}

// learn notes of which environment a Job's database is: its namespace may be called otherwise, and Argo CD lists the Job when it is gone, too.
func (p *places) learn(cluster string, j metav1.Object) {
	t, ok := jobTarget(j)
	in := namespace{cluster, j.GetNamespace()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok || p.environments[in][t.Database] == t.Environment {
		return
	}
	known := maps.Clone(p.environments[in])
	if known == nil {
		known = map[string]string{}
	}
	known[t.Database] = t.Environment
	p.environments[in] = known
}

// read lists the clusters whose Jobs are read now.
func (p *places) read() map[string]*place {
	p.mu.RLock()
	defer p.mu.RUnlock()
	all := maps.Clone(p.remote)
	if all == nil {
		all = map[string]*place{}
	}
	if p.local != nil {
		all[""] = p.local
	}
	return all
}

// at is a cluster by its address; nil if its Jobs are not read, or not any more.
func (p *places) at(cluster string) *place {
	if cluster == "" {
		return p.local
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.remote[cluster]
}

// await has what happens in any other cluster wait until those that are to be read are listed.
func (p *places) await() {
	p.change(func() { p.unlisted = p.now().Add(settling) })
}

// list notes the names of the other clusters, and those that are to be read. What happens in one that is not being read yet waits for that.
// A name whose cluster is known no more goes on meaning it: Applications and what was captured still bear it.
func (p *places) list(addresses map[string]string, wanted []string, read func(address string) bool) {
	p.change(func() {
		maps.DeleteFunc(p.awaited, func(address string, _ time.Time) bool { return !slices.Contains(wanted, address) })
		for _, address := range wanted {
			if !read(address) {
				p.awaited[address] = p.now().Add(settling)
			}
		}
		maps.Copy(p.addresses, addresses)
		p.unlisted = time.Time{}
	})
}

// change changes what is known of the other clusters.
func (p *places) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
}
