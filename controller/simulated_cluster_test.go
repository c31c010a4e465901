package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What Argo CD calls the other cluster.
const (
	farName   = "far"
	farServer = "https://far.example:6443"
)

// simFollower reads the other cluster for a term as clusters does, for as long as its Secret is there and its server answers.
type simFollower struct {
	world    *simWorld
	clusters *clusters // nil: no other clusters are read
	listed   int       // the Secret that was seen last; zero: none was looked for
	wanted   bool
	far      *simCache // nil while it is not read
	gained   bool      // and its Jobs speak for themselves
}

func newSimFollower(term *simTerm, p *simProcess) simFollower {
	f := simFollower{world: p.world}
	places := term.rec.world.places
	places.now = term.now
	if p.options.ClusterSecrets != "" {
		places.await()
		f.clusters = &clusters{Options: p.options, applications: p.home.shelf, watcher: term.watch, metrics: term.rec.metrics}
	}
	return f
}

// cluster is the other one, as its Secret tells.
func (f *simFollower) cluster() *remote {
	return &remote{name: farName, address: farServer, secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: farName}}}
}

// follow takes the next step in following the other cluster; if weary, it is given up although it answers.
func (t *simTerm) follow(weary bool) {
	switch w := t.world; {
	case t.clusters == nil:
	case t.listed != w.secret:
		t.listed, t.wanted = w.secret, w.known
		addresses, wanted := map[string]string{}, []string(nil)
		if t.wanted {
			addresses[farName], wanted = farServer, []string{farServer}
		}
		t.watch.places.list(addresses, wanted, func(string) bool { return false })
		t.lose()
	case !t.wanted:
	case t.far == nil && !w.far.away:
		t.far = &simCache{t: t.t, server: w.far, shelf: newShelf(t.t, Options{}), read: map[string]int{}, show: func(old any, obj client.Object, deleted bool) {
			t.show(farServer, old, obj, deleted)
		}}
		for _, k := range []string{"Job", "Pod"} {
			simWatch{t.far, k}.relist()
		}
	case t.far != nil && !t.gained && !w.far.away:
		t.gained = true
		for _, k := range []string{"Job", "Pod"} {
			for _, obj := range (simWatch{t.far, k}).cached() {
				t.note(simShown(obj))
			}
		}
		t.clusters.gain(context.Background(), t.cluster(), &place{cache: t.far.shelf, live: w.far, jobs: w.far}, t.queue)
	case w.far.away || weary:
		t.watch.places.change(func() { delete(t.watch.places.awaited, farServer) })
		t.lose()
	}
}

func (t *simTerm) lose() {
	if t.gained { // what its Pods still report is not waited for
		for _, obj := range (simWatch{t.far, "Job"}).cached() {
			t.note([]string{string(obj.GetUID()) + " gone"})
		}
	}
	t.far, t.gained = nil, false
	t.clusters.lose(context.Background(), t.cluster(), t.queue)
}

// regain has a term read the other cluster, if it may.
func (t *simTerm) regain() {
	for range 3 {
		t.follow(false)
	}
}

// renew changes the Secret of the other cluster, or takes it away, or puts it back.
func (w *simWorld) renew(known bool) { w.secret, w.known = w.secret+1, known }

// sameNames reports whether Jobs of one name have been in both clusters.
func (w *simWorld) sameNames() bool {
	local := map[client.ObjectKey]bool{}
	for _, d := range w.home.log["Job"] {
		local[client.ObjectKeyFromObject(d.object)] = true
	}
	for _, d := range w.far.log["Job"] {
		if local[client.ObjectKeyFromObject(d.object)] {
			return true
		}
	}
	return false
}
