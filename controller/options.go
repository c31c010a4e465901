package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/schemawave/schemawave/events"
)

// Publisher is where proven facts go.
//
// All methods may block until ctx ends and may be called at the same time for different databases. An error means that
// nothing is known to be stored; the same call may then be made again, and results in one message however often it is.
type Publisher interface {
	// State returns the state published last and its revision; revision 0 and a state with names alone if there is none.
	State(ctx context.Context, environment, database, tenant string) (state events.State, revision uint64, err error)
	// PublishState puts s in the place of the state with the expected revision (0: of no state). It fails if another state
	// has taken that place, be it one with the same id.
	PublishState(ctx context.Context, s events.State, expected uint64, id string) (revision uint64, err error)
	// PublishEvent stores e unless an event with its id is there already, or it repeats the last of its kind, or precedes the last of all, and
	// only while the state from which it follows is the one with this revision (0: there is none). It fails if another state has taken its
	// place.
	PublishEvent(ctx context.Context, e events.Event, state uint64) error
}

// Options are what an installation decides. Config and Publisher are required; the zero value of all others is a sensible
// choice.
type Options struct {
	Config    *rest.Config // of the cluster in which the Applications are
	Publisher Publisher

	ApplicationNamespaces []string // where Applications are looked for; none means everywhere
	JobNamespaces         []string // where Jobs and Pods are looked for; none means everywhere
	// ApplicationsOnly takes Argo CD's word for everything, for a controller that may not read Jobs and Pods. It knows
	// versions then, but neither the lines that failed nor the end of a migration whose Job is retried.
	ApplicationsOnly bool
	// LocalServers are further names under which Applications know the cluster of Config, as destination server or name.
	LocalServers []string
	// ClusterSecrets is the namespace in which Argo CD keeps the Secrets of the clusters that it deploys to, whose Jobs and Pods are then
	// read, too. Empty: they are not, and no Secrets are read.
	ClusterSecrets string

	// Published is told each event that has changed a state, once it is stored. It must not block. Nil: nobody is.
	Published func(events.Event)

	// Heal says what is done about a migration that was left out. HealSync needs to patch Applications.
	Heal Heal

	LeaderElection *LeaderElection       // nil: this is the only replica
	MetricsAddress string                // host:port; empty: no metrics are served
	HealthAddress  string                // host:port of /healthz and /readyz; empty: none
	Metrics        prometheus.Registerer // nil: the registry that is served at MetricsAddress
	Log            *slog.Logger          // nil: slog's default
	Workers        int                   // databases looked at at the same time, most of which wait for NATS; zero means 16
	PublishTimeout time.Duration         // of one state or event; zero means 15 s
}

const publishTimeout = 15 * time.Second

// LeaderElection lets one of several replicas publish, by a Lease.
type LeaderElection struct {
	Namespace, Name string // of the Lease; Name defaults to "schemawave"
	Identity        string // of this replica, no other's, as Leader tells it; empty: the host's name and something random
	// How long a silent leader stays leader, how long it tries to renew before it gives up, and how often. Zero means 15 s,
	// 10 s and 2 s.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
}

// The names of the cluster that Argo CD itself runs in (its documentation, "Declarative Setup", Clusters).
var localServers = []string{"https://kubernetes.default.svc", "in-cluster"}

func (o Options) withDefaults() (Options, error) {
	if o.Config == nil {
		return o, errors.New("start controller: no cluster is given: set KUBECONFIG or run it in a cluster")
	}
	if o.Publisher == nil {
		return o, errors.New("start controller: no publisher is given")
	}
	if o.ApplicationsOnly && o.ClusterSecrets != "" {
		return o, errors.New("start controller: either Jobs are read in other clusters, or only Applications are")
	}
	switch o.Heal = either(o.Heal, HealAlert); o.Heal {
	case HealOff, HealAlert, HealSync:
	default:
		return o, fmt.Errorf("start controller: heal %q: want off, alert or sync", o.Heal)
	}
	if l := o.LeaderElection; l != nil {
		c := *l
		if c.Namespace == "" {
			return o, errors.New("start controller: leader election needs the namespace of its Lease")
		}
		c.Name = either(c.Name, "schemawave")
		if c.Identity == "" {
			host, _ := os.Hostname() // it only helps people to recognise the replica
			c.Identity = host + "_" + rand.Text()
		}
		c.LeaseDuration = either(c.LeaseDuration, 15*time.Second)
		c.RenewDeadline = either(c.RenewDeadline, 10*time.Second)
		c.RetryPeriod = either(c.RetryPeriod, 2*time.Second)
		o.LeaderElection = &c
	}
	o = o.forLook()
	o.Workers = either(o.Workers, 16)
	o.PublishTimeout = either(o.PublishTimeout, publishTimeout)
	return o, nil
}

// forLook fills in what is needed to look at the cluster.
func (o Options) forLook() Options {
	o.LocalServers = slices.Concat(localServers, o.LocalServers)
	o.Log = either(o.Log, slog.Default())
	return o
}

// either returns v, or the default if v is the zero value.
func either[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}
